/*
 * One connection of the floor: its TLS, its talk, what it still has to send.
 * It frees itself when the client is gone.
 */
#pragma once

#include "log.h"
#include "talk.h"

#include <openssl/ssl.h>

struct peer;

/*
 * A connection on a non-blocking socket, which it then owns, watched by epoll
 * with itself as data. False: no memory, the socket is still the caller's.
 */
bool peer_open(SSL_CTX *tls, int fd, int epoll);

/*
 * Does what can be done: handshake, reading, replies. A peer whose message's
 * end was read while there is a log joins the list of those that wait for the
 * sync; it reads no further until then.
 */
void peer_pump(struct peer *peer, struct log *log, struct peer **waiting);

/* After the sync: all of the list send their replies and go on. */
void peer_release(struct peer *list, struct log *log, struct peer **waiting);
