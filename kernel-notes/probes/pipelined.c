/*
 * Data that the client sends right behind its Finished: where is it when the
 * server's handshake is done, and does the kernel still decrypt it?
 */
#include "../probe.h"

#include <string.h>
#include <sys/socket.h>

static void install_behind(const char *name, const struct options *o)
{
	struct pair p;
	char buffer[64], fact[64];

	pair_open(&p, o);
	snprintf(fact, sizeof(fact), "%s, SSL_has_pending", name);
	say(fact, "%d", SSL_has_pending(p.server.ssl));
	MUST(end_install(&p.server, OUT) == 0);
	MUST(end_install(&p.server, IN) == 0);
	snprintf(fact, sizeof(fact), "%s, recv", name);
	say_result(fact, recv_now(p.server.fd, buffer, sizeof(buffer)));
	pair_close(&p);
}

/* OpenSSL decrypts what it read, up to a record boundary; then the kernel. */
static void install_in_the_middle(void)
{
	struct options o = { .early = "first" };
	struct pair p;
	char buffer[64];

	pair_open(&p, &o);
	end_write(&p.client, "second", 6);
	end_read(&p.server, buffer, 5);
	say("records read before", "%d", (int)p.server.records[IN]);
	MUST(end_install(&p.server, OUT) == 0);
	MUST(end_install(&p.server, IN) == 0);
	say_result("then recv", recv_now(p.server.fd, buffer, 64));
	pair_close(&p);
}

/* Half of a record is in the socket when the keys arrive, half comes later. */
static void install_inside_a_record(void)
{
	struct pair p;
	uint8_t record[256], buffer[256] = { 0 };
	size_t len;

	pair_open(&p, &(struct options){ 0 });
	len = end_seal(&p.client, buffer, 100, record);
	MUST(send(p.client.fd, record, len / 2, 0) == (ssize_t)(len / 2));
	MUST(end_install(&p.server, IN) == 0);
	MUST(send(p.client.fd, record + len / 2, len - len / 2, 0) > 0);
	MUST(poll_in(p.server.fd, 5000));
	say_result("half before, half after, recv",
		   recv_now(p.server.fd, buffer, sizeof(buffer)));
	pair_close(&p);
}

int main(void)
{
	probe_start();
	probe_need_tls();
	install_behind("tls1.2", &(struct options){ .version = TLS1_2_VERSION,
						    .early = "early" });
	install_behind("tls1.3", &(struct options){ .early = "early" });
	install_behind("tls1.3 read_ahead",
		       &(struct options){ .early = "early",
					  .read_ahead = true });
	install_in_the_middle();
	install_inside_a_record();
	return 0;
}
