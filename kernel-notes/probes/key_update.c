/*
 * The client changes its keys. What the server reads, and whether it can give
 * the kernel new ones, both ways.
 */
#include "../probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t KEY_UPDATE[] = { 24, 0, 0, 1, 0 };

static void open_with_update(struct pair *p, int kind)
{
	uint8_t buffer[64], type;
	long n;

	pair_open_installed(p, &(struct options){ 0 });
	MUST(SSL_key_update(p->client.ssl, kind) == 1);
	end_write(&p->client, "data", 4);
	MUST(poll_in(p->server.fd, 5000));
	if (kind == SSL_KEY_UPDATE_REQUESTED) {
		say_result("recv of KeyUpdate",
			   recv_now(p->server.fd, buffer, sizeof(buffer)));
		n = recv_record(p->server.fd, &type, buffer, sizeof(buffer));
		say("recvmsg of KeyUpdate",
		    "%ld of type %d, bytes %02x %02x %02x %02x %02x", n, type,
		    buffer[0], buffer[1], buffer[2], buffer[3], buffer[4]);
		return;
	}
	MUST(recv_record(p->server.fd, &type, buffer, sizeof(buffer)) == 5);
}

/* With the old keys still installed. */
static void without_new_keys(void)
{
	struct pair p;
	uint8_t buffer[64];

	open_with_update(&p, SSL_KEY_UPDATE_NOT_REQUESTED);
	say("poll before new keys", "%s",
	    poll_in(p.server.fd, 200) & POLLIN ? "POLLIN" : "nothing");
	say_result("read before new keys", recv_now(p.server.fd, buffer, 64));
	say_result("send after that read",
		   errno_of(send(p.server.fd, "x", 1, 0)));
	pair_close(&p);
}

/* What is left where new keys are refused: an alert before the next read. */
static void alert_instead(void)
{
	struct pair p;
	char byte;

	open_with_update(&p, SSL_KEY_UPDATE_NOT_REQUESTED);
	MUST(send_record(p.server.fd, SSL3_RT_ALERT, "\1\0", 2) == 2);
	SSL_read(p.client.ssl, &byte, 1);
	say("close_notify before the next read", "%s",
	    SSL_get_shutdown(p.client.ssl) & SSL_RECEIVED_SHUTDOWN ?
		    "arrives" :
		    "does not arrive");
	pair_close(&p);
}

static void with_new_keys(void)
{
	struct pair p;
	uint8_t buffer[64];
	int result;

	open_with_update(&p, SSL_KEY_UPDATE_REQUESTED);
	end_next_secret(&p.server, IN);
	result = end_install(&p.server, IN);
	say_result("new keys to receive", result);
	if (!result)
		say_result("then recv", recv_now(p.server.fd, buffer, 64));

	MUST(send_record(p.server.fd, SSL3_RT_HANDSHAKE, KEY_UPDATE,
			 sizeof(KEY_UPDATE)) == sizeof(KEY_UPDATE));
	end_next_secret(&p.server, OUT);
	result = end_install(&p.server, OUT);
	say_result("new keys to send", result);
	if (!result) {
		MUST(send(p.server.fd, "reply", 5, 0) == 5);
		end_read(&p.client, buffer, 5);
		say("then the client reads", "%.5s", (char *)buffer);
	}
	pair_close(&p);
}

int main(void)
{
	probe_start();
	probe_need_tls();
	with_new_keys();
	without_new_keys();
	alert_instead();
	return 0;
}
