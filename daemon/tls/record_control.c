#include "tls/record_control.h"

#include "base/must.h"

#include <linux/tls.h>

#ifndef SOL_TLS
#define SOL_TLS 282 /* since 4.13 */
#endif

static void prepare(struct record_control *c, size_t len)
{
	*c = (struct record_control){
		.message = {
			.msg_iov = &c->part,
			.msg_iovlen = 1,
			.msg_control = c->ancillary,
			.msg_controllen = sizeof(c->ancillary),
		},
		.part = { .iov_base = c->payload, .iov_len = len },
	};
}

void record_control_receive(struct record_control *c)
{
	prepare(c, sizeof(c->payload));
}

void record_control_send(struct record_control *c, uint8_t type,
			 struct span payload)
{
	struct cmsghdr *head;

	MUST(payload.len && payload.len <= sizeof(c->payload));
	prepare(c, payload.len);
	memcpy(c->payload, payload.p, payload.len);
	head = CMSG_FIRSTHDR(&c->message);
	head->cmsg_level = SOL_TLS;
	head->cmsg_type = TLS_SET_RECORD_TYPE;
	head->cmsg_len = CMSG_LEN(sizeof(type));
	*CMSG_DATA(head) = type;
}

uint8_t record_control_type(struct record_control *c)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(&c->message);

	if (!head || head->cmsg_level != SOL_TLS ||
	    head->cmsg_type != TLS_GET_RECORD_TYPE ||
	    head->cmsg_len < CMSG_LEN(sizeof(uint8_t)))
		return 0;
	return *CMSG_DATA(head);
}
