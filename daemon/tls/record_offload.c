/*
 * record_offload: the passage from RECORD_USER to RECORD_KERNEL.
 *
 * I1 The kernel is given keys only between two records in both directions, with
 *    the number of the next one; what came before was opened here.
 * I2 Secrets are kept only while the passage may still be tried.
 */
#include "tls/record.h"

#include "base/must.h"
#include "tls/record_kernel.h"
#include "tls/record_user.h"
#include "tls/secrets.h"

#include <openssl/ssl.h>

/* OFFLOAD_KERNEL: nothing that is known already speaks against it. */
static enum offload_reason judge(const struct record *r, struct offload *o,
				 enum offload_policy policy, uint64_t now_ms)
{
	enum keys_cipher cipher;
	enum offload_reason reason;

	if (policy == OFFLOAD_POLICY_OFF)
		return OFFLOAD_OFF;
	if (!keys_cipher_of(r->ssl, &cipher))
		return OFFLOAD_VERSION;
	reason = offload_expect(o, cipher, now_ms);
	if (reason != OFFLOAD_KERNEL)
		return reason;
	if (!r->secrets)
		return OFFLOAD_NO_ULP; /* when the handshake began */
	if (r->secrets->rekeyed)
		return OFFLOAD_REKEYED;
	if (record_user_has_short_records(r))
		return OFFLOAD_SHORT_RECORDS;
	return record_user_at_boundary(r) ? OFFLOAD_KERNEL :
					    OFFLOAD_PENDING; /* I1 */
}

static enum offload_extent install(struct record *r, int fd, struct offload *o,
				   uint64_t now_ms)
{
	enum offload_extent extent;
	struct offload_keys keys;
	enum keys_cipher cipher;

	if (!keys_cipher_of(r->ssl, &cipher) ||
	    !secrets_derive(r->secrets, r->ssl, cipher, &keys)) {
		r->offload = OFFLOAD_ERROR;
		extent = OFFLOAD_NONE;
	} else {
		extent = offload_install(o, fd, &keys, now_ms, &r->offload);
	}
	explicit_bzero(&keys, sizeof(keys));
	if (extent == OFFLOAD_WHOLE)
		record_kernel_take(r, fd, cipher, offload_can_rekey(o));
	return extent;
}

/* The records made here still work, also to tell that they will not do. */
static enum record_offload stay(struct record *r, enum offload_policy policy)
{
	record_user_forget_secrets(r); /* I2 */
	return policy == OFFLOAD_POLICY_REQUIRE ? RECORD_OFFLOAD_UNMET :
						  RECORD_OFFLOAD_NEVER;
}

enum record_offload record_offload_foresee(struct record *r, struct offload *o,
					   enum offload_policy policy,
					   uint64_t now_ms)
{
	enum offload_reason reason;

	MUST(r->backend == RECORD_USER && r->offload == OFFLOAD_UNTRIED);
	reason = judge(r, o, policy, now_ms);
	if (reason == OFFLOAD_KERNEL || reason == OFFLOAD_PENDING)
		return RECORD_OFFLOAD_LATER;
	r->offload = reason;
	return stay(r, policy);
}

enum record_offload record_offload(struct record *r, int fd, struct offload *o,
				   enum offload_policy policy, uint64_t now_ms)
{
	if (r->backend == RECORD_KERNEL)
		return RECORD_OFFLOAD_DONE;
	MUST(r->backend == RECORD_USER);
	if (r->offload != OFFLOAD_UNTRIED && r->offload != OFFLOAD_PENDING)
		return stay(r, policy);
	r->offload = judge(r, o, policy, now_ms);
	if (r->offload == OFFLOAD_PENDING)
		return RECORD_OFFLOAD_LATER;
	if (r->offload != OFFLOAD_KERNEL)
		return stay(r, policy);
	switch (install(r, fd, o, now_ms)) {
	case OFFLOAD_WHOLE: return RECORD_OFFLOAD_DONE;
	case OFFLOAD_NONE: return stay(r, policy);
	case OFFLOAD_HALF: break;
	}
	r->failed = true;
	record_user_forget_secrets(r); /* I2 */
	return RECORD_OFFLOAD_FAILED;
}

enum offload_reason record_offload_reason(const struct record *r)
{
	return r->offload;
}
