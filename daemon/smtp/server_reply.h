#pragma once

/*
 * server_reply: how the server speaks. It fills a reply's argument with what
 * the table wants (hostname, limit, id) and counts what was said. It decides
 * nothing and changes no state.
 */

#include "smtp/server.h"

/* Appends a reply whose argument the server itself knows. */
void server_reply_put(struct smtp_server *s, struct buf *out, enum reply reply);

/* Appends a reply with this argument. */
void server_reply_put_detail(struct smtp_server *s, struct buf *out,
			     enum reply reply, struct span detail);

/* Counts a reply that was written line by line. */
void server_reply_count(struct smtp_server *s, enum reply reply);
