#include "super/assets.h"

#include "config/lane.h"
#include "gateway/worker.h"
#include "super/directories.h"
#include "super/process.h"
#include "super/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* On a reload two generations of them, each with a relay, are there. */
#define WORKERS_MAX (PROCESS_MAX / 2 - 1)

static const char *reason(int error)
{
	const char *text = strerrordesc_np(-error);

	return text ? text : "unknown error";
}

static void file_error(struct buf *errors, const struct config *config,
		       unsigned int line, const char *path, int error)
{
	buf_printf(errors, "%s:%u: cannot read %s: %s\n", config->file, line,
		   path, reason(error));
}

static struct config *read_config(const char *file, struct buf *errors)
{
	struct config_errors mistakes = { .text = errors };
	struct config *config;
	struct textfile text;
	int result = textfile_open(file, &text);

	if (result) {
		buf_printf(errors, "%s: cannot read the configuration: %s\n",
			   file, reason(result));
		return NULL;
	}
	config = config_open(file, text.text, &mistakes);
	textfile_close(&text);
	return config;
}

/* Certificates */

struct pems {
	struct textfile chains[CONFIG_CERTIFICATES_MAX];
	struct textfile keys[CONFIG_CERTIFICATES_MAX];
	struct creds_certificate certificates[CONFIG_CERTIFICATES_MAX];
};

static bool read_pem(const struct config *config,
		     const struct config_certificate *c, const char *path,
		     struct textfile *ret, struct buf *errors)
{
	int result = textfile_open(path, ret);

	if (result)
		file_error(errors, config, c->line, path, result);
	return !result;
}

static bool read_pems(const struct config *config, struct pems *pems,
		      struct buf *errors)
{
	bool good = true;

	for (uint32_t i = 0; i < config->certificates_n; i++) {
		const struct config_certificate *c = &config->certificates[i];

		good &= read_pem(config, c, c->chain, &pems->chains[i], errors);
		good &= read_pem(config, c, c->key, &pems->keys[i], errors);
		pems->certificates[i] = (struct creds_certificate){
			.name = c->name,
			.chain = textfile_span(&pems->chains[i]),
			.key = textfile_span(&pems->keys[i]),
		};
	}
	return good;
}

static void close_pems(struct pems *pems)
{
	for (uint32_t i = 0; i < CONFIG_CERTIFICATES_MAX; i++) {
		textfile_close(&pems->chains[i]);
		textfile_close(&pems->keys[i]);
	}
	free(pems);
}

static bool open_listener_creds(struct assets *a, const struct pems *pems,
				uint32_t i, struct ticket_keys *ticket_keys,
				struct buf *errors)
{
	const struct config_listener *l = &a->config->listeners[i];
	struct creds_server_options options = {
		.tls12 = l->tls12,
		.resumption = l->resumption,
		.tickets = l->tickets,
		.ticket_keys = ticket_keys,
		.device = (enum creds_device)l->nic,
	};
	struct creds_error error = { 0 };
	int result = creds_open_server(pems->certificates,
				       a->config->certificates_n, &options,
				       &a->listener_creds[i], &error);

	if (result || (error.text[0] && i == 0))
		buf_printf(errors, "%s:%u: listener \"%s\": %s\n",
			   a->config->file, l->line, l->name, error.text);
	return !result;
}

static bool open_server_creds(struct assets *a, struct ticket_keys *ticket_keys,
			      struct buf *errors)
{
	struct pems *pems = calloc(1, sizeof(*pems));
	bool good;

	if (!pems) {
		buf_put_str(errors, "no memory for certificates\n");
		return false;
	}
	good = read_pems(a->config, pems, errors);
	/* One mistake in a certificate is told once, not per listener. */
	for (uint32_t i = 0; good && i < a->config->listeners_n; i++)
		good = open_listener_creds(a, pems, i, ticket_keys, errors);
	close_pems(pems);
	return good;
}

static bool open_route_creds(struct assets *a, struct buf *errors)
{
	bool good = true;

	for (uint32_t i = 0; i < a->config->routes_n; i++) {
		const struct config_route *r = &a->config->routes[i];
		struct creds_client_options options = {
			.verify = r->tls == CONFIG_HOP_TLS_VERIFY,
			.ca_file = r->tls_ca,
			.device = (enum creds_device)r->nic,
		};
		struct creds_error error = { 0 };

		if (r->kind != CONFIG_HOP_SMTP && r->kind != CONFIG_HOP_SMTPS)
			continue;
		if (!creds_open_client(&options, &a->route_creds[i], &error))
			continue;
		buf_printf(errors, "%s:%u: route \"%s\": %s\n", a->config->file,
			   r->line, r->name, error.text);
		good = false;
	}
	return good;
}

/* Users */

static bool open_users(struct assets *a, struct buf *errors)
{
	const struct config_auth *auth = &a->config->auth;
	struct textfile text;
	int result = textfile_open(auth->users, &text);

	if (result) {
		file_error(errors, a->config, auth->line, auth->users, result);
		return false;
	}
	a->users = users_open(auth->users, textfile_span(&text), errors);
	textfile_close(&text);
	return a->users;
}

static bool open_access(struct assets *a, struct buf *errors)
{
	const struct config_auth *auth = &a->config->auth;
	struct textfile text;
	int result;

	if (!auth->senders)
		return true;
	result = textfile_open(auth->senders, &text);
	if (result) {
		file_error(errors, a->config, auth->line, auth->senders,
			   result);
		return false;
	}
	a->access = access_open(auth->senders, textfile_span(&text), errors);
	textfile_close(&text);
	return a->access;
}

static bool find_user(struct assets *a, struct buf *errors)
{
	const struct config *config = a->config;

	if (geteuid() != 0) /* only root can become somebody else */
		return !sandbox_find_user(NULL, &a->user);
	if (!config->user) {
		buf_printf(errors,
			   "%s: started as root, and no `user` to become: set "
			   "user = \"sluice\"\n",
			   config->file);
		return false;
	}
	if (!sandbox_find_user(config->user, &a->user))
		return true;
	buf_printf(errors,
		   "%s: no user \"%s\" on this system: create it (useradd "
		   "--system %s) or set another `user`\n",
		   config->file, config->user, config->user);
	return false;
}

static uint64_t greatest_bill(const struct config *config)
{
	uint64_t greatest = 0;
	uint32_t lane = 0;

	do {
		struct config_limits limits = lane_limits(config, lane);
		uint64_t bill = worker_bill(&limits).total_bytes;

		greatest = bill > greatest ? bill : greatest;
	} while (++lane < config->lanes_n);
	return greatest;
}

/* The workers' memory, all slots in use, must fit this machine (P5). */
static bool fits_memory(const struct assets *a, struct buf *errors)
{
	const struct config *config = a->config;
	uint64_t workers = assets_workers(config);
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			   (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t bill = greatest_bill(config);

	if (bill < machine / workers)
		return true;
	buf_printf(errors,
		   "%s:%u: limits: %llu workers may need %llu MiB of memory "
		   "each, and this machine has %llu MiB in all: lower "
		   "`sessions`, `messages` or `buffer_size`\n",
		   config->file, config->limits.line,
		   (unsigned long long)workers,
		   (unsigned long long)(bill >> 20),
		   (unsigned long long)(machine >> 20));
	return false;
}

/* Workers are bound to processors at their start: too late for a mistake. */
static bool has_cpus(const struct config *config, struct buf *errors)
{
	cpu_set_t ours;
	bool good = true;

	if (sched_getaffinity(0, sizeof(ours), &ours))
		return true;
	for (uint32_t l = 0; l < config->lanes_n; l++) {
		const struct config_lane *lane = &config->lanes[l];

		for (uint32_t i = 0; i < lane->cpus_n; i++) {
			if (CPU_ISSET(lane->cpus[i], &ours))
				continue;
			buf_printf(errors,
				   "%s:%u: lane \"%s\": `cpus`: processor %u "
				   "is not there for us\n",
				   config->file, lane->line, lane->name,
				   lane->cpus[i]);
			good = false;
		}
	}
	return good;
}

uint32_t assets_workers(const struct config *config)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->lanes_n)
		return lane_workers(config);
	if (config->workers)
		return config->workers;
	return processors < WORKERS_MAX ? (uint32_t)processors : WORKERS_MAX;
}

/* Whole sets */

static struct assets *new_assets(void)
{
	struct assets *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->spool_dir = a->segments_dir = a->files_dir = a->journal_dir = -1;
	for (uint32_t i = 0; i < CONFIG_ROUTES_MAX; i++)
		a->maildirs[i] = (struct assets_maildir){ -1, -1 };
	return a;
}

struct assets *assets_open(const char *file, struct ticket_keys *ticket_keys,
			   struct buf *errors)
{
	struct assets *a = new_assets();
	bool good;

	if (!a) {
		buf_put_str(errors, "no memory for the configuration\n");
		return NULL;
	}
	a->config = read_config(file, errors);
	good = a->config;
	if (good) { /* all mistakes at once, not the first alone */
		good &= find_user(a, errors);
		good &= open_server_creds(a, ticket_keys, errors);
		good &= open_route_creds(a, errors);
		good &= open_users(a, errors);
		good &= open_access(a, errors);
		good &= has_cpus(a->config, errors);
		good &= fits_memory(a, errors);
	}
	if (good)
		return a;
	assets_close(a);
	return NULL;
}

/* Directories */

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

struct place {
	const char *path; /* for messages */
	unsigned int line;
	int parent;
	const char *name;
	int *ret_fd;
	bool probed;
};

static int open_place(const struct assets *a, const struct place *p,
		      struct buf *errors)
{
	int result = directories_open(p->parent, p->name, a->user);

	if (result >= 0) {
		*p->ret_fd = result;
		result = p->probed ? directories_probe(*p->ret_fd, a->user) : 0;
	}
	if (result < 0)
		buf_printf(errors, "%s:%u: cannot write in %s%s%s: %s: %s\n",
			   a->config->file, p->line, p->path,
			   p->parent == AT_FDCWD ? "" : "/",
			   p->parent == AT_FDCWD ? "" : p->name, reason(result),
			   directories_cure(result));
	return result;
}

static int open_spool(struct assets *a, struct buf *errors)
{
	const struct config_spool *spool = &a->config->spool;
	struct place top = { spool->directory, spool->line,   AT_FDCWD,
			     spool->directory, &a->spool_dir, false };
	int result = open_place(a, &top, errors);
	const struct place below[] = {
		{ spool->directory, spool->line, a->spool_dir, "segments",
		  &a->segments_dir, true },
		{ spool->directory, spool->line, a->spool_dir, "files",
		  &a->files_dir, true },
		{ spool->directory, spool->line, a->spool_dir, "journal",
		  &a->journal_dir, true },
	};

	for (size_t i = 0; i < 3 && !result; i++)
		result = open_place(a, &below[i], errors);
	return result;
}

static int open_maildir(struct assets *a, uint32_t route, struct buf *errors)
{
	const struct config_route *r = &a->config->routes[route];
	int top_dir = -1;
	int cur_dir = -1;
	struct place top = { r->path, r->line,  AT_FDCWD,
			     r->path, &top_dir, false };
	int result = open_place(a, &top, errors);
	const struct place below[] = {
		{ r->path, r->line, top_dir, "new", &a->maildirs[route].new_dir,
		  true },
		{ r->path, r->line, top_dir, "cur", &cur_dir, false },
		{ r->path, r->line, top_dir, "tmp", &a->maildirs[route].tmp_dir,
		  true },
	};

	for (size_t i = 0; i < 3 && !result; i++)
		result = open_place(a, &below[i], errors);
	close_fd(top_dir);
	close_fd(cur_dir);
	return result;
}

int assets_open_directories(struct assets *a, struct buf *errors)
{
	int result = open_spool(a, errors);

	for (uint32_t i = 0; i < a->config->routes_n && !result; i++)
		if (a->config->routes[i].kind == CONFIG_HOP_MAILDIR)
			result = open_maildir(a, i, errors);
	return result;
}

void assets_close(struct assets *a)
{
	if (!a)
		return;
	for (uint32_t i = 0; i < CONFIG_LISTENERS_MAX; i++)
		creds_close(a->listener_creds[i]);
	for (uint32_t i = 0; i < CONFIG_ROUTES_MAX; i++) {
		creds_close(a->route_creds[i]);
		close_fd(a->maildirs[i].new_dir);
		close_fd(a->maildirs[i].tmp_dir);
	}
	users_close(a->users);
	access_close(a->access);
	close_fd(a->segments_dir);
	close_fd(a->files_dir);
	close_fd(a->journal_dir);
	close_fd(a->spool_dir);
	if (a->config)
		config_close(a->config);
	free(a);
}
