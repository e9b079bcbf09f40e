#include "tls/diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A reply is a few hundred bytes. */
#define REPLY_BYTES 4096

/* -- the kernel's reply ------------------------------------------------------ */

/* The payload of the first attribute of that type; empty: there is none. */
static struct span attribute(struct span list, uint16_t type)
{
	struct nlattr head;

	while (list.len >= sizeof(head)) {
		size_t step;

		memcpy(&head, list.p, sizeof(head));
		if (head.nla_len < sizeof(head) || head.nla_len > list.len)
			break;
		if ((head.nla_type & NLA_TYPE_MASK) == type)
			return span_of(list.p + sizeof(head),
				       head.nla_len - sizeof(head));
		step = NLA_ALIGN(head.nla_len);
		list = span_tail(list, step < list.len ? step : list.len);
	}
	return (struct span){ 0 };
}

static enum diag_maker maker_of(struct span value)
{
	uint16_t conf;

	if (value.len != sizeof(conf))
		return DIAG_UNKNOWN;
	memcpy(&conf, value.p, sizeof(conf));
	switch (conf) {
	case TLS_CONF_SW: return DIAG_SOFTWARE;
	case TLS_CONF_HW:
	case TLS_CONF_HW_RECORD: return DIAG_DEVICE;
	default: return DIAG_UNKNOWN;
	}
}

struct diag_makers diag_read(struct span reply)
{
	const size_t before = NLMSG_HDRLEN + sizeof(struct inet_diag_msg);
	struct nlmsghdr head;
	struct span tls;

	if (reply.len < before)
		return (struct diag_makers){ 0 };
	memcpy(&head, reply.p, sizeof(head));
	if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || head.nlmsg_len < before ||
	    head.nlmsg_len > reply.len)
		return (struct diag_makers){ 0 };
	tls = attribute(
		attribute(span_of(reply.p + before, head.nlmsg_len - before),
			  INET_DIAG_ULP_INFO),
		INET_ULP_INFO_TLS);
	return (struct diag_makers){
		.tx = maker_of(attribute(tls, TLS_INFO_TXCONF)),
		.rx = maker_of(attribute(tls, TLS_INFO_RXCONF)),
	};
}

const char *diag_describe(struct diag_makers m)
{
	if (m.tx == DIAG_DEVICE)
		return m.rx == DIAG_DEVICE ? "both" : "tx";
	if (m.rx == DIAG_DEVICE)
		return "rx";
	return m.tx == DIAG_UNKNOWN && m.rx == DIAG_UNKNOWN ? "unknown" :
							      "software";
}

/* -- asking ------------------------------------------------------------------ */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int take(const union address *a, uint8_t address[16], uint16_t *port)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		memcpy(address, &a->in.sin_addr, sizeof(a->in.sin_addr));
		*port = a->in.sin_port;
		return 0;
	case AF_INET6:
		memcpy(address, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
		*port = a->in6.sin6_port;
		return 0;
	default: return -EAFNOSUPPORT;
	}
}

int diag_identify(int fd, struct diag_socket *ret)
{
	union address local = { .sa.sa_family = AF_UNSPEC };
	union address peer = local;
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
	struct diag_socket s = { 0 };
	int status;

	if (getsockname(fd, &local.sa, &local_len) ||
	    getpeername(fd, &peer.sa, &peer_len))
		return -errno;
	s.family = local.sa.sa_family;
	status = take(&local, s.local, &s.local_port);
	if (!status)
		status = take(&peer, s.peer, &s.peer_port);
	if (!status)
		*ret = s;
	return status;
}

int diag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static struct request request_for(const struct diag_socket *s)
{
	struct request r = {
		.head = { .nlmsg_len = sizeof(r),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = (uint8_t)s->family,
			  .sdiag_protocol = IPPROTO_TCP,
			  /* The ULP's part comes with TCP's own. */
			  .idiag_ext = 1 << (INET_DIAG_INFO - 1),
			  .idiag_states = UINT32_MAX,
			  .id = { .idiag_sport = s->local_port,
				  .idiag_dport = s->peer_port,
				  .idiag_cookie = { INET_DIAG_NOCOOKIE,
						    INET_DIAG_NOCOOKIE } } },
	};

	memcpy(r.body.id.idiag_src, s->local, sizeof(s->local));
	memcpy(r.body.id.idiag_dst, s->peer, sizeof(s->peer));
	return r;
}

struct diag_makers diag_ask(int netlink, const struct diag_socket *s)
{
	struct request request = request_for(s);
	uint8_t reply[REPLY_BYTES];
	ssize_t n = send(netlink, &request, sizeof(request), MSG_NOSIGNAL);

	/* The kernel answers while it is asked. */
	if (n == (ssize_t)sizeof(request))
		n = recv(netlink, reply, sizeof(reply), MSG_DONTWAIT);
	return n > 0 ? diag_read(span_of(reply, (size_t)n)) :
		       (struct diag_makers){ 0 };
}

bool diag_send_question(int to, int fd, uint32_t slot, uint32_t generation)
{
	struct diag_question q = { .slot = slot, .generation = generation };

	return !diag_identify(fd, &q.socket) &&
	       send(to, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) ==
		       (ssize_t)sizeof(q);
}
