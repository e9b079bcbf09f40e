#pragma once

/*
 * diag: who makes a connection's records, as the kernel tells: its own software
 * or the network card (sock_diag(7), INET_DIAG_ULP_INFO). Kernels up to 6.12,
 * at least, tell only whoever has CAP_NET_ADMIN; so confined processes ask the
 * supervisor (super/census.h) by a question and get an answer, each of which
 * travels as it is.
 */

#include "base/span.h"

enum diag_maker { DIAG_UNKNOWN, DIAG_SOFTWARE, DIAG_DEVICE };

struct diag_makers {
	enum diag_maker tx, rx;
};

/* A TCP connection of this machine; ports and addresses as on the wire. */
struct diag_socket {
	uint16_t family;
	uint16_t local_port, peer_port;
	uint8_t local[16], peer[16]; /* of IPv4, the first four bytes */
};

/* The asker's slot and generation come back to it. */
struct diag_question {
	uint32_t slot, generation;
	struct diag_socket socket;
};

struct diag_answer {
	uint32_t slot, generation;
	struct diag_makers makers;
};

/* What `fd` is called. Negative errno: it is not connected, or no TCP/IP. */
int diag_identify(int fd, struct diag_socket *ret);

/* A descriptor to ask the kernel with, or a negative errno. */
int diag_open(void);

/* Does not wait. What the kernel does not tell is DIAG_UNKNOWN. */
struct diag_makers diag_ask(int netlink, const struct diag_socket *s);

/* The makers in one reply of the kernel's; unknown where it tells of none. */
struct diag_makers diag_read(struct span reply);

/*
 * Sends a question about `fd` without waiting; the answer can be read from the
 * same descriptor as one packet. False: it could not be asked.
 */
bool diag_send_question(int to, int fd, uint32_t slot, uint32_t generation);

/*
 * For logs, which directions are the card's: "both", "tx", "rx"; "software":
 * neither; "unknown": of neither it is known.
 */
const char *diag_describe(struct diag_makers makers);
