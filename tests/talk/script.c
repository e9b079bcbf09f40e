#include "talk/script.h"

#include <stdio.h>
#include <stdlib.h>

/* One line of a script: its first word and what follows. */
struct script_line {
	const char *path;
	unsigned int number;
	unsigned int times; /* `repeat` before it */
	const char *word;
	char *rest;
};

static bool script_complain(const struct script_line *l, const char *text)
{
	printf("# %s:%u: %s\n", l->path, l->number, text);
	return false;
}

static bool script_number(const struct script_line *l, const char *text,
			  uint64_t *ret)
{
	return span_to_u64(span_str(text), ret) ||
	       script_complain(l, "a number is missing");
}

static bool script_find_reply(const struct script_line *l, const char *name,
			      enum reply *ret)
{
	for (int i = 0; i < REPLY_N; i++) {
		if (strcmp(name, reply_name((enum reply)i)) != 0)
			continue;
		*ret = (enum reply)i;
		return true;
	}
	return script_complain(l, "no such reply in the table");
}

static int script_hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, ascii_lower((uint8_t)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Appends text with \r \n \t \0 \\ \xNN in place. */
static bool script_unescape(const struct script_line *l, struct buf *out)
{
	static const char names[] = "rnt0\\", values[] = "\r\n\t\0\\";

	for (const char *c = l->rest; *c; c++) {
		const char *known;

		if (*c != '\\') {
			buf_put_byte(out, (uint8_t)*c);
			continue;
		}
		c++;
		known = *c ? strchr(names, *c) : NULL;
		if (known) {
			buf_put_byte(out, (uint8_t)values[known - names]);
		} else if (*c == 'x' && script_hex(c[1]) >= 0 &&
			   script_hex(c[2]) >= 0) {
			buf_put_byte(out, (uint8_t)(script_hex(c[1]) * 16 +
						    script_hex(c[2])));
			c += 2;
		} else {
			return script_complain(l, "unknown escape");
		}
	}
	return true;
}

static bool script_option(struct script *s, const struct script_line *l)
{
	struct smtp_server_options *o = &s->options;
	char *value = strchr(l->rest, ' ');
	uint64_t n = 0;

	if (!value)
		return script_complain(l, "option NAME NUMBER");
	*value++ = 0;
	if (!script_number(l, value, &n))
		return false;
	if (!strcmp(l->rest, "message_max"))
		o->message_max = n;
	else if (!strcmp(l->rest, "header_max"))
		o->header_max = (uint32_t)n;
	else if (!strcmp(l->rest, "text_line_max"))
		o->text_line_max = (uint32_t)n;
	else if (!strcmp(l->rest, "recipients_max"))
		o->recipients_max = (uint32_t)n;
	else if (!strcmp(l->rest, "messages_max"))
		o->messages_max = (uint32_t)n;
	else if (!strcmp(l->rest, "hops_max"))
		o->hops_max = (uint32_t)n;
	else if (!strcmp(l->rest, "errors_max"))
		o->errors_max = (uint32_t)n;
	else if (!strcmp(l->rest, "idle_commands_max"))
		o->idle_commands_max = (uint32_t)n;
	else if (!strcmp(l->rest, "require_auth"))
		o->require_auth = n;
	else if (!strcmp(l->rest, "starttls"))
		o->starttls = n;
	else if (!strcmp(l->rest, "mechanisms"))
		o->auth_mechanisms = n ? "PLAIN LOGIN" : "";
	else if (!strcmp(l->rest, "normalise_bare_lf"))
		o->bare_lf = n ? SMTP_BARE_LF_NORMALISE : SMTP_BARE_LF_REFUSE;
	else if (!strcmp(l->rest, "tls_busy"))
		s->tls_busy = n;
	else if (!strcmp(l->rest, "body_bytes"))
		s->body_cap = (uint32_t)n;
	else
		return script_complain(l, "no such option");
	return true;
}

static bool script_cut(struct script *s, const struct script_line *l)
{
	struct script_cut *cut = &s->cuts[s->cuts_n];

	if (s->cuts_n == SCRIPT_CUTS_MAX)
		return script_complain(l, "too many of these");
	s->cuts_n++;
	cut->offset = buf_len(&s->input);
	cut->kind = l->word[0] == 't' ? SCRIPT_TLS :
		    l->word[0] == 'e' ? SCRIPT_END :
					SCRIPT_WAIT;
	return cut->kind != SCRIPT_END ||
	       script_find_reply(l, l->rest, &cut->reply);
}

static bool script_answer(struct script *s, const struct script_line *l,
			  enum script_question question)
{
	struct script_answers *a = &s->answers[question];

	if (a->n == SCRIPT_ANSWERS_MAX)
		return script_complain(l, "too many answers");
	return script_find_reply(l, l->rest, &a->reply[a->n++]);
}

/* The banner, and an EHLO under TLS with its eleven lines. */
static void script_hello(struct script *s)
{
	buf_put_str(&s->input, "EHLO client.example\r\n");
	buf_put_str(&s->expected, "S: 220 *\n");
	for (int i = 0; i < 10; i++)
		buf_put_str(&s->expected, "S: 250-*\n");
	buf_put_str(&s->expected, "S: 250 HELP\n");
}

static bool script_flag(struct script *s, const struct script_line *l)
{
	if (!strcmp(l->word, "clear"))
		s->clear = true;
	else if (!strcmp(l->word, "whole"))
		s->whole = true;
	else if (!strcmp(l->word, "hello"))
		script_hello(s);
	else if (!strcmp(l->word, "close"))
		s->closes = true;
	else
		return script_complain(l, "what is this line?");
	return true;
}

static bool script_directive(struct script *s, const struct script_line *l)
{
	static const char *const questions[] = { "auth", "mail",  "rcpt",
						 "open", "store", "commit" };
	uint64_t n;

	for (int i = 0; i < SCRIPT_QUESTIONS; i++)
		if (!strcmp(l->word, questions[i]))
			return script_answer(s, l, (enum script_question)i);
	if (!strcmp(l->word, "option"))
		return script_option(s, l);
	if (!strcmp(l->word, "tls") || !strcmp(l->word, "end") ||
	    !strcmp(l->word, "wait"))
		return script_cut(s, l);
	if (strcmp(l->word, "fill") != 0)
		return script_flag(s, l);
	if (strlen(l->rest) < 3 || !script_number(l, l->rest + 2, &n))
		return script_complain(l, "fill CHARACTER NUMBER");
	while (n--)
		buf_put_byte(&s->input, (uint8_t)l->rest[0]);
	return true;
}

static bool script_speech(struct script *s, const struct script_line *l)
{
	if (!strcmp(l->word, "C:")) {
		buf_put_str(&s->input, l->rest);
		buf_put_str(&s->input, "\r\n");
		return true;
	}
	if (!strcmp(l->word, "C|"))
		return script_unescape(l, &s->input);
	if (!strcmp(l->word, "B|")) {
		s->shows_body = true;
		return script_unescape(l, &s->body);
	}
	if (strcmp(l->word, "S:") != 0 && strcmp(l->word, "P:") != 0)
		return script_directive(s, l);
	s->shows_actions |= l->word[0] == 'P';
	buf_printf(&s->expected, "%s %s\n", l->word, l->rest);
	return true;
}

static bool script_read_line(struct script *s, struct script_line *l,
			     char *text)
{
	char *space;
	uint64_t n;

	text[strcspn(text, "\n")] = 0;
	l->number++;
	if (!text[0] || text[0] == '#')
		return true;
	space = strchr(text, ' ');
	l->word = text;
	l->rest = space ? space + 1 : text + strlen(text);
	if (space)
		*space = 0;
	if (!strcmp(l->word, "repeat")) {
		l->times = script_number(l, l->rest, &n) ? (unsigned int)n : 0;
		return l->times;
	}
	for (; l->times; l->times--)
		if (!script_speech(s, l))
			return false;
	l->times = 1;
	return true;
}

static void script_init(struct script *s)
{
	*s = (struct script){
		.body_cap = 64 * 1024,
		.options = {
			.hostname = "mx.example.org",
			.auth_mechanisms = "PLAIN LOGIN",
			.starttls = true,
			.message_max = 100000,
			.header_max = 20000,
			.text_line_max = 998,
			.recipients_max = 100,
			.hops_max = 50,
			.errors_max = 20,
			.idle_commands_max = 50,
		},
	};
	buf_init(&s->input, malloc(SCRIPT_BYTES_MAX), SCRIPT_BYTES_MAX);
	buf_init(&s->expected, malloc(SCRIPT_BYTES_MAX), SCRIPT_BYTES_MAX);
	buf_init(&s->body, malloc(SCRIPT_BYTES_MAX), SCRIPT_BYTES_MAX);
}

bool script_open(struct script *s, const char *path)
{
	struct script_line l = { .path = path, .times = 1 };
	FILE *file = fopen(path, "r");
	char text[4096];
	bool good = file;

	script_init(s);
	if (!file)
		printf("# cannot read %s\n", path);
	while (good && fgets(text, sizeof(text), file))
		good = script_read_line(s, &l, text);
	if (file)
		fclose(file);
	if (s->input.overflowed || s->expected.overflowed || s->body.overflowed)
		good = script_complain(&l, "too long");
	return good;
}

void script_close(struct script *s)
{
	free(s->input.p);
	free(s->expected.p);
	free(s->body.p);
}
