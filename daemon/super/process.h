#pragma once

/*
 * process: the children of the supervisor: which there are, how far each is,
 * and when a dead one may be started again. A child hears from us over a pipe
 * (one byte a command); our death closes it, and the child drains. It forks
 * nothing itself.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A slot's number must fit the byte that message ids have for it. */
#define PROCESS_MAX 256

enum process_kind { PROCESS_GATEWAY, PROCESS_RELAY };

/*
 *   FREE --begin--> RUNNING --told to leave--> LEAVING --dead--> FREE
 *                      \--dead--> WAITING --time has come--> RUNNING
 */
enum process_state {
	PROCESS_FREE,
	PROCESS_RUNNING,
	PROCESS_WAITING, /* died; is started again at start_ms */
	PROCESS_LEAVING, /* drains or retires; is not started again */
};

struct process {
	enum process_state state;
	enum process_kind kind;
	uint32_t index;      /* of its kind, within its generation */
	uint32_t generation; /* of the configuration it runs on */
	char name[24];       /* "gateway-0" */
	pid_t pid;
	int command_fd; /* our end of its pipe; -1: none */
	int census_fd;  /* the same of what it asks over (census.h) */
	uint64_t started_ms;
	uint64_t start_ms;
	uint32_t restarts;
	uint32_t quick_deaths; /* in a row, soon after the start */
	bool serving;          /* has said, in this life, that it accepts */
	uint64_t leave_ms;     /* LEAVING: must hurry then; 0: no such time */
};

struct process_table {
	struct process entries[PROCESS_MAX];
};

/* "gateway" or "relay". */
const char *process_kind_name(enum process_kind kind);

/* What a process is for, within its generation. */
struct process_role {
	enum process_kind kind;
	uint32_t index;
	uint32_t generation;
};

/*
 * Sets up the entry of a slot, which must be free, as WAITING to be started at
 * once. Which slots there are to be had, shared.h says.
 */
struct process *process_begin(struct process_table *t, uint32_t slot,
			      struct process_role role);

/* Records a fork: pid and our end of the pipe. */
void process_started(struct process *p, pid_t pid, int command_fd,
		     uint64_t now_ms);

/*
 * Records a death. A RUNNING one waits to be started again: at once the first
 * time, then after 1, 2, 4 ... 60 s while it dies within ten seconds.
 */
void process_died(struct process *p, uint64_t now_ms);

/* Sends a command byte and expects the process to leave. */
void process_dismiss(struct process *p, char command);

struct process *process_find(struct process_table *t, pid_t pid);

/* Position in the table: its slot in the memory that processes share. */
uint32_t process_slot(const struct process_table *t, const struct process *p);

/* Entries that live or wait to be started. */
uint32_t process_count(const struct process_table *t);

/*
 * Milliseconds until one is to be started, or its time to leave is over;
 * UINT32_MAX: nothing is due.
 */
uint32_t process_wait_ms(const struct process_table *t, uint64_t now_ms);
