/* Records that no honest client sends, and what is left of the socket. */
#include "../probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *poll_text(int revents)
{
	if (revents & POLLERR)
		return "POLLERR";
	return revents & POLLIN ? "POLLIN" : "nothing";
}

static void damaged(const char *name, void (*damage)(uint8_t *record))
{
	struct pair p;
	uint8_t buffer[256] = { 0 }, record[20000] = { 0 };
	char fact[64];
	size_t len;

	pair_open_installed(&p, &(struct options){ 0 });
	len = end_seal(&p.client, buffer, 100, record);
	damage(record);
	MUST(send(p.client.fd, record, len, 0) == (ssize_t)len);
	MUST(poll_in(p.server.fd, 5000));
	say_result(name, recv_now(p.server.fd, buffer, sizeof(buffer)));
	snprintf(fact, sizeof(fact), "%s, recv again", name);
	say_result(fact, recv_now(p.server.fd, buffer, sizeof(buffer)));
	snprintf(fact, sizeof(fact), "%s, poll then", name);
	say(fact, "%s", poll_text(poll_in(p.server.fd, 200)));
	snprintf(fact, sizeof(fact), "%s, alert", name);
	say_result(fact, send_record(p.server.fd, SSL3_RT_ALERT, "\2\24", 2));
	pair_close(&p);
}

static void a_bit(uint8_t *record)
{
	record[20] ^= 1;
}

static void its_version(uint8_t *record)
{
	record[1] = 4;
}

static void its_type(uint8_t *record)
{
	record[0] = 99;
}

static void its_length(uint8_t *record)
{
	record[3] = 0x7f;
}

int main(void)
{
	probe_start();
	probe_need_tls();
	damaged("one bit", a_bit);
	damaged("version", its_version);
	damaged("type", its_type);
	damaged("length", its_length);
	return 0;
}
