#include "relay/recover.h"

#include "relay/runner.h"
#include "spool/layout.h"
#include "spool/replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNBORN_S           60 /* a birth takes less */
#define LOCK_POLL_MS       100
#define REPLAY_BUFFER_SIZE (1024 * 1024)

/*
 * The lock lies on the directory of the journal, through a descriptor of our
 * own: one inherited by fork would share its lock with other relays.
 */
int recover_lock(struct runner *r)
{
	struct pollfd command = { .fd = r->options->command_fd,
				  .events = POLLIN };
	bool told = false;

	r->lock_fd = openat(r->options->journal_dir, ".",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->lock_fd < 0)
		return -errno;
	while (flock(r->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (!told)
			LOG(LOG_NOTICE, "spool-locked",
			    log_str("waits", "another relay works on it"));
		told = true;
		(void)log_flush();
		if (poll(&command, 1, LOCK_POLL_MS) > 0)
			return -ECANCELED;
	}
	return 0;
}

static DIR *open_names(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? NULL : fdopendir(fd);
}

static int newest_journal(int dir, uint64_t *ret_sequence)
{
	DIR *names = open_names(dir);
	struct dirent *entry;
	uint64_t sequence;

	if (!names)
		return -errno;
	*ret_sequence = 0;
	while ((entry = readdir(names)))
		if (layout_number(entry->d_name, LAYOUT_JOURNAL, &sequence) &&
		    sequence > *ret_sequence)
			*ret_sequence = sequence;
	(void)closedir(names);
	return 0;
}

/* Journals older than the newest, and those that never got their name. */
static void remove_old_journals(int dir, uint64_t newest)
{
	DIR *names = open_names(dir);
	struct dirent *entry;
	uint64_t sequence;

	while (names && (entry = readdir(names))) {
		bool old = layout_number(entry->d_name, LAYOUT_JOURNAL,
					 &sequence) &&
			   sequence < newest;

		if (old ||
		    layout_number(entry->d_name, LAYOUT_TEMPORARY, &sequence))
			(void)unlinkat(dir, entry->d_name, 0);
	}
	if (names)
		(void)closedir(names);
}

/*
 * True when its writer is dead: it holds no lock, and it is not just about to
 * be locked, between open and flock.
 */
static bool is_leftover(const struct runner *r, int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (uint64_t)st.st_mtime + UNBORN_S < r->now_s &&
	       !flock(fd, LOCK_EX | LOCK_NB);
}

/* What died before it had its name. */
static void remove_unborn(const struct runner *r, int dir)
{
	DIR *names = open_names(dir);
	struct dirent *entry;
	uint64_t id;

	while (names && (entry = readdir(names))) {
		int fd;

		if (!layout_number(entry->d_name, LAYOUT_TEMPORARY, &id))
			continue;
		fd = openat(dir, entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && is_leftover(r, fd))
			(void)unlinkat(dir, entry->d_name, 0);
		if (fd >= 0)
			(void)close(fd);
	}
	if (names)
		(void)closedir(names);
}

static void report_replay(const struct replay *replay)
{
	LOG(replay->bad || replay->no_room ? LOG_WARNING : LOG_INFO,
	    "journal-read", log_u64("sequence", replay->sequence),
	    log_u64("changes", replay->applied),
	    log_u64("unreadable", replay->bad),
	    log_u64("no_room", replay->no_room));
}

static int read_journal(struct runner *r, int fd, uint64_t sequence)
{
	uint8_t *buffer = malloc(REPLAY_BUFFER_SIZE);
	struct replay replay;
	struct io io;

	if (!buffer)
		return -ENOMEM;
	replay_init(&replay, fd, sequence,
		    (struct span_mut){ buffer, REPLAY_BUFFER_SIZE }, r->index);
	while (replay_next(&replay, &io))
		replay_done(&replay, io_run(&io));
	free(buffer);
	report_replay(&replay);
	return replay_error(&replay);
}

int recover_index(struct runner *r, uint64_t *ret_sequence)
{
	int dir = r->options->journal_dir;
	char name[LAYOUT_NAME_MAX];
	uint64_t sequence = 0;
	int result, fd;

	remove_unborn(r, r->options->segments_dir);
	remove_unborn(r, r->options->files_dir);
	result = sweep_list(&r->sweep, r->options->files_dir);
	if (!result)
		result = tail_list(r);
	if (!result)
		result = newest_journal(dir, &sequence);
	if (result)
		return result;
	remove_old_journals(dir, sequence);
	*ret_sequence = sequence;
	if (!sequence)
		return 0;
	layout_name(name, LAYOUT_JOURNAL, sequence);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = read_journal(r, fd, sequence);
	(void)close(fd);
	return result;
}
