/* io_uring, BPF, OpenSSL and limits: what is made of prepared facts, and that
 * looking at the machine that runs gives some. */
#include "doctor/bpf.h"
#include "doctor/limits.h"
#include "doctor/openssl.h"
#include "doctor/uring.h"

#include "finding_of.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

static struct findings f;

static int setup(void **state)
{
	findings_init(&f);
	return 0;
}

/* io_uring */

static void uring_that_works(void **state)
{
	const struct uring_facts u = { .disabled = "0" };

	uring_judge(&u, &f);
	assert_int_equal(findings_worst(&f), FINDING_WELL);
	assert_int_equal(grade_of(&f, "SPLICE"), FINDING_WELL);
	assert_int_equal(grade_of(&f, "kernel.io_uring_disabled"),
			 FINDING_WELL);
}

static void uring_that_is_forbidden(void **state)
{
	const struct uring_facts u = {
		.disabled = "2",
		.setup = -EPERM,
		.defer_taskrun = URING_UNTRIED,
		.accept = URING_UNTRIED,
		.buffers = URING_UNTRIED,
		.splice = URING_UNTRIED,
	};

	uring_judge(&u, &f);
	assert_int_equal(grade_of(&f, "kernel.io_uring_disabled"),
			 FINDING_UNABLE);
	assert_int_equal(grade_of(&f, "setup"), FINDING_UNABLE);
	assert_null(finding_of(&f, "SPLICE"));
}

static void uring_for_one_group(void **state)
{
	const struct uring_facts u = { .disabled = "1" };

	uring_judge(&u, &f);
	assert_int_equal(findings_worst(&f), FINDING_LOSS);
}

static void uring_that_is_old(void **state)
{
	const struct uring_facts u = {
		.defer_taskrun = -EINVAL,
		.accept = -EINVAL,
		.buffers = -EINVAL,
		.missing = "UNLINKAT",
	};

	uring_judge(&u, &f);
	assert_null(finding_of(&f, "kernel.io_uring_disabled"));
	assert_int_equal(grade_of(&f, "DEFER_TASKRUN"), FINDING_LOSS);
	assert_int_equal(grade_of(&f, "multishot accept"), FINDING_UNABLE);
	assert_int_equal(grade_of(&f, "provided buffers"), FINDING_UNABLE);
	assert_int_equal(grade_of(&f, "operations"), FINDING_UNABLE);
	assert_string_equal(finding_of(&f, "operations")->found,
			    "missing: UNLINKAT");
}

/* Whatever this machine has: a trial ends. */
static void uring_here(void **state)
{
	struct uring_facts u;

	uring_look("/nonexistent", &u);
	assert_string_equal(u.disabled, "");
	if (u.setup) {
		assert_int_equal(u.splice, URING_UNTRIED);
		return;
	}
	assert_int_equal(u.splice, 0);
	assert_string_equal(u.missing, "");
}

/* BPF */

static void bpf_for_root(void **state)
{
	struct bpf_facts b = { .has_cap_bpf = true,
			       .has_cap_net_admin = true,
			       .has_cap_perfmon = true,
			       .unprivileged = "2" };

	bpf_judge(&b, &f);
	assert_int_equal(findings_worst(&f), FINDING_WELL);
	b.has_cap_perfmon = false;
	bpf_judge(&b, &f);
	assert_int_equal(findings_worst(&f), FINDING_NOTE);
}

static void bpf_for_others(void **state)
{
	struct bpf_facts b = { .unprivileged = "0" };

	for (enum bpf_thing i = 0; i < BPF_THINGS; i++)
		b.results[i] = -EPERM;
	bpf_judge(&b, &f);
	assert_int_equal(grade_of(&f, "capabilities"), FINDING_NOTE);
	assert_int_equal(grade_of(&f, "kernel.unprivileged_bpf_disabled"),
			 FINDING_NOTE);
	assert_int_equal(grade_of(&f, "sk_lookup program"), FINDING_LOSS);
	assert_non_null(
		strstr(finding_of(&f, "sk_lookup program")->advice, "CAP_BPF"));
	assert_int_equal(findings_worst(&f), FINDING_LOSS);
}

static void bpf_here(void **state)
{
	struct bpf_facts b;

	bpf_look("", &b);
	for (enum bpf_thing i = 0; i < BPF_THINGS; i++)
		assert_true(b.results[i] <= 0);
}

/* OpenSSL */

static void openssl_here(void **state)
{
	struct openssl_facts o;

	openssl_look(&o);
	assert_true(o.major >= 3);
	openssl_judge(&o, &f);
	assert_int_equal(findings_worst(&f), FINDING_WELL);
	assert_non_null(strstr(finding_of(&f, "version")->found, "OpenSSL 3"));
	o.major = 1;
	openssl_judge(&o, &f);
	assert_int_equal(findings_worst(&f), FINDING_UNABLE);
}

/* Limits */

static void numbers(void **state)
{
	uint64_t n = 7;

	assert_true(limits_number("4096\t131072\t6291456", 0, &n));
	assert_int_equal(n, 4096);
	assert_true(limits_number("4096\t131072\t6291456", 2, &n));
	assert_int_equal(n, 6291456);
	assert_false(limits_number("4096\t131072\t6291456", 3, &n));
	assert_false(limits_number("", 0, &n));
	assert_false(limits_number("-1", 0, &n));
	assert_false(limits_number("4096x", 0, &n));
	assert_int_equal(n, 6291456);
}

static const struct limits_facts generous = {
	.sysctls = { "4096", "2048", "32768\t60999", "2",
		     "4096\t131072\t6291456", "4096\t16384\t4194304",
		     "9223372036854775807" },
	.files = { 1024, 524288 },
	.memlock = { RLIM_INFINITY, RLIM_INFINITY },
};

static void enough(void **state)
{
	limits_judge(&generous, &f);
	assert_int_equal(findings_worst(&f), FINDING_WELL);
	assert_string_equal(finding_of(&f, "net.ipv4.tcp_rmem")->found,
			    "4096 131072 6291456");
	assert_string_equal(finding_of(&f, "RLIMIT_MEMLOCK")->found,
			    "hard unlimited bytes");
}

static void too_little(void **state)
{
	const struct limits_facts l = {
		.sysctls = { "128", "512", "50000\t40000", "0", "4096\t1\t2",
			     "what", "" },
		.files = { 256, 512 },
		.memlock = { 65536, 65536 },
	};

	limits_judge(&l, &f);
	assert_int_equal(grade_of(&f, "net.core.somaxconn"), FINDING_NOTE);
	assert_string_equal(finding_of(&f, "net.core.somaxconn")->advice,
			    "sysctl -w net.core.somaxconn=4096, and the same "
			    "in /etc/sysctl.d");
	assert_int_equal(grade_of(&f, "net.ipv4.ip_local_port_range"),
			 FINDING_NOTE);
	assert_int_equal(grade_of(&f, "net.ipv4.tcp_tw_reuse"), FINDING_NOTE);
	assert_int_equal(grade_of(&f, "net.ipv4.tcp_rmem"), FINDING_NOTE);
	assert_string_equal(finding_of(&f, "net.ipv4.tcp_wmem")->means,
			    "not understood");
	assert_null(finding_of(&f, "fs.file-max"));
	assert_int_equal(grade_of(&f, "RLIMIT_NOFILE"), FINDING_LOSS);
	assert_int_equal(grade_of(&f, "RLIMIT_MEMLOCK"), FINDING_NOTE);
}

static void few_descriptors(void **state)
{
	struct limits_facts l = generous;

	l.files.rlim_max = 4096;
	limits_judge(&l, &f);
	assert_int_equal(grade_of(&f, "RLIMIT_NOFILE"), FINDING_NOTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(uring_that_works, setup),
		cmocka_unit_test_setup(uring_that_is_forbidden, setup),
		cmocka_unit_test_setup(uring_for_one_group, setup),
		cmocka_unit_test_setup(uring_that_is_old, setup),
		cmocka_unit_test_setup(uring_here, setup),
		cmocka_unit_test_setup(bpf_for_root, setup),
		cmocka_unit_test_setup(bpf_for_others, setup),
		cmocka_unit_test_setup(bpf_here, setup),
		cmocka_unit_test_setup(openssl_here, setup),
		cmocka_unit_test_setup(numbers, setup),
		cmocka_unit_test_setup(enough, setup),
		cmocka_unit_test_setup(too_little, setup),
		cmocka_unit_test_setup(few_descriptors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
