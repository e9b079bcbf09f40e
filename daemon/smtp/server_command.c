#include "smtp/server_command.h"

#include "smtp/server_auth.h"
#include "smtp/server_body.h"
#include "smtp/server_hello.h"
#include "smtp/server_mail.h"
#include "smtp/server_reply.h"

enum rule {
	RULE_CLEAR = 1, /* allowed before TLS */
	RULE_IDLE = 2,  /* brings no mail nearer */
	RULE_BARE = 4,  /* takes no argument */
};

/*
 * RFC 3207 4 names what may come in clear. BDAT is among it only because its
 * octets must be read before it is refused.
 */
static const uint8_t server_rules[COMMAND_VERBS] = {
	[COMMAND_BDAT] = RULE_CLEAR,
	[COMMAND_DATA] = RULE_BARE,
	[COMMAND_EHLO] = RULE_CLEAR | RULE_IDLE,
	[COMMAND_ETRN] = RULE_IDLE,
	[COMMAND_EXPN] = RULE_IDLE,
	[COMMAND_HELO] = RULE_CLEAR | RULE_IDLE,
	[COMMAND_HELP] = RULE_CLEAR | RULE_IDLE,
	[COMMAND_NOOP] = RULE_CLEAR | RULE_IDLE,
	[COMMAND_QUIT] = RULE_CLEAR | RULE_BARE,
	[COMMAND_RSET] = RULE_CLEAR | RULE_IDLE | RULE_BARE,
	[COMMAND_STARTTLS] = RULE_CLEAR | RULE_BARE,
	[COMMAND_TURN] = RULE_IDLE,
	[COMMAND_VRFY] = RULE_IDLE,
	[COMMAND_HTTP] = RULE_CLEAR,
	[COMMAND_UNKNOWN] = RULE_CLEAR,
};

static void server_command_close(struct smtp_server *s, struct smtp_io *io,
				 enum reply reply)
{
	server_reply_put(s, io->out, reply);
	server_mail_close(s);
}

static void server_command_vrfy(struct smtp_server *s, struct smtp_io *io,
				struct span argument)
{
	if (argument.len)
		server_reply_put(s, io->out, REPLY_VRFY);
	else
		server_reply_put_detail(s, io->out, REPLY_SYNTAX,
					SPAN("VRFY address"));
}

static void server_command_run(struct smtp_server *s, struct smtp_io *io,
			       struct command c)
{
	switch (c.verb) {
	case COMMAND_AUTH: server_auth_begin(s, io, c.argument); break;
	case COMMAND_BDAT: server_body_bdat(s, io, c.argument); break;
	case COMMAND_DATA: server_body_data(s, io); break;
	case COMMAND_EHLO: server_hello_ehlo(s, io, c.argument); break;
	case COMMAND_HELO: server_hello_helo(s, io, c.argument); break;
	case COMMAND_HELP: server_reply_put(s, io->out, REPLY_HELP); break;
	case COMMAND_MAIL: server_mail_mail(s, io, c.argument); break;
	case COMMAND_NOOP: server_reply_put(s, io->out, REPLY_OK); break;
	case COMMAND_QUIT: server_command_close(s, io, REPLY_BYE); break;
	case COMMAND_RCPT: server_mail_rcpt(s, io, c.argument); break;
	case COMMAND_RSET: server_mail_rset(s, io); break;
	case COMMAND_STARTTLS: server_hello_starttls(s, io); break;
	case COMMAND_VRFY: server_command_vrfy(s, io, c.argument); break;
	case COMMAND_HTTP: server_command_close(s, io, REPLY_NOT_HTTP); break;
	case COMMAND_ETRN:
	case COMMAND_EXPN:
	case COMMAND_TURN:
		server_reply_put(s, io->out, REPLY_NOT_IMPLEMENTED);
		break;
	case COMMAND_UNKNOWN:
	case COMMAND_VERBS:
		server_reply_put(s, io->out, REPLY_UNKNOWN_COMMAND);
		break;
	}
}

static void server_command_judge(struct smtp_server *s, struct smtp_io *io,
				 struct command c)
{
	uint8_t rules = server_rules[c.verb];
	uint32_t idle_max = s->options->idle_commands_max;

	if (rules & RULE_IDLE)
		s->idle_commands++;
	if (idle_max && s->idle_commands > idle_max)
		server_command_close(s, io, REPLY_TOO_MANY_IDLE);
	else if (!s->tls_version && !(rules & RULE_CLEAR))
		server_reply_put(s, io->out, REPLY_TLS_REQUIRED);
	else if (rules & RULE_BARE && c.argument.len)
		server_reply_put_detail(s, io->out, REPLY_SYNTAX,
					SPAN("no argument allowed"));
	else
		server_command_run(s, io, c);
}

void server_command_line(struct smtp_server *s, struct smtp_io *io,
			 enum line_result result, struct span text)
{
	struct command c = command_parse(text);

	s->counts.commands++;
	switch (result) {
	case LINE_OK: server_command_judge(s, io, c); return;
	case LINE_TOO_LONG:
		server_reply_put(s, io->out, REPLY_LINE_TOO_LONG);
		return;
	case LINE_BARE_LF:
		server_reply_put(s, io->out, REPLY_BARE_LF_COMMAND);
		break;
	case LINE_CONTROL:
	case LINE_NONE:
		server_reply_put_detail(s, io->out, REPLY_SYNTAX,
					SPAN("control character"));
		break;
	}
	/* The octets of a chunk that nobody counts are no commands. */
	if (c.verb == COMMAND_BDAT || c.verb == COMMAND_HTTP)
		server_mail_close(s);
}
