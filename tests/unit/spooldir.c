#include "spooldir.h"

#include "base/must.h"
#include "spool/envelope.h"
#include "spool/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_STORAGE     4096
#define ENVELOPE_STORAGE 1024

struct storage {
	struct txn txn; /* first: free() takes its address */
	uint8_t envelope[ENVELOPE_STORAGE];
	uint8_t body[BODY_STORAGE];
};

static int make_dir(int dir, const char *name)
{
	int fd;

	MUST(!mkdirat(dir, name, 0700));
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	return fd;
}

void spooldir_open_at(struct spooldir *d, const char *parent)
{
	int n = snprintf(d->path, sizeof(d->path), "%s/spool-XXXXXX", parent);

	MUST(n > 0 && (size_t)n < sizeof(d->path) && mkdtemp(d->path));
	d->dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(d->dir >= 0);
	d->segments = make_dir(d->dir, "segments");
	d->files = make_dir(d->dir, "files");
	d->journal = make_dir(d->dir, "journal");
}

void spooldir_open(struct spooldir *d)
{
	const char *tmp = getenv("TMPDIR");

	spooldir_open_at(d, tmp && strlen(tmp) < 32 ? tmp : "/tmp");
}

static void empty_dir(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	MUST(dir);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		(void)unlinkat(fd, entry->d_name, 0);
	(void)closedir(dir);
}

void spooldir_close(struct spooldir *d)
{
	static const char *const names[] = { "segments", "files", "journal" };

	empty_dir(d->segments);
	empty_dir(d->files);
	empty_dir(d->journal);
	for (int n = 0; n < 3; n++)
		(void)unlinkat(d->dir, names[n], AT_REMOVEDIR);
	(void)close(d->dir);
	(void)rmdir(d->path);
}

unsigned spooldir_count(int dir)
{
	DIR *d = fdopendir(dup(dir));
	struct dirent *entry;
	unsigned n = 0;

	MUST(d);
	rewinddir(d);
	while ((entry = readdir(d)))
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	(void)closedir(d);
	return n;
}

struct store *spooldir_store(const struct spooldir *d, uint64_t segment_bytes)
{
	struct store_options options = {
		.segments_dir = d->segments,
		.files_dir = d->files,
		.segment_bytes = segment_bytes,
		.batch_max = 100,
		.seed = { 1, 2 },
	};
	uint8_t *memory = aligned_alloc(64, (store_size() + 63) & ~(size_t)63);

	MUST(memory);
	return store_init(memory, &options);
}

struct txn *spooldir_txn(struct store *s, uint64_t id, const char *forward_path)
{
	struct storage *storage = aligned_alloc(64, sizeof(*storage));

	MUST(storage);
	memset(storage, 0, sizeof(*storage));
	txn_open(&storage->txn, s, id,
		 (struct span_mut){ storage->envelope, ENVELOPE_STORAGE },
		 (struct span_mut){ storage->body, BODY_STORAGE });
	envelope_put(txn_envelope(&storage->txn), ENVELOPE_ARRIVAL,
		     SPAN("1700000000"));
	envelope_put(txn_envelope(&storage->txn), ENVELOPE_FORWARD_PATH,
		     span_str(forward_path));
	return &storage->txn;
}

void spooldir_run(struct store *s)
{
	struct io io;

	while (store_next(s, &io))
		store_done(s, io_run(&io));
}

void spooldir_run_txn(struct txn *t)
{
	struct io io;

	while (txn_next(t, &io))
		txn_done(t, io_run(&io));
}

struct txn *spooldir_commit(struct store *s, uint64_t id, size_t len, char fill)
{
	struct txn *t = spooldir_txn(s, id, "a@example.org");

	while (len--) {
		if (!buf_room(txn_body(t))) {
			txn_spill(t);
			spooldir_run_txn(t);
		}
		buf_put_byte(txn_body(t), (uint8_t)fill);
	}
	txn_commit(t);
	return t;
}

int spooldir_segment(const struct spooldir *d, uint64_t id)
{
	char name[LAYOUT_NAME_MAX];

	layout_name(name, LAYOUT_SEGMENT, id);
	return openat(d->segments, name, O_RDWR | O_CLOEXEC);
}

struct spooldir_told spooldir_scan(int fd, uint64_t id, uint64_t limit)
{
	struct spooldir_told told = { 0 };
	uint8_t buffer[SCAN_BUFFER_MIN];
	struct frame frame;
	struct scan s;
	struct io io;

	scan_init(&s, fd, id, (struct span_mut){ buffer, sizeof(buffer) });
	scan_set_limit(&s, limit);
	for (;;) {
		told.end = scan_step(&s, &frame);
		told.corrupt = scan_corrupt(&s);
		if (told.end == SCAN_WANTS_READ) {
			scan_next(&s, &io);
			scan_done(&s, io_run(&io));
		} else if (told.end == SCAN_MESSAGE) {
			told.frames[told.messages++ % 64] = frame;
		} else if (told.end == SCAN_BAD) {
			told.bad++;
			told.bad_from = frame.offset;
			told.bad_to = scan_offset(&s);
		} else {
			return told;
		}
	}
}
