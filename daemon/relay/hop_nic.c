#include "relay/hop_nic.h"

#include "relay/hop_pump.h"
#include "relay/runner.h"

#include <errno.h>

static void take(struct runner *r, struct hop *h, struct diag_makers makers)
{
	h->nic = HOP_NIC_KNOWN;
	h->makers = makers;
	if (makers.tx == DIAG_DEVICE)
		runner_count(r, METRIC_NEXT_HOPS_NIC, 1);
}

void hop_nic_ask(struct runner *r, struct hop *h)
{
	if (hop_route(r, h)->nic == CONFIG_NIC_OFF)
		return;
	h->nic = HOP_NIC_ASKED;
	if (!diag_send_question(r->options->census_fd, h->fd, h->slot,
				h->generation))
		take(r, h, (struct diag_makers){ 0 });
}

/* Mail goes out: the card must make its records. What we hear is little. */
enum hop_nic_verdict hop_nic_verdict(const struct runner *r,
				     const struct hop *h)
{
	if (h->nic == HOP_NIC_NOT_ASKED ||
	    hop_route(r, h)->nic != CONFIG_NIC_REQUIRE)
		return HOP_NIC_GO;
	if (h->nic == HOP_NIC_ASKED)
		return HOP_NIC_WAIT;
	return h->makers.tx == DIAG_DEVICE ? HOP_NIC_GO : HOP_NIC_STOP;
}

void hop_nic_hear(struct runner *r)
{
	const struct diag_answer *a = &r->census_answer;
	struct hop *h;

	if (!op_take(&r->census_op))
		return;
	if (r->census_op.result != (int)sizeof(*a)) {
		r->census_ended = r->census_op.result != -EINTR;
		return;
	}
	if (r->hop_generations[a->slot] != a->generation)
		return; /* it ended meanwhile */
	h = slab_at(&r->hops, a->slot);
	if (h->nic != HOP_NIC_ASKED)
		return;
	take(r, h, a->makers);
	hop_touch(r, h);
}
