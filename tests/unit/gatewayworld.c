#include "gatewayworld.h"

#include "tls/creds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 20000

static const char settings[] =
	"hostname = \"mx.example.org\"\n"
	"certificate \"main\" { chain = \"/chain\" key = \"/key\" }\n"
	"listener \"test\" { address = { \"127.0.0.1:465\" } "
	"tls = \"implicit\" }\n"
	"auth { file = \"/users\" }\n"
	"spool { directory = \"/spool\" }\n"
	"limits { sessions = 64 }\n"
	"route \"default\" { next_hop = \"discard\" }\n";

static struct config *make_config(void)
{
	uint8_t storage[1024];
	struct buf text;
	struct config_errors errors = { .text = &text };
	struct config *config;

	buf_init(&text, storage, sizeof(storage));
	config = config_open("test.conf", settings, &errors);
	if (!config)
		fail_msg("%.*s", (int)buf_len(&text), (const char *)storage);
	return config;
}

static struct creds *make_creds(const struct pki *leaf)
{
	const struct creds_server_options options = { .tls12 = true };
	struct pki_text chain = pki_certificate(leaf);
	struct pki_text key = pki_key(leaf, NULL);
	struct creds_certificate certificate = { "main", pki_span(&chain),
						 pki_span(&key) };
	struct creds_error error;
	struct creds *creds;

	assert_int_equal(creds_open_server(&certificate, 1, &options, &creds,
					   &error),
			 0);
	return creds;
}

static void *shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static struct users *make_users(void)
{
	uint8_t storage[256];
	struct buf errors;
	struct users *users;

	buf_init(&errors, storage, sizeof(storage));
	users = users_open("users",
			   SPAN("a@example.org:{crypt}$5$saltsalt$gg\n"),
			   &errors);
	assert_non_null(users);
	return users;
}

static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, (struct sockaddr *)&at, len), errno);
	assert_return_code(listen(fd, 16), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&at, &len),
			   errno);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

void gatewayworld_open(struct gatewayworld *w)
{
	const struct pki_wish wish = { .subject = "mx",
				       .names = "DNS:mx.example.org",
				       .key = "P-256" };

	*w = (struct gatewayworld){ .config = make_config(), .census_fd = -1 };
	w->config->any_ktls_kernel = true;
	spooldir_open(&w->spool);
	pki_make(&w->leaf, &wish);
	w->creds = make_creds(&w->leaf);
	w->users = make_users();
	w->metrics = shared(sizeof(*w->metrics));
	w->tally = shared(sizeof(*w->tally));
	w->options = (struct worker_options){
		.config = w->config,
		.lane = "default",
		.limits = w->config->limits,
		.sockets = { { .fd = listen_anywhere(&w->port),
			       .config = &w->config->listeners[0],
			       .creds = w->creds } },
		.sockets_n = 1,
		.users = w->users,
		.segments_dir = w->spool.segments,
		.files_dir = w->spool.files,
		.doorbell_fd = eventfd(0, EFD_CLOEXEC),
		.census_fd = -1,
		.board = shared(sizeof(*w->options.board)),
		.metrics = w->metrics,
		.tally = w->tally,
	};
}

void gatewayworld_start(struct gatewayworld *w)
{
	int ends[2];

	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	w->options.command_fd = ends[0];
	w->command_fd = ends[1];
	w->worker = fork();
	assert_true(w->worker >= 0);
	if (!w->worker) {
		const char *verbose = getenv("SLUICE_TEST_LOG");

		(void)close(ends[1]);
		if (w->census_fd >= 0)
			(void)close(w->census_fd);
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka's are not ours */
		(void)signal(SIGABRT, SIG_DFL);
		(void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
		log_setup(verbose ? LOG_DEBUG : LOG_ERROR, LOG_TEXT, "worker");
		_exit(worker_run(&w->options));
	}
	(void)close(ends[0]);
}

void gatewayworld_close(struct gatewayworld *w)
{
	int status;

	(void)close(w->command_fd);
	assert_int_equal(waitpid(w->worker, &status, 0), w->worker);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)close(w->options.sockets[0].fd);
	(void)close(w->options.doorbell_fd);
	spooldir_close(&w->spool);
	creds_close(w->creds);
	users_close(w->users);
	pki_free(&w->leaf);
	config_close(w->config);
}

SSL *gatewayworld_connect(const struct gatewayworld *w, SSL_CTX *ctx)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons(w->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval patience = { .tv_sec = 20 };
	SSL *ssl = SSL_new(ctx);

	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				      sizeof(patience)),
			   errno);
	assert_return_code(connect(fd, (struct sockaddr *)&at, sizeof(at)),
			   errno);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

void gatewayworld_line(SSL *ssl, char line[512])
{
	size_t n = 0;

	do {
		assert_in_range(n, 0, 510);
		assert_int_equal(SSL_read(ssl, line + n, 1), 1);
	} while (line[n++] != '\n');
	line[n - 2] = '\0';
}

void gatewayworld_wait_for_metric(const struct gatewayworld *w, enum metric m,
				  uint64_t n)
{
	for (uint32_t ms = 0; ms < WAIT_MS && metric_read(w->metrics, m) != n;
	     ms += 10)
		(void)usleep(10000);
	assert_int_equal(metric_read(w->metrics, m), n);
}
