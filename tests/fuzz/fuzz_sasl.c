/*
 * fuzz_sasl: SASL exchanges. The input's lines are a mechanism and responses.
 * Properties: each exchange ends, credentials are never empty and never hold
 * what crypt or a log would cut short, and a refusal leaves no password.
 */

#include "base/must.h"
#include "policy/sasl.h"

static struct span fuzz_line(struct span *in)
{
	size_t end = span_find(*in, '\n');
	struct span line = span_head(*in, end);

	*in = span_tail(*in, end + (end < in->len));
	return line;
}

static void fuzz_credentials(const struct sasl *s)
{
	struct span password = secret_span(&s->password);

	MUST(s->user[0] && strnlen(s->user, SASL_USER_MAX) < SASL_USER_MAX);
	for (const char *c = s->user; *c; c++)
		MUST((uint8_t)*c >= ' ' && *c != 0x7f);
	MUST(password.len && span_find(password, 0) == password.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	enum sasl_result result = SASL_CONTINUE;
	struct sasl s;

	if (!sasl_begin(&s, fuzz_line(&in)))
		return 0;
	for (int turn = 0; result == SASL_CONTINUE; turn++) {
		struct span response = fuzz_line(&in);
		struct span challenge = { 0 };
		bool none = !turn && span_equal(response, SPAN("-"));

		result = sasl_step(&s, none ? NULL : &response, &challenge);
		MUST(turn < 4 && challenge.len <= SASL_CHALLENGE_MAX);
	}
	if (result == SASL_CREDENTIALS)
		fuzz_credentials(&s);
	else
		MUST(!s.user[0] && !s.password.len && !s.password.bytes[0]);
	sasl_wipe(&s);
	return 0;
}
