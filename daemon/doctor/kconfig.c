#include "doctor/kconfig.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

int kconfig_open(struct reading *s, const char *root, const char *release)
{
	static const char *const places[][2] = {
		{ "/boot/config-", "" },
		{ "/lib/modules/", "/config" },
		{ "/usr/lib/modules/", "/config" },
	};
	char path[PATH_MAX];
	int result = -ENOENT;

	*s = (struct reading){ 0 };
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		(void)snprintf(path, sizeof(path), "%s%s%s", places[i][0],
			       release, places[i][1]);
		result = reading_open(s, root, path);
		if (!result)
			return 0;
		reading_close(s);
	}
	return result;
}

enum kconfig kconfig_find(struct span text, const char *option)
{
	size_t len = strlen(option);
	struct span line;

	if (!text.len)
		return KCONFIG_UNKNOWN;
	while (reading_next_line(&text, &line)) {
		if (line.len < len + 2 || line.p[len] != '=' ||
		    memcmp(line.p, option, len) != 0)
			continue;
		if (line.p[len + 1] == 'y')
			return KCONFIG_YES;
		return line.p[len + 1] == 'm' ? KCONFIG_MODULE : KCONFIG_NO;
	}
	return KCONFIG_NO;
}
