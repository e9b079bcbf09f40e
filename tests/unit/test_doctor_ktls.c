/*
 * kTLS as several kernels show it: where the tls module is, what can be
 * installed, what was counted; and the real trial on the kernel that runs.
 */
#include "doctor/ktls.h"

#include "finding_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>

static struct findings f;

static int setup(void **state)
{
	findings_init(&f);
	return 0;
}

/* Debian's, with everything that works on it. */
static struct ktls_facts facts(enum ktls_module module)
{
	return (struct ktls_facts){
		.module = module,
		.ulps = "espintcp mptcp tls",
		.has_cipher = { true, true, true },
	};
}

static struct ktls_facts untried(enum ktls_module module)
{
	struct ktls_facts k = facts(module);

	k.ulp = KTLS_UNTRIED;
	return k;
}

/* Files */

static void finds_the_module(void **state)
{
	static const struct span loaded = SPAN("nls_utf8 16384 0 - Live 0x0\n"
					       "tls 151552 3 - Live 0x0\n");
	static const struct span others = SPAN("rtls 4096 0 - Live 0x0\n");
	static const struct span depends =
		SPAN("kernel/drivers/x/xtls.ko:\n"
		     "kernel/net/tls/tls.ko.xz: kernel/lib/a.ko.xz\n");
	static const struct span none = SPAN("kernel/net/dccp/dccp.ko: tls\n");
	static const struct span builtin = SPAN("kernel/fs/ext4/ext4.ko\n"
						"kernel/net/tls/tls.ko\n");
	struct ktls_sources s = { .modules = loaded,
				  .depends = depends,
				  .ulps = "mptcp tls",
				  .takes_modules = true };

	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_LOADED);
	s.modules = others;
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_BUILT_IN);
	s.ulps = "mptcp";
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_LOADABLE);
	s.builtin = builtin;
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_BUILT_IN);
	s.builtin = (struct span){ 0 };
	s.depends = none;
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_ABSENT);
	s.depends = (struct span){ 0 };
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_UNKNOWN);
	s.config = SPAN("# CONFIG_TLS is not set\n");
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_ABSENT);
	s.config = SPAN("CONFIG_TLS=y\n");
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_BUILT_IN);
	s.config = SPAN("CONFIG_TLS=m\n");
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_UNKNOWN);
	s.takes_modules = false;
	assert_int_equal(ktls_find_module(&s), KTLS_MODULE_ABSENT);
}

static void finds_algorithms(void **state)
{
	static const struct span text =
		SPAN("name         : gcm(aes)\n"
		     "driver       : generic-gcm-aesni\n"
		     "\n"
		     "name         : rfc7539(chacha20,poly1305)\n");

	assert_true(ktls_crypto_has(text, "gcm(aes)"));
	assert_true(ktls_crypto_has(text, "rfc7539(chacha20,poly1305)"));
	assert_false(ktls_crypto_has(text, "generic-gcm-aesni"));
	assert_false(ktls_crypto_has(text, "ccm(aes)"));
	assert_false(ktls_crypto_has((struct span){ 0 }, "gcm(aes)"));
}

static void reads_counters(void **state)
{
	static const struct span text =
		SPAN("TlsCurrTxSw                     \t3\n"
		     "TlsCurrRxSw                     \t18446744073709551615\n"
		     "broken\n"
		     "TlsNotANumber -1\n"
		     "ANameThatIsLongerThanAnyThatTheKernelHas 1\n"
		     "TlsDecryptError                 \t0\n");
	struct ktls_counter counters[KTLS_COUNTERS_MAX];

	assert_int_equal(ktls_read_counters(text, counters), 3);
	assert_string_equal(counters[0].name, "TlsCurrTxSw");
	assert_int_equal(counters[0].value, 3);
	assert_true(counters[1].value == UINT64_MAX);
	assert_string_equal(counters[2].name, "TlsDecryptError");
}

static void reads_no_more_counters_than_fit(void **state)
{
	struct ktls_counter counters[KTLS_COUNTERS_MAX];
	char text[64 * 40];
	size_t len = 0;

	for (size_t i = 0; i < 64; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"Tls%zu %zu\n", i, i);
	assert_int_equal(ktls_read_counters(span_of((uint8_t *)text, len),
					    counters),
			 KTLS_COUNTERS_MAX);
}

/* Judging */

static void all_well(void **state)
{
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);
	const struct release r = { 7, 2, 0, true, "" };

	ktls_judge(&k, &r, &f);
	assert_int_equal(findings_worst(&f), FINDING_WELL);
	assert_string_equal(finding_of(&f, "CHACHA20-POLY1305")->found,
			    "TLS 1.2 send ok, receive ok; "
			    "TLS 1.3 send ok, receive ok");
	assert_int_equal(grade_of(&f, "known bugs"), FINDING_WELL);
	assert_null(finding_of(&f, "/proc/net/tls_stat"));
}

static void kernel_without_it(void **state)
{
	struct ktls_facts k = untried(KTLS_MODULE_ABSENT);
	const struct release r = { 6, 1, 100, true, "" };

	k.ulps[0] = '\0';
	ktls_judge(&k, &r, &f);
	assert_int_equal(grade_of(&f, "tls module"), FINDING_LOSS);
	assert_non_null(
		strstr(finding_of(&f, "tls module")->advice, "CONFIG_TLS"));
	assert_string_equal(finding_of(&f, "TCP_ULP")->found,
			    "available: none");
	/* Its bugs are in what is not there. */
	assert_null(finding_of(&f, "known bug"));
	assert_null(finding_of(&f, "AES-128-GCM"));
}

static void module_that_was_not_tried(void **state)
{
	struct ktls_facts k = untried(KTLS_MODULE_LOADABLE);

	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "tls module"), FINDING_LOSS);
	assert_string_equal(finding_of(&f, "tls module")->found,
			    "not loaded; loading was not tried");
	assert_non_null(strstr(finding_of(&f, "tls module")->advice, "--try"));
	findings_init(&f);
	k.module = KTLS_MODULE_UNKNOWN;
	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "tls module"), FINDING_LOSS);
}

static void ulp_errors(void **state)
{
	static const int errors[] = { -ENOENT, -EPROTONOSUPPORT, -ENETUNREACH };
	struct ktls_facts k = facts(KTLS_MODULE_UNKNOWN);

	for (size_t i = 0; i < 3; i++) {
		findings_init(&f);
		k.ulp = errors[i];
		ktls_judge(&k, NULL, &f);
		assert_int_equal(grade_of(&f, "TCP_ULP"), FINDING_LOSS);
		assert_non_null(finding_of(&f, "TCP_ULP")->advice);
		assert_null(finding_of(&f, "AES-256-GCM"));
	}
}

static void cipher_without_its_module(void **state)
{
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);
	struct ktls_trial *t = k.trials[KTLS_CHACHA20_POLY1305];

	t[KTLS_TLS13] = (struct ktls_trial){ -ENOENT, -ENOENT, KTLS_UNTRIED };
	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "AES-128-GCM"), FINDING_WELL);
	assert_int_equal(grade_of(&f, "CHACHA20-POLY1305"), FINDING_LOSS);
	assert_string_equal(finding_of(&f, "CHACHA20-POLY1305")->found,
			    "TLS 1.2 send ok, receive ok; "
			    "TLS 1.3 send ENOENT, receive ENOENT");
	assert_non_null(strstr(finding_of(&f, "CHACHA20-POLY1305")->advice,
			       "modprobe chacha20poly1305"));
}

static void record_that_did_not_arrive(void **state)
{
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);

	k.trials[KTLS_AES_256_GCM][KTLS_TLS12].pass = -EBADMSG;
	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "AES-256-GCM"), FINDING_LOSS);
	assert_non_null(
		strstr(finding_of(&f, "AES-256-GCM")->advice, "do not use it"));
}

static void cipher_that_was_not_tried(void **state)
{
	static const struct ktls_trial none = { KTLS_UNTRIED, KTLS_UNTRIED,
						KTLS_UNTRIED };
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);

	k.trials[KTLS_CHACHA20_POLY1305][KTLS_TLS12] = none;
	k.trials[KTLS_CHACHA20_POLY1305][KTLS_TLS13] = none;
	k.extras = (struct ktls_extras){ KTLS_UNTRIED, KTLS_UNTRIED,
					 KTLS_UNTRIED };
	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "CHACHA20-POLY1305"), FINDING_NOTE);
	assert_null(finding_of(&f, "new keys (KeyUpdate)"));
	assert_null(finding_of(&f, "TLS_TX_ZEROCOPY_RO"));
}

static void kernel_that_cannot_rekey(void **state)
{
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);

	k.extras = (struct ktls_extras){ -EBUSY, -EBUSY, -ENOPROTOOPT };
	ktls_judge(&k, NULL, &f);
	assert_int_equal(grade_of(&f, "new keys (KeyUpdate)"), FINDING_NOTE);
	assert_string_equal(finding_of(&f, "new keys (KeyUpdate)")->found,
			    "send EBUSY, receive EBUSY");
	assert_int_equal(grade_of(&f, "TLS_TX_ZEROCOPY_RO"), FINDING_NOTE);
	assert_int_equal(findings_worst(&f), FINDING_NOTE);
}

static void counters(void **state)
{
	struct ktls_facts k = facts(KTLS_MODULE_LOADED);

	k.has_counters = true;
	k.counters_n = 3;
	k.counters[0] = (struct ktls_counter){ "TlsCurrTxSw", 0 };
	k.counters[1] = (struct ktls_counter){ "TlsTxSw", 12 };
	k.counters[2] = (struct ktls_counter){ "TlsDecryptError", 0 };
	ktls_judge(&k, NULL, &f);
	assert_string_equal(finding_of(&f, "/proc/net/tls_stat")->found,
			    "TlsTxSw 12");
	assert_int_equal(grade_of(&f, "/proc/net/tls_stat"), FINDING_WELL);
	findings_init(&f);
	k.counters[2].value = 2;
	ktls_judge(&k, NULL, &f);
	assert_string_equal(finding_of(&f, "/proc/net/tls_stat")->found,
			    "TlsTxSw 12, TlsDecryptError 2");
	assert_int_equal(grade_of(&f, "/proc/net/tls_stat"), FINDING_NOTE);
	findings_init(&f);
	k.counters_n = 0;
	ktls_judge(&k, NULL, &f);
	assert_string_equal(finding_of(&f, "/proc/net/tls_stat")->found,
			    "all zero");
}

/* Looking, below a root without any file: nothing may be tried. */
static void tries_nothing_that_is_not_there(void **state)
{
	struct ktls_facts k;

	ktls_look("/nonexistent", "1.2.3", false, &k);
	assert_int_equal(k.module, KTLS_MODULE_UNKNOWN);
	assert_int_equal(k.ulp, KTLS_UNTRIED);
	assert_int_equal(k.extras.rekey_tx, KTLS_UNTRIED);
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++) {
		assert_false(k.has_cipher[c]);
		assert_int_equal(k.trials[c][KTLS_TLS13].rx, KTLS_UNTRIED);
	}
	assert_false(k.has_counters);
}

/* On the kernel that runs, whatever it has: answers, and no hang. */
static void looks_at_this_machine(void **state)
{
	struct ktls_facts k;

	ktls_look("", "1.2.3", false, &k);
	assert_true(k.ulp <= KTLS_UNTRIED);
	if (k.ulp)
		return;
	for (enum ktls_cipher c = 0; c < KTLS_CIPHERS; c++)
		if (k.has_cipher[c])
			assert_int_equal(k.trials[c][KTLS_TLS12].pass, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finds_the_module, setup),
		cmocka_unit_test_setup(finds_algorithms, setup),
		cmocka_unit_test_setup(reads_counters, setup),
		cmocka_unit_test_setup(reads_no_more_counters_than_fit, setup),
		cmocka_unit_test_setup(all_well, setup),
		cmocka_unit_test_setup(kernel_without_it, setup),
		cmocka_unit_test_setup(module_that_was_not_tried, setup),
		cmocka_unit_test_setup(ulp_errors, setup),
		cmocka_unit_test_setup(cipher_without_its_module, setup),
		cmocka_unit_test_setup(record_that_did_not_arrive, setup),
		cmocka_unit_test_setup(cipher_that_was_not_tried, setup),
		cmocka_unit_test_setup(kernel_that_cannot_rekey, setup),
		cmocka_unit_test_setup(counters, setup),
		cmocka_unit_test_setup(tries_nothing_that_is_not_there, setup),
		cmocka_unit_test_setup(looks_at_this_machine, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
