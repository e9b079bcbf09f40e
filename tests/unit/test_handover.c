/* What two supervisors say to each other: bytes to values, and nothing else. */
#include "super/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint8_t storage[HANDOVER_BYTES];
static struct buf packet;

static struct span put(const struct handover *h)
{
	buf_init(&packet, storage, sizeof(storage));
	handover_put(&packet, h);
	assert_false(packet.overflowed);
	return buf_span(&packet);
}

static struct handover a_welcome(void)
{
	return (struct handover){
		.kind = HANDOVER_WELCOME,
		.welcome = {
			.generation = 7,
			.workers = 2,
			.sockets_n = 130,
			.configured_workers = 0,
			.rotate_ms = 1ull << 40,
			.user = "sluice",
			.pid_file = NULL,
			.control = "/run/sluice/control",
			.spool = "/var/spool/sluice",
			.steer_pins = "/sys/fs/bpf/sluice",
			.shield_pins = "/sys/fs/bpf/shield",
			.steer_program = 1,
			.steer_mode = 2,
			.steer_fds_n = 10,
			.shield = 1,
			.shield_fds_n = 6,
			.lanes = { { "bulk", "bulk", 3 } },
			.lanes_n = 1,
			.listeners = { { "submissions", "bulk", 0 },
				       { "submission", "bulk", 0 } },
			.listeners_n = 2,
		},
	};
}

static struct handover two_sockets(void)
{
	return (struct handover){
		.kind = HANDOVER_SOCKETS,
		.sockets_n = 2,
		.sockets = { { "127.0.0.1:465", 0, 7 },
			     { "[::]:587", 130, 8 } },
	};
}

static void a_welcome_comes_across(void **state)
{
	struct handover sent = a_welcome(), got;

	assert_int_equal(handover_parse(put(&sent), &got), HANDOVER_GOOD);
	assert_int_equal(got.kind, HANDOVER_WELCOME);
	assert_int_equal(got.welcome.generation, 7);
	assert_int_equal(got.welcome.workers, 2);
	assert_int_equal(got.welcome.sockets_n, 130);
	assert_int_equal(got.welcome.configured_workers, 0);
	assert_true(got.welcome.rotate_ms == 1ull << 40);
	assert_string_equal(got.welcome.user, "sluice");
	assert_null(got.welcome.pid_file);
	assert_string_equal(got.welcome.control, "/run/sluice/control");
	assert_string_equal(got.welcome.spool, "/var/spool/sluice");
}

static void steering_comes_across(void **state)
{
	struct handover sent = a_welcome(), got;

	assert_int_equal(handover_parse(put(&sent), &got), HANDOVER_GOOD);
	assert_string_equal(got.welcome.steer_pins, "/sys/fs/bpf/sluice");
	assert_string_equal(got.welcome.shield_pins, "/sys/fs/bpf/shield");
	assert_int_equal(got.welcome.steer_program, 1);
	assert_int_equal(got.welcome.steer_mode, 2);
	assert_int_equal(got.welcome.steer_fds_n, 10);
	assert_int_equal(got.welcome.shield, 1);
	assert_int_equal(got.welcome.shield_fds_n, 6);
	assert_int_equal(got.welcome.lanes_n, 1);
	assert_string_equal(got.welcome.lanes[0].name, "bulk");
	assert_int_equal(got.welcome.lanes[0].workers, 3);
	assert_int_equal(got.welcome.listeners_n, 2);
	assert_string_equal(got.welcome.listeners[1].name, "submission");
	assert_string_equal(got.welcome.listeners[1].lane, "bulk");
}

static void sockets_come_across(void **state)
{
	struct handover sent = two_sockets(), got;

	assert_int_equal(handover_parse(put(&sent), &got), HANDOVER_GOOD);
	assert_int_equal(got.sockets_n, 2);
	assert_string_equal(got.sockets[1].address, "[::]:587");
	assert_int_equal(got.sockets[1].worker, 130);
	assert_int_equal(got.sockets[1].service, 8);
}

static void words_come_across(void **state)
{
	static const enum handover_kind words[] = { HANDOVER_READY,
						    HANDOVER_AGED,
						    HANDOVER_DRAIN };
	struct handover sent = { 0 }, got;

	for (size_t i = 0; i < 3; i++) {
		sent.kind = words[i];
		assert_int_equal(handover_parse(put(&sent), &got),
				 HANDOVER_GOOD);
		assert_int_equal(got.kind, words[i]);
		assert_int_equal(handover_fds(&got), 0);
	}
}

static void each_message_says_how_many_descriptors_belong_to_it(void **state)
{
	struct handover h = a_welcome();

	assert_int_equal(handover_fds(&h), HANDOVER_FDS + 1 + 10 + 6);
	h.welcome.pid_file = "/run/pid";
	assert_int_equal(handover_fds(&h), HANDOVER_FDS + 2 + 10 + 6);
	h = two_sockets();
	assert_int_equal(handover_fds(&h), 2);
}

/* Cut anywhere, or with a byte too much, nothing is taken. */
static void only_whole_messages_are_taken(void **state)
{
	const struct handover sent[] = { a_welcome(), two_sockets() };
	struct handover got;

	for (size_t i = 0; i < 2; i++) {
		struct span whole = put(&sent[i]);

		for (size_t n = 0; n < whole.len; n++)
			assert_int_equal(handover_parse(span_head(whole, n),
							&got),
					 HANDOVER_BAD);
		buf_put_byte(&packet, 0);
		assert_int_equal(handover_parse(buf_span(&packet), &got),
				 HANDOVER_BAD);
	}
}

static void another_version_is_told_apart(void **state)
{
	struct handover sent = { .kind = HANDOVER_READY }, got;
	struct span whole = put(&sent);

	storage[4]++;
	assert_int_equal(handover_parse(whole, &got), HANDOVER_OTHER_VERSION);
	storage[0]++;
	assert_int_equal(handover_parse(whole, &got), HANDOVER_BAD);
}

/* A program that cannot take over must be able to say why. */
static void a_refusal_is_understood_in_any_version(void **state)
{
	struct handover sent = { .kind = HANDOVER_REFUSED,
				 .text = SPAN("no\nnever\n") };
	struct handover got;
	struct span whole = put(&sent);

	storage[4]++;
	assert_int_equal(handover_parse(whole, &got), HANDOVER_GOOD);
	assert_int_equal(got.kind, HANDOVER_REFUSED);
	assert_true(span_equal(got.text, sent.text));
}

static void is_bad(struct span bytes)
{
	struct handover got;

	assert_int_equal(handover_parse(bytes, &got), HANDOVER_BAD);
}

static void a_welcome_without_workers_or_spool_is_bad(void **state)
{
	struct handover h = a_welcome();

	h.welcome.workers = 0;
	is_bad(put(&h));
	h = a_welcome();
	h.welcome.spool = NULL;
	is_bad(put(&h));
}

static void a_welcome_has_whole_lanes_and_few_maps(void **state)
{
	struct handover h = a_welcome();

	h.welcome.steer_pins = NULL;
	is_bad(put(&h));
	h = a_welcome();
	h.welcome.lanes[0].name = NULL;
	is_bad(put(&h));
	h = a_welcome();
	h.welcome.listeners[1].lane = NULL;
	is_bad(put(&h));
	h = a_welcome();
	h.welcome.steer_fds_n = HANDOVER_MAPS_MAX;
	h.welcome.shield_fds_n = HANDOVER_MAPS_MAX + 1;
	is_bad(put(&h));
}

/* As many as there is room for, and one more, all of them whole. */
static void of_sockets_there_are_few(void **state)
{
	struct handover h = { .kind = HANDOVER_SOCKETS,
			      .sockets_n = HANDOVER_SOCKETS_MAX };
	struct handover got;
	struct span whole;

	for (uint32_t i = 0; i < HANDOVER_SOCKETS_MAX; i++)
		h.sockets[i].address = "a";
	whole = put(&h);
	assert_int_equal(handover_parse(whole, &got), HANDOVER_GOOD);
	buf_put(&packet, span_tail(whole, whole.len - 12));
	storage[8]++;
	is_bad(buf_span(&packet));
	storage[8] = 0;
	is_bad(span_head(whole, 12));
}

static void strings_end_where_they_say(void **state)
{
	struct handover h = two_sockets();
	struct span whole = put(&h);

	/* "127.0.0.1:465" begins behind worker, service and its length. */
	storage[8 + 4 + 4 + 4 + 2 + 3] = '\0';
	is_bad(whole);
	whole = put(&h);
	storage[8 + 4 + 4 + 4 + 2 + 13] = 'x';
	is_bad(whole);
}

static void an_address_has_a_length(void **state)
{
	char address[HANDOVER_ADDRESS + 1];
	struct handover h = { .kind = HANDOVER_SOCKETS,
			      .sockets_n = 1,
			      .sockets = { { address, 0, 0 } } };
	struct handover got;

	memset(address, 'a', sizeof(address));
	address[HANDOVER_ADDRESS] = '\0';
	is_bad(put(&h));
	address[HANDOVER_ADDRESS - 1] = '\0';
	assert_int_equal(handover_parse(put(&h), &got), HANDOVER_GOOD);
}

static void what_is_too_long_is_not_sent(void **state)
{
	static char path[HANDOVER_BYTES + 1];
	struct handover h = a_welcome();

	memset(path, '/', sizeof(path) - 1);
	h.welcome.spool = path;
	buf_init(&packet, storage, sizeof(storage));
	handover_put(&packet, &h);
	assert_true(packet.overflowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_welcome_comes_across),
		cmocka_unit_test(steering_comes_across),
		cmocka_unit_test(sockets_come_across),
		cmocka_unit_test(words_come_across),
		cmocka_unit_test(
			each_message_says_how_many_descriptors_belong_to_it),
		cmocka_unit_test(only_whole_messages_are_taken),
		cmocka_unit_test(another_version_is_told_apart),
		cmocka_unit_test(a_refusal_is_understood_in_any_version),
		cmocka_unit_test(a_welcome_without_workers_or_spool_is_bad),
		cmocka_unit_test(a_welcome_has_whole_lanes_and_few_maps),
		cmocka_unit_test(of_sockets_there_are_few),
		cmocka_unit_test(strings_end_where_they_say),
		cmocka_unit_test(an_address_has_a_length),
		cmocka_unit_test(what_is_too_long_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
