#pragma once

/*
 * record_control: one record without data, such as an alert, on its way to or
 * from a kernel that makes the records: it goes beside the data, by sendmsg and
 * recvmsg. A loan: from the time the operation is started until it completes
 * the kernel's, so it must not move.
 */

#include "base/span.h"

#include <sys/socket.h>

/* A longer record comes in several pieces. */
#define RECORD_CONTROL_BYTES 128

struct record_control {
	struct msghdr message;
	struct iovec part;
	_Alignas(struct cmsghdr) uint8_t ancillary[CMSG_SPACE(sizeof(uint8_t))];
	uint8_t payload[RECORD_CONTROL_BYTES];
};

/* Prepares it to be received into; give `message` to recvmsg. */
void record_control_receive(struct record_control *c);

/* Prepares it to be sent; give `message` to sendmsg. */
void record_control_send(struct record_control *c, uint8_t type,
			 struct span payload);

/* After receiving: the record's type; 0: none was told. */
uint8_t record_control_type(struct record_control *c);
