#include "talk/play.h"

#include "base/must.h"
#include "policy/sasl.h"

#include <stdlib.h>

#define USER "user@example.org"

/* A pump with one session. */
struct stage {
	struct play *play;
	const struct script *script;
	struct smtp_server server;
	struct smtp_io io;
	struct sasl sasl;
	struct buf out;
	struct buf store; /* what a body was before it was flushed */
	struct buf body;
	struct dots dots;
	uint32_t asked[SCRIPT_QUESTIONS];
	size_t fed;    /* of the input */
	uint32_t cuts; /* passed */
	bool mail_open;
	bool body_open;
};

static void play_break(struct stage *t, const char *text)
{
	if (!t->play->broken)
		t->play->broken = text;
}

/* Moves complete lines of `out` to the transcript. */
static void play_drain(struct stage *t, size_t keep)
{
	while (buf_len(&t->out) > keep) {
		struct span line = buf_span(&t->out);
		size_t end = span_find(line, '\n');

		if (end == line.len || !end || line.p[end - 1] != '\r') {
			play_break(t, "a reply does not end in CRLF");
			buf_clear(&t->out);
			return;
		}
		buf_put_str(&t->play->transcript, "S: ");
		buf_put(&t->play->transcript, span_head(line, end - 1));
		buf_put_byte(&t->play->transcript, '\n');
		buf_consume(&t->out, end + 1);
	}
}

static void play_note(struct stage *t, const char *action)
{
	if (!t->script->shows_actions)
		return;
	play_drain(t, 0);
	buf_printf(&t->play->transcript, "P: %s\n", action);
}

/* The script's answer to the next question of a kind. */
static enum reply play_answer(struct stage *t, enum script_question question,
			      enum reply usual)
{
	const struct script_answers *a = &t->script->answers[question];
	uint32_t i = t->asked[question]++;

	return i < a->n && a->reply[i] != REPLY_OK ? a->reply[i] : usual;
}

static void play_auth(struct stage *t)
{
	struct smtp_auth *auth = &t->server.auth;
	struct span challenge = SPAN("");
	struct span user;
	enum reply verdict;

	if (auth->mechanism.len && !sasl_begin(&t->sasl, auth->mechanism)) {
		smtp_server_auth_done(&t->server, REPLY_AUTH_MECHANISM,
				      SPAN(""));
		return;
	}
	switch (sasl_step(&t->sasl, auth->has_response ? &auth->response : NULL,
			  &challenge)) {
	case SASL_CONTINUE:
		smtp_server_auth_continue(&t->server, challenge);
		return;
	case SASL_CREDENTIALS:
		verdict = play_answer(t, SCRIPT_AUTH, REPLY_AUTH_OK);
		break;
	case SASL_BAD_BASE64: verdict = REPLY_AUTH_BAD_BASE64; break;
	case SASL_REFUSED:
	default: verdict = REPLY_AUTH_FAILED; break;
	}
	user = span_str(t->sasl.user);
	smtp_server_auth_done(&t->server, verdict, user);
	sasl_wipe(&t->sasl);
}

static void play_mail(struct stage *t)
{
	enum reply verdict = play_answer(t, SCRIPT_MAIL, REPLY_SENDER_OK);

	if (t->mail_open)
		play_break(t, "CHECK_MAIL while a transaction is open");
	if (!t->server.tls_version)
		play_break(t, "CHECK_MAIL in clear");
	if (t->script->options.require_auth && !smtp_server_user(&t->server)[0])
		play_break(t, "CHECK_MAIL without AUTH");
	t->mail_open = verdict == REPLY_SENDER_OK;
	smtp_server_checked(&t->server, verdict);
}

static void play_open(struct stage *t)
{
	static const struct smtp_message_facts facts = {
		.id = "T1",
		.unix_time_s = 1000000000,
	};
	enum reply verdict = play_answer(t, SCRIPT_OPEN, REPLY_OK);

	if (!t->mail_open || t->body_open)
		play_break(t, "OPEN_BODY out of turn");
	if (verdict == REPLY_OK) {
		t->body_open = true;
		buf_clear(&t->body);
		buf_clear(&t->store);
		t->io.body = &t->body;
		t->io.dots = &t->dots;
	}
	smtp_server_body_opened(&t->server, verdict, &facts);
}

static void play_store(struct stage *t)
{
	enum reply verdict = play_answer(t, SCRIPT_STORE, REPLY_OK);

	if (!t->body_open || !buf_len(&t->body))
		play_break(t, "STORE_BODY with nothing to store");
	buf_put(&t->store, buf_span(&t->body));
	buf_clear(&t->body);
	smtp_server_body_stored(&t->server, verdict);
}

static void play_forget(struct stage *t)
{
	t->mail_open = t->body_open = false;
	t->io.body = NULL;
	t->io.dots = NULL;
}

/* Appends a stored message without the Received field at its head. */
static void play_keep(struct stage *t)
{
	struct span rest = buf_span(&t->store);

	if (!span_starts_nocase(rest, SPAN("Received: from ")))
		play_break(t, "a message without trace");
	do {
		rest = span_tail(rest, span_find(rest, '\n') + 1);
	} while (rest.len && rest.p[0] == '\t');
	buf_put(&t->play->body, rest);
}

static void play_commit(struct stage *t)
{
	enum reply verdict = play_answer(t, SCRIPT_COMMIT, REPLY_OK);

	if (!t->body_open)
		play_break(t, "COMMIT without OPEN_BODY");
	if (verdict != REPLY_OK) {
		smtp_server_commit_failed(&t->server, verdict);
		return;
	}
	buf_put(&t->store, buf_span(&t->body));
	play_keep(t);
	play_forget(t);
	smtp_server_committed(&t->server);
}

static void play_discard(struct stage *t)
{
	if (!t->mail_open)
		play_break(t, "DISCARD without a transaction");
	play_forget(t);
}

/* More input, or what the script wants to happen. False: it is over. */
static bool play_feed(struct stage *t, size_t step)
{
	const struct script *s = t->script;
	size_t end = t->cuts < s->cuts_n ? s->cuts[t->cuts].offset :
					   buf_len(&s->input);
	size_t n = end - t->fed;

	play_drain(t, 0);
	if (n) {
		n = step && step < n ? step : n;
		t->fed += n;
		t->io.in.len += n;
		return true;
	}
	if (t->cuts == s->cuts_n)
		return false;
	if (s->cuts[t->cuts].kind == SCRIPT_TLS)
		play_break(t, "no START_TLS where the script has `tls`");
	if (s->cuts[t->cuts].kind == SCRIPT_END)
		smtp_server_end(&t->server, s->cuts[t->cuts].reply);
	t->cuts++;
	return true;
}

static void play_tls(struct stage *t)
{
	const struct script *s = t->script;

	/* What came in clear is dropped. */
	t->io.in = span_tail(t->io.in, t->io.in.len);
	if (t->cuts == s->cuts_n || s->cuts[t->cuts].kind != SCRIPT_TLS ||
	    s->cuts[t->cuts].offset != t->fed)
		play_break(t, "START_TLS where the script has no `tls`");
	else
		t->cuts++;
	smtp_server_tls_started(&t->server, "TLSv1.3",
				"TLS_AES_128_GCM_SHA256");
}

/* Carries out one action. False: the conversation is over. */
static bool play_act(struct stage *t, enum smtp_action action, size_t step)
{
	switch (action) {
	case SMTP_NEED_INPUT: return play_feed(t, step);
	case SMTP_NEED_OUTPUT: play_drain(t, t->out.cap / 2); break;
	case SMTP_START_TLS: play_tls(t); break;
	case SMTP_AUTH_STEP: play_auth(t); break;
	case SMTP_CHECK_MAIL: play_mail(t); break;
	case SMTP_CHECK_RCPT:
		smtp_server_checked(&t->server,
				    play_answer(t, SCRIPT_RCPT,
						REPLY_RECIPIENT_OK));
		break;
	case SMTP_OPEN_BODY: play_open(t); break;
	case SMTP_STORE_BODY:
		play_note(t, "store");
		play_store(t);
		break;
	case SMTP_COMMIT:
		play_note(t, "commit");
		play_commit(t);
		break;
	case SMTP_DISCARD:
		play_note(t, "discard");
		play_discard(t);
		break;
	case SMTP_CLOSE: t->play->closed = true; return false;
	}
	return !t->play->broken;
}

static uint8_t *play_storage(size_t size)
{
	uint8_t *p = malloc(size);

	MUST(p);
	return p;
}

void play_run(struct play *p, const struct script *s, size_t step)
{
	struct stage t = { .play = p, .script = s };

	*p = (struct play){ 0 };
	buf_init(&p->transcript, play_storage(SCRIPT_BYTES_MAX),
		 SCRIPT_BYTES_MAX);
	buf_init(&p->body, play_storage(SCRIPT_BYTES_MAX), SCRIPT_BYTES_MAX);
	buf_init(&t.out, play_storage(SMTP_OUTPUT_MIN), SMTP_OUTPUT_MIN);
	buf_init(&t.body, play_storage(s->body_cap), s->body_cap);
	buf_init(&t.store, play_storage(SCRIPT_BYTES_MAX), SCRIPT_BYTES_MAX);
	t.io.in = span_head(buf_span(&s->input), 0);
	t.io.out = &t.out;
	t.io.tls_busy = s->tls_busy;
	smtp_server_init(&t.server, &s->options,
			 (struct smtp_peer){ .address = "192.0.2.1" });
	if (!s->clear)
		smtp_server_tls_started(&t.server, "TLSv1.3",
					"TLS_AES_128_GCM_SHA256");
	while (play_act(&t, smtp_server_step(&t.server, &t.io), step))
		;
	play_drain(&t, 0);
	if (t.mail_open && p->closed)
		play_break(&t, "CLOSE without DISCARD");
	free(t.out.p);
	free(t.body.p);
	free(t.store.p);
}

void play_close(struct play *p)
{
	free(p->transcript.p);
	free(p->body.p);
}
