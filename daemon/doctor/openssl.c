#include "doctor/openssl.h"

#include <openssl/crypto.h>
#include <openssl/opensslconf.h>
#include <openssl/opensslv.h>

#define AREA "openssl"

void openssl_look(struct openssl_facts *ret)
{
	*ret = (struct openssl_facts){
		.version = OpenSSL_version(OPENSSL_VERSION),
		.built_for = OPENSSL_VERSION_STR,
#ifndef OPENSSL_NO_KTLS
		.has_ktls = true,
#endif
		.major = OPENSSL_version_major(),
	};
}

void openssl_judge(const struct openssl_facts *o, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "version",
		.found = findings_text(f, "%s, built for %s", o->version,
				       o->built_for),
	};

	if (o->major < 3) {
		finding.means = "the daemon needs OpenSSL 3.0 or later";
		finding.advice = "install libssl3";
		finding.grade = FINDING_UNABLE;
	}
	findings_add(f, &finding);
	FINDING(f, .area = AREA, .subject = "its own kTLS",
		.found = o->has_ktls ? "built with it" : "built without it",
		.means = "not needed: the daemon gives the keys to the kernel "
			 "itself");
}
