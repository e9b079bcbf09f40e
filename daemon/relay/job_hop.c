/*
 * What a connection asks of the job that it delivers: recipients, a place for
 * their outcomes, and the body block by block.
 */
#include "relay/job.h"

#include "base/must.h"
#include "relay/hop.h"
#include "relay/runner.h"
#include "spool/envelope.h"

#include <errno.h>
#include <sys/sendfile.h>

/* -- transactions ---------------------------------------------------------- */

static bool is_next(const struct job *j, uint32_t n)
{
	return j->recipients[n].route == (uint16_t)j->route &&
	       j->recipients[n].outcome == SCHEDULE_OPEN;
}

/* NOTIFY and ORCPT stand behind the path, before the next one. */
static void read_parameters(const struct job *j, const struct job_recipient *to,
			    struct client_recipient *ret)
{
	struct span rest = span_tail(job_envelope(j), to->behind);
	struct envelope_field field;

	while (envelope_next(&rest, &field) &&
	       field.type != ENVELOPE_FORWARD_PATH) {
		if (field.type == ENVELOPE_NOTIFY)
			ret->notify = field.value;
		if (field.type == ENVELOPE_ORCPT)
			ret->orcpt = field.value;
	}
}

/* Refuses here what no command can carry; it never reaches the peer. */
static bool may_be_sent(struct job *j, struct job_recipient *to,
			const struct client_recipient *c)
{
	struct client_verdict v;

	if (client_argument_fits(c->forward_path) &&
	    client_argument_fits(c->notify) && client_argument_fits(c->orcpt))
		return true;
	client_verdict_of(&v, CLIENT_FOUND_BAD_RECIPIENT, CLIENT_REFUSED);
	job_set_outcome(j, to, &v);
	return false;
}

bool job_next_recipient(struct job *j, struct client_recipient *ret)
{
	for (; j->next_given < j->recipients_n; j->next_given++) {
		struct job_recipient *to = &j->recipients[j->next_given];
		struct client_recipient c = { .forward_path = job_path(j, to) };

		if (!is_next(j, j->next_given))
			continue;
		read_parameters(j, to, &c);
		if (!may_be_sent(j, to, &c))
			continue;
		to->given = true;
		j->next_given++;
		*ret = c;
		return true;
	}
	return false;
}

void job_begin_transaction(struct job *j)
{
	for (uint32_t i = 0; i < j->recipients_n; i++)
		j->recipients[i].given = false;
	j->next_given = 0;
	j->block_len = 0;
	j->block_at = 0;
}

void job_refuse_recipient(struct job *j, uint32_t n,
			  const struct client_verdict *v)
{
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		if (!j->recipients[i].given || n--)
			continue;
		job_set_outcome(j, &j->recipients[i], v);
		return;
	}
	MUST(false); /* a recipient that was given */
}

bool job_end_transaction(struct runner *r, struct job *j,
			 const struct client_verdict *v)
{
	bool left = false;

	for (uint32_t i = 0; i < j->recipients_n; i++) {
		struct job_recipient *to = &j->recipients[i];

		if (to->given && to->outcome == SCHEDULE_OPEN)
			job_set_outcome(j, to, v);
		left = left || is_next(j, i);
	}
	if (!left)
		job_end_route(r, j, v);
	return left;
}

/* -- the body -------------------------------------------------------------- */

struct span job_body(struct runner *r, struct job *j, uint64_t at)
{
	uint64_t len = j->entry.frame.body_len;
	struct span loaded = entry_body(&j->entry);
	struct io io = { .kind = IO_READ,
			 .fd = j->body_fd,
			 .iov = &j->iov,
			 .iov_n = 1,
			 .offset = j->body_at + at };

	if (at < loaded.len)
		return span_tail(loaded, at);
	if (at >= j->block_at && at < j->block_at + j->block_len)
		return span_of(j->block + (at - j->block_at),
			       j->block_len - (size_t)(at - j->block_at));
	if (j->op.state != OP_IDLE || at >= len || j->read_error)
		return span_of(NULL, 0);
	j->block_at = at;
	j->block_len = 0;
	j->iov.iov_base = j->block;
	j->iov.iov_len = len - at < JOB_BLOCK_BYTES ? len - at :
						      JOB_BLOCK_BYTES;
	job_fly(r, j, &io);
	return span_of(NULL, 0);
}

int64_t job_send_body(const struct job *j, int fd, uint64_t at, uint64_t n)
{
	off_t from = (off_t)(j->body_at + at);
	ssize_t sent = sendfile(fd, j->body_fd, &from, n);

	return sent < 0 ? -errno : sent;
}

void job_pump_read(struct runner *r, struct job *j)
{
	if (!op_take(&j->op))
		return;
	if (j->op.result > 0)
		j->block_len = (uint32_t)j->op.result;
	else
		j->read_error = j->op.result ? j->op.result : -EIO;
	hop_touch(r, j->hop);
}
