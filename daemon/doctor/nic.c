#include "doctor/nic.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define AREA "network"

static const char *const feature_names[NIC_FEATURES] = {
	[NIC_TX] = "tls-hw-tx-offload",
	[NIC_RX] = "tls-hw-rx-offload",
	[NIC_RECORD] = "tls-hw-record",
};

struct driver {
	const char *name;
	const char *option;
};

/* All of mainline that implements the kernel's TLS offload. */
static const struct driver drivers[] = {
	{ "mlx5_core", "CONFIG_MLX5_EN_TLS" },
	{ "cxgb4", "CONFIG_CHELSIO_TLS_DEVICE" },
	{ "nfp", "CONFIG_NFP" },
	{ "funeth", "CONFIG_FUN_ETH" },
	{ "bonding", "CONFIG_BONDING" }, /* as the cards below it do */
};

const char *nic_option(const char *driver)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (!strcmp(drivers[i].name, driver))
			return drivers[i].option;
	return NULL;
}

/* Looking */

static enum nic_state state_of(const struct ethtool_get_features_block *block,
			       uint32_t bit)
{
	if (block->active & bit)
		return NIC_ON;
	if (!(block->available & bit) || block->never_changed & bit)
		return NIC_FIXED_OFF;
	return NIC_OFF;
}

static bool is_named(struct span names, size_t i, const char *name)
{
	const char *found = (const char *)names.p + i * ETH_GSTRING_LEN;

	return !strncmp(found, name, ETH_GSTRING_LEN);
}

void nic_read_features(struct span names,
		       const struct ethtool_get_features_block *blocks,
		       size_t blocks_n, enum nic_state ret[NIC_FEATURES])
{
	size_t n = names.len / ETH_GSTRING_LEN;

	for (enum nic_feature k = 0; k < NIC_FEATURES; k++)
		ret[k] = NIC_ABSENT;
	for (size_t i = 0; i < n && i / 32 < blocks_n; i++)
		for (enum nic_feature k = 0; k < NIC_FEATURES; k++)
			if (is_named(names, i, feature_names[k]))
				ret[k] =
					state_of(&blocks[i / 32], 1u << i % 32);
}

/* One question of ethtool; `about` begins with its command. */
static int ask(int fd, const char *name, uint32_t *about)
{
	struct ifreq request = { .ifr_data = (char *)about };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
}

/* How many features there are; a negative errno. */
static int count_features(int fd, const char *name)
{
	/* struct ethtool_sset_info with room for one answer */
	union {
		struct ethtool_sset_info info;
		uint32_t words[5];
	} question = { .info = { .cmd = ETHTOOL_GSSET_INFO,
				 .sset_mask = 1u << ETH_SS_FEATURES } };
	int result = ask(fd, name, question.words);

	if (result)
		return result;
	if (!question.info.sset_mask || question.words[4] > 4096)
		return -EOPNOTSUPP;
	return (int)question.words[4];
}

static int read_features(int fd, struct nic *nic, size_t n)
{
	size_t blocks_n = (n + 31) / 32;
	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + n * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *features =
		calloc(1, sizeof(*features) +
				  blocks_n * sizeof(features->features[0]));
	int result = -ENOMEM;

	if (names && features) {
		names->cmd = ETHTOOL_GSTRINGS;
		names->string_set = ETH_SS_FEATURES;
		names->len = (uint32_t)n;
		features->cmd = ETHTOOL_GFEATURES;
		features->size = (uint32_t)blocks_n;
		result = ask(fd, nic->name, &names->cmd);
		if (!result)
			result = ask(fd, nic->name, &features->cmd);
		if (!result)
			nic_read_features(
				span_of(names->data, n * ETH_GSTRING_LEN),
				features->features, blocks_n, nic->features);
	}
	free(names);
	free(features);
	return result;
}

static void look_at_one(int fd, struct span config, struct nic *nic)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int n;

	if (!ask(fd, nic->name, &info.cmd))
		(void)snprintf(nic->driver, sizeof(nic->driver), "%.31s",
			       info.driver);
	n = count_features(fd, nic->name);
	nic->error = n < 0 ? n : read_features(fd, nic, (size_t)n);
	nic->option = nic_option(nic->driver);
	if (nic->option)
		nic->built = kconfig_find(config, nic->option);
}

static void look_at_all(int fd, struct span config, struct nic_facts *facts)
{
	struct if_nameindex *all = if_nameindex();

	if (!all) {
		facts->error = -errno;
		return;
	}
	for (const struct if_nameindex *i = all; i->if_index; i++) {
		struct nic *nic = &facts->list[facts->n];

		if (!strcmp(i->if_name, "lo"))
			continue;
		if (facts->n == NIC_MAX) {
			facts->left_out++;
			continue;
		}
		facts->n++;
		(void)snprintf(nic->name, sizeof(nic->name), "%s", i->if_name);
		look_at_one(fd, config, nic);
	}
	if_freenameindex(all);
}

void nic_look(const char *root, const char *release, struct nic_facts *ret)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct reading config;

	*ret = (struct nic_facts){ 0 };
	if (fd < 0) {
		ret->error = -errno;
		return;
	}
	(void)kconfig_open(&config, root, release);
	ret->tls_device = kconfig_find(config.text, "CONFIG_TLS_DEVICE");
	look_at_all(fd, config.text, ret);
	reading_close(&config);
	(void)close(fd);
}

/* Judging */

static const char *state_name(enum nic_state state)
{
	switch (state) {
	case NIC_ABSENT: return "unknown to the kernel";
	case NIC_FIXED_OFF: return "no";
	case NIC_OFF: return "off";
	case NIC_ON: return "on";
	}
	return "?";
}

static bool has(const struct nic *nic, enum nic_state state)
{
	for (enum nic_feature k = 0; k < NIC_FEATURES; k++)
		if (nic->features[k] == state)
			return true;
	return false;
}

static const char *describe(const struct nic *nic, struct findings *f)
{
	const char *driver = *nic->driver ? nic->driver : "unknown";

	if (nic->error)
		return findings_text(f, "driver %s; features: %s", driver,
				     finding_errno(f, nic->error));
	if (!has(nic, NIC_OFF) && !has(nic, NIC_ON))
		return findings_text(f, "driver %s, no TLS offload", driver);
	return findings_text(f, "driver %s, TLS send %s, receive %s, record %s",
			     driver, state_name(nic->features[NIC_TX]),
			     state_name(nic->features[NIC_RX]),
			     state_name(nic->features[NIC_RECORD]));
}

/* The option that is off and that TLS by this driver needs, or NULL. */
static const char *option_in_the_way(const struct nic *nic,
				     enum kconfig tls_device)
{
	if (!nic->option)
		return NULL;
	if (tls_device == KCONFIG_NO)
		return "CONFIG_TLS_DEVICE";
	return nic->built == KCONFIG_NO ? nic->option : NULL;
}

static void judge_one(const struct nic *nic, enum kconfig tls_device,
		      struct findings *f)
{
	const char *option = option_in_the_way(nic, tls_device);
	struct finding finding = {
		.area = AREA,
		.subject = findings_text(f, "%s", nic->name),
		.found = describe(nic, f),
	};

	if (has(nic, NIC_OFF)) {
		finding.means = "this interface could make TLS 1.2 records "
				"with AES-GCM, and was not told to";
		finding.advice = findings_text(
			f,
			"ethtool -K %s tls-hw-tx-offload on tls-hw-rx-offload "
			"on; and nic = \"prefer\" in the configuration",
			nic->name);
		finding.grade = FINDING_NOTE;
	} else if (option && !has(nic, NIC_ON)) {
		finding.means = "cards of this driver can make TLS records, "
				"but not with this kernel";
		finding.advice =
			findings_text(f, "build the kernel with %s", option);
		finding.grade = FINDING_NOTE;
	} else if (nic->option && !has(nic, NIC_ON)) {
		finding.means = "the driver can, if the card can: it needs a "
				"model with inline cryptography";
		finding.advice = nic->built == KCONFIG_UNKNOWN ?
					 findings_text(f,
						       "see whether the kernel "
						       "was built with %s",
						       nic->option) :
					 NULL;
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

void nic_judge(const struct nic_facts *n, struct findings *f)
{
	if (n->error)
		FINDING(f, .area = AREA, .subject = "interfaces",
			.found = finding_errno(f, n->error),
			.grade = FINDING_NOTE);
	for (size_t i = 0; i < n->n; i++)
		judge_one(&n->list[i], n->tls_device, f);
	if (n->left_out)
		FINDING(f, .area = AREA, .subject = "interfaces",
			.found = findings_text(f, "%zu more were not looked at",
					       n->left_out),
			.grade = FINDING_NOTE);
}
