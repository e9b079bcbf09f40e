#pragma once

/*
 * census: tells the children who makes a connection's records, which the kernel
 * tells only a process with CAP_NET_ADMIN (tls/diag.h). Each child has a socket
 * to ask over, a packet a question, a packet an answer; what is no question
 * ends the child's turn for good. It looks at sockets and changes nothing.
 */

#include "super/process.h"

#include <poll.h>

struct census {
	int netlink; /* opened with the first question; -1 */
};

void census_init(struct census *c);

/* Fills an entry per process; those with nobody to hear have fd -1. */
void census_poll(const struct process_table *t, struct pollfd fds[PROCESS_MAX]);

/* Answers what was asked, a bounded number of questions of each. */
void census_serve(struct census *c, struct process_table *t,
		  const struct pollfd fds[PROCESS_MAX]);
