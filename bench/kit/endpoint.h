#pragma once

/*
 * endpoint: HOST:PORT as people write it, its address, and whether that address
 * is this machine's. Resolving blocks: it is for start-up.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ENDPOINT_HOST_MAX 256

struct endpoint {
	char host[ENDPOINT_HOST_MAX]; /* without brackets */
	uint16_t port;
	struct sockaddr_storage address;
};

/*
 * Reads "host:port" or "[v6]:port" and resolves it. NULL, or what is wrong, for
 * a message; a static string.
 */
const char *endpoint_read(const char *text, struct endpoint *ret);

/* An address alone, to connect from. False: it is none. */
bool endpoint_read_address(const char *text, struct sockaddr_storage *ret);

/* True when packets to it stay on this machine. */
bool endpoint_is_local(const struct sockaddr_storage *address);

/* Where a socket is bound, as endpoint_read takes it. */
#define ENDPOINT_TEXT_MAX 64
void endpoint_bound(int fd, char out[ENDPOINT_TEXT_MAX]);
