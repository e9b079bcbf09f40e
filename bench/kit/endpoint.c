#include "kit/endpoint.h"

#include "base/span.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>

static bool split(const char *text, struct endpoint *e)
{
	const char *colon = strrchr(text, ':');
	struct span host = span_of((const uint8_t *)text,
				   colon ? (size_t)(colon - text) : 0);
	uint64_t port;

	if (!colon || !span_to_u64(span_str(colon + 1), &port) || port > 65535)
		return false;
	if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = span_of(host.p + 1, host.len - 2);
	else if (span_find(host, ':') < host.len)
		return false;
	if (!host.len || host.len >= sizeof(e->host))
		return false;
	memcpy(e->host, host.p, host.len);
	e->host[host.len] = '\0';
	e->port = (uint16_t)port;
	return true;
}

static void set_port(struct sockaddr_storage *a, uint16_t port)
{
	if (a->ss_family == AF_INET6)
		((struct sockaddr_in6 *)a)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)a)->sin_port = htons(port);
}

const char *endpoint_read(const char *text, struct endpoint *ret)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int error;

	*ret = (struct endpoint){ 0 };
	if (!split(text, ret))
		return "it is written HOST:PORT or [ADDRESS]:PORT";
	error = getaddrinfo(ret->host, NULL, &hints, &found);
	if (error)
		return gai_strerror(error);
	memcpy(&ret->address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	set_port(&ret->address, ret->port);
	return NULL;
}

bool endpoint_read_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		ret->ss_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		ret->ss_family = AF_INET6;
		return true;
	}
	return false;
}

static bool same_address(const struct sockaddr *a,
			 const struct sockaddr_storage *b)
{
	if (!a || a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)a)
			       ->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       IN6_ARE_ADDR_EQUAL(
		       &((const struct sockaddr_in6 *)(const void *)a)
				->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr);
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >>
			       24 ==
		       IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(
		&((const struct sockaddr_in6 *)a)->sin6_addr);
}

bool endpoint_is_local(const struct sockaddr_storage *address)
{
	struct ifaddrs *all;
	bool found = is_loopback(address);

	if (found || getifaddrs(&all))
		return found;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
		found = same_address(i->ifa_addr, address);
	freeifaddrs(all);
	return found;
}

void endpoint_bound(int fd, char out[ENDPOINT_TEXT_MAX])
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "?";
	char port[8] = "?";
	bool v6;

	(void)getsockname(fd, (struct sockaddr *)&a, &len);
	(void)getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port,
			  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	v6 = a.ss_family == AF_INET6;
	(void)snprintf(out, ENDPOINT_TEXT_MAX, "%s%s%s:%s", v6 ? "[" : "", host,
		       v6 ? "]" : "", port);
}
