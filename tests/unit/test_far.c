/*
 * Locations that tarnd speaks for: when they are asked, when not, and when again; and
 * equal reads, of which only one is made.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/flight.h"
#include "support/check.h"
#include "support/subject.h"

#define PATIENCE_US 120000000 /* with a machine that is busy */

static struct far *
open_far(const struct subject *subject)
{
	auto_free char *word = xasprintf("%s/a", subject->dir);
	auto_close int folder =
	    open(subject->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = { 0 };
	Tarn__Location *config = location_from_word(word, "/", &err);
	struct far *far;

	far_set_up(folder);
	far = far_of(config);
	check(far_of(config) == far);
	tarn__location__free_unpacked(config, NULL);
	return far;
}

/* Once a connection is there; they are made in threads. */
static struct location *
borrow(struct far *far)
{
	int64_t end = clock_us() + PATIENCE_US;
	struct location *loc = NULL;
	struct error err;

	while (!loc && clock_us() < end) {
		loc = far_borrow(far, clock_us() + 100000, &err);
		if (!loc)
			usleep(10000);
	}
	check(loc);
	return loc;
}

static bool
is_marked(const struct subject *subject)
{
	return subject_shell(subject, "test -n \"$(ls away)\"") == 0;
}

static bool
is_away(struct far *far)
{
	bool away;

	far_lock();
	away = far->away;
	far_unlock();
	return away;
}

Test(far, is_left_alone_after_trouble_and_tried_again)
{
	struct subject subject;
	struct error gone = { .kind = ERROR_UNREACHABLE, .text = "it is gone" };
	struct error err = { 0 };
	int64_t end = clock_us() + PATIENCE_US;
	struct far *far;

	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	far_return(far, borrow(far), NULL, true);
	check(!is_marked(&subject));
	far_return(far, borrow(far), &gone, true);
	check(!far_borrow(far, clock_us() + PATIENCE_US, &err));
	check_int(err.kind, ERROR_SKIPPED);
	check_str(err.text, "not asked: it is gone");
	check(is_marked(&subject));
	while (is_away(far) && clock_us() < end)
		usleep(10000);
	check(!is_away(far));
	check(!is_marked(&subject));
	far_return(far, borrow(far), NULL, true);
	subject_close(&subject);
}

Test(far, is_not_blamed_for_values_or_for_haste)
{
	struct subject subject;
	struct error late = { .kind = ERROR_UNREACHABLE, .text = "too late" };
	struct error full = { .kind = ERROR_SYSTEM, .text = "full" };
	struct error lie = { .kind = ERROR_CORRUPT, .text = "other bytes" };
	struct far *far;

	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	far_return(far, borrow(far), &late, false); /* it had no time */
	far_return(far, borrow(far), &full, true);
	far_return(far, borrow(far), &lie, true);
	far_return(far, borrow(far), &lie, true);
	check(!is_away(far));
	far_return(far, borrow(far), &lie, true); /* that was once too often */
	check(is_away(far));
	subject_close(&subject);
}

Test(far, is_asked_for_as_long_as_that_pays)
{
	struct subject subject;
	int64_t now = clock_us();
	struct far *far;

	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	for (int i = 0; i < 100; i++) { /* quick ones cost nothing */
		far_charge(far, now, now + FAR_FREE_US, 0);
		now += FAR_FREE_US;
	}
	check(!is_away(far));
	for (int i = 0; i < 100; i++) { /* slow ones that bring more */
		far_charge(far, now, now + 400000, 500000);
		now += 400000;
	}
	check(!is_away(far));
	for (int i = 0; i < 20; i++) /* at the same time counts once */
		far_charge(far, now, now + 400000, 0);
	check(!is_away(far));
	for (int i = 0; i < 20; i++) {
		far_charge(far, now, now + 400000, 0);
		now += 400000;
	}
	check(is_away(far));
	subject_close(&subject);
}

Test(far, foretells_by_what_was_measured)
{
	struct subject subject;
	struct far *far;

	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	check_int(far_expect(far, 1000000, 1), 0);
	far_measure(far, 100, 2000);
	far_measure(far, 1000000, 1000000);
	check_int(far_expect(far, 500000, 1), 502000);
	subject_close(&subject);
}

/* ---- equal reads ---- */

struct follower {
	pthread_t thread;
	struct flight *flight;
	int outcome;
	char got[16];
	ssize_t size;
};

static void *
follow(void *arg)
{
	struct follower *follower = arg;
	struct error err;

	follower->outcome =
	    flight_wait(follower->flight, clock_us() + PATIENCE_US);
	if (follower->outcome == HIT) {
		auto_source *in = flight_source(follower->flight);

		follower->size =
		    source_read(in, follower->got, sizeof(follower->got), &err);
	}
	flight_leave(follower->flight);
	return NULL;
}

static struct flight *
join(struct far *far, const struct key *key, bool expected)
{
	bool leads;
	struct flight *flight = flight_join(far, key, &leads);

	check_int(leads, expected);
	return flight;
}

static void
check_flight(struct far *far, enum outcome outcome)
{
	const struct key key = { KEY_INDEX, { { (unsigned char)outcome } } };
	struct flight *leader = join(far, &key, true);
	struct follower follower[8];

	for (size_t i = 0; i < 8; i++) {
		follower[i] =
		    (struct follower){ .flight = join(far, &key, false) };
		check_int(flight_wait(follower[i].flight, clock_us() + 1),
		    FLIGHT_IN_AIR);
		check_int(pthread_create(
		              &follower[i].thread, NULL, follow, &follower[i]),
		    0);
	}
	flight_add(leader, "val", 3);
	flight_add(leader, "ue", 2);
	flight_land(leader, outcome);
	flight_leave(join(far, &key, true)); /* too late for that one */
	for (size_t i = 0; i < 8; i++) {
		check_int(pthread_join(follower[i].thread, NULL), 0);
		check_int(follower[i].outcome, outcome);
		if (outcome != HIT)
			continue;
		check_int(follower[i].size, 5);
		check(memcmp(follower[i].got, "value", 5) == 0);
	}
	flight_leave(leader);
}

Test(flight, is_one_for_all_who_want_the_same)
{
	struct subject subject;
	struct far *far;

	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	check_flight(far, HIT);
	check_flight(far, MISS);
	check_flight(far, FAILED);
	subject_close(&subject);
}

Test(flight, keeps_no_large_copy_for_nobody)
{
	const struct key key = { KEY_BLOB, { { 7 } } };
	auto_free char *data = xmalloc(FLIGHT_MEMORY);
	struct subject subject;
	struct source *in;
	struct flight *lonely, *leader, *follower;
	struct far *far;

	memset(data, 'x', FLIGHT_MEMORY);
	subject_open(&subject, "disk(a)");
	far = open_far(&subject);
	lonely = join(far, &key, true);
	flight_add(lonely, data, FLIGHT_MEMORY);
	flight_add(lonely, "y", 1);
	leader = join(far, &key, true); /* nobody can follow that one */
	follower = join(far, &key, false);
	flight_add(leader, data, FLIGHT_MEMORY);
	flight_add(leader, "y", 1);
	flight_land(leader, HIT);
	check_int(flight_wait(follower, clock_us() + PATIENCE_US), HIT);
	in = flight_source(follower);
	check_int(in->size, FLIGHT_MEMORY + 1);
	source_close(in);
	flight_land(lonely, HIT);
	flight_leave(lonely);
	flight_leave(leader);
	flight_leave(follower);
	subject_close(&subject);
}
