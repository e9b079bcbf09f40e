#pragma once

/*
 * kconfig: what the running kernel was built with, as far as it can be known:
 * from /boot/config-RELEASE or the copy that lies beside the modules. The
 * kernel's own copy, /proc/config.gz, is compressed and not read.
 */

#include "doctor/reading.h"

enum kconfig { KCONFIG_UNKNOWN, KCONFIG_NO, KCONFIG_MODULE, KCONFIG_YES };

/* Opens the file of that kernel; -ENOENT: there is none. */
int kconfig_open(struct reading *s, const char *root, const char *release);

/*
 * How `option` ("CONFIG_TLS") was set. In a configuration that does not name
 * it at all it is off; without a configuration it is unknown.
 */
enum kconfig kconfig_find(struct span text, const char *option);
