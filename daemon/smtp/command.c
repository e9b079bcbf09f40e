#include "smtp/command.h"

#define ENVID_MAX       100 /* RFC 3461 4.4 */
#define ORCPT_MAX       500 /* RFC 3461 4.2 */
#define SIZE_DIGITS_MAX 20  /* RFC 1870 3 */
#define DETAIL_MAX      64  /* of what the client said, in a reply */

struct command_verb_name {
	struct span name;
	enum command_verb verb;
};

static const struct command_verb_name command_names[] = {
	{ SPAN("AUTH"), COMMAND_AUTH },
	{ SPAN("BDAT"), COMMAND_BDAT },
	{ SPAN("DATA"), COMMAND_DATA },
	{ SPAN("EHLO"), COMMAND_EHLO },
	{ SPAN("ETRN"), COMMAND_ETRN },
	{ SPAN("EXPN"), COMMAND_EXPN },
	{ SPAN("HELO"), COMMAND_HELO },
	{ SPAN("HELP"), COMMAND_HELP },
	{ SPAN("MAIL"), COMMAND_MAIL },
	{ SPAN("NOOP"), COMMAND_NOOP },
	{ SPAN("QUIT"), COMMAND_QUIT },
	{ SPAN("RCPT"), COMMAND_RCPT },
	{ SPAN("RSET"), COMMAND_RSET },
	{ SPAN("STARTTLS"), COMMAND_STARTTLS },
	{ SPAN("TURN"), COMMAND_TURN },
	{ SPAN("VRFY"), COMMAND_VRFY },
	/* How a request line, or a header field without one, begins. */
	{ SPAN("CONNECT"), COMMAND_HTTP },
	{ SPAN("DELETE"), COMMAND_HTTP },
	{ SPAN("GET"), COMMAND_HTTP },
	{ SPAN("HEAD"), COMMAND_HTTP },
	{ SPAN("HOST:"), COMMAND_HTTP },
	{ SPAN("OPTIONS"), COMMAND_HTTP },
	{ SPAN("PATCH"), COMMAND_HTTP },
	{ SPAN("POST"), COMMAND_HTTP },
	{ SPAN("PRI"), COMMAND_HTTP },
	{ SPAN("PUT"), COMMAND_HTTP },
	{ SPAN("TRACE"), COMMAND_HTTP },
};

/* The parameters of MAIL and RCPT that the extensions in EHLO define. */
enum keyword {
	KEYWORD_AUTH,
	KEYWORD_BODY,
	KEYWORD_ENVID,
	KEYWORD_NOTIFY,
	KEYWORD_ORCPT,
	KEYWORD_RET,
	KEYWORD_SIZE,
	KEYWORD_SMTPUTF8,
	KEYWORD_UNKNOWN
};

static const struct span command_keywords[KEYWORD_UNKNOWN] = {
	[KEYWORD_AUTH] = SPAN("AUTH"),   [KEYWORD_BODY] = SPAN("BODY"),
	[KEYWORD_ENVID] = SPAN("ENVID"), [KEYWORD_NOTIFY] = SPAN("NOTIFY"),
	[KEYWORD_ORCPT] = SPAN("ORCPT"), [KEYWORD_RET] = SPAN("RET"),
	[KEYWORD_SIZE] = SPAN("SIZE"),   [KEYWORD_SMTPUTF8] = SPAN("SMTPUTF8"),
};

/* One parameter, KEYWORD[=value], and the ones that came before it. */
struct parameter {
	struct span rest; /* of the argument */
	enum keyword keyword;
	struct span name;  /* as written */
	struct span value; /* empty when there is none */
	unsigned int seen; /* one bit per keyword */
	struct command_fault *fault;
};

static bool command_is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span command_trim(struct span s)
{
	while (s.len && command_is_white(s.p[0]))
		s = span_tail(s, 1);
	while (s.len && command_is_white(s.p[s.len - 1]))
		s.len--;
	return s;
}

struct span command_take_word(struct span *in)
{
	struct span s = command_trim(*in);
	size_t len = 0;

	while (len < s.len && !command_is_white(s.p[len]))
		len++;
	*in = command_trim(span_tail(s, len));
	return span_head(s, len);
}

struct command command_parse(struct span line)
{
	struct span rest = line;
	struct span word = command_take_word(&rest);
	size_t n = sizeof(command_names) / sizeof(command_names[0]);

	/* RFC 5321 4.1.1: the verb begins the line. */
	if (line.len && command_is_white(line.p[0]))
		return (struct command){ COMMAND_UNKNOWN, line };
	for (size_t i = 0; i < n; i++)
		if (span_equal_nocase(word, command_names[i].name))
			return (struct command){ command_names[i].verb, rest };
	return (struct command){ COMMAND_UNKNOWN, rest };
}

static bool command_is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

bool command_is_xtext(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=')
			return false;
		if (s.p[i] != '+')
			continue;
		if (s.len - i < 3 || !command_is_hex(s.p[i + 1]) ||
		    !command_is_hex(s.p[i + 2]))
			return false;
		i += 2;
	}
	return true;
}

/* The first fault sticks; parsers look at it once, at their end. */
static void command_fail(struct command_fault *fault, enum reply reply,
			 struct span detail)
{
	if (fault->reply != REPLY_OK)
		return;
	if (detail.len > DETAIL_MAX)
		detail.len = DETAIL_MAX;
	*fault = (struct command_fault){ reply, detail };
}

static bool command_is_keyword(struct span s)
{
	if (!s.len || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = ascii_lower(s.p[i]);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
			return false;
	}
	return true;
}

static enum keyword command_find_keyword(struct span name)
{
	enum keyword k = 0;

	while (k < KEYWORD_UNKNOWN &&
	       !span_equal_nocase(name, command_keywords[k]))
		k++;
	return k;
}

/* Takes the next parameter off p->rest. False at the end. */
static bool command_next_parameter(struct parameter *p)
{
	struct span word = command_take_word(&p->rest);
	size_t equals = span_find(word, '=');

	if (!word.len)
		return false;
	p->name = span_head(word, equals);
	p->value = span_tail(word, equals);
	if (p->value.len)
		p->value = span_tail(p->value, 1);
	p->keyword = command_find_keyword(p->name);
	if (!command_is_keyword(p->name) ||
	    (equals < word.len && !p->value.len))
		command_fail(p->fault, REPLY_SYNTAX, SPAN("KEYWORD[=value]"));
	if (p->keyword != KEYWORD_UNKNOWN && p->seen & (1U << p->keyword))
		command_fail(p->fault, REPLY_SYNTAX,
			     SPAN("parameter given twice"));
	p->seen |= 1U << p->keyword;
	return true;
}

/*
 * "FROM:" or "TO:", then a path. White space behind the colon is against RFC
 * 5321 and so common that everybody takes it.
 */
static void command_take_path(struct span *in, struct span word,
			      struct address *ret, struct command_fault *fault)
{
	bool from = word.p[0] == 'F';
	struct span path;

	if (!span_starts_nocase(*in, word)) {
		command_fail(fault, REPLY_SYNTAX,
			     from ? SPAN("MAIL FROM:<address>") :
				    SPAN("RCPT TO:<address>"));
		return;
	}
	path = command_trim(span_tail(*in, word.len));
	if (!address_take_path(&path, ret) ||
	    (path.len && !command_is_white(path.p[0]))) {
		command_fail(fault,
			     from ? REPLY_BAD_ADDRESS_FROM :
				    REPLY_BAD_ADDRESS_TO,
			     span_head(path, 0));
		return;
	}
	*in = path;
}

/* RFC 1870 3. A number past 64 bits is a size too, and over any limit. */
static uint64_t command_size(const struct parameter *p)
{
	uint64_t size = UINT64_MAX;
	bool digits = p->value.len && p->value.len <= SIZE_DIGITS_MAX;

	for (size_t i = 0; i < p->value.len; i++)
		digits = digits && p->value.p[i] >= '0' && p->value.p[i] <= '9';
	if (!digits)
		command_fail(p->fault, REPLY_SYNTAX, SPAN("SIZE=octets"));
	else if (!span_to_u64(p->value, &size))
		size = UINT64_MAX;
	return size;
}

/*
 * RFC 6152. BINARYMIME (RFC 3030 3) is not offered: a value that is well known
 * and not implemented, so 555.
 */
static enum command_body command_body(const struct parameter *p)
{
	if (span_equal_nocase(p->value, SPAN("7BIT")))
		return COMMAND_BODY_7BIT;
	if (span_equal_nocase(p->value, SPAN("8BITMIME")))
		return COMMAND_BODY_8BIT;
	if (span_equal_nocase(p->value, SPAN("BINARYMIME")))
		command_fail(p->fault, REPLY_BAD_PARAMETER, p->value);
	else
		command_fail(p->fault, REPLY_SYNTAX,
			     SPAN("BODY=7BIT or BODY=8BITMIME"));
	return COMMAND_BODY_UNSAID;
}

static struct span command_ret(const struct parameter *p)
{
	if (!span_equal_nocase(p->value, SPAN("FULL")) &&
	    !span_equal_nocase(p->value, SPAN("HDRS")))
		command_fail(p->fault, REPLY_SYNTAX,
			     SPAN("RET=FULL or RET=HDRS"));
	return p->value;
}

static struct span command_envid(const struct parameter *p)
{
	if (!p->value.len || p->value.len > ENVID_MAX ||
	    !command_is_xtext(p->value))
		command_fail(p->fault, REPLY_SYNTAX, SPAN("ENVID=xtext"));
	return p->value;
}

/*
 * RFC 4954 5: what another server says the sender is. It is checked and not
 * used: the gateway trusts nobody but the user who authenticated here.
 */
static void command_auth(const struct parameter *p)
{
	if (!p->value.len ||
	    (!span_equal(p->value, SPAN("<>")) && !command_is_xtext(p->value)))
		command_fail(p->fault, REPLY_SYNTAX, SPAN("AUTH=xtext"));
}

/* NEVER, or each of the other three at most once (RFC 3461 4.1). */
static bool command_is_notify(struct span s)
{
	static const struct span events[] = { SPAN("SUCCESS"), SPAN("FAILURE"),
					      SPAN("DELAY") };
	unsigned int seen = 0;

	if (span_equal_nocase(s, SPAN("NEVER")))
		return true;
	for (;;) {
		size_t comma = span_find(s, ',');
		unsigned int i = 0;

		while (i < 3 &&
		       !span_equal_nocase(span_head(s, comma), events[i]))
			i++;
		if (i == 3 || seen & (1U << i))
			return false;
		seen |= 1U << i;
		if (comma == s.len)
			return true;
		s = span_tail(s, comma + 1);
	}
}

static struct span command_notify(const struct parameter *p)
{
	if (!command_is_notify(p->value))
		command_fail(p->fault, REPLY_SYNTAX,
			     SPAN("NOTIFY=NEVER or SUCCESS,FAILURE,DELAY"));
	return p->value;
}

/* Printable ASCII but `=`, and UTF-8 (RFC 6533 3, utf-8-addr-unitext). */
static bool command_is_unitext(struct span s)
{
	while (s.len) {
		size_t utf8 = address_utf8(s);

		if (!utf8 && (s.p[0] < '!' || s.p[0] > '~' || s.p[0] == '='))
			return false;
		s = span_tail(s, utf8 ? utf8 : 1);
	}
	return true;
}

/* addr-type ";" xtext (RFC 3461 4.2). */
static struct span command_orcpt(const struct parameter *p, bool smtputf8)
{
	size_t semicolon = span_find(p->value, ';');
	struct span type = span_head(p->value, semicolon);
	struct span text = span_tail(p->value, semicolon);
	bool good = p->value.len <= ORCPT_MAX && command_is_keyword(type) &&
		    text.len > 1;

	if (good)
		text = span_tail(text, 1);
	if (!good || !(command_is_xtext(text) ||
		       (smtputf8 && span_equal_nocase(type, SPAN("utf-8")) &&
			command_is_unitext(text))))
		command_fail(p->fault, REPLY_SYNTAX, SPAN("ORCPT=type;xtext"));
	return p->value;
}

static void command_mail_parameter(const struct parameter *p,
				   struct command_mail *mail)
{
	mail->extended = true;
	switch (p->keyword) {
	case KEYWORD_AUTH: command_auth(p); break;
	case KEYWORD_BODY: mail->body = command_body(p); break;
	case KEYWORD_ENVID: mail->envid = command_envid(p); break;
	case KEYWORD_RET: mail->ret = command_ret(p); break;
	case KEYWORD_SIZE: mail->size = command_size(p); break;
	case KEYWORD_SMTPUTF8:
		mail->smtputf8 = true;
		if (p->value.len)
			command_fail(p->fault, REPLY_SYNTAX,
				     SPAN("SMTPUTF8 takes no value"));
		break;
	case KEYWORD_NOTIFY:
	case KEYWORD_ORCPT:
	case KEYWORD_UNKNOWN:
		command_fail(p->fault, REPLY_BAD_PARAMETER, p->name);
	}
}

static void command_rcpt_parameter(const struct parameter *p, bool smtputf8,
				   struct command_rcpt *rcpt)
{
	rcpt->extended = true;
	switch (p->keyword) {
	case KEYWORD_NOTIFY: rcpt->notify = command_notify(p); break;
	case KEYWORD_ORCPT: rcpt->orcpt = command_orcpt(p, smtputf8); break;
	case KEYWORD_AUTH:
	case KEYWORD_BODY:
	case KEYWORD_ENVID:
	case KEYWORD_RET:
	case KEYWORD_SIZE:
	case KEYWORD_SMTPUTF8:
	case KEYWORD_UNKNOWN:
		command_fail(p->fault, REPLY_BAD_PARAMETER, p->name);
	}
}

bool command_parse_mail(struct span argument, struct command_mail *ret,
			struct command_fault *ret_fault)
{
	struct parameter p = { .rest = argument, .fault = ret_fault };
	struct address a = { 0 };

	*ret_fault = (struct command_fault){ .reply = REPLY_OK };
	*ret = (struct command_mail){ 0 };
	command_take_path(&p.rest, SPAN("FROM:"), &a, ret_fault);
	if (a.mailbox.len && !a.domain.len)
		command_fail(ret_fault, REPLY_BAD_ADDRESS_FROM, a.domain);
	while (ret_fault->reply == REPLY_OK && command_next_parameter(&p))
		command_mail_parameter(&p, ret);
	ret->path = a.mailbox;
	if (a.non_ascii && !ret->smtputf8)
		command_fail(ret_fault, REPLY_UTF8_NEEDED, a.domain);
	return ret_fault->reply == REPLY_OK;
}

bool command_parse_rcpt(struct span argument, bool smtputf8,
			struct command_rcpt *ret,
			struct command_fault *ret_fault)
{
	struct parameter p = { .rest = argument, .fault = ret_fault };
	struct address a = { 0 };

	*ret_fault = (struct command_fault){ .reply = REPLY_OK };
	*ret = (struct command_rcpt){ 0 };
	command_take_path(&p.rest, SPAN("TO:"), &a, ret_fault);
	if (!a.mailbox.len)
		command_fail(ret_fault, REPLY_BAD_ADDRESS_TO, a.mailbox);
	while (ret_fault->reply == REPLY_OK && command_next_parameter(&p))
		command_rcpt_parameter(&p, smtputf8, ret);
	ret->path = a.mailbox;
	if (a.non_ascii && !smtputf8)
		command_fail(ret_fault, REPLY_UTF8_NEEDED, a.domain);
	return ret_fault->reply == REPLY_OK;
}

bool command_parse_bdat(struct span argument, struct command_bdat *ret,
			struct command_fault *ret_fault)
{
	struct span size = command_take_word(&argument);

	*ret_fault = (struct command_fault){ .reply = REPLY_OK };
	*ret = (struct command_bdat){ 0 };
	ret->last = span_equal_nocase(argument, SPAN("LAST"));
	if (!span_to_u64(size, &ret->size) || (argument.len && !ret->last))
		command_fail(ret_fault, REPLY_SYNTAX,
			     SPAN("BDAT octets [LAST]"));
	return ret_fault->reply == REPLY_OK;
}
