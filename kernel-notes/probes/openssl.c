/* Which directions does OpenSSL itself give to the kernel? Server side. */
#include "../probe.h"

int main(void)
{
	probe_start();
	probe_need_tls();
	for (size_t i = 0; i < SUITES_N; i++) {
		struct options o = {
			.version = SUITES[i].version,
			.cipher = SUITES[i].cipher,
			.openssl_ktls = true,
		};
		struct pair p;

		pair_open(&p, &o);
		say(SUITES[i].name, "send %d, receive %d",
		    BIO_get_ktls_send(SSL_get_wbio(p.server.ssl)) != 0,
		    BIO_get_ktls_recv(SSL_get_rbio(p.server.ssl)) != 0);
		pair_close(&p);
	}
	return 0;
}
