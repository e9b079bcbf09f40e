/*
 * Made-up bodies are the front part of one long text of 64-byte lines, and a
 * field of the head is padded so that the whole has the wanted size to the byte.
 */
#include "load/mails.h"

#include "base/must.h"
#include "load/folder.h"
#include "spool/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define LINE_BYTES 64
#define DOT_EVERY  40 /* lines */

struct mails {
	const struct load_options *options;
	uint32_t run;
	char common[MAIL_HEAD_MAX / 2]; /* fields that never differ */
	char date[64];
	uint32_t text_len;
	uint8_t *text;
	struct dots dots; /* of `text` */
	struct folder folder;
};

static void write_line(uint8_t *line, uint64_t number, struct dice *dice)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789+";
	uint64_t bits = 0;

	for (size_t i = 0; i < LINE_BYTES - 2; i++) {
		if (i % 10 == 0)
			bits = dice_u64(dice);
		line[i] = (uint8_t)letters[bits % (sizeof(letters) - 1)];
		bits /= sizeof(letters) - 1;
	}
	if (number % DOT_EVERY == 7)
		line[0] = '.';
	if (number % (2 * DOT_EVERY) == 7)
		line[1] = '.';
	line[LINE_BYTES - 2] = '\r';
	line[LINE_BYTES - 1] = '\n';
}

/* Only the first lines begin with a dot: as many as their index holds. */
static int write_text(struct mails *m)
{
	const struct load_options *o = m->options;
	uint64_t bytes = o->size_median ? o->size_max : o->size;
	uint64_t lines = bytes / LINE_BYTES + 1;
	struct dice dice = dice_from(o->seed);

	m->text = malloc(lines * LINE_BYTES);
	if (!m->text)
		return -ENOMEM;
	m->text_len = (uint32_t)(lines * LINE_BYTES);
	for (uint64_t i = 0; i < lines; i++) {
		uint8_t *line = m->text + i * LINE_BYTES;

		write_line(line, m->dots.n < DOTS_MAX ? i : 0, &dice);
		if (line[0] == '.')
			dots_add(&m->dots, i * LINE_BYTES);
	}
	return 0;
}

static void write_common(struct mails *m)
{
	time_t now = time(NULL);
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	(void)strftime(m->date, sizeof(m->date),
		       "Date: %a, %d %b %Y %H:%M:%S +0000\r\n", &tm);
	(void)snprintf(m->common, sizeof(m->common),
		       "From: <%.100s>\r\n"
		       "To: undisclosed-recipients:;\r\n"
		       "Subject: load\r\n"
		       "%s"
		       "MIME-Version: 1.0\r\n"
		       "Content-Type: text/plain; charset=us-ascii\r\n",
		       m->options->sender, m->date);
}

int mails_open(const struct load_options *o, uint32_t run, struct mails **ret,
	       const char **ret_problem)
{
	struct mails *m = calloc(1, sizeof(*m));
	int result;

	*ret_problem = NULL;
	if (!m)
		return -ENOMEM;
	m->options = o;
	m->run = run;
	write_common(m);
	if (o->folder) {
		result = folder_open(&m->folder, o->folder);
		*ret_problem = o->folder;
	} else {
		result = write_text(m);
	}
	if (result) {
		mails_close(m);
		return result;
	}
	*ret = m;
	return 0;
}

void mails_close(struct mails *m)
{
	folder_close(&m->folder);
	free(m->text);
	free(m);
}

/* -- one message ------------------------------------------------------------ */

static void put(struct mail *mail, const char *text, size_t len)
{
	MUST(mail->head_len + len <= sizeof(mail->head));
	memcpy(mail->head + mail->head_len, text, len);
	mail->head_len = (uint16_t)(mail->head_len + len);
}

static void put_text(struct mail *mail, const char *text)
{
	put(mail, text, strlen(text));
}

static void put_id(struct mail *mail)
{
	char id[ACCOUNT_ID_LEN];

	account_put_id(id, mail->id);
	put(mail, id, sizeof(id));
}

static void put_field(struct mail *mail)
{
	put_text(mail, ACCOUNT_FIELD);
	put_id(mail);
	put_text(mail, "\r\n");
}

static void put_message_id(struct mail *mail)
{
	put_text(mail, "Message-ID: <");
	put_id(mail);
	put_text(mail, "@load.example>\r\n");
}

/* The offsets of `from` that lie in the body, moved behind the head. */
static void move_dots(struct mail *mail, const struct dots *from)
{
	dots_clear(&mail->dots);
	mail->dots.partial = from->partial;
	for (uint32_t i = 0; i < from->n && from->at[i] < mail->body.len; i++)
		dots_add(&mail->dots, mail->head_len + from->at[i]);
}

static uint64_t choose_size(const struct load_options *o, struct dice *dice)
{
	double size;

	if (!o->size_median)
		return o->size;
	size = dice_log_normal(dice, (double)o->size_median, o->size_sigma);
	return size < (double)o->size_max ? (uint64_t)size : o->size_max;
}

static void make_up(const struct mails *m, struct mail *mail, uint64_t size)
{
	static const char end[] = "X-Fill: \r\n\r\n";
	uint64_t least, left;

	put_field(mail);
	put_message_id(mail);
	put_text(mail, m->common);
	least = mail->head_len + sizeof(end) - 1;
	left = size > least ? size - least : 0;
	put_text(mail, "X-Fill: ");
	for (uint64_t i = left % LINE_BYTES; i; i--)
		put(mail, "x", 1);
	put_text(mail, "\r\n\r\n");
	mail->body = span_of(m->text, left - left % LINE_BYTES);
	move_dots(mail, &m->dots);
}

/* What a gateway would add to the header would change what is hashed. */
static void put_missing(const struct mails *m, struct mail *mail,
			const struct folder_file *file)
{
	put_field(mail);
	if (!file->has_date)
		put_text(mail, m->date);
	if (!file->has_message_id)
		put_message_id(mail);
}

void mails_make(const struct mails *m, uint64_t number, struct dice *dice,
		struct mail *ret)
{
	const struct folder_file *file;

	ret->id = (struct account_id){ m->run, number };
	ret->head_len = 0;
	ret->eight_bit = false;
	if (!m->options->folder) {
		make_up(m, ret, choose_size(m->options, dice));
		return;
	}
	file = &m->folder.files[number % m->folder.n];
	if (m->options->account)
		put_missing(m, ret, file);
	ret->body = span_of(file->bytes, file->len);
	ret->eight_bit = file->eight_bit;
	move_dots(ret, &file->dots);
}

struct span mail_at(const struct mail *mail, uint64_t at)
{
	if (at < mail->head_len)
		return span_of((const uint8_t *)mail->head + at,
			       mail->head_len - at);
	return span_tail(mail->body, at - mail->head_len);
}

uint64_t mail_hash(const struct mail *mail)
{
	struct hash h;

	hash_init(&h, 0);
	hash_add(&h, mail_at(mail, 0));
	if (mail->head_len)
		hash_add(&h, mail->body);
	return hash_value(&h);
}
