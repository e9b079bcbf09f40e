#pragma once

/*
 * record_user: the record layer made by OpenSSL in this process. Only record.c
 * calls it; the contracts are those of record.h.
 */

#include "tls/record.h"

/* Drops what the handshake needed and the records do not. */
void record_user_take(struct record *r, struct handshake *h);

enum record_result record_user_open(struct record *r, struct span *in,
				    struct buf *plain, struct buf *out);
uint64_t record_user_wire_min(uint64_t plain_len);
bool record_user_pending(const struct record *r);
enum record_result record_user_seal(struct record *r, struct span *plain,
				    struct buf *out);
size_t record_user_sealed_max(const struct record *r, size_t plain_len);
void record_user_shutdown(struct record *r, struct buf *out);
void record_user_fini(struct record *r);

/* True between records: nothing read ahead, nothing owed, neither side shut. */
bool record_user_at_boundary(const struct record *r);

/* A client may have asked for records so short (RFC 6066 4). */
bool record_user_has_short_records(const struct record *r);

/* Wipes and frees what was kept for the kernel. */
void record_user_forget_secrets(struct record *r);
