#pragma once

/*
 * nic: which network interfaces could make TLS records themselves: the features
 * that ethtool shows, the driver, and whether the running kernel was built with
 * that driver's TLS part.
 */

#include "doctor/finding.h"
#include "doctor/kconfig.h"

#include <linux/ethtool.h>
#include <net/if.h>

#define NIC_MAX 64

enum nic_feature { NIC_TX, NIC_RX, NIC_RECORD, NIC_FEATURES };

enum nic_state {
	NIC_ABSENT,    /* the kernel has no such feature */
	NIC_FIXED_OFF, /* this interface cannot */
	NIC_OFF,       /* it can, and was not told to */
	NIC_ON,
};

struct nic {
	char name[IF_NAMESIZE];
	char driver[32]; /* "": it does not say */
	int error;       /* of asking for features: 0 or a negative errno */
	enum nic_state features[NIC_FEATURES];
	const char *option; /* that the driver's TLS part needs, or NULL */
	enum kconfig built; /* how it is set */
};

struct nic_facts {
	int error; /* of listing interfaces: 0 or a negative errno */
	struct nic list[NIC_MAX];
	size_t n;
	size_t left_out;
	enum kconfig tls_device; /* CONFIG_TLS_DEVICE */
};

/*
 * `names` holds one name of ETH_GSTRING_LEN bytes per feature, `blocks` 32
 * features each.
 */
void nic_read_features(struct span names,
		       const struct ethtool_get_features_block *blocks,
		       size_t blocks_n, enum nic_state ret[NIC_FEATURES]);

/* The option of the kernel for TLS by that driver; NULL: it has none. */
const char *nic_option(const char *driver);

void nic_look(const char *root, const char *release, struct nic_facts *ret);
void nic_judge(const struct nic_facts *n, struct findings *f);
