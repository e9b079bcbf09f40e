/*
 * Debian 12's headers know Landlock as of ABI 2; rights that came later are
 * written out here and asked for only where the kernel has them (Documentation/
 * userspace-api/landlock.rst, "Compatibility").
 */
#include "super/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_RIGHTS    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ABI1_RIGHTS    ((1ull << 13) - 1)
#define REFER_RIGHT    (1ull << 13) /* ABI 2: rename between folders */
#define TRUNCATE_RIGHT (1ull << 14) /* ABI 3 */
#define NETWORK_RIGHTS 3ull         /* ABI 4: bind and connect, TCP */
#define NETWORK_ABI    4
/* Making devices, sockets and the like, and executing: for nobody. */
#define WRITE_RIGHTS                                                    \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE |                  \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 REFER_RIGHT | TRUNCATE_RIGHT)

/* struct landlock_ruleset_attr as of ABI 4; shorter for older kernels. */
struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_network;
};

static uint64_t known_rights(long abi)
{
	uint64_t rights = ABI1_RIGHTS;

	if (abi >= 2)
		rights |= REFER_RIGHT;
	if (abi >= 3)
		rights |= TRUNCATE_RIGHT;
	return rights;
}

static int allow(int ruleset, int dir, uint64_t rights)
{
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = dir,
	};

	return syscall(SYS_landlock_add_rule, ruleset,
		       LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ?
		       -errno :
		       0;
}

static int allow_reading(int ruleset, const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	int result;

	if (fd < 0)
		return 0;
	result = allow(ruleset, fd, READ_RIGHTS);
	(void)close(fd);
	return result;
}

static int add_rules(int ruleset, const struct confine_rules *rules,
		     uint64_t known)
{
	int result = 0;

	for (size_t i = 0; i < rules->writable_n && !result; i++)
		if (rules->writable[i] >= 0)
			result = allow(ruleset, rules->writable[i],
				       WRITE_RIGHTS & known);
	for (size_t i = 0; i < rules->readable_n && !result; i++)
		result = allow_reading(ruleset, rules->readable[i]);
	return result;
}

int confine_apply(const struct confine_rules *rules)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset attributes = { 0 };
	int result;
	int fd;

	if (abi < 0)
		return -errno;
	attributes.handled_fs = known_rights(abi);
	if (rules->no_connect && abi >= NETWORK_ABI)
		attributes.handled_network = NETWORK_RIGHTS;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attributes,
			  abi >= NETWORK_ABI ? sizeof(attributes) :
					       sizeof(attributes.handled_fs),
			  0);
	if (fd < 0)
		return -errno;
	result = add_rules(fd, rules, known_rights(abi));
	if (!result && syscall(SYS_landlock_restrict_self, fd, 0))
		result = -errno;
	(void)close(fd);
	return result;
}
