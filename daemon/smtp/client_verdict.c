/*
 * The verdicts made here, in the form of a reply, from one table: whoever logs
 * or reports a failure need not know who found it.
 */
#include "smtp/client_verdict.h"

#include "base/must.h"

struct finding_row {
	const char *name;
	uint16_t subject;
	uint16_t detail;
	const char *text;
};

static const struct finding_row rows[CLIENT_FINDING_N] = {
#define CLIENT_FINDING_ROW(name, subject, detail, text) \
	[CLIENT_FOUND_##name] = { #name, subject, detail, text },
	CLIENT_FINDING_TABLE(CLIENT_FINDING_ROW)
#undef CLIENT_FINDING_ROW
};

const char *client_finding_name(enum client_finding finding)
{
	MUST(finding < CLIENT_FINDING_N);
	return rows[finding].name;
}

void client_verdict_of(struct client_verdict *v, enum client_finding finding,
		       enum client_outcome outcome)
{
	const struct finding_row *row = &rows[finding];
	size_t len = strlen(row->text);

	MUST(finding < CLIENT_FINDING_N && len <= sizeof(v->reply.text));
	*v = (struct client_verdict){
		.outcome = outcome,
		.finding = finding,
		.reply = { .class = outcome == CLIENT_REFUSED ? 5 : 4,
			   .subject = row->subject,
			   .detail = row->detail,
			   .text_len = (uint8_t)len },
	};
	memcpy(v->reply.text, row->text, len);
}
