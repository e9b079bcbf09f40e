/*
 * One table of keywords. A keyword with parameters has a function that reads
 * them; the others only set their flag.
 */
#include "smtp/client_hello.h"

/* Takes a word off the front, and the spaces behind it. */
static struct span take_word(struct span *s)
{
	size_t n = span_find(*s, ' ');
	struct span word = span_head(*s, n);

	*s = span_tail(*s, n);
	while (s->len && s->p[0] == ' ')
		*s = span_tail(*s, 1);
	return word;
}

static void read_size(struct client_hello *h, struct span parameters)
{
	h->size = true;
	(void)span_to_u64(take_word(&parameters), &h->size_max);
}

/* "NAME=VALUE" pairs; a limit of 0 would forbid all mail and is ignored. */
static void read_limits(struct client_hello *h, struct span parameters)
{
	while (parameters.len) {
		struct span word = take_word(&parameters);
		size_t n = span_find(word, '=');
		struct span name = span_head(word, n);
		struct span value = span_tail(word, n < word.len ? n + 1 : n);

		if (span_equal_nocase(name, SPAN("MAILMAX")))
			(void)span_to_u64(value, &h->mail_max);
		else if (span_equal_nocase(name, SPAN("RCPTMAX")))
			(void)span_to_u64(value, &h->recipients_max);
	}
}

static void read_auth(struct client_hello *h, struct span mechanisms)
{
	while (mechanisms.len)
		if (span_equal_nocase(take_word(&mechanisms), SPAN("PLAIN")))
			h->auth_plain = true;
}

void client_hello_line(struct client_hello *h, struct span line)
{
	const struct {
		struct span name;
		bool *flag;
	} flags[] = {
		{ SPAN("PIPELINING"), &h->pipelining },
		{ SPAN("8BITMIME"), &h->eight_bit },
		{ SPAN("SMTPUTF8"), &h->smtputf8 },
		{ SPAN("CHUNKING"), &h->chunking },
		{ SPAN("STARTTLS"), &h->starttls },
		{ SPAN("DSN"), &h->dsn },
		{ SPAN("ENHANCEDSTATUSCODES"), &h->enhanced },
	};
	struct span keyword = take_word(&line);

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (span_equal_nocase(keyword, flags[i].name))
			*flags[i].flag = true;
	if (span_equal_nocase(keyword, SPAN("SIZE")))
		read_size(h, line);
	else if (span_equal_nocase(keyword, SPAN("LIMITS")))
		read_limits(h, line);
	else if (span_equal_nocase(keyword, SPAN("AUTH")))
		read_auth(h, line);
}
