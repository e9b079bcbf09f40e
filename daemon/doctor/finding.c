#include "doctor/finding.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>

void findings_init(struct findings *f)
{
	f->n = 0;
	f->left_out = 0;
	buf_init(&f->text, f->storage, sizeof(f->storage));
}

void findings_add(struct findings *f, const struct finding *finding)
{
	MUST(finding->area && finding->subject && finding->found);
	MUST(finding->grade < FINDING_GRADES);
	if (f->n == FINDINGS_MAX) {
		f->left_out++;
		return;
	}
	f->list[f->n++] = *finding;
}

const char *findings_text(struct findings *f, const char *format, ...)
{
	size_t room;
	char *text = (char *)buf_reserve(&f->text, &room);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room)
		return "(no room to say it)";
	buf_produced(&f->text, (size_t)n + 1);
	return text;
}

size_t findings_count(const struct findings *f, enum finding_grade grade)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->list[i].grade == grade;
	return n;
}

enum finding_grade findings_worst(const struct findings *f)
{
	enum finding_grade worst = FINDING_WELL;

	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].grade > worst)
			worst = f->list[i].grade;
	return worst;
}

const char *finding_grade_name(enum finding_grade grade)
{
	static const char *const names[] = {
		[FINDING_WELL] = "well",
		[FINDING_NOTE] = "note",
		[FINDING_LOSS] = "loss",
		[FINDING_UNABLE] = "unable",
	};

	MUST(grade < FINDING_GRADES);
	return names[grade];
}

const char *finding_errno(struct findings *f, int error)
{
	const char *name = strerrorname_np(-error);
	const char *text = strerrordesc_np(-error);

	return findings_text(f, "%s (%s)", name ? name : "?",
			     text ? text : "unknown error");
}
