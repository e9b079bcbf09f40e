/*
 * Passwords are checked by helpers: right, wrong, nobody's; jobs are bounded
 * and come back by the doorbell. crypt_r is ours here, in front of the real
 * one: it counts, remembers against what it hashed, and can be held up.
 */
#include "gateway/verifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <crypt.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the crypt_r that the verifier is linked with ------------------------ */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool shut; /* calls wait */
	uint32_t calls_n;
	char setting[CRYPT_OUTPUT_SIZE]; /* of the last call */
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER };

static void gate_pass(const char *setting)
{
	(void)pthread_mutex_lock(&gate.lock);
	gate.calls_n++;
	(void)snprintf(gate.setting, sizeof(gate.setting), "%s", setting);
	(void)pthread_cond_broadcast(&gate.changed);
	while (gate.shut)
		(void)pthread_cond_wait(&gate.changed, &gate.lock);
	(void)pthread_mutex_unlock(&gate.lock);
}

static void gate_set(bool shut)
{
	(void)pthread_mutex_lock(&gate.lock);
	gate.shut = shut;
	gate.calls_n = 0;
	(void)pthread_cond_broadcast(&gate.changed);
	(void)pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_for_calls(uint32_t n)
{
	(void)pthread_mutex_lock(&gate.lock);
	while (gate.calls_n < n)
		(void)pthread_cond_wait(&gate.changed, &gate.lock);
	(void)pthread_mutex_unlock(&gate.lock);
}

char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	gate_pass(setting);
	if (!strcmp(phrase, "no answer"))
		return NULL;
	if (!strcmp(phrase, "key to all")) {
		(void)snprintf(data->output, sizeof(data->output), "%s",
			       setting);
		return data->output;
	}
	return crypt_rn(phrase, setting, data, (int)sizeof(*data));
}

/* ---- users --------------------------------------------------------------- */

static struct users *users;
static struct verifier *verifier;
static int doorbell;

static struct users *make_users(const char *text)
{
	uint8_t storage[512];
	struct buf errors;
	struct users *made;

	buf_init(&errors, storage, sizeof(storage));
	made = users_open("users", span_str(text), &errors);
	assert_int_equal(buf_len(&errors), 0);
	assert_non_null(made);
	return made;
}

static void add_user(struct buf *text, const char *name, const char *password)
{
	struct crypt_data data = { 0 };

	buf_printf(text, "%s:{crypt}%s\n", name,
		   crypt_rn(password, "$5$rounds=1000$saltsalt$", &data,
			    (int)sizeof(data)));
}

static int setup(void **state)
{
	char storage[1024] = "";
	struct buf text;

	gate_set(false);
	buf_init(&text, (uint8_t *)storage, sizeof(storage) - 1);
	add_user(&text, "alice", "right");
	add_user(&text, "bob", "also right");
	users = make_users(storage);
	return verifier_open(users, 3, &verifier, &doorbell);
}

static int teardown(void **state)
{
	verifier_close(verifier);
	users_close(users);
	return 0;
}

/* ---- jobs ---------------------------------------------------------------- */

static void submit(const char *user, const char *password, uint32_t session)
{
	struct verifier_job *job = verifier_take(verifier);

	assert_non_null(job);
	job->session = session;
	job->generation = ~session;
	(void)snprintf(job->sasl.user, sizeof(job->sasl.user), "%s", user);
	assert_true(secret_set(&job->sasl.password, span_str(password)));
	verifier_submit(verifier, job);
}

/* The next finished job; only the doorbell says when to look. */
static struct verifier_job *wait_for_job(void)
{
	struct verifier_job *job = verifier_finished(verifier);

	while (!job) {
		struct pollfd ring = { .fd = doorbell, .events = POLLIN };
		uint64_t rings;

		assert_int_equal(poll(&ring, 1, 10000), 1);
		assert_int_equal(read(doorbell, &rings, 8), 8);
		job = verifier_finished(verifier);
	}
	return job;
}

static enum verifier_verdict judge(const char *user, const char *password)
{
	enum verifier_verdict verdict;
	struct verifier_job *job;

	submit(user, password, 17);
	job = wait_for_job();
	assert_int_equal(job->session, 17);
	assert_int_equal(job->generation, ~17u);
	assert_string_equal(job->sasl.user, user);
	verdict = job->verdict;
	verifier_give(verifier, job);
	return verdict;
}

static void judges(void **state)
{
	assert_int_equal(judge("alice", "right"), VERIFIER_RIGHT);
	assert_int_equal(judge("bob", "also right"), VERIFIER_RIGHT);
	assert_int_equal(judge("alice", "wrong"), VERIFIER_WRONG);
	assert_int_equal(judge("alice", "also right"), VERIFIER_WRONG);
	assert_int_equal(judge("alice", "Right"), VERIFIER_WRONG);
	assert_int_equal(judge("alice", ""), VERIFIER_WRONG);
	assert_int_equal(judge("alice", "right "), VERIFIER_WRONG);
	assert_int_equal(judge("Alice", "right"), VERIFIER_WRONG);
	assert_int_equal(judge("", "right"), VERIFIER_WRONG);
}

/* The answer takes as long for an unknown user: it is the same work. */
static void an_unknown_user_costs_a_hash(void **state)
{
	gate_set(false);
	assert_int_equal(judge("alice", "wrong"), VERIFIER_WRONG);
	assert_int_equal(gate.calls_n, 1);
	assert_string_equal(gate.setting, users_find(users, SPAN("alice")));
	assert_int_equal(judge("nobody", "right"), VERIFIER_WRONG);
	assert_int_equal(gate.calls_n, 2);
	assert_string_equal(gate.setting, users_decoy(users));
}

/* Not even with a password that gives the decoy's hash. */
static void the_decoy_lets_nobody_in(void **state)
{
	assert_int_equal(judge("nobody", users_decoy(users)), VERIFIER_WRONG);
	assert_int_equal(judge("nobody", "right"), VERIFIER_WRONG);
	assert_int_equal(judge("alice", "key to all"), VERIFIER_RIGHT);
	assert_int_equal(judge("nobody", "key to all"), VERIFIER_WRONG);
}

static void without_users_everybody_is_wrong(void **state)
{
	verifier_close(verifier);
	users_close(users);
	users = make_users("# nobody yet\n");
	assert_int_equal(verifier_open(users, 1, &verifier, &doorbell), 0);
	assert_int_equal(judge("alice", "right"), VERIFIER_WRONG);
}

static void says_when_it_cannot_tell(void **state)
{
	assert_int_equal(judge("alice", "no answer"), VERIFIER_BROKEN);
	verifier_close(verifier);
	users_close(users);
	users = make_users("carol:{crypt}$y$nonsense\n");
	assert_int_equal(verifier_open(users, 1, &verifier, &doorbell), 0);
	assert_int_equal(judge("carol", "right"), VERIFIER_BROKEN);
}

/*
 * crypt(3) takes at most 511 octets. A peer's password that is longer is wrong
 * like any other, not a fault of ours.
 */
static void the_longest_password_is_just_wrong(void **state)
{
	char password[SECRET_MAX + 1];

	memset(password, 'x', sizeof(password));
	for (size_t len = SECRET_MAX - 2; len <= SECRET_MAX; len++) {
		password[len] = '\0';
		assert_int_equal(judge("alice", password), VERIFIER_WRONG);
		assert_int_equal(judge("nobody", password), VERIFIER_WRONG);
		password[len] = 'x';
	}
}

/* ---- the queues ---------------------------------------------------------- */

static void jobs_are_bounded(void **state)
{
	struct verifier_job *jobs[VERIFIER_JOBS];

	for (int i = 0; i < VERIFIER_JOBS; i++) {
		jobs[i] = verifier_take(verifier);
		assert_non_null(jobs[i]);
	}
	assert_null(verifier_take(verifier));
	verifier_give(verifier, jobs[5]);
	assert_ptr_equal(verifier_take(verifier), jobs[5]);
	assert_null(verifier_take(verifier));
	for (int i = 0; i < VERIFIER_JOBS; i++)
		verifier_give(verifier, jobs[i]);
	assert_null(verifier_finished(verifier));
}

static void a_job_is_clean_when_taken_and_wiped_when_given(void **state)
{
	static const struct sasl nothing;
	struct verifier_job *job = verifier_take(verifier);

	assert_memory_equal(&job->sasl, &nothing, sizeof(nothing));
	memset(&job->sasl, 0xee, sizeof(job->sasl));
	verifier_give(verifier, job);
	assert_memory_equal(&job->sasl, &nothing, sizeof(nothing));
	assert_ptr_equal(verifier_take(verifier), job);
	assert_memory_equal(&job->sasl, &nothing, sizeof(nothing));
	verifier_give(verifier, job);
}

/* As many as there are, by several helpers at once: each verdict its own. */
static void all_come_back_once_with_their_verdicts(void **state)
{
	bool seen[VERIFIER_JOBS] = { false };

	for (uint32_t i = 0; i < VERIFIER_JOBS; i++)
		submit(i % 2 ? "alice" : "bob",
		       i % 4 < 2 ? "right" : "also right", i);
	assert_null(verifier_take(verifier));
	for (uint32_t i = 0; i < VERIFIER_JOBS; i++) {
		struct verifier_job *job = wait_for_job();
		uint32_t n = job->session;
		bool right = n % 2 ? n % 4 < 2 : n % 4 >= 2;

		assert_in_range(n, 0, VERIFIER_JOBS - 1);
		assert_false(seen[n]);
		seen[n] = true;
		assert_int_equal(job->verdict,
				 right ? VERIFIER_RIGHT : VERIFIER_WRONG);
		verifier_give(verifier, job);
	}
	assert_null(verifier_finished(verifier));
}

static void helpers_work_at_the_same_time(void **state)
{
	gate_set(true);
	for (uint32_t i = 0; i < 4; i++)
		submit("alice", "right", i);
	gate_wait_for_calls(3); /* all three are in crypt_r */
	assert_null(verifier_finished(verifier));
	gate_set(false);
	for (uint32_t i = 0; i < 4; i++)
		verifier_give(verifier, wait_for_job());
}

static void one_helper_held_up_by(const char *user, const char *password)
{
	verifier_close(verifier);
	assert_int_equal(verifier_open(users, 1, &verifier, &doorbell), 0);
	gate_set(true);
	submit(user, password, 0);
	gate_wait_for_calls(1);
}

static void expect_verdicts(const enum verifier_verdict *verdicts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct verifier_job *job = wait_for_job();

		assert_in_range(job->session, 0, n - 1);
		assert_int_equal(job->verdict, verdicts[job->session]);
		verifier_give(verifier, job);
	}
	assert_null(verifier_finished(verifier));
}

/* Same user and same password: neither alone is enough. */
static void who_waits_for_the_same_shares_the_answer(void **state)
{
	static const enum verifier_verdict verdicts[] = {
		VERIFIER_RIGHT, VERIFIER_RIGHT, VERIFIER_WRONG,
		VERIFIER_RIGHT, VERIFIER_WRONG, VERIFIER_WRONG,
	};

	one_helper_held_up_by("alice", "right");
	submit("alice", "right", 1);
	submit("alice", "also right", 2);
	submit("alice", "right", 3);
	submit("bob", "right", 4);
	submit("alice", "also right", 5);
	gate_set(false); /* counts from here */
	expect_verdicts(verdicts, 6);
	assert_int_equal(gate.calls_n, 2);
}

static void no_answer_is_not_shared(void **state)
{
	static const enum verifier_verdict verdicts[] = {
		VERIFIER_BROKEN,
		VERIFIER_BROKEN,
	};

	one_helper_held_up_by("alice", "no answer");
	submit("alice", "no answer", 1);
	gate_set(false);
	expect_verdicts(verdicts, 2);
	assert_int_equal(gate.calls_n, 1);
}

static void *open_gate_later(void *unused)
{
	(void)usleep(10000);
	gate_set(false);
	return NULL;
}

/* Jobs that wait, that are being worked on, and that nobody fetched. */
static void closes_with_jobs_pending(void **state)
{
	pthread_t opener;

	submit("alice", "right", 0);
	submit("alice", "wrong", 1);
	verifier_give(verifier, wait_for_job()); /* the other is not fetched */
	gate_set(true);
	for (uint32_t i = 0; i < 100; i++)
		submit("alice", "right", i);
	gate_wait_for_calls(3);
	assert_int_equal(pthread_create(&opener, NULL, open_gate_later, NULL),
			 0);
	verifier_close(verifier);
	(void)pthread_join(opener, NULL);
	assert_int_equal(verifier_open(users, 1, &verifier, &doorbell), 0);
	assert_null(verifier_finished(verifier));
	assert_int_equal(judge("alice", "right"), VERIFIER_RIGHT);
}

#define VERIFIER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VERIFIER_TEST(judges),
		VERIFIER_TEST(an_unknown_user_costs_a_hash),
		VERIFIER_TEST(the_decoy_lets_nobody_in),
		VERIFIER_TEST(without_users_everybody_is_wrong),
		VERIFIER_TEST(says_when_it_cannot_tell),
		VERIFIER_TEST(the_longest_password_is_just_wrong),
		VERIFIER_TEST(jobs_are_bounded),
		VERIFIER_TEST(a_job_is_clean_when_taken_and_wiped_when_given),
		VERIFIER_TEST(all_come_back_once_with_their_verdicts),
		VERIFIER_TEST(helpers_work_at_the_same_time),
		VERIFIER_TEST(who_waits_for_the_same_shares_the_answer),
		VERIFIER_TEST(no_answer_is_not_shared),
		VERIFIER_TEST(closes_with_jobs_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
