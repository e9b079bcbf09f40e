#include "doctor/kernel.h"

#include "doctor/reading.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define AREA "kernel"

/* The oldest that the tests run on. */
#define OLDEST_MAJOR 6
#define OLDEST_MINOR 1

/* Neither of the two makes or restricts anything: they ask. */

static int look_at_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

static int look_at_seccomp(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ?
		       -errno :
		       0;
}

void kernel_look(const char *root, struct kernel_facts *ret)
{
	char signature[128];
	struct utsname name;

	*ret = (struct kernel_facts){ 0 };
	(void)reading_line(root, "/proc/version_signature", signature,
			   sizeof(signature));
	if (!uname(&name)) {
		(void)snprintf(ret->name, sizeof(ret->name), "%s",
			       name.release);
		ret->is_known = release_parse(name.release, name.version,
					      signature, &ret->release);
	}
	ret->landlock = look_at_landlock();
	ret->seccomp = look_at_seccomp();
}

static void judge_version(const struct kernel_facts *k, struct findings *f)
{
	const struct release *r = &k->release;
	struct finding finding = { .area = AREA, .subject = "version" };

	if (!k->is_known) {
		finding.found = findings_text(f, "%s", k->name);
		finding.means = "which version that is cannot be told";
		finding.grade = FINDING_NOTE;
		findings_add(f, &finding);
		return;
	}
	finding.found = findings_text(f, "%u.%u.%u (%s%s%s)", r->major,
				      r->minor, r->patch, k->name,
				      *r->package ? ", " : "", r->package);
	if (!release_reaches(r, OLDEST_MAJOR, OLDEST_MINOR, 0)) {
		finding.means = "older than any kernel that is tested";
		finding.advice = "run Linux 6.1 or later";
		finding.grade = FINDING_LOSS;
	} else if (!r->patch_known) {
		finding.means = "the distributor counts its fixes in its own "
				"way: known bugs cannot be judged";
		finding.grade = FINDING_NOTE;
	}
	findings_add(f, &finding);
}

static void judge_confinement(const struct kernel_facts *k, struct findings *f)
{
	if (k->landlock > 0)
		FINDING(f, .area = AREA, .subject = "Landlock",
			.found = findings_text(f, "ABI %d", k->landlock));
	else
		FINDING(f, .area = AREA, .subject = "Landlock",
			.found = finding_errno(f, k->landlock),
			.means = "a worker that was taken over could reach all "
				 "files of its user",
			.advice = k->landlock == -EOPNOTSUPP ?
					  "add landlock to the kernel's lsm= "
					  "parameter" :
					  "run a kernel with "
					  "CONFIG_SECURITY_LANDLOCK",
			.grade = FINDING_LOSS);
	if (!k->seccomp)
		FINDING(f, .area = AREA, .subject = "seccomp",
			.found = "available");
	else
		FINDING(f, .area = AREA, .subject = "seccomp",
			.found = finding_errno(f, k->seccomp),
			.means = "a worker that was taken over could make any "
				 "system call",
			.advice = "run a kernel with CONFIG_SECCOMP_FILTER",
			.grade = FINDING_LOSS);
}

void kernel_judge(const struct kernel_facts *k, struct findings *f)
{
	judge_version(k, f);
	judge_confinement(k, f);
}
