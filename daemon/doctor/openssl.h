#pragma once

/*
 * openssl: which OpenSSL does the handshakes. Keys for the kernel are taken
 * from its key log and installed by the daemon itself, so OpenSSL's own kTLS is
 * shown for completeness and not needed.
 */

#include "doctor/finding.h"

struct openssl_facts {
	const char *version;   /* of the library that is loaded */
	const char *built_for; /* of the headers this was compiled with */
	bool has_ktls;         /* by those headers */
	unsigned int major;
};

void openssl_look(struct openssl_facts *ret);
void openssl_judge(const struct openssl_facts *o, struct findings *f);
