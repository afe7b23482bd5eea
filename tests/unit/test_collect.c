/* A lake's size: counted, kept to, by whom, and what is left if he is killed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/collect.h"
#include "locations/lake.h"
#include "support/check.h"
#include "support/subject.h"

static void
fill(struct location *loc, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct key key;
		auto_free char *data = subject_value(i, 1000, &key);

		check_int(put(loc, &key, data, 1000, WRITE_IF_ABSENT), 1);
	}
}

static int
add_size(void *arg, const struct location_entry *entry)
{
	*(uint64_t *)arg += entry->size;
	return 0;
}

static uint64_t
bytes_in(struct location *loc)
{
	struct error err = { 0 };
	uint64_t bytes = 0;

	check_int(location_list(loc, add_size, &bytes, &err), 0);
	return bytes;
}

/* What the lake `a` says it holds; -1 if it doesn't know. */
static long long
total_of(const struct subject *s)
{
	auto_free char *root = xasprintf("%s/a", s->dir);
	struct lake lake = { .root = root };
	struct lake_total total;

	return lake_add_total(&lake, 0, &total) == 1 ? (long long)total.bytes
	                                             : -1;
}

static void
make_old(const struct subject *s, const char *when)
{
	subject_shell(s,
	    "find a -type f -path '*/[0-9a-f][0-9a-f]/*' -exec touch -d '%s'"
	    " {} +",
	    when);
}

static void
reopen(struct subject *s, const char *description)
{
	location_close(s->loc);
	s->loc = subject_again(s, description);
}

/* ---- counting ---- */

Test(total, is_what_many_writers_store)
{
	struct subject s;
	int status;

	subject_open(&s, "disk(100000000,a)");
	fill(s.loc, 9000, 9001);
	for (unsigned i = 0; i < 6; i++) {
		if (fork() == 0) {
			struct key key;

			fill(s.loc, 1000 * i, 1000 * i + 200);
			for (unsigned k = 0; k < 50; k++) {
				free(subject_value(1000 * i + k, 1000, &key));
				check_outcome(
				    location_remove(s.loc, &key, &err), HIT);
			}
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		check_int(status, 0);
	check_int(bytes_in(s.loc), 901000);
	check_int(total_of(&s), 901000);
	check(!location_is_over(s.loc));
	subject_close(&s);
}

Test(total, knows_what_was_replaced)
{
	static const struct key record = { KEY_INDEX, { { 0xab, 0xcd } } };
	struct subject s;

	subject_open(&s, "disk(1000000,a)");
	check_int(put(s.loc, &record, "hello", 5, WRITE_REPLACE), STORED);
	check_int(total_of(&s), 5);
	check_int(put(s.loc, &record, "hi", 2, WRITE_REPLACE), STORED);
	check_int(put(s.loc, &record, "other", 5, WRITE_IF_ABSENT), KEPT);
	check_int(total_of(&s), 2);
	subject_close(&s);
}

Test(total, that_is_damaged_is_found_out)
{
	static const char *const damages[] = {
		"printf x | dd of=size bs=1 seek=$n conv=notrunc 2>&1",
		"head -c $n /dev/zero >size",
		"truncate -s $n size",
		"rm size",
	};
	static const int numbers[] = { 0, 7, 17, 500, 1023, 1024, 1025 };

	for (size_t i = 0; i < 4 * 7; i++) {
		struct subject s;
		int number = numbers[i / 4];

		if (i % 4 == 2 && number == 1024)
			continue; /* its size */
		subject_open(&s, "disk(100000,a)");
		fill(s.loc, 0, 5);
		check_int(total_of(&s), 5000);
		subject_shell(&s, "cd a/tools/tarn-exec && n=%d && %s", number,
		    damages[i % 4]);
		check_int(total_of(&s), -1);
		reopen(&s, "disk(100000,a)");
		fill(s.loc, 5, 6);
		check_int(total_of(&s), 6000);
		subject_close(&s);
	}
}

/* More than a writer counts on the way: someone has to collect. */
Test(total, of_a_lake_that_was_there_is_found)
{
	struct subject s;

	subject_open(&s, "disk(a)");
	fill(s.loc, 0, 30);
	check_int(total_of(&s), -1);
	reopen(&s, "disk(10000,a)");
	fill(s.loc, 30, 31);
	check_int(total_of(&s), 31000);
	check(location_is_over(s.loc));
	reopen(&s, "disk(a)");
	fill(s.loc, 100, 400);
	check_int(total_of(&s), 331000); /* kept once it is there */
	subject_shell(&s, "rm a/tools/tarn-exec/size");
	reopen(&s, "disk(1000000,a)");
	fill(s.loc, 400, 401);
	check_int(total_of(&s), -1);
	check(location_is_over(s.loc));
	location_collect_over(s.loc, false);
	check_int(total_of(&s), 332000);
	check_int(bytes_in(s.loc), 332000);
	check(!location_is_over(s.loc));
	subject_close(&s);
}

/* Else each write to a large lake would look at hundreds of entries. */
Test(total, is_looked_for_by_a_writer_once)
{
	struct subject s;

	subject_open(&s, "disk(a)");
	fill(s.loc, 0, 300);
	reopen(&s, "disk(1000000,a)");
	fill(s.loc, 300, 301);
	check_int(total_of(&s), -1);
	subject_shell(&s, "rm -r a/[0-9a-e]*");
	fill(s.loc, 301, 302);
	check_int(total_of(&s), -1);
	check(location_is_over(s.loc));
	subject_close(&s);
}

/* ---- keeping to it ---- */

Test(disk, removes_what_was_not_used_for_longest)
{
	struct subject s;
	struct key key;
	auto_free char *old = subject_value(3, 1000, &key);

	subject_open(&s, "disk(20000,a)");
	fill(s.loc, 0, 18);
	check(!location_is_over(s.loc));
	make_old(&s, "2 days ago");
	subject_shell(
	    &s, "echo >a/.tmp/left; touch -d '2 hours ago' a/.tmp/left");
	check_outcome(location_touch(s.loc, &key, &err), HIT);
	fill(s.loc, 100, 103);             /* 21000 > 20000: the old go */
	check_int(bytes_in(s.loc), 21000); /* but not by themselves */
	check(location_is_over(s.loc));
	location_collect_over(s.loc, false);
	check(!location_is_over(s.loc));
	check_int(bytes_in(s.loc), 16000);
	check_int(total_of(&s), 16000);
	check(has(s.loc, &key, old, 1000));
	check_int(subject_shell(&s, "test -z \"$(ls a/.tmp)\""), 0);
	for (unsigned i = 100; i < 103; i++) {
		struct key young;
		auto_free char *data = subject_value(i, 1000, &young);

		check(has(s.loc, &young, data, 1000));
	}
	fill(s.loc, 200, 300);
	location_collect_over(s.loc, false);
	check_int(bytes_in(s.loc), 19000); /* all of them young */
	subject_close(&s);
}

Test(disk, keeps_to_a_size_among_many_writers)
{
	struct subject s;
	int status;

	subject_open(&s, "disk(50000,a)");
	for (unsigned i = 0; i < 4; i++) {
		if (fork() == 0) {
			for (unsigned k = 0; k < 100; k++) {
				fill(s.loc, 1000 * i + k, 1000 * i + k + 1);
				location_collect_over(s.loc, false);
			}
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		check_int(status, 0);
	fill(s.loc, 9000, 9001);
	location_collect_over(s.loc, false);
	check(bytes_in(s.loc) <= 51000);
	check(bytes_in(s.loc) >= 20000);
	check_int(subject_shell(&s, "test -z \"$(ls a/.tmp)\""), 0);
	subject_close(&s);
}

Test(disk, declines_what_would_take_all_its_room)
{
	struct subject s;
	struct key key;
	auto_free char *data = subject_value(1, 1001, &key);

	subject_open(&s, "disk(1000,a)");
	check_int(put(s.loc, &key, data, 1001, WRITE_IF_ABSENT), DECLINED);
	check_int(put(s.loc, &key, data, 1000, WRITE_IF_ABSENT), STORED);
	subject_close(&s);
}

Test(disk, collects_in_any_layout)
{
	static const char *const levels[] = { "[1, -1]", "[2, 30]", "[-1]",
		"[1, 1, 30]", "[3, -1]" };

	for (size_t i = 0; i < 5; i++) {
		struct collect_request request = { .max_size = 10000 };
		struct collect_result result;
		struct subject s;

		subject_open(&s, "disk(a)");
		subject_shell(
		    &s, "mkdir a; echo 'levels: %s' >a/config.yml", levels[i]);
		fill(s.loc, 0, 40);
		check_int(put(s.loc, &(struct key){ KEY_INDEX, { { 7 } } },
		              "record", 6, 0),
		    STORED);
		check_outcome(
		    location_collect(s.loc, &request, &result, &err), HIT);
		check_int(result.bytes, bytes_in(s.loc));
		check(result.bytes <= 10000 && result.bytes > 8000);
		check_int(result.entries + result.removed, 41);
		subject_close(&s);
	}
}

Test(disk, is_collected_by_one_at_a_time)
{
	struct collect_request request = { .max_size = 2000 };
	struct collect_result result;
	struct subject s;

	subject_open(&s, "disk(10000,a)");
	fill(s.loc, 0, 30);
	check(location_is_over(s.loc));
	{
		auto_free char *root = xasprintf("%s/a", s.dir);
		struct lake lake = { .root = root, .perm = 0755 };
		struct error why = { 0 };
		auto_close int lock = lake_lock(&lake, &why);

		check(lock >= 0);
		check(!location_is_over(s.loc)); /* somebody is at it */
		check_outcome(
		    location_collect(s.loc, &request, &result, &err), MISS);
		check_int(bytes_in(s.loc), 30000);
	}
	check(!location_is_over(s.loc)); /* or was, a moment ago */
	check_outcome(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(bytes_in(s.loc), 1000);
	subject_close(&s);
}

Test(disk, that_is_not_there_is_not_made)
{
	struct collect_request request = { .max_size = 1000 };
	struct collect_result result;
	struct subject s;

	subject_open(&s, "disk(10000,a)");
	check_outcome(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(subject_shell(&s, "test ! -e a && mkdir a && echo >a/f"), 0);
	check_outcome(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(subject_shell(&s, "test \"$(ls -A a)\" = f"), 0);
	subject_close(&s);
}

/* What is removed is counted, nobody holds the lock, and the next one goes on. */
Test(disk, collector_may_be_killed)
{
	struct collect_request request = { .max_size = 100000, .gentle = true };
	struct collect_result result;
	struct subject s;
	int status, early = 0;

	subject_open(&s, "disk(100000000,a)");
	fill(s.loc, 0, 1500);
	make_old(&s, "3 days ago");
	for (int round = 0; round < 6; round++) {
		uint64_t left, before = bytes_in(s.loc);
		pid_t pid = fork();

		if (pid == 0) {
			struct error err = { 0 };

			(void)location_collect(s.loc, &request, &result, &err);
			_exit(0);
		}
		usleep(10000 * round);
		for (int i = 0; round % 2 && i < 1000; i++) {
			if (bytes_in(s.loc) < before)
				break; /* it is at it */
			usleep(10000);
		}
		kill(pid, SIGKILL);
		check_int(waitpid(pid, &status, 0), pid);
		left = bytes_in(s.loc);
		early += left > 100000;
		check(total_of(&s) >= (long long)left);
		/* It counts after each of 256 parts. */
		check(total_of(&s) <= (long long)left + 25000);
	}
	check(early > 0);
	check(bytes_in(s.loc) < 1500000);
	check_outcome(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(bytes_in(s.loc), 80000);
	check_int(total_of(&s), 80000);
	subject_close(&s);
}

Test(disk, sweeps_once_a_day)
{
	struct subject s;

	subject_open(&s, "disk(a)");
	fill(s.loc, 0, 1);
	subject_shell(&s,
	    "cd a/.tmp && echo >old && touch -d '2 hours ago' old &&"
	    " echo >young && mkdir empty folder && echo >folder/f && touch -d "
	    "'2 days ago' empty folder;"
	    " mkdir -p abcdefghijklmnop/58/x bcdefghijklmnopq/59;"
	    " echo >abcdefghijklmnop/58/91; ln -s ../folder abcdefghijklmnop/l;"
	    " touch -d '2 hours ago' abcdefghijklmnop");
	reopen(&s, "disk(a)");
	fill(s.loc, 1, 2); /* the lake is new */
	check_int(subject_shell(&s, "test -e a/.tmp/old"), 0);
	subject_shell(&s, "touch -d '25 hours ago' a/config.yml");
	fill(s.loc, 2, 3); /* a process asks once */
	check_int(subject_shell(&s, "test -e a/.tmp/old"), 0);
	reopen(&s, "disk(a)");
	fill(s.loc, 3, 4);
	check_int(subject_shell(&s,
	              "cd a/.tmp; test ! -e old -a ! -e empty -a -e young -a "
	              "-e folder/f -a ! -e abcdefghijklmnop &&"
	              " rmdir bcdefghijklmnopq/59 bcdefghijklmnopq"),
	    0);
	subject_shell(&s, "cd a/.tmp; touch -d '2 hours ago' young");
	reopen(&s, "disk(a)");
	fill(s.loc, 4, 5);
	check_int(subject_shell(&s, "test -e a/.tmp/young"), 0);
	subject_shell(&s,
	    "touch -d '25 hours ago' a/tools/tarn-exec/swept;"
	    " rm -r a/.tmp/folder");
	reopen(&s, "disk(a)");
	fill(s.loc, 5, 6);
	check_int(subject_shell(&s, "test -z \"$(ls a/.tmp)\""), 0);
	subject_close(&s);
}

Test(collect, says_what_it_would_remove)
{
	struct collect_request request = { .max_age = 3600, .dry_run = true };
	struct collect_result result;
	struct error err = { 0 };
	struct subject s;

	subject_open(&s, "fanout(disk(a),disk(b))");
	for (unsigned i = 0; i < 10; i++) {
		struct key key;
		auto_free char *data = subject_value(i, 100, &key);

		check_int(put(subject_leaf(&s, i % 2), &key, data, 100, 0), 1);
	}
	make_old(&s, "2 hours ago");
	for (int i = 0; i < 2; i++) {
		check_int(
		    location_collect(s.loc, &request, &result, &err), HIT);
		check_int(result.removed, 5);
		check_int(result.bytes, 500);
	}
	request.dry_run = false;
	check_int(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(result.removed_bytes, 500);
	check_int(location_collect(s.loc, &request, &result, &err), HIT);
	check_int(result.removed, 0);
	check_int(result.entries, 5);
	subject_close(&s);
}

/* ---- by samples, on a location that is only numbers ---- */

#define MANY 200000
#define PARTS 256

struct numbers {
	uint32_t size[MANY];
	uint32_t age[MANY];
	bool gone[MANY], stuck;
	time_t now;
	unsigned long listed;
};

static int
list_numbers(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	struct numbers *n = arg;
	int rc = 0;

	for (size_t i = part; rc == 0 && i < MANY; i += PARTS) {
		struct location_entry entry = { .size = n->size[i],
			.last_used = n->now - n->age[i] };

		if (n->gone[i])
			continue;
		memcpy(entry.key.digest.bytes, &i, sizeof(i));
		n->listed++;
		rc = fn(fn_arg, &entry);
	}
	return rc;
}

static enum outcome
remove_number(void *arg, const struct location_entry *entry, struct error *err)
{
	struct numbers *n = arg;
	size_t i;

	if (n->stuck)
		return error_set(err, ERROR_SYSTEM, "it is stuck");
	memcpy(&i, entry->key.digest.bytes, sizeof(i));
	check(!n->gone[i]);
	n->gone[i] = true;
	return HIT;
}

static struct numbers *
numbers_new(uint64_t *total)
{
	struct numbers *n = xmalloc(sizeof(*n));

	*total = 0;
	memset(n, 0, sizeof(*n));
	n->now = time(NULL);
	srandom(17);
	for (size_t i = 0; i < MANY; i++) {
		long r = random();

		n->age[i] = (uint32_t)(random() % 2000000);
		/* A few are as large as a thousand others. */
		n->size[i] = (uint32_t)(r % 5000 == 0 ? 4000000 : r % 8000);
		*total += n->size[i];
	}
	return n;
}

static void
check_kept(const struct numbers *n, const struct collect_result *result,
    uint64_t total)
{
	uint64_t kept = 0, wrong = 0, limit = 0;

	for (size_t i = 0; i < MANY; i++)
		kept += n->gone[i] ? 0 : n->size[i];
	check_int(result->bytes, kept);
	check_int(result->removed_bytes, total - kept);
	/* What is on the wrong side of the age that would do; most of the parts to
	 * start with leave a twelfth there. */
	for (uint32_t age = 2000000; limit < total - kept && age > 0;
	     age -= 20000) {
		limit = 0;
		wrong = 0;
		for (size_t i = 0; i < MANY; i++) {
			limit += n->age[i] >= age ? n->size[i] : 0;
			wrong += n->gone[i] != (n->age[i] >= age);
		}
	}
	cr_assert_lt(wrong, MANY / 8, "%llu of %d on the wrong side",
	    (unsigned long long)wrong, MANY);
}

Test(collect, needs_one_walk_for_many)
{
	uint64_t total;
	struct numbers *n = numbers_new(&total);
	const struct collect_parts parts = { .count = PARTS,
		.bytes = total,
		.list = list_numbers,
		.remove = remove_number,
		.arg = n };
	struct collect_request request = { .max_size = total / 2 };
	struct collect_result result;

	check_outcome(collect_parts(&parts, &request, &result, &err), HIT);
	check(result.bytes <= total / 2);
	check(result.bytes >= total / 2 * 79 / 100);
	check(n->listed < MANY * 13 / 10);
	check_kept(n, &result, total);
	free(n);
}

Test(collect, never_leaves_too_much)
{
	uint64_t total;
	struct numbers *n = numbers_new(&total);
	const struct collect_parts parts = { .count = PARTS,
		.list = list_numbers,
		.remove = remove_number,
		.arg = n };
	struct collect_result result;

	/* Neighbours are all but alike, so that the sample says nothing. */
	for (size_t i = 0; i < MANY; i++)
		n->size[i] = i % PARTS < 8 ? 1000000 : 10;
	for (int divisor = 2; divisor < 40; divisor *= 2) {
		struct collect_request request = { .max_size = 1000000ull *
			    MANY / 32 / divisor };

		check_outcome(
		    collect_parts(&parts, &request, &result, &err), HIT);
		check(result.bytes <= request.max_size);
	}
	free(n);
}

Test(collect, goes_on_where_something_can_not_be_removed)
{
	uint64_t total;
	struct numbers *n = numbers_new(&total);
	const struct collect_parts parts = { .count = PARTS,
		.list = list_numbers,
		.remove = remove_number,
		.arg = n };
	struct collect_request request = { .max_size = total / 2 };
	struct collect_result result;

	n->stuck = true;
	check_outcome(collect_parts(&parts, &request, &result, &err), FAILED);
	check_int(result.bytes, total);
	check_int(result.entries, MANY);
	check_int(result.removed, 0);
	check(n->listed < 2 * MANY);
	free(n);
}
