#pragma once

/*
 * command: what a command line says. It splits off the verb and parses the
 * arguments of MAIL, RCPT and BDAT with the parameters of the extensions in
 * EHLO (RFC 1870, 3030, 3461, 4954, 6152, 6531). It judges syntax alone:
 * whether a command may come now is the server's matter. Spans lend from the
 * line.
 */

#include "smtp/address.h"
#include "smtp/reply.h"

enum command_verb {
	COMMAND_AUTH,
	COMMAND_BDAT,
	COMMAND_DATA,
	COMMAND_EHLO,
	COMMAND_ETRN,
	COMMAND_EXPN,
	COMMAND_HELO,
	COMMAND_HELP,
	COMMAND_MAIL,
	COMMAND_NOOP,
	COMMAND_QUIT,
	COMMAND_RCPT,
	COMMAND_RSET,
	COMMAND_STARTTLS,
	COMMAND_TURN,
	COMMAND_VRFY,
	COMMAND_HTTP,    /* a browser's request: a cross-protocol attack */
	COMMAND_UNKNOWN, /* keep last */
	COMMAND_VERBS
};

struct command {
	enum command_verb verb;
	struct span argument; /* white space around it dropped */
};

/* Why an argument was refused: a reply of the table and its argument. */
struct command_fault {
	enum reply reply;
	struct span detail; /* lent from the line, or a literal */
};

enum command_body { COMMAND_BODY_UNSAID, COMMAND_BODY_7BIT, COMMAND_BODY_8BIT };

struct command_mail {
	struct span path;  /* reverse-path without <>; empty: the null path */
	uint64_t size;     /* SIZE=, 0 when not declared */
	struct span ret;   /* "FULL" or "HDRS" in any case, or empty */
	struct span envid; /* xtext as given, or empty */
	enum command_body body;
	bool smtputf8;
	bool extended; /* any parameter was given */
};

struct command_rcpt {
	struct span path;   /* forward-path without <> and source route */
	struct span notify; /* as given, or empty */
	struct span orcpt;  /* "type;xtext" as given, or empty */
	bool extended;
};

struct command_bdat {
	uint64_t size;
	bool last;
};

/* Splits a line without its end. Unknown verbs are values, not faults. */
struct command command_parse(struct span line);

/*
 * Parse the argument of a MAIL, RCPT or BDAT. False when it is refused; then
 * *ret_fault says why and *ret is of no use. `smtputf8` of a RCPT is that of
 * the MAIL before it (RFC 6531 3.4).
 */
bool command_parse_mail(struct span argument, struct command_mail *ret,
			struct command_fault *ret_fault);
bool command_parse_rcpt(struct span argument, bool smtputf8,
			struct command_rcpt *ret,
			struct command_fault *ret_fault);
bool command_parse_bdat(struct span argument, struct command_bdat *ret,
			struct command_fault *ret_fault);

/* Takes the next word off *in, with the white space around it. */
struct span command_take_word(struct span *in);

/* True when s is xtext: printable, `+` only before two hex digits. */
bool command_is_xtext(struct span s);
