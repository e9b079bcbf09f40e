#include "super/census.h"

#include "tls/diag.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTIONS_PER_TURN 64

void census_init(struct census *c)
{
	c->netlink = -1;
}

void census_poll(const struct process_table *t, struct pollfd fds[PROCESS_MAX])
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		const struct process *p = &t->entries[i];

		fds[i] = (struct pollfd){
			.fd = p->state == PROCESS_FREE ? -1 : p->census_fd,
			.events = POLLIN,
		};
	}
}

static struct diag_makers look(struct census *c, const struct diag_socket *s)
{
	if (c->netlink < 0)
		c->netlink = diag_open();
	return diag_ask(c->netlink, s); /* without one, it knows nothing */
}

static void hang_up(struct process *p)
{
	(void)close(p->census_fd);
	p->census_fd = -1;
}

/* A child that does not take its answers finds some missing. */
static bool answer(struct census *c, struct process *p)
{
	struct diag_question q;
	struct diag_answer a;
	ssize_t n = recv(p->census_fd, &q, sizeof(q), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != (ssize_t)sizeof(q)) { /* no question, or the child's end */
		hang_up(p);
		return false;
	}
	a = (struct diag_answer){ .slot = q.slot,
				  .generation = q.generation,
				  .makers = look(c, &q.socket) };
	(void)send(p->census_fd, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

static void serve(struct census *c, struct process *p)
{
	for (int i = 0; i < QUESTIONS_PER_TURN; i++)
		if (!answer(c, p))
			return;
}

void census_serve(struct census *c, struct process_table *t,
		  const struct pollfd fds[PROCESS_MAX])
{
	for (uint32_t i = 0; i < PROCESS_MAX; i++) {
		struct process *p = &t->entries[i];

		if (!fds[i].revents || p->census_fd != fds[i].fd)
			continue;
		if (fds[i].revents & POLLIN)
			serve(c, p);
		else
			hang_up(p);
	}
}
