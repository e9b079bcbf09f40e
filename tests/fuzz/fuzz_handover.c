/*
 * fuzz_handover: a packet between two supervisors. Properties: what is taken is
 * within its bounds, and, put again, the same but for the version of a refusal.
 */

#include "base/must.h"
#include "super/handover.h"

static void fuzz_strings(const struct handover_welcome *w)
{
	const char *const strings[] = {
		w->user,  w->pid_file,   w->control,
		w->spool, w->steer_pins, w->shield_pins
	};

	for (size_t i = 0; i < 6; i++)
		MUST(!strings[i] || strlen(strings[i]) < HANDOVER_BYTES);
	MUST(w->workers && w->spool && w->steer_pins && w->shield_pins);
}

static void fuzz_lanes(const struct handover_lane *lanes, uint32_t n)
{
	MUST(n <= HANDOVER_LANES_MAX);
	for (uint32_t i = 0; i < n; i++)
		MUST(strlen(lanes[i].name) < HANDOVER_BYTES &&
		     strlen(lanes[i].lane) < HANDOVER_BYTES);
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
	if (h.kind == HANDOVER_WELCOME) {
		fuzz_strings(&h.welcome);
		fuzz_lanes(h.welcome.lanes, h.welcome.lanes_n);
		fuzz_lanes(h.welcome.listeners, h.welcome.listeners_n);
	}
	if (h.kind == HANDOVER_SOCKETS)
		fuzz_sockets(&h);
	MUST(handover_fds(&h) <= 64);
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
