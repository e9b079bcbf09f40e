#include "super/shared.h"

#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* To be raised when the meaning of the common part changes, not its size. */
#define LAYOUT_VERSION 1

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

static uint64_t mix(uint64_t stamp, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		stamp = (stamp ^ bytes.p[i]) * FNV_PRIME;
	return stamp;
}

static uint64_t common_stamp(void)
{
	static const uint32_t layout[] = {
		LAYOUT_VERSION,
		PROCESS_MAX,
		TICKET_GENERATIONS,
		sizeof(struct shared_slot),
		sizeof(struct board_slot),
		sizeof(struct ticket_keys),
		sizeof(struct shared_common),
	};

	return mix(FNV_BASIS, span_of((const uint8_t *)layout, sizeof(layout)));
}

/* Counters are told apart by name, and that is their order. */
static uint64_t metrics_stamp(void)
{
	uint64_t stamp = common_stamp();

	for (enum metric m = 0; m < METRIC_N; m++) {
		stamp = mix(stamp, span_str(metric_name(m)));
		stamp = mix(stamp, SPAN("\n"));
	}
	return stamp;
}

/* Memory */

static int new_memory(const char *name, size_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, (off_t)bytes) && !fcntl(fd, F_ADD_SEALS, SEALS))
		return fd;
	error = -errno;
	(void)close(fd);
	return error;
}

/* Sealed, or whoever has it could take it from under our feet. */
static bool fits(int fd, size_t bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & SEALS) == SEALS && !fstat(fd, &st) &&
	       (uint64_t)st.st_size == bytes;
}

static uint8_t *map(int fd, size_t bytes)
{
	uint8_t *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

static int map_common(struct shared *s)
{
	uint8_t *p = map(s->common_fd, sizeof(*s->common));

	s->common = (struct shared_common *)p;
	return p ? 0 : -ENOMEM;
}

static int map_metrics(struct shared *s)
{
	uint8_t *p = map(s->metrics_fd, sizeof(*s->metrics));

	s->metrics = (struct shared_metrics *)p;
	return p ? 0 : -ENOMEM;
}

static int open_common(struct shared *s)
{
	int result;

	s->common_fd = new_memory("sluice", sizeof(*s->common));
	if (s->common_fd < 0)
		return s->common_fd;
	result = map_common(s);
	if (!result)
		result = ticket_keys_init(&s->common->ticket_keys);
	if (!result)
		s->common->stamp = common_stamp();
	return result;
}

static int open_metrics(struct shared *s)
{
	int result;

	s->metrics_fd = new_memory("sluice-metrics", sizeof(*s->metrics));
	if (s->metrics_fd < 0)
		return s->metrics_fd;
	result = map_metrics(s);
	if (!result)
		s->metrics->stamp = metrics_stamp();
	return result;
}

int shared_open(struct shared *s)
{
	int result = open_common(s);

	return result ? result : open_metrics(s);
}

static bool adopt_metrics(struct shared *s)
{
	if (!fits(s->metrics_fd, sizeof(*s->metrics)) || map_metrics(s))
		return false;
	if (s->metrics->stamp == metrics_stamp())
		return true;
	(void)munmap(s->metrics, sizeof(*s->metrics));
	return false;
}

int shared_adopt(struct shared *s, int common_fd, int metrics_fd,
		 bool *ret_fresh_metrics)
{
	int result;

	*s = (struct shared){ .common_fd = common_fd,
			      .metrics_fd = metrics_fd };
	if (!fits(common_fd, sizeof(*s->common)))
		return -EPROTO;
	result = map_common(s);
	if (result)
		return result;
	if (s->common->stamp != common_stamp())
		return -EPROTO;
	*ret_fresh_metrics = !adopt_metrics(s);
	if (!*ret_fresh_metrics)
		return 0;
	(void)close(metrics_fd);
	return open_metrics(s);
}

/* Slots */

static struct flock slot_lock(uint32_t slot, short type)
{
	return (struct flock){ .l_type = type,
			       .l_whence = SEEK_SET,
			       .l_start = (off_t)slot,
			       .l_len = 1 };
}

/* A lock of the process: it dies with it, whoever else has the descriptor. */
bool shared_hold(const struct shared *s, uint32_t slot, pid_t owner)
{
	struct flock lock = slot_lock(slot, F_WRLCK);

	return !fcntl(s->common_fd, F_SETLK, &lock) &&
	       atomic_load(&s->common->slots[slot].owner) == owner;
}

static bool is_held(const struct shared *s, uint32_t slot)
{
	struct flock lock = slot_lock(slot, F_WRLCK);

	return fcntl(s->common_fd, F_GETLK, &lock) || lock.l_type != F_UNLCK;
}

static bool is_dead(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

/*
 * A child of the dead owner's may be forked and not hold its slot yet. The slot
 * gets another owner first: that child then leaves, or it has the lock by now.
 */
static void sweep_slot(struct shared *s, uint32_t slot)
{
	struct shared_slot *at = &s->common->slots[slot];
	int32_t owner = atomic_load(&at->owner);

	if (!owner || owner == getpid() || !is_dead(owner) ||
	    is_held(s, slot) ||
	    !atomic_compare_exchange_strong(&at->owner, &owner, getpid()))
		return;
	if (is_held(s, slot)) {
		atomic_store(&at->owner, owner);
		return;
	}
	shared_forget(s, slot);
	shared_release(s, slot);
}

void shared_sweep(struct shared *s)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		sweep_slot(s, i);
}

int shared_claim(struct shared *s, pid_t owner, uint32_t *ret_slot)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		int32_t nobody = 0;

		if (!atomic_compare_exchange_strong(&s->common->slots[i].owner,
						    &nobody, owner))
			continue;
		*ret_slot = i;
		return 0;
	}
	return -ENOSPC;
}

void shared_release(struct shared *s, uint32_t slot)
{
	struct shared_slot *at = &s->common->slots[slot];

	atomic_store(&at->pid, 0);
	atomic_store(&at->state, PROCESS_FREE);
	atomic_store(&at->owner, 0); /* last: then it may be another's */
}

void shared_show(struct shared *s, uint32_t slot, const struct process *p)
{
	struct shared_slot *at = &s->common->slots[slot];

	atomic_store(&at->pid, p->pid);
	atomic_store(&at->kind, p->kind);
	atomic_store(&at->index, p->index);
	atomic_store(&at->state, p->state);
	atomic_store(&at->restarts, p->restarts);
	atomic_store(&at->started_ms, p->started_ms);
	atomic_store(&at->used, 1);
}

void shared_forget(struct shared *s, uint32_t slot)
{
	for (enum metric m = 0; m < METRIC_N; m++)
		if (metric_is_gauge(m))
			metric_set(&s->metrics->blocks[slot], m, 0);
	board_announce(&s->common->board[slot], 0, 0);
}
