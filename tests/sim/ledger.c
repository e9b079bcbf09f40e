#include "ledger.h"

#include "spool/envelope.h"

#include <stdarg.h>
#include <stdio.h>

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t ledger_id(const struct ledger *l, uint32_t mail)
{
	return mix(l->seed) << 16 | (mail + 1);
}

uint32_t ledger_mail(const struct ledger *l, uint64_t id)
{
	uint32_t mail = (uint32_t)(id & 0xffff) - 1;

	if (mail >= l->n || id != ledger_id(l, mail))
		return LEDGER_MAX;
	return mail;
}

void ledger_put_envelope(const struct ledger *l, uint32_t mail, struct buf *out)
{
	uint8_t text[40];
	struct buf value;

	envelope_put(out, ENVELOPE_REVERSE_PATH, SPAN("sender@example.org"));
	envelope_put(out, ENVELOPE_ARRIVAL, SPAN("1700000000"));
	for (uint32_t n = 0; n < l->mails[mail].recipients_n; n++) {
		buf_init(&value, text, sizeof(text));
		buf_put_u64(&value, n);
		buf_put_str(&value, "@example.net");
		envelope_put(out, ENVELOPE_FORWARD_PATH, buf_span(&value));
	}
}

void ledger_put_body(const struct ledger *l, uint32_t mail, uint64_t at,
		     struct buf *out, size_t len)
{
	uint64_t id = ledger_id(l, mail);

	for (size_t n = 0; n < len; n++, at++)
		buf_put_byte(out, (uint8_t)(mix(id + at / 8) >> (at % 8 * 8)));
}

struct dots ledger_dots(const struct ledger *l, uint32_t mail)
{
	struct dots dots = { 0 };
	uint64_t step = 1 + mix(ledger_id(l, mail)) % 600;

	for (uint64_t at = 0; at < l->mails[mail].body_len; at += step)
		dots_add(&dots, at);
	return dots;
}

void ledger_break(struct ledger *l, const char *format, ...)
{
	va_list args;

	if (l->broken[0])
		return;
	va_start(args, format);
	(void)vsnprintf(l->broken, sizeof(l->broken), format, args);
	va_end(args);
}
