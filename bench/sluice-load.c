/*
 * sluice-load: the load generator. It reads what is wanted, refuses targets that
 * are not this machine's, carries the run out and reports.
 */
#include "kit/program.h"
#include "kit/stopwatch.h"
#include "load/course.h"
#include "load/login.h"
#include "load/load_report.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#define DESCRIPTORS_MORE 64
#define COMPARE_NS       200000000u

static int complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "sluice-load: %s: %s\n", what, why);
	return PROGRAM_WRONG;
}

/* -- what is looked at before anything begins ---------------------------------- */

static int find_target(struct run *run)
{
	const struct load_options *o = run->options;
	const char *problem = endpoint_read(o->target, &run->target);

	if (problem)
		return complain(o->target, problem);
	if (o->source && !endpoint_read_address(o->source, &run->source))
		return complain(o->source, "this is no address");
	if (o->source && run->source.ss_family != run->target.address.ss_family)
		return complain(o->source, "the target's address is of the "
					   "other family");
	if (endpoint_is_local(&run->target.address))
		return 0;
	if (o->allow_remote && !strcmp(o->allow_remote, run->target.host))
		return 0;
	(void)fprintf(
		stderr,
		"sluice-load: %s is not this machine. Load on a machine "
		"whose owner did not ask for it is an attack; if you may, "
		"say --allow-remote %s\n",
		run->target.host, run->target.host);
	return PROGRAM_WRONG;
}

static int raise_descriptors(const struct load_options *o)
{
	struct rlimit limit;
	rlim_t wanted = o->connections + DESCRIPTORS_MORE;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return complain("--connections", "more than this process may "
						 "open: raise ulimit -n");
	return 0;
}

static int check_texts(const struct load_options *o)
{
	struct span sender = span_str(o->sender);
	struct span recipient = span_str(o->recipient);

	if (!sender.len || sender.len > 256 || !client_argument_fits(sender))
		return complain("--sender",
				"this cannot be sent as an address");
	if (!recipient.len || recipient.len > 256 ||
	    !client_argument_fits(recipient))
		return complain("--recipient",
				"this cannot be sent as an address");
	if (strlen(o->hello) > 255 || !client_argument_fits(span_str(o->hello)))
		return complain("--hello", "this cannot be sent as a name");
	return 0;
}

static int check_cost(const struct load_options *o)
{
	struct cost_reading r;
	int result = cost_is_wanted(o) ? cost_read(o, &r) : 0;

	if (result == -ESRCH)
		return complain("--pid", "there is no such process");
	if (result)
		return complain(o->cgroup ? o->cgroup : "--pid",
				strerrordesc_np(-result));
	return 0;
}

static int prepare(struct run *run, char plain[LOGIN_PLAIN_MAX])
{
	const struct load_options *o = run->options;
	int result = find_target(run);

	if (!result)
		result = check_texts(o);
	if (!result)
		result = raise_descriptors(o);
	if (!result)
		result = check_cost(o);
	if (result || !o->user)
		return result;
	result = login_plain(o, plain);
	if (result)
		return complain(o->password_file ? o->password_file :
						   o->password_env,
				strerrordesc_np(-result));
	run->client.auth_plain = plain;
	return 0;
}

static void set_client(struct run *run)
{
	const struct load_options *o = run->options;

	run->client = (struct client_options){
		.hostname = o->hello,
		.security = o->tls == LOAD_TLS_STARTTLS ? CLIENT_STARTTLS :
							  CLIENT_CLEAR,
		.no_pipelining = o->no_pipelining,
		.no_chunking = o->body == LOAD_BODY_DATA,
	};
}

/* -- after the run ---------------------------------------------------------------- */

static bool put_json(const struct outcome *o, const struct comparison *verify)
{
	const char *path = o->run->options->json;
	uint8_t *storage = malloc(LOAD_REPORT_MAX);
	struct buf text;
	bool good;

	if (!storage)
		return false;
	buf_init(&text, storage, LOAD_REPORT_MAX);
	load_report_json(o, verify, &text);
	good = !text.overflowed && program_write(path, buf_span(&text));
	free(storage);
	if (!good)
		(void)complain(path, "the report cannot be written there");
	return good;
}

static int compare(const char *sent, const char *got, struct comparison *c)
{
	const char *path;
	int result = compare_accounts(sent, got, c, &path);

	if (result == -EBADMSG)
		return complain(path, "this is no account");
	return result ? complain(path, strerrordesc_np(-result)) : 0;
}

/* What was acknowledged may still be under way to the sink. */
static int compare_patiently(const struct load_options *o, struct comparison *c)
{
	uint64_t deadline =
		stopwatch_ns() + (uint64_t)(o->settle_s * (double)STOPWATCH_S);
	int result = compare(o->account, o->verify, c);

	while (!result && c->found[COMPARE_LOST] && stopwatch_ns() < deadline) {
		const struct timespec pause = { .tv_nsec = COMPARE_NS };

		(void)nanosleep(&pause, NULL);
		result = compare(o->account, o->verify, c);
	}
	return result;
}

static int conclude(struct run *run, const struct outcome *out)
{
	const struct load_options *o = run->options;
	struct comparison comparison, *verify = NULL;
	bool good = !out->tally.failed && !out->tally.dropped;

	if (out->result)
		return complain("cannot go on", ring_explain(out->result));
	if (run->account &&
	    (fclose(run->account) || atomic_load(&run->account_failed)))
		return complain(o->account, "the account cannot be written");
	if (o->verify) {
		int result = compare_patiently(o, &comparison);

		if (result)
			return result;
		verify = &comparison;
		good = good && comparison_is_good(verify);
	}
	if (!o->quiet && (!o->json || strcmp(o->json, "-") != 0))
		load_report_table(out, verify, stdout);
	if (o->json && !put_json(out, verify))
		return PROGRAM_WRONG;
	return good && !fflush(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* -- the run ------------------------------------------------------------------------ */

static int drive(struct run *run, struct outcome *out)
{
	uint64_t n = run->options->threads;
	struct driver *drivers = calloc(n, sizeof(*drivers));
	struct creds_error problem;
	uint64_t opened = 0;
	int result = drivers ? 0 : -ENOMEM;

	for (; !result && opened < n; opened++)
		result = driver_open(&drivers[opened], run, (uint32_t)opened,
				     &problem);
	if (!result)
		course_run(run, drivers, out);
	else
		(void)complain("TLS", drivers ? problem.text : "out of memory");
	for (uint64_t i = 0; i < opened; i++)
		driver_close(&drivers[i]);
	free(drivers);
	return result ? PROGRAM_WRONG : 0;
}

static int open_account(struct run *run)
{
	const char *path = run->options->account;

	if (!path)
		return 0;
	run->account = fopen(path, "we");
	return run->account ? 0 : complain(path, strerrordesc_np(errno));
}

static int load(const struct load_options *o)
{
	struct run run = { .options = o };
	struct outcome *out = calloc(1, sizeof(*out));
	char plain[LOGIN_PLAIN_MAX] = { 0 };
	struct mails *mails = NULL;
	const char *problem;
	int result;

	set_client(&run);
	result = out ? prepare(&run, plain) : PROGRAM_WRONG;
	if (getrandom(&run.id, sizeof(run.id), 0) != sizeof(run.id))
		result = complain("getrandom", strerrordesc_np(errno));
	if (!result && mails_open(o, run.id, &mails, &problem))
		result = complain(problem ? problem : "mails",
				  "no mails can be made of this");
	run.mails = mails;
	if (!result)
		result = open_account(&run);
	if (!result)
		result = drive(&run, out);
	OPENSSL_cleanse(plain, sizeof(plain));
	if (!result)
		result = conclude(&run, out);
	if (mails)
		mails_close(mails);
	free(out);
	return result;
}

static int compare_only(const struct load_options *o)
{
	struct comparison c;
	int result = compare(o->compare[0], o->compare[1], &c);

	if (result)
		return result;
	load_report_comparison(&c, stdout);
	return comparison_is_good(&c) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct load_options options;
	struct option_table table;
	int status;

	status = program_begin("sluice-load",
			       load_options_parse(&options, &table, argc, argv),
			       &table);
	if (status != PROGRAM_GOES_ON)
		return status;
	if (options.compare_only)
		return compare_only(&options);
	program_block_signals();
	return load(&options);
}
