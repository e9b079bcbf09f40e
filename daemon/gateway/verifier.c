/*
 * I1  `lock` guards the two queues and `stopping`; a job's other fields belong
 *     to whoever has taken it off a queue.
 * I2  The doorbell is rung after a job is on the finished queue, so a reader
 *     who drains the queue after reading the doorbell misses none.
 */
#include "gateway/verifier.h"

#include "base/must.h"
#include "base/slab.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VERIFIER_THREADS_MAX 16

struct queue {
	struct verifier_job *first;
	struct verifier_job **last;
};

struct verifier {
	const struct users *users;
	struct slab jobs;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct queue submitted;
	struct queue finished;
	bool stopping;
	int doorbell;
	uint32_t threads_n;
	pthread_t threads[VERIFIER_THREADS_MAX];
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_put(struct queue *q, struct verifier_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct verifier_job *queue_take(struct queue *q)
{
	struct verifier_job *job = q->first;

	if (job) {
		q->first = job->next;
		if (!q->first)
			queue_init(q);
	}
	return job;
}

/* The helpers */

/*
 * An unknown user's password is hashed too, against the decoy, so that the time
 * of the answer does not tell who exists.
 */
static enum verifier_verdict verify(const struct users *users,
				    const struct verifier_job *job,
				    struct crypt_data *data)
{
	const char *hash = users_find(users, span_str(job->sasl.user));
	const char *against = hash ? hash : users_decoy(users);
	const struct secret *password = &job->sasl.password;
	char text[SECRET_MAX + 1];
	const char *made;
	bool right;

	if (!against)
		return VERIFIER_WRONG; /* nobody may log in at all */
	if (password->len >= CRYPT_MAX_PASSPHRASE_SIZE)
		return VERIFIER_WRONG; /* crypt(3) never made a hash of it */
	memcpy(text, password->bytes, password->len);
	text[password->len] = '\0';
	made = crypt_r(text, against, data);
	explicit_bzero(text, sizeof(text));
	if (!made || made[0] == '*')
		return VERIFIER_BROKEN;
	right = secret_equal(span_str(made), span_str(against));
	return hash && right ? VERIFIER_RIGHT : VERIFIER_WRONG;
}

static struct verifier_job *wait_for_job(struct verifier *v)
{
	struct verifier_job *job;

	(void)pthread_mutex_lock(&v->lock);
	while (!v->submitted.first && !v->stopping)
		(void)pthread_cond_wait(&v->work, &v->lock);
	job = v->stopping ? NULL : queue_take(&v->submitted);
	(void)pthread_mutex_unlock(&v->lock);
	return job;
}

static bool asks_the_same(const struct verifier_job *a,
			  const struct verifier_job *b)
{
	return secret_equal(span_str(a->sasl.user), span_str(b->sasl.user)) &&
	       secret_equal(secret_span(&a->sasl.password),
			    secret_span(&b->sasl.password));
}

/*
 * A sender that opens all its connections at once asks for each of them before
 * the first is answered. Those that still wait share the answer.
 */
static void answer_alike(struct verifier *v, const struct verifier_job *job)
{
	struct queue others;
	struct verifier_job *other;

	queue_init(&others);
	while ((other = queue_take(&v->submitted))) {
		if (asks_the_same(other, job)) {
			other->verdict = job->verdict;
			queue_put(&v->finished, other);
		} else {
			queue_put(&others, other);
		}
	}
	while ((other = queue_take(&others)))
		queue_put(&v->submitted, other);
}

static void put_finished(struct verifier *v, struct verifier_job *job)
{
	const uint64_t one = 1;

	(void)pthread_mutex_lock(&v->lock);
	if (job->verdict != VERIFIER_BROKEN)
		answer_alike(v, job);
	queue_put(&v->finished, job);
	(void)pthread_mutex_unlock(&v->lock);
	MUST(write(v->doorbell, &one, sizeof(one)) == sizeof(one)); /* I2 */
}

static void *helper(void *argument)
{
	struct verifier *v = argument;
	struct crypt_data *data = calloc(1, sizeof(*data));
	struct verifier_job *job;

	while ((job = wait_for_job(v))) {
		job->verdict = data ? verify(v->users, job, data) :
				      VERIFIER_BROKEN;
		if (data)
			explicit_bzero(data, sizeof(*data));
		put_finished(v, job);
	}
	free(data);
	return NULL;
}

/* The loop's side */

static int start_threads(struct verifier *v, uint32_t threads)
{
	while (v->threads_n < threads) {
		int error = pthread_create(&v->threads[v->threads_n], NULL,
					   helper, v);

		if (error)
			return -error;
		v->threads_n++;
	}
	return 0;
}

int verifier_open(const struct users *users, uint32_t threads,
		  struct verifier **ret, int *ret_doorbell)
{
	struct verifier *v = calloc(1, sizeof(*v));
	int result;

	MUST(threads && threads <= VERIFIER_THREADS_MAX);
	if (!v)
		return -ENOMEM;
	v->users = users;
	queue_init(&v->submitted);
	queue_init(&v->finished);
	(void)pthread_mutex_init(&v->lock, NULL);
	(void)pthread_cond_init(&v->work, NULL);
	v->doorbell = eventfd(0, EFD_CLOEXEC);
	result = v->doorbell < 0 ? -errno : 0;
	if (!result)
		result = slab_init(&v->jobs, sizeof(struct verifier_job),
				   VERIFIER_JOBS);
	if (!result)
		result = start_threads(v, threads);
	if (result) {
		verifier_close(v);
		return result;
	}
	*ret = v;
	*ret_doorbell = v->doorbell;
	return 0;
}

struct verifier_job *verifier_take(struct verifier *v)
{
	struct verifier_job *job = slab_take(&v->jobs);

	if (job)
		*job = (struct verifier_job){ .session = UINT32_MAX };
	return job;
}

void verifier_give(struct verifier *v, struct verifier_job *job)
{
	sasl_wipe(&job->sasl);
	slab_give(&v->jobs, job);
}

void verifier_submit(struct verifier *v, struct verifier_job *job)
{
	(void)pthread_mutex_lock(&v->lock);
	queue_put(&v->submitted, job);
	(void)pthread_cond_signal(&v->work);
	(void)pthread_mutex_unlock(&v->lock);
}

struct verifier_job *verifier_finished(struct verifier *v)
{
	struct verifier_job *job;

	(void)pthread_mutex_lock(&v->lock);
	job = queue_take(&v->finished);
	(void)pthread_mutex_unlock(&v->lock);
	return job;
}

void verifier_close(struct verifier *v)
{
	(void)pthread_mutex_lock(&v->lock);
	v->stopping = true;
	(void)pthread_cond_broadcast(&v->work);
	(void)pthread_mutex_unlock(&v->lock);
	for (uint32_t i = 0; i < v->threads_n; i++)
		(void)pthread_join(v->threads[i], NULL);
	if (v->doorbell >= 0)
		(void)close(v->doorbell);
	slab_fini(&v->jobs);
	(void)pthread_cond_destroy(&v->work);
	(void)pthread_mutex_destroy(&v->lock);
	free(v);
}
