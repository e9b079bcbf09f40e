#pragma once

/*
 * supervisor: the process that stays privileged. It loads what the
 * configuration names, binds the sockets, forks the workers, starts dead ones
 * again with backoff, makes a new generation of them on SIGHUP while the old
 * one finishes its sessions, hands over to another program on SIGUSR2, answers
 * the control socket, and drains on SIGTERM.
 * It never reads a byte that a peer sent.
 */

#include "config/config.h"

struct supervisor_options {
	const char *config_file;
	const char *called; /* by this command */
	int take_over;      /* socket of the one that runs; -1: nobody does */
	bool log_format_given; /* by --log: the configuration's does not count */
	enum log_format log_format;
};

/* Exit status: 0 checked and good; else 1, each mistake on standard error. */
int supervisor_check(const struct supervisor_options *options);

/* Runs in the foreground until drained. The exit status of the program. */
int supervisor_run(const struct supervisor_options *options);
