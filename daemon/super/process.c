#include "super/process.h"

#include "base/must.h"

#include <stdio.h>
#include <unistd.h>

#define QUICK_MS        10000
#define BACKOFF_MS      1000
#define BACKOFF_MOST_MS 60000

static void set_state(struct process *p, enum process_state state)
{
	p->state = state;
}

const char *process_kind_name(enum process_kind kind)
{
	return kind == PROCESS_GATEWAY ? "gateway" : "relay";
}

struct process *process_begin(struct process_table *t, uint32_t slot,
			      struct process_role role)
{
	struct process *p = &t->entries[slot];

	MUST(slot < PROCESS_MAX && p->state == PROCESS_FREE);
	*p = (struct process){ .kind = role.kind,
			       .index = role.index,
			       .generation = role.generation,
			       .command_fd = -1,
			       .census_fd = -1 };
	(void)snprintf(p->name, sizeof(p->name), "%s-%u",
		       process_kind_name(role.kind), role.index);
	set_state(p, PROCESS_WAITING);
	return p;
}

void process_started(struct process *p, pid_t pid, int command_fd,
		     uint64_t now_ms)
{
	MUST(p->state == PROCESS_WAITING);
	p->pid = pid;
	p->command_fd = command_fd;
	p->started_ms = now_ms;
	p->serving = false;
	set_state(p, PROCESS_RUNNING);
}

static uint64_t backoff_ms(const struct process *p)
{
	uint64_t wait_ms = BACKOFF_MS;

	if (!p->quick_deaths)
		return 0;
	for (uint32_t i = 1; i < p->quick_deaths; i++)
		if (wait_ms < BACKOFF_MOST_MS)
			wait_ms *= 2;
	return wait_ms < BACKOFF_MOST_MS ? wait_ms : BACKOFF_MOST_MS;
}

void process_died(struct process *p, uint64_t now_ms)
{
	bool quick = now_ms - p->started_ms < QUICK_MS;

	if (p->command_fd >= 0)
		(void)close(p->command_fd);
	if (p->census_fd >= 0)
		(void)close(p->census_fd);
	p->command_fd = -1;
	p->census_fd = -1;
	p->pid = 0;
	if (p->state == PROCESS_LEAVING) {
		set_state(p, PROCESS_FREE);
		return;
	}
	p->restarts++;
	p->start_ms = now_ms + (quick ? backoff_ms(p) : 0);
	p->quick_deaths = quick ? p->quick_deaths + 1 : 0;
	set_state(p, PROCESS_WAITING);
}

void process_dismiss(struct process *p, char command)
{
	if (p->state == PROCESS_WAITING) {
		set_state(p, PROCESS_FREE);
		return;
	}
	/* A pipe that is full or closed belongs to one already told or dead. */
	if (p->command_fd >= 0 && write(p->command_fd, &command, 1) != 1) {
		(void)close(p->command_fd);
		p->command_fd = -1;
	}
	set_state(p, PROCESS_LEAVING);
}

struct process *process_find(struct process_table *t, pid_t pid)
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		if (t->entries[i].pid == pid &&
		    t->entries[i].state != PROCESS_FREE)
			return &t->entries[i];
	return NULL;
}

uint32_t process_slot(const struct process_table *t, const struct process *p)
{
	return (uint32_t)(p - t->entries);
}

uint32_t process_count(const struct process_table *t)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < PROCESS_MAX; i++)
		n += t->entries[i].state != PROCESS_FREE;
	return n;
}

uint32_t process_wait_ms(const struct process_table *t, uint64_t now_ms)
{
	uint64_t least = UINT32_MAX;

	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &t->entries[i];
		uint64_t wait_ms, due_ms;

		if (p->state == PROCESS_WAITING)
			due_ms = p->start_ms;
		else if (p->state == PROCESS_LEAVING && p->leave_ms)
			due_ms = p->leave_ms;
		else
			continue;
		wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
		if (wait_ms < least)
			least = wait_ms;
	}
	return (uint32_t)least;
}
