#pragma once

/*
 * resolver: host names to addresses on one helper thread, because the system's
 * resolver blocks. A bounded queue in, a bounded queue out, an eventfd between.
 * Numeric addresses need it not. It caches nothing and judges nothing; DNSSEC
 * is not its business.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define RESOLVER_ADDRESSES_MAX 4
#define RESOLVER_QUEUE         256
#define RESOLVER_HOST_MAX      256

struct resolver_address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

struct resolver_answer {
	uint32_t slot; /* the asker's, with its generation */
	uint32_t generation;
	const char *error; /* NULL, or a static string */
	uint32_t n;
	struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
};

struct resolver;

/* *ret_fd is readable (an eventfd) when an answer has come. Negative errno. */
int resolver_open(struct resolver **ret, int *ret_fd);
/* Waits for the look-up under way. */
void resolver_close(struct resolver *r);

/* True: host is an address; *ret is filled, nobody needs to be asked. */
bool resolver_numeric(const char *host, uint16_t port,
		      struct resolver_answer *ret);

/* False: the queue is full. `host` is copied. */
bool resolver_ask(struct resolver *r, const char *host, uint16_t port,
		  uint32_t slot, uint32_t generation);
/* The next answer; false: none. */
bool resolver_next(struct resolver *r, struct resolver_answer *ret);
