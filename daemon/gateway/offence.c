#include "gateway/offence.h"

#include "gateway/session.h"
#include "gateway/worker.h"

#include <unistd.h>

void offence_tell(struct worker *w, const struct session *s,
		  enum offence_kind kind)
{
	const struct offence_report report = { s->source, (uint8_t)kind };

	if (!w->options->is_shielded || !s->source.family)
		return;
	if (write(w->options->offence_fd, &report, sizeof(report)) !=
	    (ssize_t)sizeof(report))
		worker_count(w, METRIC_OFFENCES_LOST);
}
