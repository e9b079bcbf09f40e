#include "steer/excerpt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What libbpf and the kernel put behind the reason. */
static bool is_noise(const char *line)
{
	static const char *const noise[] = {
		"processed ",
		"verification time",
		"stack depth",
		"-- ",
	};

	for (size_t i = 0; i < sizeof(noise) / sizeof(*noise); i++)
		if (!strncmp(line, noise[i], strlen(noise[i])))
			return true;
	return !*line;
}

void excerpt_take(char *log, char *ret, size_t ret_len)
{
	char *line, *rest = log;

	*ret = '\0';
	while ((line = strsep(&rest, "\n")))
		if (!is_noise(line))
			(void)snprintf(ret, ret_len, "%s", line);
}
