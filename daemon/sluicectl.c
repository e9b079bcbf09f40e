/*
 * sluicectl: the operator's tool. Commands that concern a running daemon go to
 * it over its control socket; the others need none. Each failure is one line
 * that names what to do about it.
 */
#include "base/must.h"
#include "base/version.h"
#include "control/ask.h"
#include "control/control.h"
#include "control/password.h"
#include "doctor/doctor.h"
#include "doctor/live.h"
#include "doctor/report.h"
#include "super/supervisor.h"
#include "super/textfile.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_USAGE      2
#define EXIT_BROKEN_OFF 130

struct arguments {
	const char *socket;
	const char *config;
	const char *operand; /* what follows the command, or NULL */
	char **operands;     /* all of that */
	int operands_n;
	bool json;
	bool try;
	enum password_scheme scheme;
	unsigned long cost;
	bool help;
	char given[8]; /* letters of the options that were there */
	size_t given_n;
};

struct command {
	const char *name;
	const char *options; /* letters of those it takes, beside -h */
	const char *operand; /* NULL: it takes none; "[X]": it may */
	bool many;           /* it takes more of them, too */
	int (*run)(const struct arguments *a);
	const char *usage;
};

static int complain(const char *text)
{
	(void)fprintf(stderr, "sluicectl: %s\n", text);
	return EXIT_FAILURE;
}

/* Over the socket */

/* The socket's path in a configuration file; NULL after a complaint. */
static const char *path_from_config(const char *file, char ret[PATH_MAX])
{
	uint8_t storage[4096];
	struct buf lines;
	struct config_errors errors = { .text = &lines };
	struct textfile text;
	struct config *config;
	int result = textfile_open(file, &text);
	const char *found = NULL;

	if (result) {
		(void)fprintf(stderr, "sluicectl: cannot read %s: %s\n", file,
			      strerrordesc_np(-result));
		return NULL;
	}
	buf_init(&lines, storage, sizeof(storage));
	config = config_open(file, text.text, &errors);
	textfile_close(&text);
	(void)fwrite(storage, 1, buf_len(&lines), stderr);
	if (!config)
		return NULL;
	if (config->control && strlen(config->control) < PATH_MAX)
		found = memcpy(ret, config->control,
			       strlen(config->control) + 1);
	else
		(void)fprintf(stderr,
			      "sluicectl: %s names no control socket: add "
			      "`control = \"" CONTROL_PATH "\"`\n",
			      file);
	config_close(config);
	return found;
}

static int explain(const char *path, int error, const struct buf *answer)
{
	struct span text = buf_span(answer);

	(void)fputs("sluicectl: ", stderr);
	if (error == -EREMOTEIO)
		(void)fprintf(stderr, "the daemon refused: %.*s", (int)text.len,
			      (const char *)text.p);
	else if (error == -ENOENT || error == -ECONNREFUSED)
		(void)fprintf(stderr,
			      "no daemon listens at %s: is sluiced running, "
			      "with `control = \"%s\"`?\n",
			      path, path);
	else if (error == -EACCES)
		(void)fprintf(stderr,
			      "%s: permission denied: be root or in the "
			      "daemon's group\n",
			      path);
	else if (error == -EAGAIN)
		(void)fprintf(stderr, "%s: no answer within %d seconds\n", path,
			      ASK_PATIENCE_S);
	else if (error == -EPROTO)
		(void)fprintf(stderr, "%s: what answers there is not sluiced\n",
			      path);
	else
		(void)fprintf(stderr, "%s: %s\n", path,
			      strerrordesc_np(-error));
	return EXIT_FAILURE;
}

static int ask(const struct arguments *a, const char *request)
{
	uint8_t storage[CONTROL_ANSWER_MAX];
	char from_config[PATH_MAX];
	const char *path = a->socket ? a->socket : CONTROL_PATH;
	struct buf answer;
	int result;

	if (a->config)
		path = path_from_config(a->config, from_config);
	if (!path)
		return EXIT_FAILURE;
	buf_init(&answer, storage, sizeof(storage));
	result = ask_daemon(path, request, &answer);
	if (result)
		return explain(path, result, &answer);
	(void)fwrite(buf_span(&answer).p, 1, buf_len(&answer), stdout);
	return EXIT_SUCCESS;
}

static int run_status(const struct arguments *a)
{
	return ask(a, a->json ? "status json" : "status");
}

static int run_metrics(const struct arguments *a)
{
	return ask(a, "metrics");
}

static int run_reload(const struct arguments *a)
{
	return ask(a, "reload");
}

/* The daemon has another working directory than we. */
static int run_upgrade(const struct arguments *a)
{
	char folder[PATH_MAX] = "";
	char request[CONTROL_LINE_MAX];
	int n;

	if (!a->operand)
		return ask(a, "upgrade");
	if (a->operand[0] != '/' && !getcwd(folder, sizeof(folder)))
		return complain(strerrordesc_np(errno));
	n = snprintf(request, sizeof(request), "upgrade %s%s%s", folder,
		     folder[0] ? "/" : "", a->operand);
	if (n < 0 || (size_t)n >= sizeof(request))
		return complain("the path is too long");
	return ask(a, request);
}

static int run_stop(const struct arguments *a)
{
	return ask(a, "stop");
}

static int run_log_level(const struct arguments *a)
{
	char request[64];
	int n = snprintf(request, sizeof(request), "log-level %s", a->operand);

	if (n < 0 || (size_t)n >= sizeof(request))
		return complain("no such log level");
	return ask(a, request);
}

/* The command and its words as they stand: the daemon knows what they mean. */
static int ask_words(const struct arguments *a, const char *command)
{
	uint8_t storage[256];
	struct buf request;

	buf_init(&request, storage, sizeof(storage));
	buf_put_str(&request, command);
	for (int i = 0; i < a->operands_n; i++) {
		buf_put_byte(&request, ' ');
		buf_put_str(&request, a->operands[i]);
	}
	buf_put_byte(&request, '\0');
	if (request.overflowed || strpbrk((const char *)storage, "\r\n"))
		return complain("that is too long");
	return ask(a, (const char *)storage);
}

static int run_lane(const struct arguments *a)
{
	return ask_words(a, "lane");
}

static int run_shield(const struct arguments *a)
{
	return ask_words(a, "shield");
}

/* Without a daemon */

static int run_check(const struct arguments *a)
{
	struct supervisor_options options = { .config_file = a->config };

	if (!a->config) {
		(void)complain("check which file? name it with -c FILE");
		return EXIT_USAGE;
	}
	return supervisor_check(&options);
}

/* The doctor itself asks no daemon: what one counted is added here. */
static void add_live_counts(const struct arguments *a, struct findings *f)
{
	uint8_t storage[CONTROL_ANSWER_MAX];
	char from_config[PATH_MAX];
	const char *path = a->socket ? a->socket : CONTROL_PATH;
	struct buf answer;
	int result;

	if (a->config)
		path = path_from_config(a->config, from_config);
	if (!path) {
		live_absent("no control socket to ask", f);
		return;
	}
	buf_init(&answer, storage, sizeof(storage));
	result = ask_daemon(path, "listeners", &answer);
	if (!result)
		live_judge(buf_span(&answer), f);
	else if (result == -ENOENT || result == -ECONNREFUSED)
		live_absent(findings_text(f, "no daemon listens at %s", path),
			    f);
	else
		live_absent(findings_text(f, "%s: %s", path,
					  strerrordesc_np(-result)),
			    f);
}

static int run_doctor(const struct arguments *a)
{
	const struct doctor_options options = { .root = "",
						.may_load = a->try };
	uint8_t storage[REPORT_MAX];
	struct findings findings;
	struct buf out;

	findings_init(&findings);
	doctor_examine(&options, &findings);
	add_live_counts(a, &findings);
	buf_init(&out, storage, sizeof(storage));
	if (a->json)
		report_json(&findings, &out);
	else
		report_text(&findings, &out);
	MUST(!out.overflowed);
	(void)fwrite(buf_span(&out).p, 1, buf_len(&out), stdout);
	return report_status(&findings);
}

/* A name stands before the first colon of a line. */
static bool is_user_name(const char *name)
{
	if (!*name || *name == '#')
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == ':' ||
		    *name == 0x7f)
			return false;
	return true;
}

static int explain_password(int error)
{
	if (error == -EINTR)
		return EXIT_BROKEN_OFF;
	if (error == -EBADMSG)
		return complain("the two passwords are not the same");
	if (error == -ENODATA)
		return complain("the password is empty");
	if (error == -E2BIG)
		return complain("the password is too long: at most 511 bytes, "
				"72 with bcrypt");
	if (error == -EILSEQ)
		return complain("a password cannot hold a NUL");
	if (error == -EINVAL)
		return complain("that cost is not possible: yescrypt 1 to 11, "
				"sha512crypt 1000 to 999999999, bcrypt 4 to "
				"31");
	return complain(strerrordesc_np(-error));
}

static int run_passwd(const struct arguments *a)
{
	char hash[PASSWORD_HASH_MAX];
	struct secret password;
	int result;

	if (!is_user_name(a->operand))
		return complain("a user's name has neither blank nor colon and "
				"does not begin with #");
	result = password_read(&password);
	if (!result)
		result = password_hash(&password, a->scheme, a->cost, hash);
	secret_wipe(&password);
	if (result)
		return explain_password(result);
	(void)printf("%s:{crypt}%s\n", a->operand, hash);
	return EXIT_SUCCESS;
}

/* Command line */

static const struct command commands[] = {
	{ "status", "scj", NULL, false, run_status,
	  "status [--json]\n"
	  "    Processes, queue and totals of the running daemon.\n" },
	{ "metrics", "sc", NULL, false, run_metrics,
	  "metrics\n"
	  "    All counters, in the text format of Prometheus.\n" },
	{ "reload", "sc", NULL, false, run_reload,
	  "reload\n"
	  "    Read configuration, certificates and users again, like "
	  "SIGHUP.\n" },
	{ "upgrade", "sc", "[PATH]", false, run_upgrade,
	  "upgrade [PATH]\n"
	  "    Let the program at PATH, or the one that the daemon was started\n"
	  "    from, take over, like SIGUSR2; on failure nothing changes.\n" },
	{ "stop", "sc", NULL, false, run_stop,
	  "stop\n"
	  "    Finish the open sessions, then stop, like SIGTERM.\n" },
	{ "log-level", "sc", "LEVEL", false, run_log_level,
	  "log-level LEVEL\n"
	  "    Log error, warning, notice, info or debug and what is more "
	  "important.\n" },
	{ "lane", "sc", "list|assign|release|weigh|drain", true, run_lane,
	  "lane list\n"
	  "    Lanes, their workers and sources, and what they carry.\n"
	  "lane assign PREFIX LANE | release PREFIX\n"
	  "    Give connections from these addresses to a lane; take that "
	  "back.\n"
	  "lane weigh LANE/WORKER 0-100 | drain LANE/WORKER\n"
	  "    Give a worker less of its lane's new connections, or none.\n" },
	{ "shield", "sc", "list|add|remove|explain", true, run_shield,
	  "shield list\n"
	  "    Who is denied, why and for how long, and how many were.\n"
	  "shield add PREFIX [SECONDS] | remove PREFIX\n"
	  "    Drop connections from there, and do so no more.\n"
	  "shield explain ADDRESS\n"
	  "    What becomes of connections from there, and why.\n" },
	{ "passwd", "mn", "NAME", false, run_passwd,
	  "passwd [--scheme yescrypt|sha512crypt|bcrypt] [--cost N] NAME\n"
	  "    Take a password from the terminal or a line of standard input\n"
	  "    and print NAME's line for the file of users.\n" },
	{ "check", "c", NULL, false, run_check,
	  "check -c FILE\n"
	  "    Check a configuration and all it names.\n" },
	{ "doctor", "scjt", NULL, false, run_doctor,
	  "doctor [--json] [--try]\n"
	  "    Say what of this machine Sluice can use, and what to do where "
	  "not;\n"
	  "    and of a running daemon, who makes the TLS records.\n"
	  "    It changes nothing; with --try, the kernel may load modules.\n"
	  "    Exit status: 0 all well, 1 works with losses, 2 cannot "
	  "work.\n" },
};

#define COMMANDS_N (sizeof(commands) / sizeof(*commands))

static const char usage_head[] =
	"usage: sluicectl [-s SOCKET | -c CONFIG] COMMAND ...\n"
	"       sluicectl --version | --help\n\n"
	"SOCKET is where the daemon listens (" CONTROL_PATH "); CONFIG names\n"
	"a configuration that says so.\n\n";

static void print_usage(FILE *out)
{
	(void)fputs(usage_head, out);
	for (size_t i = 0; i < COMMANDS_N; i++)
		(void)fprintf(out, "%s", commands[i].usage);
}

static int usage(const char *problem, const char *what)
{
	(void)fprintf(stderr, "sluicectl: %s%s\n", problem, what);
	(void)fputs("Try `sluicectl --help'.\n", stderr);
	return EXIT_USAGE;
}

static bool take_scheme(struct arguments *a, const char *name)
{
	for (enum password_scheme s = 0; s < PASSWORD_SCHEMES; s++) {
		if (!strcmp(name, password_scheme_name(s))) {
			a->scheme = s;
			return true;
		}
	}
	return false;
}

static bool take_cost(struct arguments *a, const char *text)
{
	uint64_t cost;

	if (!span_to_u64(span_str(text), &cost) || !cost)
		return false;
	a->cost = cost;
	return true;
}

/* False when the value of the option is wrong or getopt has complained. */
static bool take_option(struct arguments *a, int c)
{
	if (a->given_n < sizeof(a->given) - 1 && !strchr(a->given, c))
		a->given[a->given_n++] = (char)c;
	switch (c) {
	case 's': a->socket = optarg; return true;
	case 'c': a->config = optarg; return true;
	case 'j': a->json = true; return true;
	case 't': a->try = true; return true;
	case 'm': return take_scheme(a, optarg);
	case 'n': return take_cost(a, optarg);
	case 'h': a->help = true; return true;
	default: return false;
	}
}

static int run(const struct command *command, const struct arguments *a)
{
	int status;

	if (a->help) {
		(void)printf("usage: sluicectl %s", command->usage);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < a->given_n; i++)
		if (!strchr(command->options, a->given[i]))
			return usage("an option does not go with ",
				     command->name);
	if (a->socket && a->config)
		return usage("-s and -c", " exclude each other");
	status = command->run(a);
	if (fflush(stdout) || ferror(stdout))
		return complain("cannot write to standard output");
	return status;
}

static int dispatch(int words_n, char **words, struct arguments *a)
{
	for (size_t i = 0; i < COMMANDS_N; i++) {
		const struct command *command = &commands[i];
		int most = command->operand ? 1 : 0;
		int least = most && command->operand[0] != '[' ? 1 : 0;

		if (strcmp(words[0], command->name) != 0)
			continue;
		if (!a->help && words_n - 1 < least)
			return usage("what is missing is ", command->operand);
		if (words_n - 1 > most && !command->many)
			return usage("too many arguments for ", command->name);
		a->operand = words_n > 1 ? words[1] : NULL;
		a->operands = words + 1;
		a->operands_n = words_n - 1;
		return run(command, a);
	}
	return usage("no such command: ", words[0]);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "try", no_argument, NULL, 't' },
		{ "scheme", required_argument, NULL, 'm' },
		{ "cost", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments a = { .scheme = PASSWORD_YESCRYPT };
	int c;

	while ((c = getopt_long(argc, argv, "s:c:h", names, NULL)) != -1) {
		if (c == 'V') {
			(void)puts("sluicectl " SLUICE_VERSION);
			return EXIT_SUCCESS;
		}
		if (!take_option(&a, c))
			return usage("that is not how it is used", "");
	}
	if (optind < argc)
		return dispatch(argc - optind, argv + optind, &a);
	print_usage(a.help ? stdout : stderr);
	return a.help ? EXIT_SUCCESS : EXIT_USAGE;
}
