#pragma once

/*
 * nic: whether this machine can tell, and may be trusted to have, records made
 * by network cards, before any fork. The cards themselves are not asked: which
 * one a connection takes is not known before it exists.
 */

#include "config/config.h"
#include "tls/offload.h"

/* A listener, or a route with TLS, has `nic` other than off. */
bool nic_is_wanted(const struct config *config);

/*
 * `found`: what the kernel can do for records. -EOPNOTSUPP with a line in
 * `errors` for each listener and route that cannot have what it requires; what
 * is only preferred is logged.
 */
int nic_prepare(const struct config *config, enum offload_reason found,
		struct buf *errors);
