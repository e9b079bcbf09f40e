#pragma once

/*
 * verifier: checks passwords against the users file on helper threads, because
 * one crypt(3) takes as long as a thousand commands. It owns a fixed number of
 * jobs; running out of them is an ordinary answer (454). The loop takes a job,
 * runs the SASL exchange in it, submits it, and finds it again among the
 * finished ones after the doorbell rang. Passwords are wiped when a job is
 * given back. An unknown user costs the same crypt as a known one. Jobs that
 * wait while the same user and password are checked share that answer.
 */

#include "policy/sasl.h"
#include "policy/users.h"

#include <stdbool.h>
#include <stdint.h>

#define VERIFIER_JOBS 128

enum verifier_verdict {
	VERIFIER_WRONG, /* unknown user or wrong password: nobody is told which */
	VERIFIER_RIGHT,
	VERIFIER_BROKEN, /* crypt(3) could not be run */
};

struct verifier_job {
	uint32_t session; /* slot and generation of who asked */
	uint32_t generation;
	struct sasl sasl; /* the exchange; holds user and password */
	enum verifier_verdict verdict;
	struct verifier_job *next; /* in the verifier's lists */
};

struct verifier;

/*
 * Starts `threads` helpers. `users` must outlive the verifier. *ret_doorbell is
 * an eventfd of the verifier's that becomes readable when a job has finished.
 */
int verifier_open(const struct users *users, uint32_t threads,
		  struct verifier **ret, int *ret_doorbell);

/* A job of the caller's, or NULL: all are in use. */
struct verifier_job *verifier_take(struct verifier *v);
/* Hands a job to the helpers; it comes back by verifier_finished. */
void verifier_submit(struct verifier *v, struct verifier_job *job);
/* A finished job, with its verdict, or NULL. The caller gives it back. */
struct verifier_job *verifier_finished(struct verifier *v);
/* Ends a job that is not submitted: wipes it. */
void verifier_give(struct verifier *v, struct verifier_job *job);

/* Waits for the helpers and frees everything. */
void verifier_close(struct verifier *v);
