/*
 * One mutex guards both queues; the helper holds it only to take and to put.
 * The eventfd is written after an answer was put, so a reader that finds the
 * queue empty is woken again.
 */
#include "relay/resolver.h"

#include "base/must.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct question {
	uint32_t slot;
	uint32_t generation;
	uint16_t port;
	char host[RESOLVER_HOST_MAX];
};

struct resolver {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t asked;
	bool closing;
	int fd;
	uint32_t questions_first, questions_n;
	uint32_t answers_first, answers_n; /* and those under way */
	uint32_t working_n;
	struct question questions[RESOLVER_QUEUE];
	struct resolver_answer answers[RESOLVER_QUEUE];
};

static void add_address(struct resolver_answer *a, const struct addrinfo *ai,
			uint16_t port)
{
	struct resolver_address *to = &a->addresses[a->n];

	if (a->n == RESOLVER_ADDRESSES_MAX || ai->ai_addrlen > sizeof(to->in6))
		return;
	memcpy(&to->sa, ai->ai_addr, ai->ai_addrlen);
	to->len = ai->ai_addrlen;
	if (to->sa.sa_family == AF_INET6)
		to->in6.sin6_port = htons(port);
	else if (to->sa.sa_family == AF_INET)
		to->in.sin_port = htons(port);
	else
		return;
	a->n++;
}

static void look_up(const char *host, uint16_t port, int flags,
		    struct resolver_answer *a)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = flags };
	struct addrinfo *list = NULL;
	int result = getaddrinfo(host, NULL, &hints, &list);

	if (result) {
		a->error = gai_strerror(result);
		return;
	}
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		add_address(a, ai, port);
	freeaddrinfo(list);
	if (!a->n)
		a->error = "no address";
}

bool resolver_numeric(const char *host, uint16_t port,
		      struct resolver_answer *ret)
{
	struct resolver_answer a = { 0 };

	look_up(host, port, AI_NUMERICHOST, &a);
	if (a.error)
		return false;
	*ret = a;
	return true;
}

static bool take_question(struct resolver *r, struct question *ret)
{
	while (!r->questions_n && !r->closing)
		pthread_cond_wait(&r->asked, &r->mutex);
	if (r->closing)
		return false;
	*ret = r->questions[r->questions_first];
	r->questions_first = (r->questions_first + 1) % RESOLVER_QUEUE;
	r->questions_n--;
	r->working_n++;
	return true;
}

static void put_answer(struct resolver *r, const struct resolver_answer *a)
{
	uint32_t at = (r->answers_first + r->answers_n) % RESOLVER_QUEUE;

	MUST(r->answers_n < RESOLVER_QUEUE); /* resolver_ask kept the room */
	r->answers[at] = *a;
	r->answers_n++;
	r->working_n--;
}

static void *work(void *argument)
{
	struct resolver *r = argument;
	struct question q;
	uint64_t one = 1;

	pthread_mutex_lock(&r->mutex);
	while (take_question(r, &q)) {
		struct resolver_answer a = { .slot = q.slot,
					     .generation = q.generation };

		pthread_mutex_unlock(&r->mutex);
		look_up(q.host, q.port, AI_ADDRCONFIG, &a);
		pthread_mutex_lock(&r->mutex);
		put_answer(r, &a);
		(void)!write(r->fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&r->mutex);
	return NULL;
}

/* Signals are the loop's: the helper takes none. */
static int start_thread(struct resolver *r)
{
	sigset_t all, before;
	int result;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	result = -pthread_create(&r->thread, NULL, work, r);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

int resolver_open(struct resolver **ret, int *ret_fd)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int result;

	if (!r)
		return -ENOMEM;
	(void)pthread_mutex_init(&r->mutex, NULL);
	(void)pthread_cond_init(&r->asked, NULL);
	r->fd = eventfd(0, EFD_CLOEXEC);
	result = r->fd < 0 ? -errno : start_thread(r);
	if (result) {
		if (r->fd >= 0)
			(void)close(r->fd);
		free(r);
		return result;
	}
	*ret = r;
	*ret_fd = r->fd;
	return 0;
}

void resolver_close(struct resolver *r)
{
	pthread_mutex_lock(&r->mutex);
	r->closing = true;
	pthread_cond_signal(&r->asked);
	pthread_mutex_unlock(&r->mutex);
	(void)pthread_join(r->thread, NULL);
	(void)close(r->fd);
	(void)pthread_cond_destroy(&r->asked);
	(void)pthread_mutex_destroy(&r->mutex);
	free(r);
}

bool resolver_ask(struct resolver *r, const char *host, uint16_t port,
		  uint32_t slot, uint32_t generation)
{
	struct question *q;
	bool room;

	if (strlen(host) >= RESOLVER_HOST_MAX)
		return false;
	pthread_mutex_lock(&r->mutex);
	room = r->questions_n + r->working_n + r->answers_n < RESOLVER_QUEUE;
	if (room) {
		q = &r->questions[(r->questions_first + r->questions_n) %
				  RESOLVER_QUEUE];
		q->slot = slot;
		q->generation = generation;
		q->port = port;
		memcpy(q->host, host, strlen(host) + 1);
		r->questions_n++;
		pthread_cond_signal(&r->asked);
	}
	pthread_mutex_unlock(&r->mutex);
	return room;
}

bool resolver_next(struct resolver *r, struct resolver_answer *ret)
{
	bool found;

	pthread_mutex_lock(&r->mutex);
	found = r->answers_n;
	if (found) {
		*ret = r->answers[r->answers_first];
		r->answers_first = (r->answers_first + 1) % RESOLVER_QUEUE;
		r->answers_n--;
	}
	pthread_mutex_unlock(&r->mutex);
	return found;
}
