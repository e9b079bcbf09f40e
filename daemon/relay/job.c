/*
 * I1  A message with a job, or in a site's backlog, is ACTIVE in the index: it
 *     is not found due, and its due time stays what a crash should find.
 * I2  Recipients are numbered by their order in the envelope, done ones too:
 *     the journal speaks of them by that number.
 * I3  Every way out of a job is job_end: it alone decides what becomes of the
 *     message, and frees.
 * I4  A job whose operation is in flight is not freed.
 */
#include "relay/job.h"

#include "base/must.h"
#include "relay/runner.h"
#include "spool/envelope.h"
#include "spool/layout.h"

#include <errno.h>
#include <fcntl.h>

#define BUSY_S 60 /* until what has no room now is tried again */

static void set_state(struct job *j, enum job_state state)
{
	j->state = state;
}

static const struct config_route *route_of(const struct runner *r,
					   uint32_t route)
{
	return &r->options->config->routes[route];
}

void job_touch(struct runner *r, struct job *j)
{
	if (j->touched)
		return;
	j->touched = true;
	j->touched_next = r->touched_jobs;
	r->touched_jobs = j;
}

bool job_open(struct runner *r, struct index_ref ref)
{
	const struct index_message *m = index_get(r->index, ref);
	struct job *j = slab_take(&r->jobs);
	const struct index_segment *g;
	uint32_t slot;

	if (!j)
		return false;
	MUST(m && (m->state == INDEX_WAITING || m->state == INDEX_ACTIVE));
	slot = slab_index(&r->jobs, j);
	/* Not the recipients: they are filled when the envelope is there. */
	memset(j, 0, offsetof(struct job, recipients));
	j->slot = slot;
	j->generation = r->job_generations[slot];
	j->ref = ref;
	j->body_fd = -1;
	j->block = slab_take(&r->job_blocks);
	j->envelope = slab_take(&r->job_envelopes);
	MUST(j->block && j->envelope); /* one for each job */
	g = index_segment(r->index, m->segment);
	j->segment = m->segment;
	j->fd = tail_lend(r, m->segment);
	j->fd_lent = j->fd >= 0;
	entry_open(&j->entry, j->fd, g->id, index_offset(m),
		   (struct span_mut){ j->envelope, r->job_envelopes.size });
	set_state(j, j->fd < 0 ? JOB_OPENING : JOB_LOADING);
	if (m->state == INDEX_WAITING) /* I1; one recipient always fits */
		(void)index_activate(r->index, ref, 1);
	job_touch(r, j);
	return true;
}

void job_on_cqe(struct runner *r, const struct ring_completion *c)
{
	struct job *j = slab_at(&r->jobs, c->tag.slot);

	MUST(r->job_generations[c->tag.slot] == c->tag.generation); /* I4 */
	op_on_cqe(&j->op, c->result, c->flags);
	job_touch(r, j);
}

void job_fly(struct runner *r, struct job *j, const struct io *io)
{
	struct ring_tag tag = { .kind = RUNNER_OP_JOB,
				.slot = j->slot,
				.generation = j->generation };
	int64_t result;

	op_fly(&j->op);
	if (ring_io(&r->ring, io, tag, &result))
		return;
	op_on_cqe(&j->op, (int32_t)result, 0);
	job_touch(r, j);
}

/* -- loading --------------------------------------------------------------- */

/* The message cannot be read now: all its recipients wait for the next try. */
static void fail_to_load(struct job *j, int error)
{
	client_verdict_of(&j->verdict, CLIENT_FOUND_LOCAL, CLIENT_DEFERRED);
	j->read_error = error;
	set_state(j, JOB_ENDED);
}

static void want_open(struct runner *r, struct job *j, int dir,
		      enum layout_kind kind, uint64_t number)
{
	struct io io = { .kind = IO_OPEN,
			 .dir = dir,
			 .name = j->name,
			 .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW };

	layout_name(j->name, kind, number);
	job_fly(r, j, &io);
}

static bool step_opening(struct runner *r, struct job *j)
{
	if (!op_take(&j->op)) {
		if (j->op.state == OP_IDLE)
			want_open(r, j, r->options->segments_dir,
				  LAYOUT_SEGMENT, j->entry.segment);
		return false;
	}
	if (j->op.result < 0) {
		fail_to_load(j, j->op.result);
		return true;
	}
	j->fd = j->entry.fd = j->op.result;
	set_state(j, JOB_LOADING);
	return true;
}

/* Notes each recipient, its route, and whether it was served before. I2 */
static void read_recipients(struct runner *r, struct job *j)
{
	struct span envelope = job_envelope(j), rest = envelope;
	struct envelope_field field;

	while (j->recipients_n < INDEX_RECIPIENTS_MAX &&
	       envelope_next(&rest, &field)) {
		struct job_recipient *to = &j->recipients[j->recipients_n];

		if (field.type != ENVELOPE_FORWARD_PATH)
			continue;
		*to = (struct job_recipient){
			.path_at = (uint32_t)(field.value.p - envelope.p),
			.path_len = (uint16_t)field.value.len,
			.route = (uint16_t)route_find(&r->routes, field.value),
			.behind = (uint32_t)(rest.p - envelope.p),
			.done_before = index_recipient_done(r->index, j->ref,
							    j->recipients_n),
		};
		if (to->done_before)
			to->outcome = SCHEDULE_DELIVERED;
		j->recipients_n++;
	}
}

/* Room to track each recipient, which was not known when the job began. */
static int make_room(struct runner *r, struct job *j)
{
	uint32_t n = j->entry.frame.recipients_n;

	if (n <= INDEX_INLINE_RCPTS)
		return 0;
	index_postpone(r->index, j->ref, r->now_s);
	return index_activate(r->index, j->ref, n);
}

static bool step_loading(struct runner *r, struct job *j)
{
	struct io io;

	if (op_take(&j->op))
		entry_done(&j->entry, j->op.result);
	if (entry_next(&j->entry, &io)) {
		if (j->op.state == OP_IDLE)
			job_fly(r, j, &io);
		return false;
	}
	if (entry_state(&j->entry) == ENTRY_FAILED) {
		fail_to_load(j, entry_error(&j->entry));
		return true;
	}
	if (make_room(r, j)) {
		job_postpone(r, j, r->now_s + BUSY_S);
		return true;
	}
	read_recipients(r, j);
	entry_dots(&j->entry, &j->dots);
	j->body_fd = j->fd;
	j->body_at = frame_body_at(&j->entry.frame);
	set_state(j, j->entry.frame.type == FRAME_FILE ? JOB_OPENING_BODY :
							 JOB_ROUTING);
	return true;
}

static bool step_opening_body(struct runner *r, struct job *j)
{
	if (!op_take(&j->op)) {
		if (j->op.state == OP_IDLE)
			want_open(r, j, r->options->files_dir, LAYOUT_BODY,
				  j->entry.frame.id);
		return false;
	}
	j->body_fd = -1;
	if (j->op.result < 0) {
		fail_to_load(j, j->op.result);
		return true;
	}
	j->body_fd = j->op.result;
	j->body_at = 0;
	set_state(j, JOB_ROUTING);
	return true;
}

/* -- routing --------------------------------------------------------------- */

static bool is_open(const struct job *j, uint32_t n)
{
	return j->recipients[n].outcome == SCHEDULE_OPEN;
}

static void begin_maildir(struct runner *r, struct job *j)
{
	const struct runner_route *route = &r->options->routes[j->route];
	struct maildir_target target = { route->tmp_dir, route->new_dir,
					 r->options->config->hostname };
	struct maildir_message message = {
		.id = j->entry.frame.id,
		.arrival_s = j->entry.frame.arrival_s,
		.body_fd = j->body_fd,
		.body_at = j->body_at,
		.body_len = j->entry.frame.body_len,
		.block = { j->block, JOB_BLOCK_BYTES },
	};

	(void)envelope_find(job_envelope(j), ENVELOPE_REVERSE_PATH,
			    &message.reverse_path);
	maildir_open(&j->maildir, &target, &message);
	set_state(j, JOB_MAILDIR);
}

static void read_message(struct job *j)
{
	struct span e = job_envelope(j), value;
	struct client_message *m = &j->message;

	*m = (struct client_message){ .body_bytes = j->entry.frame.body_len,
				      .dots = &j->dots };
	(void)envelope_find(e, ENVELOPE_REVERSE_PATH, &m->reverse_path);
	(void)envelope_find(e, ENVELOPE_RET, &m->ret);
	(void)envelope_find(e, ENVELOPE_ENVID, &m->envid);
	m->smtputf8 = envelope_find(e, ENVELOPE_SMTPUTF8, &value);
	m->eight_bit = envelope_find(e, ENVELOPE_BODY, &value) &&
		       span_equal_nocase(value, SPAN("8BITMIME"));
}

static void begin_smtp(struct runner *r, struct job *j)
{
	struct site *site = &r->sites[j->route];

	if (site_has_room(r, site)) {
		read_message(j);
		set_state(j, JOB_WAITING);
		site_take(r, site, j);
	} else if (site_remember(site, j->ref)) {
		job_release(r, j);
	} else {
		job_postpone(r, j, r->now_s + BUSY_S);
	}
}

static void begin_route(struct runner *r, struct job *j)
{
	struct client_verdict ok = { .outcome = CLIENT_ACCEPTED };

	switch (route_of(r, j->route)->kind) {
	case CONFIG_HOP_DISCARD: job_end_route(r, j, &ok); break;
	case CONFIG_HOP_MAILDIR: begin_maildir(r, j); break;
	case CONFIG_HOP_SMTP:
	case CONFIG_HOP_SMTPS: begin_smtp(r, j); break;
	}
}

/* The route of the first recipient without an outcome is served next. */
static bool step_routing(struct runner *r, struct job *j)
{
	struct client_verdict lost;

	while (j->next < j->recipients_n && !is_open(j, j->next))
		j->next++;
	if (j->next == j->recipients_n) {
		set_state(j, JOB_ENDED);
		return true;
	}
	j->route = j->recipients[j->next].route;
	j->next_given = 0;
	j->hop_retries = 0;
	j->tls = j->records = j->offload = j->nic = NULL;
	if (j->route < r->options->config->routes_n) {
		begin_route(r, j);
	} else {
		client_verdict_of(&lost, CLIENT_FOUND_LOCAL, CLIENT_DEFERRED);
		job_end_route(r, j, &lost);
	}
	return true;
}

static void give_maildir_recipients(struct job *j)
{
	while (maildir_wants_recipient(&j->maildir)) {
		while (j->next_given < j->recipients_n &&
		       (!is_open(j, j->next_given) ||
			j->recipients[j->next_given].route != j->route))
			j->next_given++;
		if (j->next_given == j->recipients_n)
			maildir_recipients_end(&j->maildir);
		else
			maildir_recipient(
				&j->maildir,
				job_path(j, &j->recipients[j->next_given++]));
	}
}

static bool step_maildir(struct runner *r, struct job *j)
{
	struct client_verdict v = { .outcome = CLIENT_ACCEPTED };
	struct io io;

	if (op_take(&j->op))
		maildir_done(&j->maildir, j->op.result);
	give_maildir_recipients(j);
	if (!maildir_ended(&j->maildir)) {
		if (j->op.state == OP_IDLE && maildir_next(&j->maildir, &io))
			job_fly(r, j, &io);
		return false;
	}
	if (j->maildir.state == MAILDIR_FAILED) {
		LOG(LOG_ERROR, "maildir",
		    log_str("route", route_of(r, j->route)->name),
		    log_id("message", j->entry.frame.id),
		    log_errno(maildir_error(&j->maildir)));
		client_verdict_of(&v, CLIENT_FOUND_LOCAL, CLIENT_DEFERRED);
	}
	job_end_route(r, j, &v);
	return true;
}

/* -- the end --------------------------------------------------------------- */

/* I3, I4: the only place where a job is freed. */
static void job_close(struct runner *r, struct job *j)
{
	MUST(j->op.state == OP_IDLE && !j->hop);
	if (j->body_fd >= 0 && j->body_fd != j->fd)
		ring_close(&r->ring, j->body_fd, RING_NOBODY);
	if (j->fd_lent)
		tail_give(r, j->segment);
	else if (j->fd >= 0)
		ring_close(&r->ring, j->fd, RING_NOBODY);
	slab_give(&r->job_blocks, j->block);
	slab_give(&r->job_envelopes, j->envelope);
	r->job_generations[j->slot]++;
	slab_give(&r->jobs, j);
}

void job_pump(struct runner *r, struct job *j)
{
	bool again = true;

	while (again) {
		switch (j->state) {
		case JOB_OPENING: again = step_opening(r, j); break;
		case JOB_LOADING: again = step_loading(r, j); break;
		case JOB_OPENING_BODY: again = step_opening_body(r, j); break;
		case JOB_ROUTING: again = step_routing(r, j); break;
		case JOB_MAILDIR: again = step_maildir(r, j); break;
		case JOB_WAITING: again = false; break;
		case JOB_HOP:
			job_pump_read(r, j);
			again = false;
			break;
		case JOB_ENDED:
			if (j->op.state == OP_FLYING || j->touched)
				return; /* I4; or on the list once more */
			(void)op_take(&j->op);
			job_settle(r, j);
			job_close(r, j);
			return;
		}
	}
}
