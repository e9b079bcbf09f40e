#include "load/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- files of the kernel -------------------------------------------------------- */

ssize_t processes_read_file(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < room - 1 && (n = read(fd, out + len, room - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(fd);
	out[len] = '\0';
	return (ssize_t)len;
}

uint64_t processes_number_after(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static ssize_t read_of(pid_t pid, const char *name, char *out, size_t room)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return processes_read_file(path, out, room);
}

uint64_t processes_pss(pid_t pid)
{
	char text[4096];

	if (read_of(pid, "smaps_rollup", text, sizeof(text)) < 0)
		return 0;
	return processes_number_after(text, "\nPss:") * 1024;
}

uint64_t processes_switches(pid_t pid)
{
	char text[8192];

	if (read_of(pid, "status", text, sizeof(text)) < 0)
		return 0;
	return processes_number_after(text, "\nvoluntary_ctxt_switches:") +
	       processes_number_after(text, "\nnonvoluntary_ctxt_switches:");
}

/*
 * Fields of /proc/PID/stat (proc(5)), counted behind the name, which may hold
 * anything, even parentheses: state, parent (2), ... utime (12), stime (13),
 * cutime (14), cstime (15).
 */
static bool read_facts(pid_t pid, struct process_facts *ret)
{
	uint64_t fields[16] = { 0 };
	char text[2048];
	char *at;

	if (read_of(pid, "stat", text, sizeof(text)) <= 0)
		return false;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || !at[2])
		return false;
	at += 3; /* behind the state */
	for (int i = 2; i < 16; i++)
		fields[i] = strtoull(at, &at, 10);
	*ret = (struct process_facts){
		.pid = pid,
		.parent = (pid_t)fields[2],
		.user_ticks = fields[12] + fields[14],
		.system_ticks = fields[13] + fields[15],
	};
	return true;
}

/* -- the list -------------------------------------------------------------------- */

static bool holds(const struct processes *p, pid_t pid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].pid == pid)
			return true;
	return false;
}

static int add(struct processes *p, const struct process_facts *facts)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		struct process_facts *more =
			reallocarray(p->at, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->at = more;
		p->cap = cap;
	}
	p->at[p->n++] = *facts;
	return 0;
}

void processes_fini(struct processes *p)
{
	free(p->at);
	*p = (struct processes){ 0 };
}

static int list_all(struct processes *all)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int result = 0;

	if (!dir)
		return -errno;
	while (!result && (entry = readdir(dir))) {
		struct process_facts facts;
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && read_facts((pid_t)pid, &facts))
			result = add(all, &facts);
	}
	(void)closedir(dir);
	return result;
}

/* Children are found until a look through all finds no more. */
int processes_add_tree(struct processes *p, pid_t root)
{
	struct processes all = { 0 };
	int result = list_all(&all);
	bool found = true;

	for (size_t i = 0; !result && i < all.n; i++)
		if (all.at[i].pid == root && !holds(p, root))
			result = add(p, &all.at[i]);
	while (!result && found) {
		found = false;
		for (size_t i = 0; !result && i < all.n; i++) {
			if (holds(p, all.at[i].pid) ||
			    !holds(p, all.at[i].parent))
				continue;
			found = true;
			result = add(p, &all.at[i]);
		}
	}
	processes_fini(&all);
	return result;
}

static int add_members(struct processes *p, const char *group)
{
	char path[PROCESSES_PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	FILE *file;
	int result = 0;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!result && getline(&line, &room, file) > 0) {
		struct process_facts facts;

		if (read_facts((pid_t)strtol(line, NULL, 10), &facts))
			result = add(p, &facts);
	}
	free(line);
	(void)fclose(file);
	return result;
}

int processes_add_group(struct processes *p, const char *group)
{
	char path[PROCESSES_PATH_MAX];
	char *const roots[] = { path, NULL };
	FTSENT *entry;
	FTS *tree;
	int result = 0;

	(void)snprintf(path, sizeof(path), "%s", group);
	tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!tree)
		return -errno;
	while (!result && (entry = fts_read(tree))) {
		if (entry->fts_info == FTS_D)
			result = add_members(p, entry->fts_accpath);
		else if (entry->fts_level == 0 && entry->fts_info != FTS_DP)
			result = -ENOTDIR;
	}
	(void)fts_close(tree);
	return result;
}
