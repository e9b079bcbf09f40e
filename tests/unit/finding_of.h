#pragma once

/* finding_of: picks what the doctor says about one thing out of all. */

#include "doctor/finding.h"

/* The first finding about that subject, or NULL. */
static inline const struct finding *finding_of(const struct findings *f,
					       const char *subject)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->list[i].subject, subject))
			return &f->list[i];
	return NULL;
}

/* Its grade; FINDING_GRADES when there is none. */
static inline enum finding_grade grade_of(const struct findings *f,
					  const char *subject)
{
	const struct finding *finding = finding_of(f, subject);

	return finding ? finding->grade : FINDING_GRADES;
}
