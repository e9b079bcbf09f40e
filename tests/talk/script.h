#pragma once

/*
 * script: a conversation as an operator writes it down, read from a *.talk
 * file. README.md in this folder explains the lines. It only reads; play
 * carries it out.
 */

#include "base/buf.h"
#include "smtp/server.h"

#define SCRIPT_ANSWERS_MAX 32
#define SCRIPT_CUTS_MAX    16
#define SCRIPT_BYTES_MAX   (512 * 1024)

/* Questions of the server that a script answers. */
enum script_question {
	SCRIPT_AUTH,
	SCRIPT_MAIL,
	SCRIPT_RCPT,
	SCRIPT_OPEN,
	SCRIPT_STORE,
	SCRIPT_COMMIT,
	SCRIPT_QUESTIONS
};

/* Answers in order; behind the last one everything is fine. */
struct script_answers {
	enum reply reply[SCRIPT_ANSWERS_MAX];
	uint32_t n;
};

/* A point of the input that nothing is read past before something happens. */
struct script_cut {
	size_t offset;
	enum { SCRIPT_TLS, SCRIPT_END, SCRIPT_WAIT } kind;
	enum reply reply; /* of SCRIPT_END */
};

struct script {
	struct smtp_server_options options;
	uint32_t body_cap;
	bool tls_busy; /* no handshake can begin */
	bool clear;    /* begins without TLS */
	bool whole;    /* means something only when sent at once */
	bool closes;   /* the server closes at the end */
	bool shows_actions;
	bool shows_body;
	struct script_answers answers[SCRIPT_QUESTIONS];
	struct script_cut cuts[SCRIPT_CUTS_MAX];
	uint32_t cuts_n;
	struct buf input;
	struct buf expected; /* "S: ..." and "P: ..." lines */
	struct buf body;
};

/* Reads the file; prints what is wrong with it and returns false. */
bool script_open(struct script *s, const char *path);
void script_close(struct script *s);
