#pragma once

/*
 * pins: the directory on a bpffs under which maps outlive the daemon. It is
 * locked for as long as it is open, so two daemons never share maps.
 */

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;

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
void pins_close(struct pins *p);

/* Names the pin of each map, so that loading takes over or makes it. */
int pins_name(const struct pins *p, struct bpf_object *object);
/*
 * Removes the pins of the object's maps when one of them is laid out in another
 * way, or when the map `settings` begins with another version. Whoever has a
 * map open keeps it. True: they were removed, and were of *ret_version.
 */
bool pins_replace(const struct pins *p, struct bpf_object *object,
		  uint32_t version, uint32_t *ret_version);
