#include "doctor/report.h"

#include "base/json.h"
#include "base/version.h"

#define LINE_WIDTH  79
#define SUBJECT_MIN 18

/* Text */

static const char *grade_mark(enum finding_grade grade)
{
	static const char *const marks[FINDING_GRADES] = {
		[FINDING_WELL] = "ok",
		[FINDING_NOTE] = "note",
		[FINDING_LOSS] = "LOSS",
		[FINDING_UNABLE] = "UNABLE",
	};

	return marks[grade];
}

static void put_blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_put_byte(out, ' ');
}

/*
 * Words of `text` from column `at` on, which the line has reached; further
 * lines begin there, too. A word that is longer than a line gets one.
 */
static void put_wrapped(struct buf *out, const char *text, size_t at)
{
	size_t column = at;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column > at && column + 1 + n > LINE_WIDTH) {
			buf_put_byte(out, '\n');
			put_blanks(out, at);
			column = at;
		}
		if (column > at) {
			buf_put_byte(out, ' ');
			column++;
		}
		buf_put(out, span_of((const uint8_t *)text, n));
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_put_byte(out, '\n');
}

static size_t subject_width(const struct findings *f)
{
	size_t width = SUBJECT_MIN;

	for (size_t i = 0; i < f->n; i++)
		if (strlen(f->list[i].subject) > width)
			width = strlen(f->list[i].subject);
	return width;
}

static void put_remark(struct buf *out, const char *head, const char *text)
{
	if (!text)
		return;
	put_blanks(out, 9);
	buf_put_str(out, head);
	put_wrapped(out, text, 9 + strlen(head));
}

static void put_finding(const struct finding *finding, size_t width,
			struct buf *out)
{
	size_t at = 7 + 2 + width + 2;

	buf_printf(out, "  %-6s %-*s  ", grade_mark(finding->grade), (int)width,
		   finding->subject);
	put_wrapped(out, finding->found, at);
	put_remark(out, "means  ", finding->means);
	put_remark(out, "do     ", finding->advice);
}

static const char *verdict(const struct findings *f)
{
	switch (findings_worst(f)) {
	case FINDING_WELL:
	case FINDING_NOTE: return "all well";
	case FINDING_LOSS: return "works, with losses";
	case FINDING_UNABLE:
	case FINDING_GRADES: break;
	}
	return "cannot work";
}

void report_text(const struct findings *f, struct buf *out)
{
	size_t width = subject_width(f);
	const char *area = "";

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(area, f->list[i].area) != 0) {
			area = f->list[i].area;
			buf_printf(out, "%s%s\n", i ? "\n" : "", area);
		}
		put_finding(&f->list[i], width, out);
	}
	if (f->left_out)
		buf_printf(out, "\n%zu findings had no room here.\n",
			   f->left_out);
	buf_printf(out, "\n%s (unable %zu, losses %zu, notes %zu)\n",
		   verdict(f), findings_count(f, FINDING_UNABLE),
		   findings_count(f, FINDING_LOSS),
		   findings_count(f, FINDING_NOTE));
}

/* JSON */

static void json_optional(struct json *j, const char *key, const char *value)
{
	if (value)
		json_string(j, key, value);
}

static void json_finding(struct json *j, const struct finding *finding)
{
	json_open(j, NULL, '{');
	json_string(j, "area", finding->area);
	json_string(j, "subject", finding->subject);
	json_string(j, "grade", finding_grade_name(finding->grade));
	json_string(j, "found", finding->found);
	json_optional(j, "means", finding->means);
	json_optional(j, "advice", finding->advice);
	json_close(j, '}');
}

void report_json(const struct findings *f, struct buf *out)
{
	struct json j = json_into(out);

	json_open(&j, NULL, '{');
	json_string(&j, "version", SLUICE_VERSION);
	json_number(&j, "status", (uint64_t)report_status(f));
	json_string(&j, "verdict", verdict(f));
	json_number(&j, "left_out", f->left_out);
	json_open(&j, "findings", '[');
	for (size_t i = 0; i < f->n; i++)
		json_finding(&j, &f->list[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_put_byte(out, '\n');
}

int report_status(const struct findings *f)
{
	switch (findings_worst(f)) {
	case FINDING_WELL:
	case FINDING_NOTE: return 0;
	case FINDING_LOSS: return 1;
	case FINDING_UNABLE:
	case FINDING_GRADES: break;
	}
	return 2;
}
