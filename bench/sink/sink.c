#include "sink/sink.h"

#include "base/must.h"

const char *sink_service_name(enum sink_service service)
{
	switch (service) {
	case SINK_SMTP: return "smtp";
	case SINK_SMTPS: return "smtps";
	case SINK_LMTP: return "lmtp";
	}
	MUST_NOT_REACH("a service");
}

void sink_counts_add(struct sink_counts *c, const struct sink_counts *other)
{
	c->connections += other->connections;
	c->turned_away += other->turned_away;
	c->handshakes += other->handshakes;
	c->messages += other->messages;
	c->recipients += other->recipients;
	c->bytes += other->bytes;
	c->refused_recipients += other->refused_recipients;
	c->refused_messages += other->refused_messages;
	c->dropped += other->dropped;
	c->broken += other->broken;
	c->hash += other->hash;
}
