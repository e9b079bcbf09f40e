/* TCP_ULP and the keys at the wrong moment, twice, or with a wrong size. */
#include "../probe.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

static long set_ulp(int fd, const char *name)
{
	return errno_of(setsockopt(fd, IPPROTO_TCP, TCP_ULP, name,
				   (socklen_t)strlen(name) + 1));
}

static void before_a_connection(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	say_result("ULP on a socket not connected", set_ulp(fd, "tls"));
	MUST(listen(fd, 1) == 0);
	say_result("ULP on a listener", set_ulp(fd, "tls"));
	close(fd);
}

static void twice(void)
{
	struct pair p;
	char name[16] = "";
	socklen_t len = sizeof(name);

	pair_open(&p, &(struct options){ 0 });
	say_result("ULP of an unknown name", set_ulp(p.server.fd, "nonesuch"));
	say_result("ULP", set_ulp(p.server.fd, "tls"));
	say_result("ULP twice", set_ulp(p.server.fd, "tls"));
	MUST(getsockopt(p.server.fd, IPPROTO_TCP, TCP_ULP, name, &len) == 0);
	say("getsockopt of ULP", "%s", name);
	end_write(&p.server, "plain", 5);
	end_read(&p.client, name, 5);
	say("OpenSSL over ULP without keys", "works");
	say_result("keys to receive", end_install(&p.server, IN));
	say_result("the same keys again", end_install(&p.server, IN));
	pair_close(&p);
}

static void wrong_keys(void)
{
	struct tls12_crypto_info_aes_gcm_128 c = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
	};
	struct pair p;
	int fd;

	pair_open(&p, &(struct options){ 0 });
	fd = p.server.fd;
	MUST(set_ulp(fd, "tls") == 0);
	say_result(
		"keys a byte short",
		errno_of(setsockopt(fd, SOL_TLS, TLS_TX, &c, sizeof(c) - 1)));
	c.info.cipher_type = 999;
	say_result("keys of an unknown cipher",
		   errno_of(setsockopt(fd, SOL_TLS, TLS_TX, &c, sizeof(c))));
	c.info.cipher_type = TLS_CIPHER_AES_GCM_128;
	c.info.version = 0x0301;
	say_result("keys of TLS 1.0",
		   errno_of(setsockopt(fd, SOL_TLS, TLS_TX, &c, sizeof(c))));
	end_write(&p.server, "plain", 5);
	say("OpenSSL after refused keys", "works");
	pair_close(&p);
}

static void after_the_peer_left(void)
{
	struct pair p;

	pair_open(&p, &(struct options){ 0 });
	shutdown(p.client.fd, SHUT_WR);
	MUST(poll_in(p.server.fd, 5000));
	say_result("ULP after the peer's FIN", set_ulp(p.server.fd, "tls"));
	pair_close(&p);
}

int main(void)
{
	probe_start();
	probe_need_tls();
	before_a_connection();
	twice();
	wrong_keys();
	after_the_peer_left();
	return 0;
}
