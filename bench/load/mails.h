#pragma once

/*
 * mails: where the messages of the load come from: made up in one size, made up
 * in sizes by a distribution, or the files of a folder. The bytes are made
 * ready at start and shared by all threads and messages; what differs per
 * message is a short head in front. Bodies have lines that begin with a dot.
 */

#include "base/dots.h"
#include "kit/account.h"
#include "kit/dice.h"
#include "load/load_options.h"

#define MAIL_HEAD_MAX 1024

/* A message: `head`, then `body`, which the source keeps. */
struct mail {
	struct account_id id;
	uint16_t head_len;
	bool eight_bit;
	struct span body;
	struct dots dots; /* offsets in the whole message */
	char head[MAIL_HEAD_MAX];
};

struct mails;

/*
 * Makes the source ready. Negative errno; *ret_problem then names the file, or
 * is NULL.
 */
int mails_open(const struct load_options *o, uint32_t run, struct mails **ret,
	       const char **ret_problem);
void mails_close(struct mails *m);

/* Makes message `number`; `dice` chooses its size. */
void mails_make(const struct mails *m, uint64_t number, struct dice *dice,
		struct mail *ret);

static inline uint64_t mail_bytes(const struct mail *mail)
{
	return mail->head_len + mail->body.len;
}

/* The bytes from `at` on that lie together. */
struct span mail_at(const struct mail *mail, uint64_t at);

/* Hash as the account wants it. */
uint64_t mail_hash(const struct mail *mail);
