/*
 * Giving the keys to the kernel ourselves: both roles, both versions, three
 * ciphers, with tickets. For each: data both ways twice, the state read back,
 * close_notify as a record of type 21. The other end stays with OpenSSL.
 */
#include "../probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Data there and back, twice, between the kernel and OpenSSL. */
static const char *exchange(struct end *kernel, struct end *peer)
{
	char buffer[64];
	uint8_t type = 0;
	long n;

	for (int round = 0; round < 2; round++) {
		MUST(send(kernel->fd, "from kernel", 11, 0) == 11);
		end_read(peer, buffer, 11);
		if (memcmp(buffer, "from kernel", 11) != 0)
			return "sent bytes differ";
		end_write(peer, "to kernel", 9);
		do /* a client sees the tickets it left unread as type 22 */
			n = recv_record(kernel->fd, &type, buffer, 64);
		while (n > 0 && type == SSL3_RT_HANDSHAKE);
		if (n != 9 || memcmp(buffer, "to kernel", 9) != 0)
			return result_text(n);
	}
	if (!end_is_installed(kernel, OUT) && !end_is_installed(kernel, IN))
		return "ok"; /* the numbers went on, as they must */
	return "the kernel's record numbers stand still";
}

static const char *try_once(struct end *kernel, struct end *peer)
{
	const char *result;
	char buffer[64];
	uint8_t type;
	int error = end_install(kernel, OUT);

	if (!error)
		error = end_install(kernel, IN);
	if (error)
		return result_text(error);
	if (!end_is_installed(kernel, OUT) || !end_is_installed(kernel, IN))
		return "getsockopt disagrees";
	result = exchange(kernel, peer);
	SSL_shutdown(peer->ssl);
	if (recv_record(kernel->fd, &type, buffer, 64) != 2 ||
	    type != SSL3_RT_ALERT)
		return "no close_notify received";
	MUST(send_record(kernel->fd, SSL3_RT_ALERT, "\1\0", 2) == 2);
	if (SSL_read(peer->ssl, buffer, 1) > 0 ||
	    !(SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN))
		return "no close_notify sent";
	return result;
}

static const char *try_tickets(size_t i, bool is_server)
{
	int most = SUITES[i].version == TLS1_2_VERSION ? 1 : 2;
	const char *result = "ok";

	for (int n = 0; n <= most && !strcmp(result, "ok"); n++) {
		struct options o = {
			.version = SUITES[i].version,
			.cipher = SUITES[i].cipher,
			.tickets = n,
		};
		struct pair p;

		pair_open(&p, &o);
		result = is_server ? try_once(&p.server, &p.client) :
				     try_once(&p.client, &p.server);
		pair_close(&p);
	}
	return result;
}

static void count_records(void)
{
	for (int tickets = 0; tickets <= 3; tickets++) {
		struct options o = { .tickets = tickets };
		struct pair p;
		char name[64];

		pair_open(&p, &o);
		snprintf(name, sizeof(name), "records after %d tickets",
			 tickets);
		say(name, "written %d, read %d", (int)p.server.records[OUT],
		    (int)p.server.records[IN]);
		pair_close(&p);
	}
}

static void unread_tickets(void)
{
	struct options o = { .tickets = 2 };
	struct pair p;
	uint8_t type;
	char buffer[1024];

	pair_open(&p, &o);
	MUST(end_install(&p.client, OUT) == 0);
	MUST(end_install(&p.client, IN) == 0);
	say_result("client recv before unread tickets",
		   recv_now(p.client.fd, buffer, sizeof(buffer)));
	MUST(recv_record(p.client.fd, &type, buffer, sizeof(buffer)) > 0);
	say("client type of unread ticket", "%d", type);
	pair_close(&p);
}

/* Only receiving is the kernel's; OpenSSL goes on writing. */
static void receive_only(void)
{
	struct options o = { 0 };
	struct pair p;
	char buffer[8];

	pair_open(&p, &o);
	MUST(end_install(&p.server, IN) == 0);
	end_write(&p.client, "in", 2);
	say_result("receive only, recv", recv(p.server.fd, buffer, 8, 0));
	end_write(&p.server, "out", 3);
	end_read(&p.client, buffer, 3);
	say("receive only, OpenSSL writes", "ok");
	pair_close(&p);
}

int main(void)
{
	char name[64];

	probe_start();
	probe_need_tls();
	for (size_t i = 0; i < SUITES_N; i++) {
		snprintf(name, sizeof(name), "server %s", SUITES[i].name);
		say(name, "%s", try_tickets(i, true));
		snprintf(name, sizeof(name), "client %s", SUITES[i].name);
		say(name, "%s", try_tickets(i, false));
	}
	count_records();
	unread_tickets();
	receive_only();
	return 0;
}
