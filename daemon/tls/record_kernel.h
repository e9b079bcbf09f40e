#pragma once

/*
 * record_kernel: records made by the kernel (kTLS). Only record.c and
 * record_offload.c call it; the contracts are those of record.h. It keeps plain
 * state and, where the kernel can change keys, the traffic secrets.
 */

#include "tls/record.h"

/*
 * Takes over the socket from RECORD_USER: frees OpenSSL's state without a word
 * to the peer, and the secrets unless `can_rekey`.
 */
void record_kernel_take(struct record *r, int fd, enum keys_cipher cipher,
			bool can_rekey);

enum record_result record_kernel_open(struct record *r, struct span *in,
				      struct buf *plain);
enum record_result record_kernel_seal(struct record *r, struct span *plain,
				      struct buf *out);
bool record_kernel_passes_input(const struct record *r);
bool record_kernel_passes_bytes(const struct record *r);
void record_kernel_shutdown(struct record *r);
enum record_result record_kernel_receive_failed(struct record *r, int error);
enum record_result record_kernel_open_control(struct record *r,
					      struct record_control *c,
					      size_t n);
bool record_kernel_take_control(struct record *r, struct record_control *c);
enum record_result record_kernel_control_sent(struct record *r);
void record_kernel_fini(struct record *r);

/* record.c's: copies what fits and advances `from`. */
enum record_result record_pass(struct span *from, struct buf *to);
