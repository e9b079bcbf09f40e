#include "smtp/server_hello.h"

#include "smtp/server_mail.h"
#include "smtp/server_reply.h"

bool server_hello_offers_auth(const struct smtp_server *s)
{
	const char *mechanisms = s->options->auth_mechanisms;

	return s->tls_version && mechanisms && mechanisms[0];
}

void server_hello_forget(struct smtp_server *s)
{
	s->greeted = s->extended = s->authenticated = false;
	s->helo[0] = s->user[0] = 0;
}

/*
 * A name without white space. Whether it is the client's is not asked: RFC 5321
 * 4.1.4 forbids to refuse mail for that, and clients send what they have.
 */
static bool server_hello_is_name(struct span s)
{
	if (!s.len || s.len >= SMTP_HELO_MAX)
		return false;
	while (s.len) {
		size_t utf8 = address_utf8(s);

		if (!utf8 && (s.p[0] <= ' ' || s.p[0] > '~'))
			return false;
		s = span_tail(s, utf8 ? utf8 : 1);
	}
	return true;
}

/* Either greeting ends a transaction as RSET does (RFC 5321 4.1.4). */
static bool server_hello_greet(struct smtp_server *s, struct smtp_io *io,
			       struct span argument, bool extended)
{
	struct span name = command_take_word(&argument);

	if (argument.len || !server_hello_is_name(name)) {
		server_reply_put_detail(s, io->out, REPLY_SYNTAX,
					extended ? SPAN("EHLO hostname") :
						   SPAN("HELO hostname"));
		return false;
	}
	memcpy(s->helo, name.p, name.len);
	s->helo[name.len] = 0;
	s->greeted = true;
	s->extended = extended;
	server_mail_drop(s);
	return true;
}

void server_hello_helo(struct smtp_server *s, struct smtp_io *io,
		       struct span argument)
{
	if (server_hello_greet(s, io, argument, false))
		server_reply_put(s, io->out, REPLY_HELO);
}

void server_hello_ehlo(struct smtp_server *s, struct smtp_io *io,
		       struct span argument)
{
	const struct smtp_server_options *o = s->options;

	if (!server_hello_greet(s, io, argument, true))
		return;
	buf_printf(io->out, "250-%s\r\n", o->hostname);
	if (!s->tls_version && o->starttls)
		buf_put_str(io->out, "250-STARTTLS\r\n");
	if (server_hello_offers_auth(s))
		buf_printf(io->out, "250-AUTH %s\r\n", o->auth_mechanisms);
	buf_printf(io->out, "250-SIZE %llu\r\n",
		   (unsigned long long)o->message_max);
	buf_put_str(io->out, "250-8BITMIME\r\n"
			     "250-SMTPUTF8\r\n"
			     "250-ENHANCEDSTATUSCODES\r\n"
			     "250-PIPELINING\r\n"
			     "250-CHUNKING\r\n"
			     "250-DSN\r\n");
	buf_printf(io->out, "250-LIMITS RCPTMAX=%u", o->recipients_max);
	if (o->messages_max)
		buf_printf(io->out, " MAILMAX=%u", o->messages_max);
	buf_put_str(io->out, "\r\n250 HELP\r\n");
	server_reply_count(s, REPLY_HELO);
}

void server_hello_starttls(struct smtp_server *s, struct smtp_io *io)
{
	if (s->tls_version) {
		server_reply_put_detail(s, io->out, REPLY_BAD_SEQUENCE,
					SPAN("TLS is active already"));
	} else if (!s->options->starttls) {
		server_reply_put(s, io->out, REPLY_NOT_IMPLEMENTED);
	} else if (io->in.len) {
		/*
		 * Commands in clear behind STARTTLS are an attempt to have them
		 * obeyed under TLS (CVE-2011-0411). The pump drops clear bytes
		 * that come later; these prove the intent.
		 */
		server_reply_put(s, io->out, REPLY_PIPELINED_TLS);
		server_mail_close(s);
	} else if (io->tls_busy) {
		server_reply_put(s, io->out, REPLY_TLS_BUSY);
	} else {
		server_reply_put(s, io->out, REPLY_START_TLS);
		server_state_set(s, SMTP_STARTING_TLS);
	}
}
