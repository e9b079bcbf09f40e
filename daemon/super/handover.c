/*
 * head:    "SLHO", version, kind: 4 + 2 + 2 bytes
 * WELCOME: generation, workers, sockets_n, configured_workers: 4 bytes each;
 *          rotate_ms: 8; six strings; steer_program, steer_mode,
 *          steer_fds_n, shield, shield_fds_n: 4 each; lanes; listeners
 * lanes:   number: 4; for each: two strings; workers: 4
 * SOCKETS: number: 4; for each: worker, service: 4 bytes each, a string
 * REFUSED: text to the end
 * string:  length with its NUL: 2 bytes, 0: NULL; the bytes
 * Numbers are in the machine's order: both programs run on it.
 */
#include "super/handover.h"

#include "base/must.h"

#define MAGIC "SLHO"

/* What is left to read; `bad` sticks. */
struct reader {
	struct span rest;
	bool bad;
};

static struct span take(struct reader *r, size_t n)
{
	struct span head;

	if (r->bad || n > r->rest.len) {
		r->bad = true;
		return span_of(NULL, 0);
	}
	head = span_head(r->rest, n);
	r->rest = span_tail(r->rest, n);
	return head;
}

static uint16_t take_u16(struct reader *r)
{
	struct span s = take(r, sizeof(uint16_t));
	uint16_t value = 0;

	if (s.len)
		memcpy(&value, s.p, sizeof(value));
	return value;
}

static uint32_t take_u32(struct reader *r)
{
	struct span s = take(r, sizeof(uint32_t));
	uint32_t value = 0;

	if (s.len)
		memcpy(&value, s.p, sizeof(value));
	return value;
}

static uint64_t take_u64(struct reader *r)
{
	struct span s = take(r, sizeof(uint64_t));
	uint64_t value = 0;

	if (s.len)
		memcpy(&value, s.p, sizeof(value));
	return value;
}

/* Its one NUL is its last byte. */
static const char *take_string(struct reader *r)
{
	uint16_t len = take_u16(r);
	struct span s = take(r, len);

	if (!len || r->bad)
		return NULL;
	if (span_find(s, '\0') != s.len - 1u) {
		r->bad = true;
		return NULL;
	}
	return (const char *)s.p;
}

static uint32_t take_lanes(struct reader *r, struct handover_lane *ret)
{
	uint32_t n = take_u32(r);

	if (n > HANDOVER_LANES_MAX)
		r->bad = true;
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		ret[i].name = take_string(r);
		ret[i].lane = take_string(r);
		ret[i].workers = take_u32(r);
		if (!ret[i].name || !ret[i].lane)
			r->bad = true;
	}
	return n;
}

static void take_steering(struct reader *r, struct handover_welcome *ret)
{
	ret->steer_pins = take_string(r);
	ret->shield_pins = take_string(r);
	ret->steer_program = take_u32(r);
	ret->steer_mode = take_u32(r);
	ret->steer_fds_n = take_u32(r);
	ret->shield = take_u32(r);
	ret->shield_fds_n = take_u32(r);
	ret->lanes_n = take_lanes(r, ret->lanes);
	ret->listeners_n = take_lanes(r, ret->listeners);
	if (!ret->steer_pins || !ret->shield_pins ||
	    ret->steer_fds_n > HANDOVER_MAPS_MAX ||
	    ret->shield_fds_n > HANDOVER_MAPS_MAX)
		r->bad = true;
}

static void take_welcome(struct reader *r, struct handover_welcome *ret)
{
	ret->generation = take_u32(r);
	ret->workers = take_u32(r);
	ret->sockets_n = take_u32(r);
	ret->configured_workers = take_u32(r);
	ret->rotate_ms = take_u64(r);
	ret->user = take_string(r);
	ret->pid_file = take_string(r);
	ret->control = take_string(r);
	ret->spool = take_string(r);
	take_steering(r, ret);
	if (!ret->workers || !ret->spool)
		r->bad = true;
}

static void take_sockets(struct reader *r, struct handover *ret)
{
	uint32_t n = take_u32(r);

	if (!n || n > HANDOVER_SOCKETS_MAX)
		r->bad = true;
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		struct handover_socket *s = &ret->sockets[i];

		s->worker = take_u32(r);
		s->service = take_u32(r);
		s->address = take_string(r);
		if (!s->address || strlen(s->address) >= HANDOVER_ADDRESS)
			r->bad = true;
	}
	ret->sockets_n = n;
}

static void take_body(struct reader *r, struct handover *ret)
{
	switch (ret->kind) {
	case HANDOVER_WELCOME: take_welcome(r, &ret->welcome); break;
	case HANDOVER_SOCKETS: take_sockets(r, ret); break;
	case HANDOVER_REFUSED: ret->text = take(r, r->rest.len); break;
	case HANDOVER_READY:
	case HANDOVER_AGED:
	case HANDOVER_DRAIN: break;
	default: r->bad = true;
	}
}

enum handover_verdict handover_parse(struct span packet, struct handover *ret)
{
	struct reader r = { .rest = packet };
	struct handover h = { 0 };
	struct span magic = take(&r, sizeof(MAGIC) - 1);
	uint16_t version = take_u16(&r);

	h.kind = take_u16(&r);
	if (r.bad || !span_equal(magic, SPAN(MAGIC)))
		return HANDOVER_BAD;
	if (version != HANDOVER_VERSION && h.kind != HANDOVER_REFUSED)
		return HANDOVER_OTHER_VERSION;
	take_body(&r, &h);
	if (r.bad || r.rest.len)
		return HANDOVER_BAD;
	*ret = h;
	return HANDOVER_GOOD;
}

uint32_t handover_fds(const struct handover *h)
{
	uint32_t fds_n = HANDOVER_FDS;

	if (h->kind == HANDOVER_SOCKETS)
		return h->sockets_n;
	if (h->kind != HANDOVER_WELCOME)
		return 0;
	fds_n += h->welcome.pid_file ? 1u : 0u;
	fds_n += h->welcome.control ? 1u : 0u;
	return fds_n + h->welcome.steer_fds_n + h->welcome.shield_fds_n;
}

/* Writing */

static void put_u16(struct buf *out, uint16_t value)
{
	buf_put(out, span_of((const uint8_t *)&value, sizeof(value)));
}

static void put_u32(struct buf *out, uint32_t value)
{
	buf_put(out, span_of((const uint8_t *)&value, sizeof(value)));
}

static void put_u64(struct buf *out, uint64_t value)
{
	buf_put(out, span_of((const uint8_t *)&value, sizeof(value)));
}

static void put_string(struct buf *out, const char *s)
{
	size_t len = s ? strlen(s) + 1 : 0;

	if (len > UINT16_MAX) {
		out->overflowed = true;
		return;
	}
	put_u16(out, (uint16_t)len);
	if (s)
		buf_put(out, span_of((const uint8_t *)s, len));
}

static void put_lanes(struct buf *out, const struct handover_lane *lanes,
		      uint32_t n)
{
	MUST(n <= HANDOVER_LANES_MAX);
	put_u32(out, n);
	for (uint32_t i = 0; i < n; i++) {
		put_string(out, lanes[i].name);
		put_string(out, lanes[i].lane);
		put_u32(out, lanes[i].workers);
	}
}

static void put_steering(struct buf *out, const struct handover_welcome *w)
{
	put_string(out, w->steer_pins);
	put_string(out, w->shield_pins);
	put_u32(out, w->steer_program);
	put_u32(out, w->steer_mode);
	put_u32(out, w->steer_fds_n);
	put_u32(out, w->shield);
	put_u32(out, w->shield_fds_n);
	put_lanes(out, w->lanes, w->lanes_n);
	put_lanes(out, w->listeners, w->listeners_n);
}

static void put_welcome(struct buf *out, const struct handover_welcome *w)
{
	put_u32(out, w->generation);
	put_u32(out, w->workers);
	put_u32(out, w->sockets_n);
	put_u32(out, w->configured_workers);
	put_u64(out, w->rotate_ms);
	put_string(out, w->user);
	put_string(out, w->pid_file);
	put_string(out, w->control);
	put_string(out, w->spool);
	put_steering(out, w);
}

static void put_sockets(struct buf *out, const struct handover *h)
{
	MUST(h->sockets_n && h->sockets_n <= HANDOVER_SOCKETS_MAX);
	put_u32(out, h->sockets_n);
	for (uint32_t i = 0; i < h->sockets_n; i++) {
		put_u32(out, h->sockets[i].worker);
		put_u32(out, h->sockets[i].service);
		put_string(out, h->sockets[i].address);
	}
}

void handover_put(struct buf *out, const struct handover *h)
{
	buf_put(out, SPAN(MAGIC));
	put_u16(out, HANDOVER_VERSION);
	put_u16(out, (uint16_t)h->kind);
	if (h->kind == HANDOVER_WELCOME)
		put_welcome(out, &h->welcome);
	else if (h->kind == HANDOVER_SOCKETS)
		put_sockets(out, h);
	else if (h->kind == HANDOVER_REFUSED)
		buf_put(out, h->text);
	if (buf_len(out) > HANDOVER_BYTES)
		out->overflowed = true;
}
