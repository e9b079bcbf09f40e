#include "tls/record.h"

#include "base/must.h"
#include "tls/record_kernel.h"
#include "tls/record_user.h"
#include "tls/secrets.h"

#include <errno.h>

/* One switch per verb and nothing else: a backend is added here, and only
 * here is it told from the others. */

void record_init_clear(struct record *r)
{
	*r = (struct record){ .backend = RECORD_CLEAR,
			      .offload = OFFLOAD_UNTRIED };
}

const char *record_name(const struct record *r)
{
	switch (r->backend) {
	case RECORD_CLEAR: return "clear";
	case RECORD_USER: return "userspace";
	case RECORD_KERNEL: return "kernel";
	}
	MUST_NOT_REACH("a backend without a name");
}

void record_take(struct record *r, struct handshake *h)
{
	MUST(r->backend == RECORD_CLEAR && h->ssl && !h->failure);
	record_user_take(r, h);
	*h = (struct handshake){ 0 };
}

/* Copies what fits and advances `from`. */
enum record_result record_pass(struct span *from, struct buf *to)
{
	size_t room;
	uint8_t *p = buf_reserve(to, &room);
	size_t n = from->len < room ? from->len : room;

	if (n)
		memcpy(p, from->p, n);
	buf_produced(to, n);
	*from = span_tail(*from, n);
	return RECORD_OK;
}

enum record_result record_open(struct record *r, struct span *in,
			       struct buf *plain, struct buf *out)
{
	switch (r->backend) {
	case RECORD_CLEAR: return record_pass(in, plain);
	case RECORD_USER: return record_user_open(r, in, plain, out);
	case RECORD_KERNEL: return record_kernel_open(r, in, plain);
	}
	MUST_NOT_REACH("a backend that cannot open");
}

struct span record_clear(const struct record *r, struct span wire)
{
	bool opened = r->backend == RECORD_USER || r->failed;

	return opened ? span_of(NULL, 0) : wire;
}

bool record_passes_input(const struct record *r)
{
	/* In clear nobody has bodies, and splice would wait for the socket. */
	return r->backend == RECORD_KERNEL && record_kernel_passes_input(r);
}

uint64_t record_wire_min(const struct record *r, uint64_t plain_len)
{
	return r->backend == RECORD_USER ? record_user_wire_min(plain_len) :
					   plain_len;
}

bool record_pending(const struct record *r)
{
	return r->backend == RECORD_USER && record_user_pending(r);
}

enum record_result record_seal(struct record *r, struct span *plain,
			       struct buf *out)
{
	switch (r->backend) {
	case RECORD_CLEAR: return record_pass(plain, out);
	case RECORD_USER: return record_user_seal(r, plain, out);
	case RECORD_KERNEL: return record_kernel_seal(r, plain, out);
	}
	MUST_NOT_REACH("a backend that cannot seal");
}

bool record_passes_bytes(const struct record *r)
{
	switch (r->backend) {
	case RECORD_CLEAR: return true;
	case RECORD_USER: return false;
	case RECORD_KERNEL: return record_kernel_passes_bytes(r);
	}
	MUST_NOT_REACH("a backend that does not know who writes");
}

size_t record_sealed_max(const struct record *r, size_t plain_len)
{
	return r->backend == RECORD_USER ?
		       record_user_sealed_max(r, plain_len) :
		       plain_len;
}

void record_shutdown(struct record *r, struct buf *out)
{
	switch (r->backend) {
	case RECORD_CLEAR: return;
	case RECORD_USER: record_user_shutdown(r, out); return;
	case RECORD_KERNEL: record_kernel_shutdown(r); return;
	}
}

enum record_result record_receive_failed(struct record *r, int error)
{
	MUST(error < 0);
	if (error == -EINTR || error == -EAGAIN || error == -ENOBUFS)
		return RECORD_OK;
	return r->backend == RECORD_KERNEL ?
		       record_kernel_receive_failed(r, error) :
		       RECORD_LOST;
}

bool record_wants_control(const struct record *r)
{
	return r->backend == RECORD_KERNEL && r->kernel.wants_control;
}

enum record_result record_open_control(struct record *r,
				       struct record_control *c, size_t n)
{
	MUST(record_wants_control(r));
	return record_kernel_open_control(r, c, n);
}

bool record_control_due(const struct record *r)
{
	return r->backend == RECORD_KERNEL && r->kernel.due != RECORD_DUE_NONE;
}

bool record_take_control(struct record *r, struct record_control *c)
{
	return r->backend == RECORD_KERNEL && record_kernel_take_control(r, c);
}

enum record_result record_control_sent(struct record *r)
{
	MUST(r->backend == RECORD_KERNEL);
	return record_kernel_control_sent(r);
}

void record_fini(struct record *r)
{
	if (r->backend == RECORD_USER)
		record_user_fini(r);
	if (r->backend == RECORD_KERNEL)
		record_kernel_fini(r);
	record_init_clear(r);
}
