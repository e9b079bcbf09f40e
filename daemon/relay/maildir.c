/*
 * OPENING -> HEAD -> WRITING <-> READING -> SYNCING -> CLOSING -> RENAMING
 *    -> SYNCING_NAME -> DELIVERED; a failure before RENAMING is done removes
 *    the file: ABORT_CLOSING -> ABORT_UNLINKING -> FAILED.
 *
 * I1  The name appears in new/ only when the whole file is on stable storage.
 * I2  DELIVERED is reached only when the name is, too.
 * I3  tmp/ holds at most one file of a message: a new attempt truncates it. No
 *     O_EXCL: what stands there is our own, from before a crash.
 */
#include "relay/maildir.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define LINE_ROOM 2048 /* more than a path and its field name */

/* '/' and ':' have a meaning in names; written as Maildir readers expect. */
static void put_hostname(struct buf *b, const char *hostname)
{
	for (const char *c = hostname; *c; c++) {
		if (*c == '/')
			buf_put_str(b, "\\057");
		else if (*c == ':')
			buf_put_str(b, "\\072");
		else
			buf_put_byte(b, (uint8_t)*c);
	}
}

static void make_name(struct maildir *m)
{
	uint8_t bytes[MAILDIR_NAME_MAX];
	struct buf b;

	buf_init(&b, bytes, sizeof(bytes) - 1);
	buf_printf(&b, "%llu.M%016llx.",
		   (unsigned long long)m->message.arrival_s,
		   (unsigned long long)m->message.id);
	put_hostname(&b, m->target.hostname);
	memcpy(m->name, bytes, b.end);
	m->name[b.end] = '\0';
}

void maildir_open(struct maildir *m, const struct maildir_target *target,
		  const struct maildir_message *message)
{
	MUST(message->block.len >= MAILDIR_BLOCK_MIN);
	*m = (struct maildir){ .target = *target,
			       .message = *message,
			       .fd = -1 };
	buf_init(&m->block, message->block.p, message->block.len);
	make_name(m);
}

static void put_path_line(struct maildir *m, const char *field,
			  struct span path, const char *end)
{
	buf_put_str(&m->block, field);
	buf_put(&m->block, path);
	buf_put_str(&m->block, end);
	MUST(!m->block.overflowed);
}

bool maildir_wants_recipient(const struct maildir *m)
{
	return m->state == MAILDIR_HEAD;
}

void maildir_recipient(struct maildir *m, struct span forward_path)
{
	MUST(m->state == MAILDIR_HEAD);
	put_path_line(m, "Delivered-To: ", forward_path, "\r\n");
	if (buf_room(&m->block) < LINE_ROOM)
		m->state = MAILDIR_WRITING;
}

void maildir_recipients_end(struct maildir *m)
{
	MUST(m->state == MAILDIR_HEAD);
	m->head_ended = true;
	m->state = m->message.body_len ? MAILDIR_READING : MAILDIR_WRITING;
}

static void fail(struct maildir *m, int error)
{
	m->error = error;
	if (m->fd >= 0)
		m->state = MAILDIR_ABORT_CLOSING;
	else
		m->state = MAILDIR_FAILED;
}

static void want_read(struct maildir *m, struct io *io)
{
	uint64_t left = m->message.body_len - m->read_n;
	size_t room;

	m->iov.iov_base = buf_reserve(&m->block, &room);
	m->iov.iov_len = left < room ? left : room;
	*io = (struct io){ .kind = IO_READ,
			   .fd = m->message.body_fd,
			   .iov = &m->iov,
			   .iov_n = 1,
			   .offset = m->message.body_at + m->read_n };
}

static void want_write(struct maildir *m, struct io *io)
{
	m->iov.iov_base = m->block.p + m->block.start;
	m->iov.iov_len = buf_len(&m->block);
	*io = (struct io){ .kind = IO_WRITE,
			   .fd = m->fd,
			   .iov = &m->iov,
			   .iov_n = 1,
			   .offset = m->written };
}

bool maildir_next(struct maildir *m, struct io *ret_io)
{
	struct io io = { .fd = m->fd,
			 .dir = m->target.tmp_dir,
			 .new_dir = m->target.new_dir,
			 .name = m->name,
			 .new_name = m->name };

	switch (m->state) {
	case MAILDIR_OPENING:
		io.kind = IO_OPEN; /* I3 */
		io.flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
			   O_NOFOLLOW;
		io.mode = 0600;
		break;
	case MAILDIR_READING: want_read(m, &io); break;
	case MAILDIR_WRITING: want_write(m, &io); break;
	case MAILDIR_SYNCING: io.kind = IO_SYNC; break;
	case MAILDIR_CLOSING:
	case MAILDIR_ABORT_CLOSING: io.kind = IO_CLOSE; break;
	case MAILDIR_RENAMING: io.kind = IO_RENAME; break;
	case MAILDIR_SYNCING_NAME:
		io.kind = IO_SYNC;
		io.fd = m->target.new_dir;
		break;
	case MAILDIR_ABORT_UNLINKING: io.kind = IO_UNLINK; break;
	case MAILDIR_HEAD:
	case MAILDIR_DELIVERED:
	case MAILDIR_FAILED: return false;
	}
	*ret_io = io;
	return true;
}

static void opened(struct maildir *m, int64_t result)
{
	m->fd = (int)result;
	put_path_line(m, "Return-Path: <", m->message.reverse_path, ">\r\n");
	m->state = MAILDIR_HEAD;
}

static void block_read(struct maildir *m, int64_t result)
{
	if (!result) {
		fail(m, -EIO); /* the spool promised more */
		return;
	}
	buf_produced(&m->block, (size_t)result);
	m->read_n += (uint64_t)result;
	if (m->read_n == m->message.body_len || !buf_room(&m->block))
		m->state = MAILDIR_WRITING;
}

static void block_written(struct maildir *m, int64_t result)
{
	buf_consume(&m->block, (size_t)result);
	m->written += (uint64_t)result;
	if (buf_len(&m->block))
		return;
	if (!m->head_ended)
		m->state = MAILDIR_HEAD;
	else if (m->read_n < m->message.body_len)
		m->state = MAILDIR_READING;
	else
		m->state = MAILDIR_SYNCING;
}

static void advance(struct maildir *m, int64_t result)
{
	switch (m->state) {
	case MAILDIR_OPENING: opened(m, result); break;
	case MAILDIR_READING: block_read(m, result); break;
	case MAILDIR_WRITING: block_written(m, result); break;
	case MAILDIR_SYNCING: m->state = MAILDIR_CLOSING; break;
	case MAILDIR_CLOSING:
		m->fd = -1;
		m->state = MAILDIR_RENAMING; /* I1 */
		break;
	case MAILDIR_RENAMING: m->state = MAILDIR_SYNCING_NAME; break;
	case MAILDIR_SYNCING_NAME: m->state = MAILDIR_DELIVERED; break; /* I2 */
	case MAILDIR_ABORT_CLOSING:
		m->fd = -1;
		m->state = MAILDIR_ABORT_UNLINKING;
		break;
	case MAILDIR_ABORT_UNLINKING: m->state = MAILDIR_FAILED; break;
	case MAILDIR_HEAD:
	case MAILDIR_DELIVERED:
	case MAILDIR_FAILED: MUST(false); /* a step was wanted */
	}
}

void maildir_done(struct maildir *m, int64_t result)
{
	bool aborting = m->state == MAILDIR_ABORT_CLOSING ||
			m->state == MAILDIR_ABORT_UNLINKING;

	if (result >= 0 || aborting)
		advance(m, result);
	else if (result == -EINTR && m->state != MAILDIR_CLOSING)
		return; /* the same step again */
	else if (m->state == MAILDIR_CLOSING) {
		m->fd = -1; /* Linux frees the descriptor even so */
		m->error = (int)result;
		m->state = MAILDIR_ABORT_UNLINKING;
	} else if (m->state == MAILDIR_RENAMING) {
		m->error = (int)result;
		m->state = MAILDIR_ABORT_UNLINKING;
	} else {
		fail(m, (int)result);
	}
}
