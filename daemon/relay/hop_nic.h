#pragma once

/*
 * hop_nic: whether the network card makes the records of a connection to a next
 * hop. Where the route's `nic` is off it costs nothing; else the supervisor,
 * whom alone the kernel tells, is asked once, when the keys are in. Where the
 * card is required, nothing is said before the answer. Only the files of hop
 * include it, and the runner, which hears the answers.
 */

#include "relay/hop.h"

/* The kernel has the connection's keys. */
void hop_nic_ask(struct runner *r, struct hop *h);

enum hop_nic_verdict {
	HOP_NIC_GO,
	HOP_NIC_WAIT, /* for the answer: say nothing */
	HOP_NIC_STOP, /* the card does not send what it must */
};
enum hop_nic_verdict hop_nic_verdict(const struct runner *r,
				     const struct hop *h);

/* An answer was read. */
void hop_nic_hear(struct runner *r);
