#include "smtp/server_auth.h"

#include "base/must.h"
#include "smtp/server_hello.h"
#include "smtp/server_reply.h"

static bool server_auth_knows(const struct smtp_server *s,
			      struct span mechanism)
{
	struct span rest = span_str(s->options->auth_mechanisms);

	while (rest.len)
		if (span_equal_nocase(command_take_word(&rest), mechanism))
			return true;
	return false;
}

/* Why AUTH may not come now (RFC 4954 4); empty when it may. */
static struct span server_auth_obstacle(const struct smtp_server *s)
{
	if (!s->extended)
		return SPAN("say EHLO first");
	if (s->authenticated)
		return SPAN("already authenticated");
	if (s->mail_open)
		return SPAN("not during a mail transaction");
	return SPAN("");
}

static void server_auth_ask(struct smtp_server *s, struct span mechanism,
			    const struct span *response)
{
	s->auth = (struct smtp_auth){ .mechanism = mechanism };
	if (response) {
		s->auth.has_response = true;
		s->auth.response = *response;
	}
	server_state_set(s, SMTP_AUTHENTICATING);
}

void server_auth_begin(struct smtp_server *s, struct smtp_io *io,
		       struct span argument)
{
	struct span obstacle = server_auth_obstacle(s);
	struct span mechanism = command_take_word(&argument);
	struct span response = command_take_word(&argument);
	bool has_response = response.len;

	MUST(s->tls_version);
	if (span_equal(response, SPAN("=")))
		response.len = 0;
	if (!server_hello_offers_auth(s))
		server_reply_put(s, io->out, REPLY_NOT_IMPLEMENTED);
	else if (obstacle.len)
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					obstacle);
	else if (!mechanism.len || argument.len)
		server_reply_put_detail(s, io->out, REPLY_SYNTAX,
					SPAN("AUTH mechanism [response]"));
	else if (!server_auth_knows(s, mechanism))
		server_reply_put(s, io->out, REPLY_AUTH_MECHANISM);
	else
		server_auth_ask(s, mechanism, has_response ? &response : NULL);
}

void server_auth_line(struct smtp_server *s, struct smtp_io *io,
		      enum line_result result, struct span text)
{
	server_state_set(s, SMTP_READING);
	switch (result) {
	case LINE_OK:
		if (span_equal(text, SPAN("*")))
			server_reply_put(s, io->out, REPLY_AUTH_CANCELLED);
		else
			server_auth_ask(s, SPAN(""), &text);
		break;
	case LINE_BARE_LF:
		server_reply_put(s, io->out, REPLY_BARE_LF_COMMAND);
		break;
	case LINE_TOO_LONG:
		server_reply_put(s, io->out, REPLY_LINE_TOO_LONG);
		break;
	case LINE_CONTROL:
	case LINE_NONE:
		server_reply_put(s, io->out, REPLY_AUTH_BAD_BASE64);
		break;
	}
}
