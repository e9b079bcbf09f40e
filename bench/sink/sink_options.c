#include "sink/sink_options.h"

#include <math.h>
#include <stdlib.h>

static const char usage[] =
	"usage: sluice-sink [OPTIONS] --smtp|--smtps|--lmtp ADDRESS:PORT ...\n\n"
	"A next hop that takes mail as cheaply as it can and keeps none of it.\n"
	"Says `ready` and the ports when it listens; SIGTERM ends it.\n";

#define ADD(t, rows) option_add(t, rows, sizeof(rows) / sizeof(*(rows)))

static void add_service(struct option_table *t, struct sink_options *o)
{
	struct option_row rows[] = {
		OPTION_HEADING("Service"),
		OPTION_ROW(NUMBER, "connections", number, &o->connections, "N",
			   "connections at a time (1024)"),
		OPTION_ROW(NUMBER, "threads", number, &o->threads, "N",
			   "threads (1)"),
		OPTION_ROW(LIST, "smtp", list, &o->smtp, "ADDRESS:PORT",
			   "listen for SMTP; port 0: any free one"),
		OPTION_ROW(LIST, "smtps", list, &o->smtps, "ADDRESS:PORT",
			   "listen for SMTP inside TLS"),
		OPTION_ROW(LIST, "lmtp", list, &o->lmtp, "ADDRESS:PORT",
			   "listen for LMTP"),
		OPTION_ROW(TEXT, "certificate", text, &o->certificate, "FILE",
			   "chain for TLS, and STARTTLS where it is clear"),
		OPTION_ROW(TEXT, "key", text, &o->key, "FILE", "its key"),
		OPTION_ROW(FLAG, "auth", flag, &o->auth, NULL,
			   "offer AUTH PLAIN and accept any password"),
		OPTION_ROW(FLAG, "no-chunking", flag, &o->no_chunking, NULL,
			   "offer no BDAT"),
		OPTION_ROW(FLAG, "no-pipelining", flag, &o->no_pipelining, NULL,
			   "offer no PIPELINING"),
		OPTION_ROW(FLAG, "no-8bitmime", flag, &o->no_8bitmime, NULL,
			   "offer no 8BITMIME"),
		OPTION_ROW(FLAG, "no-smtputf8", flag, &o->no_smtputf8, NULL,
			   "offer no SMTPUTF8"),
	};

	rows[1].max = SINK_CONNECTIONS_MAX;
	rows[2].max = SINK_THREADS_MAX;
	ADD(t, rows);
}

static void add_moods(struct option_table *t, struct sink_options *o)
{
	struct option_row rows[] = {
		OPTION_HEADING("Smart mode (a SHARE is 0 to 1)"),
		OPTION_ROW(LIST, "refuse-recipient", list, &o->recipient_texts,
			   "CODE:SHARE", "answer so many RCPT with CODE"),
		OPTION_ROW(LIST, "refuse-message", list, &o->message_texts,
			   "CODE:SHARE", "answer so many messages with CODE"),
		OPTION_ROW(REAL, "drop", real, &o->drop, "SHARE",
			   "close instead of the final reply"),
		OPTION_ROW(NUMBER, "delay", number, &o->delay_ms, "MS",
			   "wait before the final reply"),
		OPTION_ROW(BYTES, "throttle", number, &o->throttle, "BYTES",
			   "read no more in a second and connection"),
		OPTION_ROW(NUMBER, "seed", number, &o->seed, "N",
			   "seed of the choice (1)"),
		OPTION_HEADING("Output"),
		OPTION_ROW(TEXT, "account", text, &o->account, "FILE",
			   "write a line for each message"),
		OPTION_ROW(NUMBER, "lose", number, &o->lose, "N",
			   "for tests: account for no Nth message"),
		OPTION_ROW(NUMBER, "double", number, &o->twice, "N",
			   "for tests: account twice for each Nth"),
		OPTION_ROW(NUMBER, "change", number, &o->change, "N",
			   "for tests: account wrongly for each Nth"),
		OPTION_ROW(TEXT, "json", text, &o->json, "FILE",
			   "write the summary as JSON at the end"),
		OPTION_ROW(FLAG, "quiet", flag, &o->quiet, NULL,
			   "print no summary"),
	};

	rows[3].max = 1;
	rows[4].max = 600000;
	ADD(t, rows);
}

/* CODE:SHARE */
static bool read_refusal(const char *text, struct sink_refusal *ret)
{
	struct span s = span_str(text);
	size_t n = span_find(s, ':');
	uint64_t code;
	char *end;

	if (n != 3 || n + 1 >= s.len || !span_to_u64(span_head(s, n), &code) ||
	    code < 400 || code > 599)
		return false;
	ret->code = (uint16_t)code;
	ret->share = strtod(text + n + 1, &end);
	return !*end && ret->share >= 0 && ret->share <= 1;
}

static enum option_result read_refusals(struct option_table *t,
					const char *name,
					const struct option_list *texts,
					struct sink_refusals *ret)
{
	double sum = 0;

	for (uint32_t i = 0; i < texts->n; i++) {
		if (!read_refusal(texts->at[i], &ret->at[i]))
			return option_wrong(t,
					    "--%s wants CODE:SHARE, such as "
					    "450:0.05, not '%s'",
					    name, texts->at[i]);
		sum += ret->at[i].share;
	}
	if (sum > 1 + 1e-9)
		return option_wrong(t, "the shares of --%s make more than 1",
				    name);
	ret->n = texts->n;
	return OPTION_OK;
}

static enum option_result check(const struct sink_options *o,
				struct option_table *t)
{
	if (t->operands_n)
		return option_wrong(t, "what is '%s'?", t->operand[0]);
	if (!o->smtp.n && !o->smtps.n && !o->lmtp.n)
		return option_wrong(t, "where to listen? name --smtp, --smtps "
				       "or --lmtp");
	if (!o->certificate != !o->key)
		return option_wrong(t, "--certificate and --key go together");
	if (o->smtps.n && !o->certificate)
		return option_wrong(t, "--smtps wants --certificate and --key");
	if (!o->connections || !o->threads)
		return option_wrong(t, "--connections and --threads are at "
				       "least 1");
	if ((o->lose || o->twice || o->change) && !o->account)
		return option_wrong(t, "--lose, --double and --change want "
				       "--account");
	return OPTION_OK;
}

enum option_result sink_options_parse(struct sink_options *o,
				      struct option_table *t, int argc,
				      char *const argv[])
{
	enum option_result result;

	*t = (struct option_table){ .usage = usage };
	*o = (struct sink_options){ .connections = 1024,
				    .threads = 1,
				    .seed = 1 };
	add_service(t, o);
	add_moods(t, o);
	result = option_parse(t, argc, argv);
	if (result == OPTION_OK)
		result = read_refusals(t, "refuse-recipient",
				       &o->recipient_texts,
				       &o->refuse_recipient);
	if (result == OPTION_OK)
		result = read_refusals(t, "refuse-message", &o->message_texts,
				       &o->refuse_message);
	return result == OPTION_OK ? check(o, t) : result;
}
