#include "doctor/uring.h"

#include "doctor/reading.h"
#include "ring/bufring.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define AREA        "io_uring"
#define ENTRIES     8
#define PATIENCE_MS 2000

struct operation {
	uint8_t code;
	const char *name;
};

/* What ring.c prepares. */
static const struct operation operations[] = {
	{ IORING_OP_ACCEPT, "ACCEPT" },
	{ IORING_OP_RECV, "RECV" },
	{ IORING_OP_SEND, "SEND" },
	{ IORING_OP_READ, "READ" },
	{ IORING_OP_READV, "READV" },
	{ IORING_OP_WRITEV, "WRITEV" },
	{ IORING_OP_CONNECT, "CONNECT" },
	{ IORING_OP_OPENAT, "OPENAT" },
	{ IORING_OP_CLOSE, "CLOSE" },
	{ IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL" },
	{ IORING_OP_FALLOCATE, "FALLOCATE" },
	{ IORING_OP_FSYNC, "FSYNC" },
	{ IORING_OP_RENAMEAT, "RENAMEAT" },
	{ IORING_OP_UNLINKAT, "UNLINKAT" },
};

#define OPERATIONS_N (sizeof(operations) / sizeof(*operations))

/* Looking */

static void look_at_operations(struct ring *r, struct uring_facts *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&r->uring);
	size_t used = 0;

	for (size_t i = 0; i < OPERATIONS_N; i++) {
		int n;

		if (probe &&
		    io_uring_opcode_supported(probe, operations[i].code))
			continue;
		n = snprintf(u->missing + used, sizeof(u->missing) - used,
			     "%s%s", used ? " " : "", operations[i].name);
		if (n > 0 && (size_t)n < sizeof(u->missing) - used)
			used += (size_t)n;
	}
	io_uring_free_probe(probe);
}

static int try_defer_taskrun(void)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	struct io_uring uring;
	int result = io_uring_queue_init_params(ENTRIES, &uring, &p);

	if (!result)
		io_uring_queue_exit(&uring);
	return result;
}

/* The next completion; -ETIME: none came. */
static int wait_for(struct ring *r, struct ring_completion *ret)
{
	int result = ring_wait(r, PATIENCE_MS);

	if (result)
		return result;
	return ring_next(r, ret) ? 0 : -ETIME;
}

static int listen_on_loopback(int fd, struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (bind(fd, (const struct sockaddr *)ret, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)ret, &len))
		return -errno;
	return 0;
}

/* One connection, accepted by an operation that must stay armed. */
static int accept_one(struct ring *r, int listener, int client)
{
	struct ring_completion c;
	struct sockaddr_in address;
	int result = listen_on_loopback(listener, &address);

	if (result)
		return result;
	ring_accept_multishot(r, listener, (struct ring_tag){ .kind = 1 });
	if (connect(client, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	result = wait_for(r, &c);
	if (result || c.result < 0)
		return result ? result : c.result;
	(void)close(c.result);
	return c.flags & IORING_CQE_F_MORE ? 0 : -EOPNOTSUPP;
}

static int try_accept(struct ring *r)
{
	const struct linger reset = { .l_onoff = 1 };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = -EMFILE;

	if (listener >= 0 && client >= 0) {
		(void)setsockopt(client, SOL_SOCKET, SO_LINGER, &reset,
				 sizeof(reset));
		result = accept_one(r, listener, client);
	}
	if (client >= 0)
		(void)close(client);
	if (listener >= 0)
		(void)close(listener);
	return result;
}

static int try_buffers(struct ring *r)
{
	struct bufring b;
	int result = bufring_init(&b, r, 0, 8, 4096);

	if (!result)
		bufring_fini(&b, r);
	return result;
}

/* Between two pipes; the first holds one byte, so nothing can block. */
static int splice_byte(struct ring *r, int in, int out)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
	struct ring_completion c;
	int result;

	if (!sqe)
		return -EBUSY;
	io_uring_prep_splice(sqe, in, -1, out, -1, 1, SPLICE_F_NONBLOCK);
	io_uring_sqe_set_data64(sqe, 0);
	result = wait_for(r, &c);
	if (result)
		return result;
	return c.result == 1 ? 0 : c.result < 0 ? c.result : -EIO;
}

static int try_splice(struct ring *r)
{
	int from[2];
	int to[2];
	int result = -EMFILE;

	if (pipe2(from, O_CLOEXEC))
		return -errno;
	if (!pipe2(to, O_CLOEXEC)) {
		result = write(from[1], "", 1) == 1 ?
				 splice_byte(r, from[0], to[1]) :
				 -errno;
		(void)close(to[0]);
		(void)close(to[1]);
	}
	(void)close(from[0]);
	(void)close(from[1]);
	return result;
}

/* A trial's late completion must not be taken for the next one's. */
static int try_on_own_ring(int (*try)(struct ring *r))
{
	struct ring r;
	int result = ring_init(&r, ENTRIES);

	if (result)
		return result;
	result = try(&r);
	ring_fini(&r);
	return result;
}

void uring_look(const char *root, struct uring_facts *ret)
{
	struct ring r;

	*ret = (struct uring_facts){
		.defer_taskrun = URING_UNTRIED,
		.accept = URING_UNTRIED,
		.buffers = URING_UNTRIED,
		.splice = URING_UNTRIED,
	};
	(void)reading_line(root, "/proc/sys/kernel/io_uring_disabled",
			   ret->disabled, sizeof(ret->disabled));
	ret->setup = ring_init(&r, ENTRIES);
	if (ret->setup)
		return;
	look_at_operations(&r, ret);
	ring_fini(&r);
	ret->defer_taskrun = try_defer_taskrun();
	ret->accept = try_on_own_ring(try_accept);
	ret->buffers = try_on_own_ring(try_buffers);
	ret->splice = try_on_own_ring(try_splice);
}

/* Judging */

static void judge_sysctl(const struct uring_facts *u, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "kernel.io_uring_disabled",
		.found = findings_text(f, "%s", u->disabled),
	};

	if (!strcmp(u->disabled, "2")) {
		finding.means = "nobody may use io_uring";
		finding.advice = "sysctl kernel.io_uring_disabled=0, and the "
				 "same in /etc/sysctl.d";
		finding.grade = FINDING_UNABLE;
	} else if (!strcmp(u->disabled, "1")) {
		finding.means = "only root and one group may use io_uring; "
				"workers are not root";
		finding.advice = "sysctl kernel.io_uring_disabled=0, or put "
				 "the group of the daemon's user into "
				 "kernel.io_uring_group";
		finding.grade = FINDING_LOSS;
	}
	findings_add(f, &finding);
}

struct trial {
	const char *subject;
	int result;
	const char *means; /* when it fails */
	enum finding_grade grade;
};

static void judge_trial(const struct trial *t, struct findings *f)
{
	if (!t->result)
		FINDING(f, .area = AREA, .subject = t->subject,
			.found = "works");
	else if (t->result != URING_UNTRIED)
		FINDING(f, .area = AREA, .subject = t->subject,
			.found = finding_errno(f, t->result), .means = t->means,
			.advice = "run Linux 6.1 or later, and let a "
				  "container use io_uring",
			.grade = t->grade);
}

static void judge_trials(const struct uring_facts *u, struct findings *f)
{
	static const char must[] = "workers cannot work without it";
	const struct trial trials[] = {
		{ "DEFER_TASKRUN", u->defer_taskrun,
		  "completions interrupt the workers: more processor time",
		  FINDING_LOSS },
		{ "multishot accept", u->accept, must, FINDING_UNABLE },
		{ "provided buffers", u->buffers, must, FINDING_UNABLE },
		{ "SPLICE", u->splice, "bodies are copied through userspace",
		  FINDING_LOSS },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(*trials); i++)
		judge_trial(&trials[i], f);
}

void uring_judge(const struct uring_facts *u, struct findings *f)
{
	if (*u->disabled)
		judge_sysctl(u, f);
	if (u->setup) {
		FINDING(f, .area = AREA, .subject = "setup",
			.found = finding_errno(f, u->setup),
			.means = "the daemon cannot work",
			.advice = ring_explain(u->setup),
			.grade = FINDING_UNABLE);
		return;
	}
	FINDING(f, .area = AREA, .subject = "setup", .found = "works");
	if (*u->missing)
		FINDING(f, .area = AREA, .subject = "operations",
			.found = findings_text(f, "missing: %s", u->missing),
			.means = "workers cannot work without them",
			.advice = "run Linux 6.1 or later",
			.grade = FINDING_UNABLE);
	else
		FINDING(f, .area = AREA, .subject = "operations",
			.found = findings_text(f, "all %zu that are used",
					       OPERATIONS_N));
	judge_trials(u, f);
}
