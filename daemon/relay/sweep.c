#include "relay/sweep.h"

#include "spool/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define SLOTS_FIRST 1024

/* The slot of the id, or the free one where it would stand. */
static struct sweep_body *find(const struct sweep *s, uint64_t id)
{
	uint64_t hash = id * 0x9e3779b97f4a7c15u;
	uint32_t at = (uint32_t)(hash >> 32) & (s->slots_n - 1);

	while (s->bodies[at].id && s->bodies[at].id != id)
		at = (at + 1) & (s->slots_n - 1);
	return &s->bodies[at];
}

static int grow(struct sweep *s)
{
	struct sweep larger = { .slots_n = s->slots_n ? s->slots_n * 2 :
							SLOTS_FIRST,
				.n = s->n };

	larger.bodies = calloc(larger.slots_n, sizeof(*larger.bodies));
	if (!larger.bodies)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->slots_n; i++)
		if (s->bodies[i].id)
			*find(&larger, s->bodies[i].id) = s->bodies[i];
	free(s->bodies);
	*s = larger;
	return 0;
}

static int add(struct sweep *s, uint64_t id)
{
	int result = s->n >= s->slots_n / 2 ? grow(s) : 0;

	if (result)
		return result;
	find(s, id)->id = id;
	s->n++;
	return 0;
}

/* Nobody writes it any more: its lock can be had. */
static bool is_abandoned(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	bool locked = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);

	if (fd >= 0)
		(void)close(fd);
	return locked;
}

static void forget(struct sweep *s)
{
	free(s->bodies);
	*s = (struct sweep){ 0 };
}

int sweep_list(struct sweep *s, int files_dir)
{
	int fd = openat(files_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t id;
	int result = 0;

	*s = (struct sweep){ 0 };
	if (!names)
		return -errno;
	while (!result && (entry = readdir(names)))
		if (layout_number(entry->d_name, LAYOUT_BODY, &id) && id &&
		    is_abandoned(files_dir, entry->d_name))
			result = add(s, id);
	(void)closedir(names);
	if (result)
		forget(s);
	return result;
}

void sweep_keep(struct sweep *s, uint64_t id)
{
	struct sweep_body *body = s->bodies ? find(s, id) : NULL;

	if (body && body->id)
		body->needed = true;
}

void sweep_spoil(struct sweep *s)
{
	s->damaged = true;
}

uint32_t sweep_finish(struct sweep *s, int files_dir)
{
	char name[LAYOUT_NAME_MAX];
	uint32_t removed_n = 0;

	for (uint32_t i = 0; i < s->slots_n && !s->damaged; i++) {
		if (!s->bodies[i].id || s->bodies[i].needed)
			continue;
		layout_name(name, LAYOUT_BODY, s->bodies[i].id);
		removed_n += !unlinkat(files_dir, name, 0);
	}
	forget(s);
	return removed_n;
}
