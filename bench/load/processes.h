#pragma once

/*
 * processes: a list of processes, gathered from a control group or as the tree
 * below one of them, with what /proc says of each.
 */

#include <stdint.h>
#include <sys/types.h>

#define PROCESSES_PATH_MAX 4096

struct process_facts {
	pid_t pid;
	pid_t parent;
	uint64_t user_ticks; /* of children that ended, too */
	uint64_t system_ticks;
};

struct processes {
	struct process_facts *at;
	size_t n;
	size_t cap;
};

/* Adds all in a control group and the groups below. Negative errno. */
int processes_add_group(struct processes *p, const char *group);
/* Adds a process and all below it that are not there yet. Negative errno. */
int processes_add_tree(struct processes *p, pid_t root);
void processes_fini(struct processes *p);

/* Proportional set size in bytes, and context switches; 0: unknown. */
uint64_t processes_pss(pid_t pid);
uint64_t processes_switches(pid_t pid);

/* A small file as text with a NUL; its length or negative errno. */
ssize_t processes_read_file(const char *path, char *out, size_t room);
/* The number behind the first place of `key`; 0: none. */
uint64_t processes_number_after(const char *text, const char *key);
