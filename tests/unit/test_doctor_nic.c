/* Network interfaces: the strings and bits that ethtool's interface returns,
 * and what is made of them. */
#include "doctor/nic.h"

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

/* Features */

#define FEATURES 70

struct answer {
	char names[FEATURES][ETH_GSTRING_LEN];
	struct ethtool_get_features_block blocks[3];
};

static void set_feature(struct answer *a, unsigned int i, const char *name)
{
	(void)snprintf(a->names[i], ETH_GSTRING_LEN, "%s", name);
}

static struct span names_of(const struct answer *a)
{
	return span_of((const uint8_t *)a->names, sizeof(a->names));
}

static void reads_features(void **state)
{
	struct answer a = { 0 };
	enum nic_state got[NIC_FEATURES];

	for (unsigned int i = 0; i < FEATURES; i++)
		set_feature(&a, i, "tx-checksum-ipv4");
	set_feature(&a, 31, "tls-hw-tx-offload");
	set_feature(&a, 32, "tls-hw-rx-offload");
	set_feature(&a, 69, "tls-hw-record");
	a.blocks[0].available = a.blocks[0].active = 1u << 31;
	a.blocks[1].available = 1u << 0;
	nic_read_features(names_of(&a), a.blocks, 3, got);
	assert_int_equal(got[NIC_TX], NIC_ON);
	assert_int_equal(got[NIC_RX], NIC_OFF);
	assert_int_equal(got[NIC_RECORD], NIC_FIXED_OFF);

	a.blocks[1].never_changed = 1u << 0;
	nic_read_features(names_of(&a), a.blocks, 3, got);
	assert_int_equal(got[NIC_RX], NIC_FIXED_OFF);

	/* Fewer blocks than names: nothing behind them is read. */
	nic_read_features(names_of(&a), a.blocks, 1, got);
	assert_int_equal(got[NIC_TX], NIC_ON);
	assert_int_equal(got[NIC_RX], NIC_ABSENT);
	nic_read_features((struct span){ 0 }, a.blocks, 3, got);
	assert_int_equal(got[NIC_TX], NIC_ABSENT);
}

/* A name may fill its place to the last byte; a prefix is another name. */
static void compares_whole_names(void **state)
{
	struct answer a = { 0 };
	enum nic_state got[NIC_FEATURES];

	set_feature(&a, 0, "tls-hw-tx-offloaded");
	memset(a.names[1], 'x', ETH_GSTRING_LEN);
	a.blocks[0].active = 3;
	nic_read_features(names_of(&a), a.blocks, 3, got);
	assert_int_equal(got[NIC_TX], NIC_ABSENT);
}

static void drivers(void **state)
{
	assert_string_equal(nic_option("mlx5_core"), "CONFIG_MLX5_EN_TLS");
	assert_null(nic_option("virtio_net"));
	assert_null(nic_option(""));
}

/* Judging */

static struct nic_facts one(const char *driver, enum nic_state tx,
			    enum kconfig built)
{
	struct nic_facts facts = { .n = 1, .tls_device = KCONFIG_YES };
	struct nic *nic = &facts.list[0];

	(void)snprintf(nic->name, sizeof(nic->name), "eth0");
	(void)snprintf(nic->driver, sizeof(nic->driver), "%s", driver);
	nic->features[NIC_TX] = tx;
	nic->features[NIC_RX] = NIC_FIXED_OFF;
	nic->option = nic_option(driver);
	nic->built = built;
	return facts;
}

static const struct finding *judge(struct nic_facts facts)
{
	findings_init(&f);
	nic_judge(&facts, &f);
	return finding_of(&f, "eth0");
}

static void ordinary_card(void **state)
{
	const struct finding *said =
		judge(one("virtio_net", NIC_FIXED_OFF, KCONFIG_UNKNOWN));

	assert_int_equal(said->grade, FINDING_WELL);
	assert_string_equal(said->found, "driver virtio_net, no TLS offload");
	assert_null(said->advice);
}

static void card_that_is_on(void **state)
{
	const struct finding *said =
		judge(one("mlx5_core", NIC_ON, KCONFIG_YES));

	assert_int_equal(said->grade, FINDING_WELL);
	assert_string_equal(said->found,
			    "driver mlx5_core, TLS send on, receive no, "
			    "record unknown to the kernel");
}

static void card_that_is_off(void **state)
{
	const struct finding *said =
		judge(one("mlx5_core", NIC_OFF, KCONFIG_YES));

	assert_int_equal(said->grade, FINDING_NOTE);
	assert_non_null(strstr(said->advice, "ethtool -K eth0 "));
}

static void kernel_built_without(void **state)
{
	struct nic_facts facts = one("mlx5_core", NIC_FIXED_OFF, KCONFIG_NO);
	const struct finding *said = judge(facts);

	assert_int_equal(said->grade, FINDING_NOTE);
	assert_non_null(strstr(said->advice, "CONFIG_MLX5_EN_TLS"));
	facts.tls_device = KCONFIG_NO;
	assert_non_null(strstr(judge(facts)->advice, "CONFIG_TLS_DEVICE"));
}

static void kernel_of_unknown_build(void **state)
{
	struct nic_facts facts = one("cxgb4", NIC_FIXED_OFF, KCONFIG_UNKNOWN);
	const struct finding *said;

	facts.tls_device = KCONFIG_UNKNOWN;
	said = judge(facts);
	assert_int_equal(said->grade, FINDING_NOTE);
	assert_non_null(strstr(said->advice, "CONFIG_CHELSIO_TLS_DEVICE"));
	said = judge(one("cxgb4", NIC_FIXED_OFF, KCONFIG_MODULE));
	assert_int_equal(said->grade, FINDING_NOTE);
	assert_null(said->advice);
}

static void interfaces_that_do_not_say(void **state)
{
	struct nic_facts facts = one("", NIC_ABSENT, KCONFIG_UNKNOWN);

	facts.list[0].error = -EOPNOTSUPP;
	facts.left_out = 9;
	assert_string_equal(judge(facts)->found,
			    "driver unknown; features: EOPNOTSUPP (Operation "
			    "not supported)");
	assert_string_equal(finding_of(&f, "interfaces")->found,
			    "9 more were not looked at");
	facts = (struct nic_facts){ .error = -EMFILE };
	assert_null(judge(facts));
	assert_int_equal(grade_of(&f, "interfaces"), FINDING_NOTE);
}

/* Names outlive the facts. */
static void keeps_names(void **state)
{
	struct nic_facts facts = one("virtio_net", NIC_ABSENT, KCONFIG_NO);

	nic_judge(&facts, &f);
	memset(&facts, 'x', sizeof(facts));
	assert_non_null(finding_of(&f, "eth0"));
}

static void looks_at_this_machine(void **state)
{
	struct nic_facts facts;

	nic_look("/nonexistent", "1.2.3", &facts);
	assert_int_equal(facts.tls_device, KCONFIG_UNKNOWN);
	assert_int_equal(facts.error, 0);
	for (size_t i = 0; i < facts.n; i++)
		assert_true(*facts.list[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_features, setup),
		cmocka_unit_test_setup(compares_whole_names, setup),
		cmocka_unit_test_setup(drivers, setup),
		cmocka_unit_test_setup(ordinary_card, setup),
		cmocka_unit_test_setup(card_that_is_on, setup),
		cmocka_unit_test_setup(card_that_is_off, setup),
		cmocka_unit_test_setup(kernel_built_without, setup),
		cmocka_unit_test_setup(kernel_of_unknown_build, setup),
		cmocka_unit_test_setup(interfaces_that_do_not_say, setup),
		cmocka_unit_test_setup(keeps_names, setup),
		cmocka_unit_test_setup(looks_at_this_machine, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
