#pragma once

/*
 * ktls: whether TLS records can be made by this kernel: the tls module, each
 * cipher in each version and direction, new keys on a live connection, and what
 * the kernel has counted so far. By default it tries only what is loaded; the
 * rest is tried when the operator allows the kernel to load modules.
 */

#include "doctor/finding.h"
#include "doctor/kconfig.h"
#include "doctor/ktls_trial.h"
#include "tls/release.h"

enum ktls_module {
	KTLS_MODULE_UNKNOWN, /* neither there nor in a list of modules */
	KTLS_MODULE_ABSENT,  /* the kernel was built without it */
	KTLS_MODULE_LOADABLE,
	KTLS_MODULE_LOADED,
	KTLS_MODULE_BUILT_IN,
};

#define KTLS_COUNTERS_MAX 32

struct ktls_counter {
	char name[32]; /* "TlsCurrTxSw" */
	uint64_t value;
};

struct ktls_facts {
	enum ktls_module module;
	char ulps[128]; /* net.ipv4.tcp_available_ulp */
	int ulp;        /* 0, negative errno, KTLS_UNTRIED: as all below */
	bool has_cipher[KTLS_CIPHERS]; /* in /proc/crypto */
	struct ktls_trial trials[KTLS_CIPHERS][KTLS_VERSIONS];
	struct ktls_extras extras;
	bool has_counters; /* /proc/net/tls_stat is there */
	struct ktls_counter counters[KTLS_COUNTERS_MAX];
	size_t counters_n;
};

/* What says where the module is, each text empty when it is not there. */
struct ktls_sources {
	struct span modules; /* /proc/modules */
	struct span builtin; /* modules.builtin */
	struct span depends; /* modules.dep */
	struct span config;  /* see kconfig_find */
	const char *ulps;
	bool takes_modules; /* false: built without CONFIG_MODULES */
};

enum ktls_module ktls_find_module(const struct ktls_sources *s);

/* Does /proc/crypto name an algorithm "gcm(aes)"? */
bool ktls_crypto_has(struct span text, const char *algorithm);

/* Reads /proc/net/tls_stat; returns how many counters. */
size_t ktls_read_counters(struct span text,
			  struct ktls_counter ret[KTLS_COUNTERS_MAX]);

/* `release` is uname -r; `may_load`: the kernel may load modules. */
void ktls_look(const char *root, const char *release, bool may_load,
	       struct ktls_facts *ret);

/* `release` NULL: the version is not known, so no bug can be. */
void ktls_judge(const struct ktls_facts *k, const struct release *release,
		struct findings *f);
