#include "doctor/bugs.h"
#include "doctor/ktls.h"

#include <errno.h>

#define AREA       "ktls"
#define ADVICE_TRY "sluicectl doctor --try"

struct cipher {
	const char *name;
	const char *module;
};

static const struct cipher ciphers[KTLS_CIPHERS] = {
	[KTLS_AES_128_GCM] = { "AES-128-GCM", "gcm" },
	[KTLS_AES_256_GCM] = { "AES-256-GCM", "gcm" },
	[KTLS_CHACHA20_POLY1305] = { "CHACHA20-POLY1305", "chacha20poly1305" },
};

static const char *describe(const struct ktls_facts *k)
{
	switch (k->module) {
	case KTLS_MODULE_ABSENT: return "not in this kernel";
	case KTLS_MODULE_LOADABLE:
		return k->ulp == KTLS_UNTRIED ?
			       "not loaded; loading was not tried" :
			       "loadable";
	case KTLS_MODULE_LOADED: return "loaded";
	case KTLS_MODULE_BUILT_IN: return "built in";
	case KTLS_MODULE_UNKNOWN: break;
	}
	return k->ulp == KTLS_UNTRIED ?
		       "not loaded, no list of modules found; loading was not "
		       "tried" :
		       "not loaded before, no list of modules found";
}

static const char *advise_module(const struct ktls_facts *k)
{
	if (!k->ulp)
		return NULL;
	if (k->module == KTLS_MODULE_ABSENT)
		return "run a kernel with CONFIG_TLS, as Debian's have";
	if (k->module == KTLS_MODULE_UNKNOWN)
		return "if `zgrep CONFIG_TLS= /proc/config.gz` finds nothing, "
		       "run a kernel with CONFIG_TLS; else: modprobe tls";
	if (k->ulp == KTLS_UNTRIED)
		return "modprobe tls, and at each boot: echo tls "
		       ">/etc/modules-load.d/tls.conf (for unprivileged "
		       "processes the kernel does not load it); to try it at "
		       "once: " ADVICE_TRY;
	return NULL;
}

/* True when records can be made in the kernel, as far as is known. */
static bool judge_module(const struct ktls_facts *k, struct findings *f)
{
	struct finding finding = { .area = AREA,
				   .subject = "tls module",
				   .found = describe(k) };

	if (k->ulp) {
		finding.means = "TLS records are made in userspace: more "
				"memory per connection, no sendfile, no "
				"splice, no offload to the network card";
		finding.grade = FINDING_LOSS;
	}
	finding.advice = advise_module(k);
	findings_add(f, &finding);
	return k->module != KTLS_MODULE_ABSENT && k->ulp != -ENOENT;
}

static void judge_ulp(const struct ktls_facts *k, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "TCP_ULP",
		.found = findings_text(f, "available: %s",
				       *k->ulps ? k->ulps : "none"),
	};

	if (k->ulp < 0) {
		finding.found = finding_errno(f, k->ulp);
		finding.grade = FINDING_LOSS;
	}
	if (k->ulp == -ENOENT) {
		finding.means = "the kernel has no tls module, or could not "
				"load it for this process";
		finding.advice = "as root: modprobe tls";
	} else if (k->ulp == -EPROTONOSUPPORT) {
		finding.means = "the kernel has no tls module";
		finding.advice = "run a kernel with CONFIG_TLS";
	} else if (k->ulp < 0) {
		finding.means = "the loopback interface or a security module "
				"is in the way";
		finding.advice = "ip link set lo up; see the kernel's log";
	}
	findings_add(f, &finding);
}

static const char *explain_cipher(int error, enum ktls_cipher c,
				  struct findings *f)
{
	switch (-error) {
	case ENOENT:
		return findings_text(f,
				     "the kernel lacks the cipher: "
				     "modprobe %s",
				     ciphers[c].module);
	case EINVAL:
	case ENOPROTOOPT: return "this kernel does not know it";
	case EBADMSG:
		return "what was sent was not what arrived: do not use it";
	default: return "see the kernel's log";
	}
}

static const char *outcome(int result)
{
	if (result == KTLS_UNTRIED)
		return "-";
	return result ? strerrorname_np(-result) : "ok";
}

static int first_error(const struct ktls_trial *trials)
{
	for (enum ktls_version v = 0; v < KTLS_VERSIONS; v++) {
		const int results[] = { trials[v].tx, trials[v].rx,
					trials[v].pass };

		for (size_t i = 0; i < 3; i++)
			if (results[i] < 0)
				return results[i];
	}
	return 0;
}

static void judge_cipher(const struct ktls_facts *k, enum ktls_cipher c,
			 struct findings *f)
{
	const struct ktls_trial *t = k->trials[c];
	struct finding finding = { .area = AREA, .subject = ciphers[c].name };
	int error = first_error(t);

	if (t[KTLS_TLS12].tx == KTLS_UNTRIED) {
		finding.found = "not tried";
		finding.means = "the cipher's module is not loaded; the kernel "
				"loads it when it is first used";
		finding.advice = ADVICE_TRY;
		finding.grade = FINDING_NOTE;
		findings_add(f, &finding);
		return;
	}
	finding.found = findings_text(
		f, "TLS 1.2 send %s, receive %s; TLS 1.3 send %s, receive %s",
		outcome(t[KTLS_TLS12].tx), outcome(t[KTLS_TLS12].rx),
		outcome(t[KTLS_TLS13].tx), outcome(t[KTLS_TLS13].rx));
	if (error) {
		finding.means = "sessions that agree on it keep their records "
				"in userspace";
		finding.advice = explain_cipher(error, c, f);
		finding.grade = FINDING_LOSS;
	}
	findings_add(f, &finding);
}

static void judge_rekey(const struct ktls_extras *e, struct findings *f)
{
	struct finding finding = {
		.area = AREA,
		.subject = "new keys (KeyUpdate)",
		.found = findings_text(f, "send %s, receive %s",
				       outcome(e->rekey_tx),
				       outcome(e->rekey_rx)),
	};

	if (e->rekey_tx || e->rekey_rx) {
		finding.means = "a session whose peer changes its keys is "
				"ended, and the peer comes again; few mail "
				"clients ever do";
		finding.advice = "Linux 6.14 and later can go on";
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static void judge_extras(const struct ktls_extras *e, struct findings *f)
{
	if (e->rekey_tx != KTLS_UNTRIED)
		judge_rekey(e, f);
	if (!e->zerocopy)
		FINDING(f, .area = AREA, .subject = "TLS_TX_ZEROCOPY_RO",
			.found = "accepted",
			.means = "with a card that makes the records, sendfile "
				 "copies nothing");
	else if (e->zerocopy != KTLS_UNTRIED)
		FINDING(f, .area = AREA, .subject = "TLS_TX_ZEROCOPY_RO",
			.found = finding_errno(f, e->zerocopy),
			.means = "sendfile copies each page once",
			.grade = FINDING_NOTE);
}

/* Counters that should stay at zero. */
static bool tells_trouble(const struct ktls_counter *c)
{
	static const char *const names[] = {
		"TlsDecryptError", "TlsRxDeviceResync", "TlsRxNoPadViolation",
		"TlsRxRekeyError", "TlsTxRekeyError",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (c->value && !strcmp(c->name, names[i]))
			return true;
	return false;
}

static void judge_counters(const struct ktls_facts *k, struct findings *f)
{
	const char *shown = "";
	bool trouble = false;

	for (size_t i = 0; i < k->counters_n; i++) {
		const struct ktls_counter *c = &k->counters[i];

		trouble = trouble || tells_trouble(c);
		if (c->value)
			shown = findings_text(f, "%s%s%s %llu", shown,
					      *shown ? ", " : "", c->name,
					      (unsigned long long)c->value);
	}
	FINDING(f, .area = AREA, .subject = "/proc/net/tls_stat",
		.found = *shown ? shown : "all zero",
		.means = trouble ? "records of this machine's connections, not "
				   "of mail alone, could not be decrypted or "
				   "followed" :
				   NULL,
		.grade = trouble ? FINDING_NOTE : FINDING_WELL);
}

void ktls_judge(const struct ktls_facts *k, const struct release *release,
		struct findings *f)
{
	bool possible = judge_module(k, f);

	judge_ulp(k, f);
	if (k->has_counters)
		judge_counters(k, f);
	if (possible && release)
		bugs_judge(release, f);
	if (k->ulp)
		return;
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++)
		judge_cipher(k, c, f);
	judge_extras(&k->extras, f);
}
