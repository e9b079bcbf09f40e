#include "ring/loan.h"

#include "base/must.h"

uint32_t loan_take(struct loan *l, struct bufring *from, int32_t result,
		   uint32_t flags)
{
	MUST(!l->from);
	if (!(flags & IORING_CQE_F_BUFFER))
		return 0;
	*l = (struct loan){
		.from = from,
		.index = bufring_take(from, flags),
		.end = result > 0 ? (uint32_t)result : 0,
	};
	MUST(l->end <= from->size);
	if (l->end)
		return l->end;
	loan_end(l); /* kernels differ in whether nothing takes a buffer */
	return 0;
}

struct span loan_bytes(const struct loan *l)
{
	if (!l->from)
		return span_of(NULL, 0);
	return span_of(bufring_at(l->from, l->index) + l->start,
		       l->end - l->start);
}

void loan_advance(struct loan *l, struct span rest)
{
	MUST(rest.len <= l->end - l->start);
	l->start = l->end - (uint32_t)rest.len;
}

void loan_settle(struct loan *l)
{
	if (l->start == l->end)
		loan_end(l);
}

void loan_used(struct loan *l, struct span rest)
{
	loan_advance(l, rest);
	loan_settle(l);
}

void loan_end(struct loan *l)
{
	if (l->from)
		bufring_give(l->from, l->index);
	*l = (struct loan){ 0 };
}
