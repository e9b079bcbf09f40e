#include "peer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define INPUT (64 * 1024) /* one record at most is read at a time */

struct peer {
	SSL *tls;
	int fd;
	int epoll;
	bool shaken;
	bool waits;        /* for the log */
	bool drained;      /* the socket was read from in this turn */
	bool blocked;      /* the socket takes no more */
	struct peer *next; /* in the list of those that wait */
	struct talk talk;
	size_t in_len;
	size_t in_at;
	size_t sent;
	struct talk_output output;
	char in[INPUT];
};

/* Level-triggered: what was left unread is reported again, so that nobody need
 * read until there is nothing. */
static bool watch(struct peer *peer, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = peer };

	peer->blocked = (events & EPOLLOUT) != 0;
	return epoll_ctl(peer->epoll, operation, peer->fd, &event) == 0;
}

bool peer_open(SSL_CTX *tls, int fd, int epoll)
{
	/* Not cleared: the input's pages are touched when they are used. */
	struct peer *peer = malloc(sizeof(*peer));

	if (!peer)
		return false;
	memset(peer, 0, offsetof(struct peer, output));
	peer->output.replies_len = 0;
	peer->fd = fd;
	peer->epoll = epoll;
	peer->tls = SSL_new(tls);
	if (!peer->tls || SSL_set_fd(peer->tls, fd) != 1 ||
	    !watch(peer, EPOLL_CTL_ADD, EPOLLIN)) {
		SSL_free(peer->tls);
		free(peer);
		return false;
	}
	SSL_set_accept_state(peer->tls);
	talk_init(&peer->talk);
	return true;
}

static void peer_close(struct peer *peer)
{
	SSL_free(peer->tls);
	close(peer->fd); /* epoll forgets it */
	free(peer);
}

/* 1: did something, 0: the socket must get ready, -1: over. */
static int verdict(struct peer *peer, int result)
{
	int reason = SSL_get_error(peer->tls, result);

	if (reason == SSL_ERROR_WANT_WRITE)
		return watch(peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT) ? 0 : -1;
	return reason == SSL_ERROR_WANT_READ ? 0 : -1;
}

static int shake(struct peer *peer)
{
	int result = SSL_do_handshake(peer->tls);

	if (result != 1)
		return verdict(peer, result);
	peer->shaken = true;
	talk_greet(&peer->output);
	return 1;
}

static int flush(struct peer *peer)
{
	struct talk_output *output = &peer->output;

	while (peer->sent < output->replies_len) {
		int n = SSL_write(peer->tls, output->replies + peer->sent,
				  (int)(output->replies_len - peer->sent));

		if (n <= 0)
			return verdict(peer, n);
		peer->sent += (size_t)n;
	}
	peer->sent = output->replies_len = 0;
	if (peer->blocked && !watch(peer, EPOLL_CTL_MOD, EPOLLIN))
		return -1;
	return peer->talk.state == TALK_OVER ? -1 : 1;
}

/* 0 without asking the socket when OpenSSL has nothing left of the last time. */
static int fill(struct peer *peer)
{
	int n;

	if (peer->drained && !SSL_has_pending(peer->tls))
		return 0;
	peer->drained = true;
	n = SSL_read(peer->tls, peer->in, sizeof(peer->in));
	if (n <= 0)
		return verdict(peer, n);
	peer->in_at = 0;
	peer->in_len = (size_t)n;
	return 1;
}

static bool must_flush(const struct peer *peer)
{
	return peer->output.replies_len > TALK_REPLIES_MUCH ||
	       peer->talk.state == TALK_OVER;
}

/* Until the input is used up, a message waits for the log, or replies must be
 * sent to make room for others. */
static void talk(struct peer *peer, struct log *log)
{
	struct talk_output *output = &peer->output;

	while (peer->in_at < peer->in_len && !peer->waits &&
	       !must_flush(peer)) {
		peer->in_at += talk_step(&peer->talk, peer->in + peer->in_at,
					 peer->in_len - peer->in_at, output);
		if (output->body_len > 0)
			log_append(log, (uint32_t)peer->fd, output->body,
				   output->body_len);
		peer->waits = output->message_ended && log->fd >= 0;
	}
}

/* Replies are sent when nothing more can be read, all at once. */
static int turn(struct peer *peer, struct log *log)
{
	int done;

	if (!peer->shaken)
		return shake(peer);
	if (must_flush(peer))
		return flush(peer);
	if (peer->in_at < peer->in_len) {
		talk(peer, log);
		return 1;
	}
	done = fill(peer);
	if (done == 0 && peer->output.replies_len > 0)
		return flush(peer);
	return done;
}

void peer_pump(struct peer *peer, struct log *log, struct peer **waiting)
{
	int done = 1;

	if (peer->waits)
		return;
	peer->drained = false;
	while (done > 0 && !peer->waits)
		done = turn(peer, log);
	if (done < 0) {
		peer_close(peer);
	} else if (peer->waits) {
		peer->next = *waiting;
		*waiting = peer;
	}
}

void peer_release(struct peer *list, struct log *log, struct peer **waiting)
{
	while (list) {
		struct peer *next = list->next;

		list->waits = false;
		peer_pump(list, log, waiting);
		list = next;
	}
}
