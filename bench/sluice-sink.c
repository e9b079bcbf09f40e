/*
 * sluice-sink: a next hop that takes mail and keeps none. It listens, says so,
 * lets its threads serve until it is told to end, and sums up.
 */
#include "base/json.h"
#include "base/version.h"
#include "kit/endpoint.h"
#include "kit/program.h"
#include "sink/host.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BACKLOG          4096
#define PEM_MAX          65536
#define DESCRIPTORS_MORE 64

static int complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "sluice-sink: %s: %s\n", what, why);
	return PROGRAM_WRONG;
}

/* -- start ---------------------------------------------------------------------- */

static int listen_at(const char *text)
{
	struct endpoint e;
	const char *problem = endpoint_read(text, &e);
	int one = 1, fd, error;

	if (problem) {
		(void)complain(text, problem);
		return -1;
	}
	fd = socket(e.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		(void)complain(text, strerrordesc_np(errno));
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&e.address, sizeof(e.address)) &&
	    !listen(fd, BACKLOG))
		return fd;
	error = errno;
	(void)close(fd);
	(void)complain(text, strerrordesc_np(error));
	return -1;
}

static bool listen_for(struct sink *sink, const struct option_list *list,
		       enum sink_service service)
{
	for (uint32_t i = 0; i < list->n; i++) {
		int fd = listen_at(list->at[i]);

		if (fd < 0)
			return false;
		sink->listeners[sink->listeners_n++] =
			(struct sink_listener){ fd, service };
	}
	return true;
}

static bool read_pem(const char *path, uint8_t *out, struct span *ret)
{
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(out, 1, PEM_MAX, file) : 0;

	if (!file || ferror(file) || n == PEM_MAX) {
		(void)complain(path, file ? "this is no certificate or key" :
					    strerrordesc_np(errno));
		if (file)
			(void)fclose(file);
		return false;
	}
	(void)fclose(file);
	*ret = span_of(out, n);
	return true;
}

static bool open_creds(struct sink *sink)
{
	const struct sink_options *o = sink->options;
	const struct creds_server_options options = { .tls12 = true };
	struct creds_certificate certificate = { .name = o->certificate };
	struct creds_error error;
	uint8_t *pem;
	bool good;

	if (!o->certificate)
		return true;
	pem = malloc(2 * PEM_MAX);
	good = pem && read_pem(o->certificate, pem, &certificate.chain) &&
	       read_pem(o->key, pem + PEM_MAX, &certificate.key);
	if (good && creds_open_server(&certificate, 1, &options, &sink->creds,
				      &error)) {
		(void)complain(o->certificate, error.text);
		good = false;
	}
	if (pem)
		explicit_bzero(pem, 2 * PEM_MAX);
	free(pem);
	return good;
}

static bool open_account(struct sink *sink)
{
	const char *path = sink->options->account;

	if (!path)
		return true;
	sink->account = fopen(path, "we");
	if (!sink->account)
		(void)complain(path, strerrordesc_np(errno));
	return sink->account;
}

static void raise_descriptors(const struct sink_options *o)
{
	struct rlimit limit;
	rlim_t wanted = o->connections + DESCRIPTORS_MORE;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* -- serving ----------------------------------------------------------------------- */

static void say_ready(const struct sink *sink)
{
	(void)fputs("ready", stdout);
	for (uint32_t i = 0; i < sink->listeners_n; i++) {
		char text[ENDPOINT_TEXT_MAX];

		endpoint_bound(sink->listeners[i].fd, text);
		(void)printf(" %s=%s",
			     sink_service_name(sink->listeners[i].service),
			     text);
	}
	(void)putchar('\n');
	(void)fflush(stdout);
}

static void await_end(void)
{
	sigset_t set;
	int number;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigwait(&set, &number);
}

/* Starts the threads, waits for the end, adds up. Negative errno. */
static int serve(struct sink *sink, struct sink_counts *ret)
{
	uint64_t n = sink->options->threads, opened = 0, started = 0;
	struct host *hosts = calloc(n, sizeof(*hosts));
	int result = hosts ? 0 : -ENOMEM;

	for (; !result && opened < n; opened++)
		result = host_open(&hosts[opened], sink, (uint32_t)opened);
	for (; !result && started < n; started++)
		result = host_start(&hosts[started]);
	if (!result) {
		say_ready(sink);
		await_end();
	}
	atomic_store(&sink->stop, true);
	for (uint64_t i = 0; i < started; i++) {
		(void)pthread_join(hosts[i].thread, NULL);
		sink_counts_add(ret, &hosts[i].counts);
		result = hosts[i].result ? hosts[i].result : result;
	}
	for (uint64_t i = 0; i < opened; i++)
		host_close(&hosts[i]);
	free(hosts);
	return result;
}

/* -- the summary ------------------------------------------------------------------- */

#define COUNTS_TABLE(X)                             \
	X(connections, "connections")               \
	X(turned_away, "turned_away")               \
	X(handshakes, "handshakes")                 \
	X(messages, "messages")                     \
	X(recipients, "recipients")                 \
	X(bytes, "bytes")                           \
	X(refused_recipients, "refused_recipients") \
	X(refused_messages, "refused_messages")     \
	X(dropped, "dropped")                       \
	X(broken, "broken")

static void print_table(const struct sink_counts *c)
{
#define COUNTS_LINE(field, name) \
	(void)printf("  %-20s %12" PRIu64 "\n", name, c->field);
	COUNTS_TABLE(COUNTS_LINE)
#undef COUNTS_LINE
	(void)printf("  %-20s %12.3f s\n", "processor",
		     (double)program_cpu_us() / 1e6);
}

static bool put_json(const char *path, const struct sink_counts *c)
{
	uint8_t storage[2048];
	char hash[17];
	struct buf out;
	struct json j = json_into(&out);
	bool good;

	buf_init(&out, storage, sizeof(storage));
	json_open(&j, NULL, '{');
	json_string(&j, "tool", "sluice-sink");
	json_string(&j, "version", SLUICE_VERSION);
#define COUNTS_MEMBER(field, name) json_number(&j, name, c->field);
	COUNTS_TABLE(COUNTS_MEMBER)
#undef COUNTS_MEMBER
	(void)snprintf(hash, sizeof(hash), "%016" PRIx64, c->hash);
	json_string(&j, "hash", hash);
	json_number(&j, "cpu_us", program_cpu_us());
	json_close(&j, '}');
	buf_put_byte(&out, '\n');
	good = !out.overflowed && program_write(path, buf_span(&out));
	if (!good)
		(void)complain(path, "the summary cannot be written there");
	return good;
}

static int sum_up(struct sink *sink, const struct sink_counts *c, int result)
{
	const struct sink_options *o = sink->options;
	bool good = !result;

	if (result)
		(void)complain("cannot serve", ring_explain(result));
	if (sink->account &&
	    (fclose(sink->account) || atomic_load(&sink->account_failed))) {
		(void)complain(o->account, "the account cannot be written");
		good = false;
	}
	if (!o->quiet)
		print_table(c);
	if (o->json)
		good = put_json(o->json, c) && good;
	return good && !fflush(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int sink_mail(const struct sink_options *o)
{
	struct sink sink = { .options = o };
	struct sink_counts counts = { 0 };
	int result;

	raise_descriptors(o);
	if (!open_creds(&sink) || !listen_for(&sink, &o->smtp, SINK_SMTP) ||
	    !listen_for(&sink, &o->smtps, SINK_SMTPS) ||
	    !listen_for(&sink, &o->lmtp, SINK_LMTP) || !open_account(&sink))
		return PROGRAM_WRONG;
	result = serve(&sink, &counts);
	creds_close(sink.creds);
	return sum_up(&sink, &counts, result);
}

int main(int argc, char **argv)
{
	struct sink_options options;
	struct option_table table;
	int status;

	status = program_begin("sluice-sink",
			       sink_options_parse(&options, &table, argc, argv),
			       &table);
	if (status != PROGRAM_GOES_ON)
		return status;
	program_block_signals();
	return sink_mail(&options);
}
