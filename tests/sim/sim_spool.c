/*
 * The spool on a disk that fails, tears and reorders, from a seed. A seed is a
 * few lives of a machine: a gateway stores messages and a relay delivers them,
 * both at once, until the power fails in the middle of a step, or one of the
 * two is killed. In the last life nothing fails, and all that is left is
 * delivered. Promises:
 *
 * - what was acknowledged is delivered, every byte as it was given;
 * - nothing is delivered that was never sent, or in part;
 * - what is known durably to be done, for all or for one recipient, is not
 *   delivered again; what is held stays held;
 * - no durable byte of a segment is ever missing;
 * - in the end segments, bodies and old journals are gone.
 *
 * Then the disk lies about one kind of sync at a time, and the same seeds must
 * show it: a check that cannot fail would be none.
 *
 * Usage: sim_spool [SEED]   one seed, talking; else SLUICE_SIM_SEEDS of them
 */
#include "carrier.h"
#include "mailer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 300
#define LIES_SEEDS    400
#define LIVES_MAX     4

struct machine {
	struct disk *disk;
	struct ledger ledger;
	struct board_slot board;
	struct mailer *mailer;
	struct carrier *carrier;
};

static void start_mailer(struct machine *m)
{
	board_announce(&m->board, 0, 0);
	m->mailer = mailer_open(m->disk, &m->ledger, &m->board);
}

static void stop_mailer(struct machine *m)
{
	disk_kill(m->disk, MAILER_OWNER);
	board_announce(&m->board, 0, 0); /* the supervisor does */
	mailer_close(m->mailer);
}

static void start_carrier(struct machine *m, struct disk_faults faults)
{
	disk_set_faults(m->disk, (struct disk_faults){ 0 });
	m->carrier = carrier_open(m->disk, &m->ledger, &m->board);
	disk_set_faults(m->disk, faults);
}

static void stop_carrier(struct machine *m)
{
	disk_kill(m->disk, CARRIER_OWNER);
	carrier_close(m->carrier);
}

static struct disk_faults draw_faults(struct disk *d)
{
	struct disk_faults faults = { .short_io = 2 + disk_chance(d, 9) };

	if (disk_chance(d, 2))
		faults.io_error = 20 + disk_chance(d, 200);
	if (disk_chance(d, 2))
		faults.sync_error = 5 + disk_chance(d, 60);
	if (disk_chance(d, 2))
		faults.no_space = 5 + disk_chance(d, 100);
	if (disk_chance(d, 2))
		faults.read_error = 20 + disk_chance(d, 200);
	return faults;
}

/* Until the power fails. */
static void live(struct machine *m)
{
	struct disk_faults faults = draw_faults(m->disk);

	disk_set_fuse(m->disk, 1 + disk_chance(m->disk, 2500));
	start_carrier(m, faults);
	start_mailer(m);
	while (!disk_is_dead(m->disk)) {
		if (disk_chance(m->disk, 2))
			mailer_tick(m->mailer);
		else
			carrier_tick(m->carrier);
		if (!disk_chance(m->disk, 1500)) {
			stop_mailer(m);
			start_mailer(m);
		}
		if (!disk_chance(m->disk, 1500)) {
			stop_carrier(m);
			start_carrier(m, faults);
		}
		if (m->ledger.n == LEDGER_MAX && !disk_chance(m->disk, 300))
			break;
	}
	stop_mailer(m);
	stop_carrier(m);
	disk_crash(m->disk);
}

static void check_end(struct machine *m)
{
	for (uint32_t n = 0; n < m->ledger.n; n++)
		if (m->ledger.mails[n].acknowledged &&
		    !m->ledger.mails[n].delivered)
			ledger_break(&m->ledger, "mail %u is lost", n);
	if (disk_name(m->disk, DISK_SEGMENTS, 0))
		ledger_break(&m->ledger, "a segment is left");
	if (disk_name(m->disk, DISK_FILES, 0))
		ledger_break(&m->ledger, "a body is left");
}

/* Nothing fails any more: what was promised must be kept. */
static void live_well(struct machine *m)
{
	struct disk_faults none = { 0 };

	start_carrier(m, none);
	start_mailer(m);
	for (int n = 0; n < 300; n++)
		mailer_tick(m->mailer);
	mailer_drain(m->mailer);
	stop_mailer(m);
	carrier_drain(m->carrier);
	stop_carrier(m);
	if (!m->ledger.broken[0])
		check_end(m);
}

struct seed_result {
	bool broken;
	uint32_t acknowledged;
	char text[LEDGER_TEXT_MAX];
};

static struct seed_result run_seed(uint64_t seed, enum disk_lie lie)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct seed_result result = { 0 };
	uint32_t lives;

	if (!m)
		abort();
	m->disk = disk_open(seed);
	m->ledger.seed = seed;
	disk_set_lie(m->disk, lie);
	lives = 1 + disk_chance(m->disk, LIVES_MAX);
	while (lives-- && !m->ledger.broken[0])
		live(m);
	if (!m->ledger.broken[0])
		live_well(m);
	result.broken = m->ledger.broken[0];
	memcpy(result.text, m->ledger.broken, sizeof(result.text));
	for (uint32_t n = 0; n < m->ledger.n; n++)
		result.acknowledged += m->ledger.mails[n].acknowledged;
	disk_close(m->disk);
	free(m);
	return result;
}

static bool test_honest(uint64_t seeds)
{
	uint64_t acknowledged = 0, broken = 0;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct seed_result r = run_seed(seed, DISK_HONEST);

		acknowledged += r.acknowledged;
		if (r.broken && broken++ < 5)
			printf("# seed %" PRIu64 ": %s\n", seed, r.text);
	}
	printf("%sok 1 - %" PRIu64 " messages acknowledged in %" PRIu64
	       " seeds are kept\n",
	       broken ? "not " : "", acknowledged, seeds);
	return !broken;
}

static bool test_lie(enum disk_lie lie)
{
	static const char *const lies[DISK_LIES_N] = {
		[DISK_LIES_SEGMENT_SYNC] = "syncs a segment",
		[DISK_LIES_SEGMENT_NAME] = "syncs a segment's name",
		[DISK_LIES_BODY_SYNC] = "syncs a body",
		[DISK_LIES_BODY_NAME] = "syncs a body's name",
		[DISK_LIES_JOURNAL_SYNC] = "syncs the journal",
		[DISK_LIES_JOURNAL_NAME] = "syncs the journal's name",
	};
	struct seed_result r = { 0 };
	uint64_t seed = 0;

	while (!r.broken && seed < LIES_SEEDS)
		r = run_seed(++seed, lie);
	printf("%sok %d - a disk that only says it %s is found out%s%s\n",
	       r.broken ? "" : "not ", (int)lie + 1, lies[lie],
	       r.broken ? ": " : "", r.text);
	return r.broken;
}

int main(int argc, char **argv)
{
	const char *wanted = getenv("SLUICE_SIM_SEEDS");
	uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : SEEDS_DEFAULT;
	bool ok = true;

	if (argc > 1) {
		struct seed_result r =
			run_seed(strtoull(argv[1], NULL, 10), DISK_HONEST);

		printf("1..1\n%sok 1 - seed %s: %u acknowledged%s%s\n",
		       r.broken ? "not " : "", argv[1], r.acknowledged,
		       r.broken ? ": " : "", r.text);
		return r.broken;
	}
	printf("1..%d\n", DISK_LIES_N);
	ok &= test_honest(seeds ? seeds : 1);
	for (enum disk_lie lie = DISK_HONEST + 1; lie < DISK_LIES_N; lie++)
		ok &= test_lie(lie);
	return !ok;
}
