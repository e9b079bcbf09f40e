/*
 * sluiced: the command line. It decides nothing but which of the supervisor's
 * jobs is wanted; -c FILE runs in the foreground, --check reads the
 * configuration and all it names, --print writes the documents that the tables
 * of the code generate. --take-over is for the supervisor alone, which starts
 * its successor with it.
 */
#include "base/version.h"
#include "config/config_print.h"
#include "control/expose.h"
#include "super/supervisor.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum job { JOB_RUN, JOB_CHECK, JOB_PRINT };

struct arguments {
	enum job job;
	const char *print;
	struct supervisor_options options;
};

static const char usage_text[] =
	"usage: sluiced -c FILE [--log text|json]\n"
	"       sluiced --check -c FILE\n"
	"       sluiced --print sample|manual|metrics\n"
	"       sluiced --version | --help\n";

static int usage(void)
{
	fputs(usage_text, stderr);
	return 2;
}

static int print_document(const char *what)
{
	if (!strcmp(what, "sample"))
		config_print_sample(stdout);
	else if (!strcmp(what, "manual"))
		config_print_manual(stdout);
	else if (!strcmp(what, "metrics"))
		expose_print_metrics(stdout);
	else
		return usage();
	return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool take_log_format(struct arguments *a, const char *name)
{
	a->options.log_format_given = true;
	a->options.log_format = !strcmp(name, "json") ? LOG_JSON : LOG_TEXT;
	return !strcmp(name, "json") || !strcmp(name, "text");
}

static bool take_descriptor(struct arguments *a, const char *text)
{
	uint64_t fd;

	if (!span_to_u64(span_str(text), &fd) || fd > INT_MAX)
		return false;
	a->options.take_over = (int)fd;
	return true;
}

/* An exit status, or -1: go on with what `a` says. */
static int parse(int argc, char **argv, struct arguments *a)
{
	static const struct option names[] = {
		{ "take-over", required_argument, NULL, 't' },
		{ "check", no_argument, NULL, 'C' },
		{ "config", required_argument, NULL, 'c' },
		{ "log", required_argument, NULL, 'l' },
		{ "print", required_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", names, NULL)) != -1) {
		switch (c) {
		case 'c': a->options.config_file = optarg; break;
		case 'C': a->job = JOB_CHECK; break;
		case 'p':
			a->job = JOB_PRINT;
			a->print = optarg;
			break;
		case 'l':
			if (!take_log_format(a, optarg))
				return usage();
			break;
		case 't':
			if (!take_descriptor(a, optarg))
				return usage();
			break;
		case 'V': puts("sluiced " SLUICE_VERSION); return EXIT_SUCCESS;
		case 'h': fputs(usage_text, stdout); return EXIT_SUCCESS;
		default: return usage();
		}
	}
	if (optind < argc || (a->job != JOB_PRINT && !a->options.config_file))
		return usage();
	return -1;
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.job = JOB_RUN,
		.options = { .called = argv[0], .take_over = -1 },
	};
	int status = parse(argc, argv, &a);

	if (status >= 0)
		return status;
	switch (a.job) {
	case JOB_PRINT: return print_document(a.print);
	case JOB_CHECK: return supervisor_check(&a.options);
	case JOB_RUN: return supervisor_run(&a.options);
	}
	return EXIT_FAILURE;
}
