#pragma once

/*
 * pins: the directory on a bpffs under which maps outlive the daemon. It is
 * locked for as long as it is open, so two daemons never share maps; but for an
 * upgrade, in which one passes them on to the other, pinned or not.
 */

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;

#define PINS_FDS_MAX 16

/* Of a predecessor, whose copies stay its own: maps, then the lock, if any. */
struct pins_passed {
	int fds[PINS_FDS_MAX];
	uint32_t fds_n; /* 0: it has none */
};

struct pins {
	char path[192]; /* "" when there is no such directory */
	int lock_fd;    /* -1 likewise */
};

/*
 * Makes the directory if need be and locks it. -EBUSY: another process has it.
 * -ENOTSUP: that is no bpffs. Any other negative errno: it cannot be used. On
 * an error `p` has no path.
 */
int pins_open(struct pins *p, const char *directory);
/* Lets go of the lock; the path is none any more. */
void pins_close(struct pins *p);

/* The descriptors stay ours. */
void pins_pass(const struct pins *p, const struct bpf_object *object,
	       struct pins_passed *ret);
/*
 * In place of pins_open and pins_replace: has `object` use the predecessor's
 * maps, closes what came, and keeps the lock of `directory`. -EPROTO: they are
 * laid out in another way, or `settings` begins with another version.
 */
int pins_take(struct pins *p, const char *directory, struct bpf_object *object,
	      uint32_t version, const struct pins_passed *from);

/* Names the pin of each map, so that loading takes over or makes it. */
int pins_name(const struct pins *p, struct bpf_object *object);
/*
 * Removes the pins of the object's maps when one of them is laid out in another
 * way, or when the map `settings` begins with another version. Whoever has a
 * map open keeps it. True: they were removed, and were of *ret_version.
 */
bool pins_replace(const struct pins *p, struct bpf_object *object,
		  uint32_t version, uint32_t *ret_version);
