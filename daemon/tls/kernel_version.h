#pragma once

/*
 * kernel_version: which kernel runs, which of them have bugs in kTLS that a
 * peer can use, and which can change keys. Pure, but for kernel_version_running.
 */

#include <stdbool.h>
#include <stdint.h>

struct kernel_version {
	uint16_t major, minor, patch;
};

/*
 * From uname's release and version. Debian's release may hide the patch level
 * ("6.1.0-56-amd64") that its version tells ("#1 SMP ... Debian 6.1.187-1").
 * What cannot be read is 0.
 */
struct kernel_version kernel_version_parse(const char *release,
					   const char *version);
struct kernel_version kernel_version_running(void);

/*
 * True unless this kernel is known to have the fixes of all kTLS bugs that
 * matter here. Distributions that fix without a new number look old.
 */
bool kernel_version_has_tls_bugs(struct kernel_version v);

/* TLS 1.3 keys can be changed on a socket: since 6.14. */
bool kernel_version_can_rekey(struct kernel_version v);
