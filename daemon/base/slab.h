#pragma once

/*
 * slab: a fixed number of objects of one size, mapped once at start and handed
 * out last-in first-out, so that the same few pages stay warm and untouched
 * objects cost no memory. Running out is an ordinary answer (NULL), never an
 * allocation. Objects are 64-byte aligned and zeroed by nobody: the taker
 * initialises. Key material may pass through: the mapping is kept out of core
 * dumps.
 */

#include <stddef.h>
#include <stdint.h>

struct slab {
	uint8_t *base;
	size_t size; /* of one object, rounded up to 64 */
	uint32_t n;  /* objects in all */
	uint32_t free_n;
	uint32_t *free; /* indices of the free ones, a stack */
};

/*
 * Maps n objects of `size` bytes. -ENOMEM when the address space has no room.
 * slab_fini unmaps; pointers into the slab die with it.
 */
int slab_init(struct slab *s, size_t size, uint32_t n);
void slab_fini(struct slab *s);

/* One object, or NULL when all are taken. The caller owns it until slab_give. */
void *slab_take(struct slab *s);
void slab_give(struct slab *s, void *object);

/* Between an object and its index, 0 to n-1. */
uint32_t slab_index(const struct slab *s, const void *object);
void *slab_at(const struct slab *s, uint32_t index);

/* Address space the slab may come to use, in bytes, for the memory bill. */
size_t slab_bytes(const struct slab *s);
