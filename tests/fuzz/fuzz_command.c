/*
 * fuzz_command: command lines. Properties: every span lies in the line, a fault
 * is a refusal of the table, and what was taken is what the grammar allows.
 */

#include "base/must.h"
#include "smtp/command.h"
#include "smtp/line.h"

static bool fuzz_lies_in(struct span part, struct span whole)
{
	return !part.len ||
	       (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void fuzz_fault(bool good, const struct command_fault *fault)
{
	MUST(good == (fault->reply == REPLY_OK));
	MUST(good || reply_code(fault->reply) >= 500);
}

static void fuzz_mail(struct span argument)
{
	struct command_mail mail;
	struct command_fault fault;
	bool good = command_parse_mail(argument, &mail, &fault);
	struct address a;

	fuzz_fault(good, &fault);
	if (!good)
		return;
	MUST(fuzz_lies_in(mail.path, argument));
	MUST(fuzz_lies_in(mail.ret, argument));
	MUST(fuzz_lies_in(mail.envid, argument));
	MUST(command_is_xtext(mail.envid));
	MUST(!mail.path.len || address_parse(mail.path, &a));
	MUST(!mail.path.len || mail.smtputf8 || !a.non_ascii);
}

static void fuzz_rcpt(struct span argument, bool smtputf8)
{
	struct command_rcpt rcpt;
	struct command_fault fault;
	bool good = command_parse_rcpt(argument, smtputf8, &rcpt, &fault);
	struct address a;

	fuzz_fault(good, &fault);
	if (!good)
		return;
	MUST(fuzz_lies_in(rcpt.path, argument));
	MUST(fuzz_lies_in(rcpt.notify, argument));
	MUST(fuzz_lies_in(rcpt.orcpt, argument));
	if (!address_parse(rcpt.path, &a))
		MUST(span_equal_nocase(rcpt.path, SPAN("postmaster")));
	else
		MUST(smtputf8 || !a.non_ascii);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line l = { 0 };
	struct span in = span_of(data, size);
	struct span text = { 0 };

	while (line_take(&l, &in, 512, &text) == LINE_OK) {
		struct command c = command_parse(text);
		struct command_bdat bdat;
		struct command_fault fault;

		MUST(fuzz_lies_in(c.argument, text));
		fuzz_mail(c.argument);
		fuzz_rcpt(c.argument, false);
		fuzz_rcpt(c.argument, true);
		fuzz_fault(command_parse_bdat(c.argument, &bdat, &fault),
			   &fault);
	}
	return 0;
}
