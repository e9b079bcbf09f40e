#pragma once

/*
 * bufring: receive buffers that the kernel picks from when bytes arrive, so an
 * idle connection holds none. A completion names the buffer it used; it is lent
 * to the session until bufring_give. When all are lent a receive ends with
 * ENOBUFS and is armed again when one has come back.
 */

#include "ring/ring.h"

struct bufring {
	struct io_uring_buf_ring *shared; /* with the kernel */
	uint8_t *memory;
	uint32_t n;    /* a power of two */
	uint32_t size; /* of one buffer, bytes */
	uint16_t group;
	uint32_t lent_n;
};

/* Registers n buffers of `size` bytes as `group`. Negative errno. */
int bufring_init(struct bufring *b, struct ring *r, uint16_t group, uint32_t n,
		 uint32_t size);
void bufring_fini(struct bufring *b, struct ring *r);

/* Index of the buffer that a receive's completion filled, now lent. */
uint16_t bufring_take(struct bufring *b, uint32_t cqe_flags);
/* Its bytes. */
uint8_t *bufring_at(const struct bufring *b, uint16_t index);
/* Gives a lent buffer back to the kernel. */
void bufring_give(struct bufring *b, uint16_t index);

/* Bytes of memory for the bill. */
size_t bufring_bytes(uint32_t n, uint32_t size);
