#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char END[] = "\r\n.\r\n";
#define END_LEN (sizeof(END) - 1)

void talk_init(struct talk *talk)
{
	talk->state = TALK_COMMAND;
	talk->line_len = 0;
}

static void reply(struct talk_output *output, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(output->replies) - output->replies_len)
		return;
	memcpy(output->replies + output->replies_len, text, len);
	output->replies_len += len;
}

void talk_greet(struct talk_output *output)
{
	reply(output, "220 floor ESMTP\r\n");
}

static void end_message(struct talk *talk, struct talk_output *output)
{
	talk->state = TALK_COMMAND;
	output->message_ended = true;
	reply(output, "250 2.0.0 Taken\r\n");
}

static void begin_chunk(struct talk *talk, struct talk_output *output)
{
	char *rest;

	talk->left = strtoull(talk->line + 5, &rest, 10);
	talk->last = strcasestr(rest, "LAST") != NULL;
	talk->state = TALK_BDAT;
	if (talk->left == 0 && talk->last)
		end_message(talk, output);
	else if (talk->left == 0)
		talk->state = TALK_COMMAND;
}

static void obey(struct talk *talk, struct talk_output *output)
{
	const char *line = talk->line;

	if (!strncasecmp(line, "EHLO", 4)) {
		reply(output, "250-floor\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
			      "250-SMTPUTF8\r\n250-CHUNKING\r\n"
			      "250 AUTH PLAIN\r\n");
	} else if (!strncasecmp(line, "DATA", 4)) {
		talk->state = TALK_DATA;
		talk->matched = 2; /* the line before the body ended in CRLF */
		reply(output, "354 Go on\r\n");
	} else if (!strncasecmp(line, "BDAT ", 5)) {
		begin_chunk(talk, output);
	} else if (!strncasecmp(line, "AUTH", 4)) {
		reply(output, "235 2.7.0 Welcome\r\n");
	} else if (!strncasecmp(line, "QUIT", 4)) {
		talk->state = TALK_OVER;
		reply(output, "221 2.0.0 Bye\r\n");
	} else {
		reply(output, "250 2.0.0 Well\r\n");
	}
}

static size_t step_command(struct talk *talk, const char *in, size_t len,
			   struct talk_output *output)
{
	const char *end = memchr(in, '\n', len);
	size_t used = end ? (size_t)(end - in) + 1 : len;

	if (used >= sizeof(talk->line) - talk->line_len) {
		talk->state = TALK_OVER;
		return len;
	}
	memcpy(talk->line + talk->line_len, in, used);
	talk->line_len += used;
	if (end) {
		talk->line[talk->line_len] = '\0';
		talk->line_len = 0;
		obey(talk, output);
	}
	return used;
}

static size_t step_data(struct talk *talk, const char *in, size_t len,
			struct talk_output *output)
{
	size_t at = 0;

	while (at < len && talk->matched < END_LEN) {
		if (talk->matched == 0) {
			const char *found = memchr(in + at, '\r', len - at);

			at = found ? (size_t)(found - in) + 1 : len;
			talk->matched = found != NULL;
		} else if (in[at] == END[talk->matched]) {
			talk->matched++;
			at++;
		} else {
			talk->matched = in[at++] == '\r';
		}
	}
	output->body = in;
	output->body_len = at;
	if (talk->matched == END_LEN)
		end_message(talk, output);
	return at;
}

static size_t step_bdat(struct talk *talk, const char *in, size_t len,
			struct talk_output *output)
{
	size_t used = len < talk->left ? len : talk->left;

	output->body = in;
	output->body_len = used;
	talk->left -= used;
	if (talk->left > 0)
		return used;
	if (talk->last) {
		end_message(talk, output);
	} else {
		talk->state = TALK_COMMAND;
		reply(output, "250 2.0.0 Chunk\r\n");
	}
	return used;
}

size_t talk_step(struct talk *talk, const char *in, size_t len,
		 struct talk_output *output)
{
	size_t at = 0;

	output->body_len = 0;
	output->message_ended = false;
	while (at < len && output->body_len == 0 && !output->message_ended &&
	       output->replies_len <= TALK_REPLIES_MUCH) {
		if (talk->state == TALK_COMMAND)
			at += step_command(talk, in + at, len - at, output);
		else if (talk->state == TALK_DATA)
			at += step_data(talk, in + at, len - at, output);
		else if (talk->state == TALK_BDAT)
			at += step_bdat(talk, in + at, len - at, output);
		else
			return len;
	}
	return at;
}
