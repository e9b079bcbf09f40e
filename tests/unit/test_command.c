/* Command lines taken apart: verbs, MAIL, RCPT, BDAT, xtext. */
#include "smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void verb(const char *line, enum command_verb want, const char *argument)
{
	struct command c = command_parse(span_str(line));

	assert_int_equal(c.verb, want);
	assert_true(span_equal(c.argument, span_str(argument)));
}

static void tells_verbs(void **state)
{
	verb("EHLO a", COMMAND_EHLO, "a");
	verb("ehlo  a b ", COMMAND_EHLO, "a b");
	verb("QUIT", COMMAND_QUIT, "");
	verb("QuIt\t", COMMAND_QUIT, "");
	verb("STARTTLS", COMMAND_STARTTLS, "");
	verb("STARTTL", COMMAND_UNKNOWN, "");
	verb("STARTTLSX", COMMAND_UNKNOWN, "");
	verb("GET / HTTP/1.1", COMMAND_HTTP, "/ HTTP/1.1");
	verb("Host: x", COMMAND_HTTP, "x");
	verb(" QUIT", COMMAND_UNKNOWN, " QUIT");
	verb("", COMMAND_UNKNOWN, "");
}

static enum reply mail_fault(const char *argument)
{
	struct command_fault fault;
	struct command_mail mail;

	return command_parse_mail(span_str(argument), &mail, &fault) ?
		       REPLY_OK :
		       fault.reply;
}

static enum reply rcpt_fault(const char *argument, bool smtputf8)
{
	struct command_fault fault;
	struct command_rcpt rcpt;

	return command_parse_rcpt(span_str(argument), smtputf8, &rcpt, &fault) ?
		       REPLY_OK :
		       fault.reply;
}

static void reads_mail(void **state)
{
	struct command_fault fault;
	struct command_mail mail;

	assert_true(command_parse_mail(
		SPAN("from:<a@b> Size=12 BODY=8bitmime SMTPUTF8 RET=hdrs "
		     "ENVID=x+2By AUTH=<>"),
		&mail, &fault));
	assert_true(span_equal(mail.path, SPAN("a@b")));
	assert_true(mail.size == 12);
	assert_int_equal(mail.body, COMMAND_BODY_8BIT);
	assert_true(mail.smtputf8 && mail.extended);
	assert_true(span_equal(mail.ret, SPAN("hdrs")));
	assert_true(span_equal(mail.envid, SPAN("x+2By")));

	assert_true(command_parse_mail(SPAN("FROM:<>"), &mail, &fault));
	assert_int_equal(mail.path.len, 0);
	assert_int_equal(mail.body, COMMAND_BODY_UNSAID);
	assert_true(!mail.size && !mail.smtputf8 && !mail.extended);
}

static void a_size_past_64_bits_is_a_size(void **state)
{
	struct command_fault fault;
	struct command_mail mail;

	assert_true(command_parse_mail(
		SPAN("FROM:<> SIZE=99999999999999999999"), &mail, &fault));
	assert_true(mail.size == UINT64_MAX);
	assert_int_equal(mail_fault("FROM:<> SIZE=999999999999999999999"),
			 REPLY_SYNTAX);
	assert_int_equal(mail_fault("FROM:<> SIZE=-1"), REPLY_SYNTAX);
}

static void tells_faults_of_mail(void **state)
{
	assert_int_equal(mail_fault("FROM <a@b>"), REPLY_SYNTAX);
	assert_int_equal(mail_fault("FROM:<a@b"), REPLY_BAD_ADDRESS_FROM);
	assert_int_equal(mail_fault("FROM:<a@b>SIZE=1"),
			 REPLY_BAD_ADDRESS_FROM);
	assert_int_equal(mail_fault("FROM:<postmaster>"),
			 REPLY_BAD_ADDRESS_FROM);
	assert_int_equal(mail_fault("FROM:<\xc3\xa4@b>"), REPLY_UTF8_NEEDED);
	assert_int_equal(mail_fault("FROM:<\xc3\xa4@b> SMTPUTF8"), REPLY_OK);
	assert_int_equal(mail_fault("FROM:<> X=1"), REPLY_BAD_PARAMETER);
	assert_int_equal(mail_fault("FROM:<> BODY=BINARYMIME"),
			 REPLY_BAD_PARAMETER);
	assert_int_equal(mail_fault("FROM:<> SIZE=1 size=1"), REPLY_SYNTAX);
	assert_int_equal(mail_fault("FROM:<> -X=1"), REPLY_SYNTAX);
	/* The first fault is the one that counts. */
	assert_int_equal(mail_fault("FROM:<> RET=NO X=1"), REPLY_SYNTAX);
	assert_int_equal(mail_fault("FROM:<> X=1 RET=NO"), REPLY_BAD_PARAMETER);
}

static void envid_is_bounded(void **state)
{
	char text[160] = "FROM:<> ENVID=";
	size_t n = strlen(text);

	memset(text + n, 'x', 100);
	assert_int_equal(mail_fault(text), REPLY_OK);
	text[n + 100] = 'x';
	assert_int_equal(mail_fault(text), REPLY_SYNTAX);
}

static void reads_rcpt(void **state)
{
	struct command_fault fault;
	struct command_rcpt rcpt;

	assert_true(command_parse_rcpt(SPAN("TO:<@r:a@b> NOTIFY=success,delay "
					    "ORCPT=rfc822;a@b"),
				       false, &rcpt, &fault));
	assert_true(span_equal(rcpt.path, SPAN("a@b")));
	assert_true(span_equal(rcpt.notify, SPAN("success,delay")));
	assert_true(span_equal(rcpt.orcpt, SPAN("rfc822;a@b")));
	assert_true(rcpt.extended);
}

static void tells_faults_of_rcpt(void **state)
{
	assert_int_equal(rcpt_fault("TO:<>", false), REPLY_BAD_ADDRESS_TO);
	assert_int_equal(rcpt_fault("FROM:<a@b>", false), REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<postmaster>", false), REPLY_OK);
	assert_int_equal(rcpt_fault("TO:<\xc3\xa4@b>", false),
			 REPLY_UTF8_NEEDED);
	assert_int_equal(rcpt_fault("TO:<\xc3\xa4@b>", true), REPLY_OK);
	assert_int_equal(rcpt_fault("TO:<a@b> NOTIFY=", false), REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> NOTIFY=DELAY,", false),
			 REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> NOTIFY=DELAY,NEVER", false),
			 REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> ORCPT=x;", false), REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> ORCPT=;x", false), REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> ORCPT=utf-8;\xc3\xa4@b", false),
			 REPLY_SYNTAX);
	assert_int_equal(rcpt_fault("TO:<a@b> ORCPT=utf-8;\xc3\xa4@b", true),
			 REPLY_OK);
	assert_int_equal(rcpt_fault("TO:<a@b> BODY=7BIT", false),
			 REPLY_BAD_PARAMETER);
}

static void orcpt_is_bounded(void **state)
{
	char text[600] = "TO:<a@b> ORCPT=rfc822;";
	size_t n = strlen(text);

	memset(text + n, 'x', 500 - strlen("rfc822;"));
	assert_int_equal(rcpt_fault(text, false), REPLY_OK);
	text[strlen(text)] = 'x';
	assert_int_equal(rcpt_fault(text, false), REPLY_SYNTAX);
}

static void reads_bdat(void **state)
{
	struct command_fault fault;
	struct command_bdat bdat;

	assert_true(command_parse_bdat(SPAN("0 LAST"), &bdat, &fault));
	assert_true(!bdat.size && bdat.last);
	assert_true(command_parse_bdat(SPAN("18446744073709551615"), &bdat,
				       &fault));
	assert_true(bdat.size == UINT64_MAX && !bdat.last);
	assert_false(command_parse_bdat(SPAN(""), &bdat, &fault));
	assert_false(command_parse_bdat(SPAN("LAST"), &bdat, &fault));
	assert_false(command_parse_bdat(SPAN("1 LAST x"), &bdat, &fault));
	assert_false(command_parse_bdat(SPAN("0x10"), &bdat, &fault));
	assert_false(command_parse_bdat(SPAN("18446744073709551616"), &bdat,
					&fault));
	assert_int_equal(fault.reply, REPLY_SYNTAX);
}

static void knows_xtext(void **state)
{
	assert_true(command_is_xtext(SPAN("")));
	assert_true(command_is_xtext(SPAN("a+2B+3Db")));
	assert_false(command_is_xtext(SPAN("a=b")));
	assert_false(command_is_xtext(SPAN("a b")));
	assert_false(command_is_xtext(SPAN("+2")));
	assert_false(command_is_xtext(SPAN("+2b")));
	assert_false(command_is_xtext(SPAN("\xc3\xa4")));
}

/* What a reply quotes is bounded whatever the client sent. */
static void details_are_short(void **state)
{
	char text[600] = "FROM:<> ";
	struct command_fault fault;
	struct command_mail mail;

	memset(text + 8, 'x', 500);
	assert_false(command_parse_mail(span_str(text), &mail, &fault));
	assert_int_equal(fault.reply, REPLY_BAD_PARAMETER);
	assert_true(fault.detail.len <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_verbs),
		cmocka_unit_test(reads_mail),
		cmocka_unit_test(a_size_past_64_bits_is_a_size),
		cmocka_unit_test(tells_faults_of_mail),
		cmocka_unit_test(envid_is_bounded),
		cmocka_unit_test(reads_rcpt),
		cmocka_unit_test(tells_faults_of_rcpt),
		cmocka_unit_test(orcpt_is_bounded),
		cmocka_unit_test(reads_bdat),
		cmocka_unit_test(knows_xtext),
		cmocka_unit_test(details_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
