#include "kit/program.h"

#include "base/version.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

int program_begin(const char *name, enum option_result result,
		  const struct option_table *t)
{
	switch (result) {
	case OPTION_ASKED_HELP:
		option_print_help(t, stdout);
		return EXIT_SUCCESS;
	case OPTION_ASKED_VERSION:
		(void)printf("%s " SLUICE_VERSION "\n", name);
		return EXIT_SUCCESS;
	case OPTION_WRONG:
		(void)fprintf(stderr, "%s: %s\nTry `%s --help'.\n", name,
			      t->problem, name);
		return PROGRAM_WRONG;
	case OPTION_OK: break;
	}
	return PROGRAM_GOES_ON;
}

void program_block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

uint64_t program_cpu_us(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

bool program_write(const char *path, struct span bytes)
{
	static const char to_stdout[] = "-";
	FILE *file = strcmp(path, to_stdout) != 0 ? fopen(path, "we") : stdout;
	bool good = file && fwrite(bytes.p, bytes.len, 1, file) == 1;

	if (file && file != stdout)
		good = !fclose(file) && good;
	return good;
}
