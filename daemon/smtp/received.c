#include "smtp/received.h"

#define LINE_COLUMNS 78 /* RFC 5322 2.1.1 */
#define TAB_COLUMNS  8
#define WORD_MAX     512

/* A field that is being written, word by word. */
struct field {
	struct buf *out;
	size_t column;
};

/* A word and the space before it, or a fold where it would pass the margin. */
static void received_put_word(struct field *f, const char *prefix,
			      const char *word, const char *suffix)
{
	size_t len = strlen(prefix) + strlen(word) + strlen(suffix);

	if (f->column + 1 + len > LINE_COLUMNS) {
		buf_put_str(f->out, "\r\n\t");
		f->column = TAB_COLUMNS;
	} else {
		buf_put_byte(f->out, ' ');
		f->column++;
	}
	buf_put_str(f->out, prefix);
	buf_put_str(f->out, word);
	buf_put_str(f->out, suffix);
	f->column += len;
}

static void received_fold(struct field *f)
{
	f->column = LINE_COLUMNS;
}

/*
 * What a client may call itself, harmless in a header field: no white space, no
 * comment, no quote, no second field. Octets of a U-label pass when the message
 * is internationalised.
 */
static void received_clean(char *text, bool utf8)
{
	struct span harmless = SPAN(".-_:[]");

	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;
		bool alnum = (c >= '0' && c <= '9') ||
			     (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');

		if (!alnum && span_find(harmless, c) == harmless.len &&
		    !(utf8 && c >= 0x80))
			*text = '?';
	}
}

/* RFC 3848 and the registry it began. */
static const char *received_protocol(const struct received *r)
{
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};

	if (!r->extended)
		return "SMTP";
	return names[r->smtputf8][!!r->tls_version][r->authenticated];
}

struct received_date {
	uint64_t year;
	unsigned int month, day, weekday, hour, minute, second;
};

/*
 * The civil calendar, counted from 1 March of year 0 so that the leap day ends
 * a year. gmtime_r would read the time zone file once, from a sandbox.
 */
static struct received_date received_civil(uint64_t unix_time_s)
{
	uint64_t days = unix_time_s / 86400;
	unsigned int s = (unsigned int)(unix_time_s % 86400);
	uint64_t shifted = days + 719468;
	uint64_t era = shifted / 146097;
	uint64_t day_of_era = shifted % 146097;
	uint64_t year_of_era = (day_of_era - day_of_era / 1460 +
				day_of_era / 36524 - day_of_era / 146096) /
			       365;
	uint64_t day_of_year =
		day_of_era -
		(365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t march_month = (5 * day_of_year + 2) / 153;
	uint64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;

	return (struct received_date){
		.year = era * 400 + year_of_era + (march_month >= 10),
		.month = (unsigned int)((march_month + 2) % 12),
		.day = (unsigned int)day,
		.weekday = (unsigned int)((days + 4) % 7),
		.hour = s / 3600,
		.minute = s / 60 % 60,
		.second = s % 60,
	};
}

/* date-time of RFC 5322 3.3. */
static void received_put_time(struct buf *out, uint64_t unix_time_s)
{
	static const char *const weekdays[] = { "Sun", "Mon", "Tue", "Wed",
						"Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr",
					      "May", "Jun", "Jul", "Aug",
					      "Sep", "Oct", "Nov", "Dec" };
	struct received_date d = received_civil(unix_time_s);

	buf_put_str(out, weekdays[d.weekday]);
	buf_put_str(out, ", ");
	buf_put_u64(out, d.day);
	buf_put_byte(out, ' ');
	buf_put_str(out, months[d.month]);
	buf_put_byte(out, ' ');
	buf_put_u64(out, d.year);
	buf_put_byte(out, ' ');
	buf_put_decimal(out, d.hour, 2);
	buf_put_byte(out, ':');
	buf_put_decimal(out, d.minute, 2);
	buf_put_byte(out, ':');
	buf_put_decimal(out, d.second, 2);
	buf_put_str(out, " +0000");
}

void received_put(struct buf *out, const struct received *r)
{
	struct field f = { .out = out, .column = strlen("Received:") };
	char helo[WORD_MAX];
	size_t len = strnlen(r->helo, sizeof(helo) - 1);

	memcpy(helo, r->helo, len);
	helo[len] = 0;
	received_clean(helo, r->smtputf8);
	buf_put_str(out, "Received:");
	received_put_word(&f, "from ", helo, "");
	received_put_word(&f, "([", r->address, "])");
	received_fold(&f);
	received_put_word(&f, "by ", r->hostname, "");
	received_put_word(&f, "with ", received_protocol(r), "");
	received_put_word(&f, "id ", r->id, r->tls_version ? "" : ";");
	if (r->tls_version) {
		received_put_word(&f, "(TLS version=", r->tls_version, "");
		received_put_word(&f, "cipher=", r->tls_cipher, ");");
	}
	buf_put_str(out, "\r\n\t");
	received_put_time(out, r->unix_time_s);
	buf_put_str(out, "\r\n");
}

void received_put_date(struct buf *out, uint64_t unix_time_s)
{
	buf_put_str(out, "Date: ");
	received_put_time(out, unix_time_s);
	buf_put_str(out, "\r\n");
}

void received_put_message_id(struct buf *out, const char *id,
			     const char *hostname)
{
	buf_printf(out, "Message-ID: <%s@%s>\r\n", id, hostname);
}
