/*
 * fuzz_handover: a packet between two supervisors. Properties: what is taken is
 * within its bounds, and, put again, the same but for the version of a refusal.
 */

#include "base/must.h"
#include "super/handover.h"

static void fuzz_strings(const struct handover_welcome *w)
{
	const char *const strings[] = { w->user, w->pid_file, w->control,
					w->spool };

	for (size_t i = 0; i < 4; i++)
		MUST(!strings[i] || strlen(strings[i]) < HANDOVER_BYTES);
	MUST(w->workers && w->spool);
}

static void fuzz_sockets(const struct handover *h)
{
	MUST(h->sockets_n && h->sockets_n <= HANDOVER_SOCKETS_MAX);
	for (uint32_t i = 0; i < h->sockets_n; i++)
		MUST(strlen(h->sockets[i].address) < HANDOVER_ADDRESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span packet = span_of(data, size);
	uint8_t storage[HANDOVER_BYTES];
	struct handover h;
	struct buf out;

	if (size > HANDOVER_BYTES || handover_parse(packet, &h))
		return 0;
	if (h.kind == HANDOVER_WELCOME)
		fuzz_strings(&h.welcome);
	if (h.kind == HANDOVER_SOCKETS)
		fuzz_sockets(&h);
	MUST(handover_fds(&h) <= HANDOVER_SOCKETS_MAX);
	buf_init(&out, storage, sizeof(storage));
	handover_put(&out, &h);
	MUST(!out.overflowed && buf_len(&out) == size);
	if (h.kind == HANDOVER_REFUSED)
		MUST(span_equal(span_tail(buf_span(&out), 8),
				span_tail(packet, 8)));
	else
		MUST(span_equal(buf_span(&out), packet));
	return 0;
}
