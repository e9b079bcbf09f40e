#pragma once

/*
 * gatewayworld: a spool and a gateway worker in a process of its own, with one
 * listener on 127.0.0.1, and TLS clients that talk to it. SLUICE_TEST_LOG shows
 * what the worker logs.
 */

#include "gateway/worker.h"
#include "pki.h"
#include "spooldir.h"

#include <openssl/ssl.h>

struct gatewayworld {
	struct spooldir spool;
	struct config *config;
	struct worker_options options;
	struct pki leaf;
	struct creds *creds;
	struct users *users;
	struct metric_block *metrics;
	struct tally *tally;
	uint16_t port;
	int command_fd; /* our end: closing it drains the worker */
	int census_fd;  /* ours, of the worker's; -1: nobody is asked */
	pid_t worker;
};

/* Implicit TLS; `config` may be changed before the start. */
void gatewayworld_open(struct gatewayworld *w);
void gatewayworld_start(struct gatewayworld *w);
/* Drains the worker, which MUST end well, and removes all of it. */
void gatewayworld_close(struct gatewayworld *w);

/* A connection in TLS; blocks. SSL_free() it. */
SSL *gatewayworld_connect(const struct gatewayworld *w, SSL_CTX *ctx);

/* One line, its end cut off; fails the test when there is none. */
void gatewayworld_line(SSL *ssl, char line[512]);

void gatewayworld_wait_for_metric(const struct gatewayworld *w, enum metric m,
				  uint64_t n);
