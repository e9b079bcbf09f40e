#pragma once

/*
 * load_options: what sluice-load was asked to do: the command line, read,
 * completed by defaults and checked. Nothing in it changes afterwards.
 */

#include "kit/option.h"

#define LOAD_CONNECTIONS_MAX 100000
#define LOAD_THREADS_MAX     64
#define LOAD_RECIPIENTS_MAX  100

/* In the order of the words on the command line. */
enum load_tls { LOAD_TLS_IMPLICIT, LOAD_TLS_STARTTLS, LOAD_TLS_CLEAR };
enum load_tls_version {
	LOAD_TLS_VERSION_1_2,
	LOAD_TLS_VERSION_1_3,
	LOAD_TLS_VERSION_ANY
};
enum load_mode { LOAD_MODE_MAIL, LOAD_MODE_HANDSHAKE, LOAD_MODE_IDLE };
enum load_body { LOAD_BODY_AUTO, LOAD_BODY_DATA, LOAD_BODY_BDAT };

struct load_options {
	const char *target;
	const char *compare[2]; /* accounts; [0] NULL: a run is wanted */

	uint64_t tls;         /* enum load_tls */
	uint64_t tls_version; /* enum load_tls_version */
	const char *cipher;
	const char *ca;
	const char *server_name;
	bool resume;
	const char *user;
	const char *password_file;
	const char *password_env;
	const char *hello;
	const char *source;
	const char *allow_remote;

	uint64_t mode; /* enum load_mode */
	uint64_t connections;
	uint64_t threads;
	uint64_t per_connection; /* 0: no limit */
	double rate;             /* 0: closed loop */
	uint64_t backlog;
	double duration_s;
	uint64_t messages; /* 0: no limit */
	double warm_up_s;
	double settle_s;

	uint64_t size;
	uint64_t size_median; /* 0: `size` */
	double size_sigma;
	uint64_t size_max;
	const char *folder;
	const char *sender;
	const char *recipient;
	uint64_t recipients;
	uint64_t body; /* enum load_body */
	bool no_pipelining;
	uint64_t seed;

	const char *account;
	const char *verify;

	const char *cgroup;
	struct option_list pids;

	const char *json;
	bool progress;
	bool quiet;
	bool compare_only;
};

/* The word of the command line behind a value. */
const char *load_mode_name(uint64_t mode);
const char *load_tls_name(uint64_t tls);

/*
 * Reads the command line. What is wrong stands in t->problem; t can print the
 * help.
 */
enum option_result load_options_parse(struct load_options *o,
				      struct option_table *t, int argc,
				      char *const argv[]);
