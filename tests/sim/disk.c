#include "disk.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define SECTOR     512
#define INODES_MAX 4096
#define NAMES_MAX  512
#define FDS_MAX    256
#define NAME_MAX_  24
#define NO_INODE   UINT32_MAX

enum sector { CLEAN, DIRTY, DROPPED }; /* DROPPED: clean, but not on platter */

struct inode {
	uint8_t *cache;
	uint8_t *platter;
	uint8_t *sectors;
	size_t cap; /* of each, a multiple of SECTOR */
	size_t len;
	size_t platter_len;
	enum disk_dir dir;
	int locked_by; /* descriptor + 1 */
};

struct name {
	char text[NAME_MAX_];
	uint32_t inode;
};

struct names {
	struct name at[NAMES_MAX];
	uint32_t n;
};

/* A change of names not yet synced: one name goes, one comes, or both. */
struct pending {
	char gone[NAME_MAX_];
	struct name come;
};

struct dir {
	struct names cache;
	struct names platter;
	struct pending pending[NAMES_MAX];
	uint32_t pending_n;
};

struct open_file {
	uint32_t owner; /* 0: free */
	uint32_t inode;
};

struct disk {
	uint64_t random;
	struct disk_faults faults;
	enum disk_lie lie;
	uint64_t fuse; /* steps until the power fails; 0: it has */
	struct inode inodes[INODES_MAX];
	uint32_t inodes_n;
	struct dir dirs[DISK_DIRS];
	struct open_file fds[FDS_MAX];
};

/* -- chance --------------------------------------------------------------- */

uint64_t disk_random(struct disk *d)
{
	uint64_t z = d->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint32_t disk_chance(struct disk *d, uint32_t n)
{
	return (uint32_t)(disk_random(d) >> 32) % n;
}

static bool once_in(struct disk *d, uint32_t n)
{
	return n && !disk_chance(d, n);
}

struct disk *disk_open(uint64_t seed)
{
	struct disk *d = calloc(1, sizeof(*d));

	MUST(d);
	d->random = seed;
	d->fuse = UINT64_MAX;
	return d;
}

void disk_close(struct disk *d)
{
	for (uint32_t n = 0; n < d->inodes_n; n++) {
		free(d->inodes[n].cache);
		free(d->inodes[n].platter);
		free(d->inodes[n].sectors);
	}
	free(d);
}

void disk_set_faults(struct disk *d, struct disk_faults faults)
{
	d->faults = faults;
}

void disk_set_fuse(struct disk *d, uint64_t steps)
{
	d->fuse = steps;
}

bool disk_is_dead(const struct disk *d)
{
	return !d->fuse;
}

void disk_set_lie(struct disk *d, enum disk_lie lie)
{
	d->lie = lie;
}

/* -- names ---------------------------------------------------------------- */

static struct dir *dir_of(struct disk *d, int fd)
{
	MUST(fd >= DISK_SEGMENTS && fd < DISK_SEGMENTS + DISK_DIRS);
	return &d->dirs[fd - DISK_SEGMENTS];
}

static void copy_name(char out[static NAME_MAX_], const char *name)
{
	MUST(strlen(name) < NAME_MAX_);
	strncpy(out, name, NAME_MAX_ - 1);
	out[NAME_MAX_ - 1] = 0;
}

static struct name *names_find(struct names *names, const char *text)
{
	for (uint32_t n = 0; n < names->n; n++)
		if (!strcmp(names->at[n].text, text))
			return &names->at[n];
	return NULL;
}

static void names_apply(struct names *names, const struct pending *p)
{
	struct name *gone = names_find(names, p->gone);
	struct name *come = names_find(names, p->come.text);

	if (p->gone[0] && gone) {
		*gone = names->at[--names->n];
		come = names_find(names, p->come.text);
	}
	if (!p->come.text[0])
		return;
	if (!come) {
		MUST(names->n < NAMES_MAX);
		come = &names->at[names->n++];
	}
	*come = p->come;
}

static void change_names(struct dir *dir, const char *gone, const char *come,
			 uint32_t inode)
{
	struct pending p = { .come.inode = inode };

	copy_name(p.gone, gone);
	copy_name(p.come.text, come);
	names_apply(&dir->cache, &p);
	MUST(dir->pending_n < NAMES_MAX);
	dir->pending[dir->pending_n++] = p;
}

const char *disk_name(const struct disk *d, enum disk_dir dir, uint32_t n)
{
	const struct names *names = &d->dirs[dir - DISK_SEGMENTS].cache;

	return n < names->n ? names->at[n].text : NULL;
}

/* Each unsynced change reaches the platter or not, by itself. */
static void settle_names(struct disk *d, struct dir *dir)
{
	for (uint32_t n = 0; n < dir->pending_n; n++)
		if (disk_chance(d, 2))
			names_apply(&dir->platter, &dir->pending[n]);
	dir->pending_n = 0;
}

/* A sync that fails gets some way; what is left may still get there. */
static void sync_some_names(struct disk *d, struct dir *dir)
{
	uint32_t some = disk_chance(d, dir->pending_n + 1);

	for (uint32_t n = 0; n < some; n++)
		names_apply(&dir->platter, &dir->pending[n]);
	dir->pending_n -= some;
	memmove(dir->pending, dir->pending + some,
		dir->pending_n * sizeof(dir->pending[0]));
}

/* -- bytes ---------------------------------------------------------------- */

static void make_room(struct inode *f, size_t len)
{
	size_t cap = f->cap ? f->cap : 8 * SECTOR;

	if (len <= f->cap)
		return;
	while (cap < len)
		cap *= 2;
	f->cache = realloc(f->cache, cap);
	f->platter = realloc(f->platter, cap);
	f->sectors = realloc(f->sectors, cap / SECTOR);
	MUST(f->cache && f->platter && f->sectors);
	memset(f->cache + f->cap, 0, cap - f->cap);
	memset(f->platter + f->cap, 0, cap - f->cap);
	memset(f->sectors + f->cap / SECTOR, CLEAN, (cap - f->cap) / SECTOR);
	f->cap = cap;
}

static void put_bytes(struct inode *f, size_t at, const uint8_t *p, size_t len)
{
	make_room(f, at + len);
	memcpy(f->cache + at, p, len);
	if (at + len > f->len)
		f->len = at + len;
	for (size_t n = at / SECTOR; n * SECTOR < at + len; n++)
		f->sectors[n] = DIRTY;
}

static void truncate_bytes(struct inode *f)
{
	if (!f->cap)
		return;
	f->len = 0;
	memset(f->cache, 0, f->cap);
	memset(f->sectors, DIRTY, f->cap / SECTOR);
}

static void sector_to_platter(struct inode *f, size_t n)
{
	memcpy(f->platter + n * SECTOR, f->cache + n * SECTOR, SECTOR);
}

static void sync_bytes(struct inode *f)
{
	for (size_t n = 0; n < f->cap / SECTOR; n++)
		if (f->sectors[n] == DIRTY) {
			sector_to_platter(f, n);
			f->sectors[n] = CLEAN;
		}
	f->platter_len = f->len;
}

/* What the cache holds and the platter lacks, gets there in part. */
static void settle_bytes(struct disk *d, struct inode *f, enum sector left_as)
{
	for (size_t n = 0; n < f->cap / SECTOR; n++) {
		if (f->sectors[n] != DIRTY)
			continue;
		if (disk_chance(d, 2))
			sector_to_platter(f, n);
		f->sectors[n] = (uint8_t)left_as;
	}
	if (f->len <= f->platter_len)
		return;
	switch (disk_chance(d, 3)) {
	case 0: break;
	case 1: f->platter_len = f->len; break;
	default:
		f->platter_len +=
			disk_chance(d, (uint32_t)(f->len - f->platter_len) + 1);
	}
}

static void crash_bytes(struct disk *d, struct inode *f)
{
	settle_bytes(d, f, CLEAN);
	if (!f->cap)
		return;
	memset(f->platter + f->platter_len, 0, f->cap - f->platter_len);
	memcpy(f->cache, f->platter, f->cap);
	memset(f->sectors, CLEAN, f->cap / SECTOR);
	f->len = f->platter_len;
}

/* -- processes ------------------------------------------------------------ */

static struct inode *file_of(struct disk *d, uint32_t owner, int fd)
{
	MUST(fd >= 0 && fd < FDS_MAX && d->fds[fd].owner == owner);
	return &d->inodes[d->fds[fd].inode];
}

static void close_fd(struct disk *d, int fd)
{
	struct inode *f = &d->inodes[d->fds[fd].inode];

	if (f->locked_by == fd + 1)
		f->locked_by = 0;
	d->fds[fd].owner = 0;
}

void disk_kill(struct disk *d, uint32_t owner)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (d->fds[fd].owner == owner)
			close_fd(d, fd);
}

void disk_crash(struct disk *d)
{
	d->fuse = UINT64_MAX;
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (d->fds[fd].owner)
			close_fd(d, fd);
	for (uint32_t n = 0; n < d->inodes_n; n++)
		crash_bytes(d, &d->inodes[n]);
	for (int n = 0; n < DISK_DIRS; n++) {
		settle_names(d, &d->dirs[n]);
		d->dirs[n].cache = d->dirs[n].platter;
	}
}

/* -- steps ---------------------------------------------------------------- */

static int64_t run_open(struct disk *d, uint32_t owner, const struct io *io)
{
	struct dir *dir = dir_of(d, io->dir);
	struct name *name = names_find(&dir->cache, io->name);
	uint32_t inode;
	int fd = 0;

	if (name && io->flags & O_EXCL)
		return -EEXIST;
	if (!name && !(io->flags & O_CREAT))
		return -ENOENT;
	while (fd < FDS_MAX && d->fds[fd].owner)
		fd++;
	MUST(fd < FDS_MAX);
	if (name) {
		inode = name->inode;
		if (io->flags & O_TRUNC)
			truncate_bytes(&d->inodes[inode]);
	} else {
		MUST(d->inodes_n < INODES_MAX);
		inode = d->inodes_n++;
		d->inodes[inode].dir = (enum disk_dir)io->dir;
		change_names(dir, "", io->name, inode);
	}
	d->fds[fd] = (struct open_file){ owner, inode };
	return fd;
}

static int64_t run_write(struct disk *d, struct inode *f, const struct io *io)
{
	size_t done = 0, total = 0, most;

	for (int n = 0; n < io->iov_n; n++)
		total += io->iov[n].iov_len;
	if (once_in(d, d->faults.no_space))
		return -ENOSPC;
	most = once_in(d, d->faults.short_io) ?
		       1 + disk_chance(d, (uint32_t)total) :
		       total;
	for (int n = 0; n < io->iov_n && done < most; n++) {
		size_t len = io->iov[n].iov_len;

		if (len > most - done)
			len = most - done;
		put_bytes(f, io->offset + done, io->iov[n].iov_base, len);
		done += len;
	}
	return (int64_t)done;
}

static int64_t run_read(struct disk *d, const struct inode *f,
			const struct io *io)
{
	size_t len = io->iov[0].iov_len;

	MUST(io->iov_n == 1 && len);
	if (once_in(d, d->faults.read_error))
		return -EIO;
	if (io->offset >= f->len)
		return 0;
	if (len > f->len - io->offset)
		len = f->len - io->offset;
	if (once_in(d, d->faults.short_io))
		len = 1 + disk_chance(d, (uint32_t)len);
	memcpy(io->iov[0].iov_base, f->cache + io->offset, len);
	return (int64_t)len;
}

static int64_t run_datasync(struct disk *d, struct inode *f)
{
	static const enum disk_lie lies[DISK_DIRS] = {
		DISK_LIES_SEGMENT_SYNC,
		DISK_LIES_BODY_SYNC,
		DISK_LIES_JOURNAL_SYNC,
	};

	if (once_in(d, d->faults.sync_error)) {
		settle_bytes(d, f, DROPPED);
		return -EIO;
	}
	if (d->lie != lies[f->dir - DISK_SEGMENTS])
		sync_bytes(f);
	return 0;
}

static int64_t run_dir_sync(struct disk *d, int fd)
{
	static const enum disk_lie lies[DISK_DIRS] = {
		DISK_LIES_SEGMENT_NAME,
		DISK_LIES_BODY_NAME,
		DISK_LIES_JOURNAL_NAME,
	};
	struct dir *dir = dir_of(d, fd);

	if (once_in(d, d->faults.sync_error)) {
		sync_some_names(d, dir);
		return -EIO;
	}
	if (d->lie != lies[fd - DISK_SEGMENTS]) {
		dir->platter = dir->cache;
		dir->pending_n = 0;
	}
	return 0;
}

static int64_t run_names(struct disk *d, const struct io *io)
{
	struct dir *dir = dir_of(d, io->dir);
	struct name *name = names_find(&dir->cache, io->name);

	if (!name)
		return -ENOENT;
	if (io->kind == IO_RENAME) {
		MUST(io->new_dir == io->dir);
		if (io->flags == RENAME_NOREPLACE &&
		    names_find(&dir->cache, io->new_name))
			return -EEXIST;
		change_names(dir, io->name, io->new_name, name->inode);
	} else {
		change_names(dir, io->name, "", NO_INODE);
	}
	return 0;
}

static int64_t run_lock(struct disk *d, uint32_t owner, const struct io *io)
{
	struct inode *f = file_of(d, owner, io->fd);

	MUST(io->flags & LOCK_NB);
	if (f->locked_by && f->locked_by != io->fd + 1)
		return -EWOULDBLOCK;
	if (io->flags & LOCK_EX)
		f->locked_by = io->fd + 1;
	return 0;
}

int64_t disk_run(struct disk *d, uint32_t owner, const struct io *io)
{
	bool writes = io->kind == IO_OPEN || io->kind == IO_WRITE ||
		      io->kind == IO_RENAME || io->kind == IO_UNLINK;

	if (!d->fuse)
		return -EIO;
	d->fuse--;
	if (writes && once_in(d, d->faults.io_error))
		return -EIO;
	switch (io->kind) {
	case IO_OPEN: return run_open(d, owner, io);
	case IO_CLOSE:
		(void)file_of(d, owner, io->fd);
		close_fd(d, io->fd);
		return 0;
	case IO_WRITE: return run_write(d, file_of(d, owner, io->fd), io);
	case IO_READ: return run_read(d, file_of(d, owner, io->fd), io);
	case IO_ALLOCATE: return disk_chance(d, 2) ? 0 : -EOPNOTSUPP;
	case IO_DATASYNC: return run_datasync(d, file_of(d, owner, io->fd));
	case IO_SYNC: return run_dir_sync(d, io->fd);
	case IO_RENAME:
	case IO_UNLINK: return run_names(d, io);
	case IO_LOCK: return run_lock(d, owner, io);
	case IO_NONE:
	case IO_KINDS: break;
	}
	MUST_NOT_REACH("a kind that cannot be run");
}
