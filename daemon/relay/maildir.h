#pragma once

/*
 * maildir: delivers one message into a Maildir: written to tmp/, synced,
 * renamed into new/, the directory synced. The file's name comes from the
 * message, so a delivery repeated after a crash replaces the file instead of
 * doubling the mail. The body is copied as it is, CRLF included, behind
 * Return-Path and one Delivered-To for each recipient. Yields I/O steps and
 * never does them.
 */

#include "base/buf.h"
#include "base/io.h"

#define MAILDIR_NAME_MAX 256
/* Least size of a block: a line of each kind always fits. */
#define MAILDIR_BLOCK_MIN 4096

/* Where to; descriptors of the two directories, the caller's. */
struct maildir_target {
	int tmp_dir;
	int new_dir;
	const char *hostname;
};

/* What; all of it is the caller's until the machine has ended. */
struct maildir_message {
	uint64_t id;
	uint64_t arrival_s;
	struct span reverse_path;
	int body_fd;
	uint64_t body_at;
	uint64_t body_len;
	struct span_mut block; /* to copy through */
};

enum maildir_state {
	MAILDIR_OPENING,
	MAILDIR_HEAD, /* give recipients, or their end */
	MAILDIR_READING,
	MAILDIR_WRITING,
	MAILDIR_SYNCING,
	MAILDIR_CLOSING,
	MAILDIR_RENAMING,
	MAILDIR_SYNCING_NAME,
	MAILDIR_ABORT_CLOSING, /* failed: what was begun is removed */
	MAILDIR_ABORT_UNLINKING,
	MAILDIR_DELIVERED,
	MAILDIR_FAILED, /* maildir_error */
};

struct maildir {
	enum maildir_state state;
	struct maildir_target target;
	struct maildir_message message;
	int fd;
	int error;
	bool head_ended;
	uint64_t read_n;  /* bytes of the body read */
	uint64_t written; /* bytes of the file written */
	struct buf block; /* waits to be written */
	struct iovec iov;
	char name[MAILDIR_NAME_MAX];
};

void maildir_open(struct maildir *m, const struct maildir_target *target,
		  const struct maildir_message *message);

/* True: call one of the two, and ask again. */
bool maildir_wants_recipient(const struct maildir *m);
void maildir_recipient(struct maildir *m, struct span forward_path);
void maildir_recipients_end(struct maildir *m);

/* The next step; false: wants a recipient, or has ended. */
bool maildir_next(struct maildir *m, struct io *ret_io);
void maildir_done(struct maildir *m, int64_t result);

static inline bool maildir_ended(const struct maildir *m)
{
	return m->state >= MAILDIR_DELIVERED;
}

/* The negative errno of the step that failed; -EIO for a body cut short. */
static inline int maildir_error(const struct maildir *m)
{
	return m->error;
}
