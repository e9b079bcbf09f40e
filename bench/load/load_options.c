#include "load/load_options.h"

#include "base/must.h"

#define TLS_WORDS     "implicit|starttls|clear"
#define VERSION_WORDS "1.2|1.3"
#define MODE_WORDS    "mail|handshake|idle"
#define BODY_WORDS    "auto|data|bdat"

#define DURATION_S 10.0
#define BYTES_MAX  (1ull << 30)

static const char usage[] =
	"usage: sluice-load [OPTIONS] HOST:PORT\n"
	"       sluice-load --compare SENT GOT\n\n"
	"Puts a load of mail on an SMTP server of this machine and reports what\n"
	"it did: rates, latencies, failures, and the server's cost.\n";

const char *load_mode_name(uint64_t mode)
{
	static const char *const names[] = { "mail", "handshake", "idle" };

	MUST(mode <= LOAD_MODE_IDLE);
	return names[mode];
}

const char *load_tls_name(uint64_t tls)
{
	static const char *const names[] = { "implicit", "starttls", "clear" };

	MUST(tls <= LOAD_TLS_CLEAR);
	return names[tls];
}

#define ADD(t, rows) option_add(t, rows, sizeof(rows) / sizeof(*(rows)))

static void add_connection(struct option_table *t, struct load_options *o)
{
	const struct option_row rows[] = {
		OPTION_HEADING("Connection"),
		OPTION_ROW(WORD, "tls", number, &o->tls, TLS_WORDS,
			   "from the first byte (implicit), behind STARTTLS, "
			   "or not at all"),
		OPTION_ROW(WORD, "tls-version", number, &o->tls_version,
			   VERSION_WORDS, "this version alone (both)"),
		OPTION_ROW(TEXT, "cipher", text, &o->cipher, "SUITE",
			   "this cipher suite alone"),
		OPTION_ROW(TEXT, "ca", text, &o->ca, "FILE",
			   "verify the server with these CA certificates "
			   "(without: not at all)"),
		OPTION_ROW(TEXT, "server-name", text, &o->server_name, "NAME",
			   "the server's name (the target's host)"),
		OPTION_ROW(FLAG, "resume", flag, &o->resume, NULL,
			   "resume TLS sessions where a ticket is at hand"),
		OPTION_ROW(TEXT, "user", text, &o->user, "NAME",
			   "log in by AUTH PLAIN"),
		OPTION_ROW(TEXT, "password-file", text, &o->password_file,
			   "FILE", "its first line is the password"),
		OPTION_ROW(TEXT, "password-env", text, &o->password_env, "NAME",
			   "the environment variable with the password"),
		OPTION_ROW(TEXT, "hello", text, &o->hello, "NAME",
			   "our name in EHLO (localhost)"),
		OPTION_ROW(TEXT, "source", text, &o->source, "ADDRESS",
			   "connect from this address"),
		OPTION_ROW(TEXT, "allow-remote", text, &o->allow_remote, "HOST",
			   "allow the target HOST, although it is another "
			   "machine"),
	};

	ADD(t, rows);
}

static void add_work(struct option_table *t, struct load_options *o)
{
	struct option_row rows[] = {
		OPTION_HEADING("What to do"),
		OPTION_ROW(WORD, "mode", number, &o->mode, MODE_WORDS,
			   "send mail; only connect and shake hands; open "
			   "connections, log in and hold them"),
		OPTION_ROW(NUMBER, "connections", number, &o->connections, "N",
			   "connections at a time (1)"),
		OPTION_ROW(NUMBER, "threads", number, &o->threads, "N",
			   "threads that share the connections (1)"),
		OPTION_ROW(NUMBER, "per-connection", number, &o->per_connection,
			   "N", "messages before QUIT (0: no limit)"),
		OPTION_ROW(REAL, "rate", real, &o->rate, "R",
			   "open loop: R messages or handshakes a second, "
			   "latency counts from when each was due"),
		OPTION_ROW(NUMBER, "backlog", number, &o->backlog, "N",
			   "open loop: most that may be due and not begun; the "
			   "oldest beyond are dropped and counted (10000)"),
		OPTION_ROW(REAL, "duration", real, &o->duration_s, "SECONDS",
			   "measure so long (10, unless --messages is given)"),
		OPTION_ROW(NUMBER, "messages", number, &o->messages, "N",
			   "end after N messages or handshakes"),
		OPTION_ROW(REAL, "warm-up", real, &o->warm_up_s, "SECONDS",
			   "load so long before measuring (0)"),
		OPTION_ROW(REAL, "settle", real, &o->settle_s, "SECONDS",
			   "after warm-up and end, wait at most so long until "
			   "the server's processors are quiet (0)"),
	};

	rows[2].max = LOAD_CONNECTIONS_MAX;
	rows[3].max = LOAD_THREADS_MAX;
	rows[5].max = 10000000;
	rows[7].max = rows[9].max = rows[10].max = 1000000;
	ADD(t, rows);
}

static void add_mails(struct option_table *t, struct load_options *o)
{
	struct option_row rows[] = {
		OPTION_HEADING("Mails"),
		OPTION_ROW(BYTES, "size", number, &o->size, "BYTES",
			   "size of each message (4k)"),
		OPTION_ROW(BYTES, "size-median", number, &o->size_median,
			   "BYTES", "sizes are log-normal around it"),
		OPTION_ROW(REAL, "size-sigma", real, &o->size_sigma, "X",
			   "their spread: of the logarithm (1.5)"),
		OPTION_ROW(BYTES, "size-max", number, &o->size_max, "BYTES",
			   "the largest size (25M)"),
		OPTION_ROW(TEXT, "folder", text, &o->folder, "DIR",
			   "send the files of DIR, in turn"),
		OPTION_ROW(TEXT, "sender", text, &o->sender, "ADDRESS",
			   "reverse-path (load@example.org)"),
		OPTION_ROW(TEXT, "recipient", text, &o->recipient, "ADDRESS",
			   "forward-path; %d in it is the recipient's number "
			   "(recipient-%d@example.net)"),
		OPTION_ROW(NUMBER, "recipients", number, &o->recipients, "N",
			   "recipients of each message (1)"),
		OPTION_ROW(WORD, "body", number, &o->body, BODY_WORDS,
			   "what carries the body; BDAT only where CHUNKING is "
			   "offered (auto)"),
		OPTION_ROW(FLAG, "no-pipelining", flag, &o->no_pipelining, NULL,
			   "wait for each reply"),
		OPTION_ROW(NUMBER, "seed", number, &o->seed, "N",
			   "seed of the random sizes (1)"),
	};

	rows[1].max = rows[2].max = rows[4].max = BYTES_MAX;
	rows[3].max = 10;
	rows[8].max = LOAD_RECIPIENTS_MAX;
	ADD(t, rows);
}

static void add_output(struct option_table *t, struct load_options *o)
{
	const struct option_row rows[] = {
		OPTION_HEADING("Verify"),
		OPTION_ROW(TEXT, "account", text, &o->account, "FILE",
			   "number the messages and write a line for each"),
		OPTION_ROW(TEXT, "verify", text, &o->verify, "PATH",
			   "compare with PATH at the end: an account of "
			   "sluice-sink, or a Maildir folder"),
		OPTION_ROW(FLAG, "compare", flag, &o->compare_only, NULL,
			   "only compare two accounts, SENT and GOT"),
		OPTION_HEADING("The server's cost"),
		OPTION_ROW(TEXT, "cgroup", text, &o->cgroup, "DIR",
			   "cost of this control group (version 2)"),
		OPTION_ROW(LIST, "pid", list, &o->pids, "N",
			   "cost of this process and its children"),
		OPTION_HEADING("Output"),
		OPTION_ROW(TEXT, "json", text, &o->json, "FILE",
			   "write the report as JSON (-: standard output, "
			   "instead of the table)"),
		OPTION_ROW(FLAG, "progress", flag, &o->progress, NULL,
			   "show a line while it runs, also when standard "
			   "error is no terminal"),
		OPTION_ROW(FLAG, "quiet", flag, &o->quiet, NULL,
			   "print no table"),
	};

	ADD(t, rows);
}

static void set_defaults(struct load_options *o)
{
	*o = (struct load_options){
		.tls_version = LOAD_TLS_VERSION_ANY,
		.hello = "localhost",
		.connections = 1,
		.threads = 1,
		.backlog = 10000,
		.size = 4096,
		.size_sigma = 1.5,
		.size_max = 25ull << 20,
		.sender = "load@example.org",
		.recipient = "recipient-%d@example.net",
		.recipients = 1,
		.seed = 1,
	};
}

static enum option_result check_login(const struct load_options *o,
				      struct option_table *t)
{
	bool password = o->password_file || o->password_env;

	if (o->password_file && o->password_env)
		return option_wrong(t, "--password-file and --password-env "
				       "exclude each other");
	if (o->user && !password)
		return option_wrong(t, "--user wants --password-file or "
				       "--password-env");
	if (password && !o->user)
		return option_wrong(t, "a password wants --user");
	if (o->user && o->tls == LOAD_TLS_CLEAR)
		return option_wrong(t, "--user wants TLS: no password goes "
				       "over a clear connection");
	return OPTION_OK;
}

static enum option_result check_work(struct load_options *o,
				     struct option_table *t)
{
	if (!o->connections || !o->threads || !o->recipients)
		return option_wrong(t, "--connections, --threads and "
				       "--recipients are at least 1");
	if (o->threads > o->connections)
		return option_wrong(t, "--threads is at most --connections");
	if (o->rate > 0 && !o->backlog)
		return option_wrong(t, "--backlog is at least 1");
	if (o->mode == LOAD_MODE_IDLE && (o->rate > 0 || o->messages))
		return option_wrong(t, "--mode idle goes without --rate and "
				       "--messages");
	if (o->mode == LOAD_MODE_HANDSHAKE && o->tls == LOAD_TLS_CLEAR)
		return option_wrong(t, "--mode handshake wants TLS");
	if (o->mode != LOAD_MODE_MAIL && o->account)
		return option_wrong(t, "--account wants --mode mail");
	if (o->verify && !o->account)
		return option_wrong(t, "--verify wants --account");
	if (o->folder && o->size_median)
		return option_wrong(t, "--folder and --size-median exclude "
				       "each other");
	if (o->size_median > o->size_max)
		return option_wrong(t, "--size-median is at most --size-max");
	if (o->duration_s <= 0 && !o->messages)
		o->duration_s = DURATION_S;
	return OPTION_OK;
}

static enum option_result check_cost(const struct load_options *o,
				     struct option_table *t)
{
	if (o->cgroup && o->pids.n)
		return option_wrong(t, "--cgroup and --pid exclude each other");
	if (o->settle_s > 0 && !o->cgroup && !o->pids.n && !o->verify)
		return option_wrong(t, "--settle wants --cgroup, --pid or "
				       "--verify: what is it to watch?");
	return OPTION_OK;
}

static enum option_result check_operands(struct load_options *o,
					 struct option_table *t)
{
	if (o->compare_only) {
		if (t->operands_n != 2)
			return option_wrong(t, "--compare wants two accounts: "
					       "SENT GOT");
		o->compare[0] = t->operand[0];
		o->compare[1] = t->operand[1];
		return OPTION_OK;
	}
	if (t->operands_n != 1)
		return option_wrong(t, "name one target: HOST:PORT");
	o->target = t->operand[0];
	return OPTION_OK;
}

enum option_result load_options_parse(struct load_options *o,
				      struct option_table *t, int argc,
				      char *const argv[])
{
	enum option_result result;

	*t = (struct option_table){ .usage = usage };
	set_defaults(o);
	add_connection(t, o);
	add_work(t, o);
	add_mails(t, o);
	add_output(t, o);
	result = option_parse(t, argc, argv);
	if (result == OPTION_OK)
		result = check_operands(o, t);
	if (result == OPTION_OK && !o->compare_only)
		result = check_login(o, t);
	if (result == OPTION_OK && !o->compare_only)
		result = check_work(o, t);
	if (result == OPTION_OK && !o->compare_only)
		result = check_cost(o, t);
	return result;
}
