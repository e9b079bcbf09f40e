#include "doctor/ktls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

static const char *const algorithms[KTLS_CIPHERS] = {
	[KTLS_AES_128_GCM] = "gcm(aes)",
	[KTLS_AES_256_GCM] = "gcm(aes)",
	[KTLS_CHACHA20_POLY1305] = "rfc7539(chacha20,poly1305)",
};

static bool lists_word(const char *text, const char *word)
{
	struct span rest = span_str(text);
	struct span found;

	while (reading_next_word(&rest, &found))
		if (span_equal(found, span_str(word)))
			return true;
	return false;
}

enum ktls_module ktls_find_module(const struct ktls_sources *s)
{
	enum kconfig config = kconfig_find(s->config, "CONFIG_TLS");

	if (reading_has_entry(s->modules, "tls"))
		return KTLS_MODULE_LOADED;
	if (lists_word(s->ulps, "tls") || config == KCONFIG_YES ||
	    reading_has_module(s->builtin, "tls"))
		return KTLS_MODULE_BUILT_IN;
	if (reading_has_module(s->depends, "tls"))
		return KTLS_MODULE_LOADABLE;
	if (config == KCONFIG_NO || s->depends.len || !s->takes_modules)
		return KTLS_MODULE_ABSENT;
	return KTLS_MODULE_UNKNOWN;
}

/* A kernel that cannot load modules has no list of them. */
static bool takes_modules(const char *root, int error)
{
	char version[16];

	return error != -ENOENT ||
	       !reading_line(root, "/proc/version", version, sizeof(version));
}

static enum ktls_module look_for_module(const char *root, const char *release,
					const char *ulps)
{
	char path[PATH_MAX];
	struct reading modules;
	struct reading builtin;
	struct reading depends;
	struct reading config;
	struct ktls_sources s = { .ulps = ulps };
	enum ktls_module found;
	int error = reading_open(&modules, root, "/proc/modules");

	s.takes_modules = takes_modules(root, error);
	(void)snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin",
		       release);
	(void)reading_open(&builtin, root, path);
	(void)snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep",
		       release);
	(void)reading_open(&depends, root, path);
	(void)kconfig_open(&config, root, release);
	s.modules = modules.text;
	s.builtin = builtin.text;
	s.depends = depends.text;
	s.config = config.text;
	found = ktls_find_module(&s);
	reading_close(&modules);
	reading_close(&builtin);
	reading_close(&depends);
	reading_close(&config);
	return found;
}

bool ktls_crypto_has(struct span text, const char *algorithm)
{
	struct span line;
	struct span word;

	while (reading_next_line(&text, &line)) {
		if (!reading_next_word(&line, &word) ||
		    !span_equal(word, SPAN("name")))
			continue;
		if (reading_next_word(&line, &word) &&
		    span_equal(word, SPAN(":")) &&
		    reading_next_word(&line, &word) &&
		    span_equal(word, span_str(algorithm)))
			return true;
	}
	return false;
}

size_t ktls_read_counters(struct span text,
			  struct ktls_counter ret[KTLS_COUNTERS_MAX])
{
	struct span line;
	size_t n = 0;

	while (n < KTLS_COUNTERS_MAX && reading_next_line(&text, &line)) {
		struct ktls_counter *c = &ret[n];
		struct span name;
		struct span value;

		if (!reading_next_word(&line, &name) ||
		    name.len >= sizeof(c->name))
			continue;
		/* The kernel pads with blanks, older ones with a tab. */
		if (!reading_next_word(&line, &value) ||
		    !span_to_u64(value, &c->value))
			continue;
		memcpy(c->name, name.p, name.len);
		c->name[name.len] = '\0';
		n++;
	}
	return n;
}

static void look_at_files(const char *root, const char *release,
			  struct ktls_facts *k)
{
	struct reading s;

	(void)reading_line(root, "/proc/sys/net/ipv4/tcp_available_ulp",
			   k->ulps, sizeof(k->ulps));
	k->module = look_for_module(root, release, k->ulps);
	(void)reading_open(&s, root, "/proc/crypto");
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++)
		k->has_cipher[c] = ktls_crypto_has(s.text, algorithms[c]);
	reading_close(&s);
	k->has_counters = !reading_open(&s, root, "/proc/net/tls_stat");
	k->counters_n = ktls_read_counters(s.text, k->counters);
	reading_close(&s);
}

static void forget_trials(struct ktls_facts *k)
{
	static const struct ktls_trial none = { KTLS_UNTRIED, KTLS_UNTRIED,
						KTLS_UNTRIED };

	k->ulp = KTLS_UNTRIED;
	k->extras = (struct ktls_extras){ KTLS_UNTRIED, KTLS_UNTRIED,
					  KTLS_UNTRIED };
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++)
		for (enum ktls_version v = 0; v < KTLS_VERSIONS; v++)
			k->trials[c][v] = none;
}

void ktls_look(const char *root, const char *release, bool may_load,
	       struct ktls_facts *ret)
{
	*ret = (struct ktls_facts){ 0 };
	look_at_files(root, release, ret);
	forget_trials(ret);
	if (!may_load && ret->module != KTLS_MODULE_LOADED &&
	    ret->module != KTLS_MODULE_BUILT_IN)
		return;
	ret->ulp = ktls_try_ulp();
	if (ret->ulp)
		return;
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++)
		for (enum ktls_version v = 0; v < KTLS_VERSIONS; v++)
			if (may_load || ret->has_cipher[c])
				ret->trials[c][v] = ktls_try_cipher(v, c);
	if (may_load || ret->has_cipher[KTLS_AES_128_GCM])
		ret->extras = ktls_try_extras();
}
