#pragma once

/*
 * fairness: holds each client, a user and the prefix of its address, to its
 * share of this worker (`shares` of the configuration). What would go beyond is
 * refused with a temporary error and counted; what is under way goes on.
 * Sessions and messages count themselves here, each as long as it lives.
 */

#include "smtp/reply.h"

#include <sys/socket.h>

struct message;
struct session;
struct worker;

/* Tables for all sessions and messages of the worker. Negative errno. */
int fairness_init(struct worker *w);
/* Bytes of them, for the bill. */
uint64_t fairness_bytes(uint32_t sessions, uint32_t messages);

/* A connection from `address`; REPLY_OK, or 421: then it is not counted. */
enum reply fairness_connect(struct worker *w, struct session *s,
			    const struct sockaddr *address);
/* It has shown whose it is. REPLY_OK, or 421. */
enum reply fairness_login(struct worker *w, struct session *s,
			  struct span user);
void fairness_disconnect(struct worker *w, struct session *s);

/*
 * A message of s, of so many bytes as was declared. REPLY_OK, or 452; it counts
 * in both cases, until fairness_close.
 */
enum reply fairness_open(struct worker *w, struct message *m,
			 const struct session *s, uint64_t declared_bytes);
/* So much more of it will be stored. REPLY_OK, or 452. */
enum reply fairness_store(struct worker *w, struct message *m, uint64_t bytes);
void fairness_close(struct worker *w, struct message *m);
