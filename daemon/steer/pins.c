#include "steer/pins.h"

#include "base/must.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int check_and_lock(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC)
		return -ENOTSUP;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

int pins_open(struct pins *p, const char *directory)
{
	bool made;
	int result;
	int fd;

	*p = (struct pins){ .lock_fd = -1 };
	if (strlen(directory) >= sizeof(p->path))
		return -ENAMETOOLONG;
	made = !mkdir(directory, 0700);
	if (!made && errno != EEXIST)
		return -errno;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = check_and_lock(fd);
	if (result) {
		if (made)
			(void)rmdir(directory);
		(void)close(fd);
		return result;
	}
	(void)snprintf(p->path, sizeof(p->path), "%s", directory);
	p->lock_fd = fd;
	return 0;
}

void pins_close(struct pins *p)
{
	if (p->lock_fd >= 0)
		(void)close(p->lock_fd);
	*p = (struct pins){ .lock_fd = -1 };
}

static void path_of(const struct pins *p, const struct bpf_map *map,
		    char ret[256])
{
	(void)snprintf(ret, 256, "%s/%s", p->path, bpf_map__name(map));
}

int pins_name(const struct pins *p, struct bpf_object *object)
{
	struct bpf_map *map;
	char path[256];
	int result = 0;

	if (!*p->path)
		return 0;
	bpf_object__for_each_map(map, object)
	{
		path_of(p, map, path);
		if (!result)
			result = bpf_map__set_pin_path(map, path);
	}
	return result;
}

static bool fits(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       !strncmp(info.name, bpf_map__name(map), sizeof(info.name) - 1) &&
	       info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

static bool all_fit(const struct pins *p, struct bpf_object *object)
{
	struct bpf_map *map;
	char path[256];
	bool good = true;

	bpf_object__for_each_map(map, object)
	{
		int fd;

		path_of(p, map, path);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		good = good && fits(map, fd);
		(void)close(fd);
	}
	return good;
}

/* What the map `settings` begins with. */
static uint32_t version_of(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0, version = 0;
	uint8_t value[64] = { 0 };

	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.key_size == 4 &&
	    info.value_size <= sizeof(value) &&
	    !bpf_map_lookup_elem(fd, &zero, value))
		memcpy(&version, value, sizeof(version));
	return version;
}

/* The version of the maps that are pinned there; 0: there are none. */
static uint32_t pinned_version(const struct pins *p)
{
	uint32_t version;
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/settings", p->path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	version = version_of(fd);
	(void)close(fd);
	return version;
}

static void remove_all(const struct pins *p, struct bpf_object *object)
{
	struct bpf_map *map;
	char path[256];

	bpf_object__for_each_map(map, object)
	{
		path_of(p, map, path);
		(void)unlink(path);
	}
}

bool pins_replace(const struct pins *p, struct bpf_object *object,
		  uint32_t version, uint32_t *ret_version)
{
	uint32_t theirs;

	if (!*p->path)
		return false;
	theirs = pinned_version(p);
	if ((!theirs || theirs == version) && all_fit(p, object))
		return false;
	remove_all(p, object);
	*ret_version = theirs;
	return true;
}

/* Passing on */

void pins_pass(const struct pins *p, const struct bpf_object *object,
	       struct pins_passed *ret)
{
	struct bpf_map *map;

	ret->fds_n = 0;
	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__fd(map) < 0)
			continue; /* of another kind of program */
		MUST(ret->fds_n < PINS_FDS_MAX);
		ret->fds[ret->fds_n++] = bpf_map__fd(map);
	}
	MUST(ret->fds_n < PINS_FDS_MAX);
	if (p->lock_fd >= 0)
		ret->fds[ret->fds_n++] = p->lock_fd;
}

static bool is_settings(const struct bpf_map *map)
{
	return !strcmp(bpf_map__name(map), "settings");
}

static int take_map(struct bpf_map *map, uint32_t version, int fd)
{
	if (!fits(map, fd) || (is_settings(map) && version_of(fd) != version))
		return -EPROTO;
	return bpf_map__reuse_fd(map, fd);
}

static int take_maps(struct bpf_object *object, uint32_t version,
		     const struct pins_passed *from, uint32_t *ret_n)
{
	struct bpf_map *map;
	uint32_t n = 0;
	int result = 0;

	bpf_object__for_each_map(map, object)
	{
		if (!bpf_map__autocreate(map) || result)
			continue;
		result = n < from->fds_n ?
				 take_map(map, version, from->fds[n++]) :
				 -EPROTO;
	}
	*ret_n = n;
	return result;
}

int pins_take(struct pins *p, const char *directory, struct bpf_object *object,
	      uint32_t version, const struct pins_passed *from)
{
	uint32_t n;
	int result = take_maps(object, version, from, &n);

	*p = (struct pins){ .lock_fd = -1 };
	if (!result && n + 1 == from->fds_n) {
		(void)snprintf(p->path, sizeof(p->path), "%s", directory);
		p->lock_fd = from->fds[n];
	} else if (!result && n != from->fds_n) {
		result = -EPROTO;
	}
	/* Of the maps there are copies now. */
	for (uint32_t i = 0; i < from->fds_n; i++)
		if (from->fds[i] != p->lock_fd)
			(void)close(from->fds[i]);
	return result;
}
