#pragma once

/*
 * ktls: asks the kernel, before any fork, whether it can make TLS records: only
 * a privileged process can make it load the module. The operator is told which
 * it is and why (P6).
 */

#include "config/config.h"

/*
 * Logs who will make records. -EOPNOTSUPP with a line in `errors` for each
 * listener or route that requires the kernel to and it cannot, or the card.
 */
int ktls_prepare(const struct config *config, struct buf *errors);
