/* Who is asked what, and which copies are made. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/spool.h"
#include "support/check.h"
#include "support/subject.h"

static struct key
blob(const char *text)
{
	struct key key = { .space = KEY_BLOB };

	digest_bytes(&key.digest, text, strlen(text));
	return key;
}

static const struct key record = { KEY_INDEX, { { 0xab, 0xcd } } };

/*
 * A leaf that fails, declines, and remembers batches: a disk under another kind.
 */
static struct location_kind spy;
static const struct location_kind *disk_kind;
static struct {
	bool failing, declining;
	size_t batches, largest, touched, removed;
} seen;

static enum outcome
spy_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	if (seen.failing && sink_write(out, "part of it", 10, err) == 0)
		return error_set(err, ERROR_UNREACHABLE, "it broke off");
	return disk_kind->read(loc, key, out, err);
}

static enum outcome
spy_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	char some[3];

	if (seen.failing && source_read(in, some, 3, err) >= 0)
		return error_set(err, ERROR_UNREACHABLE, "it broke off");
	if (seen.declining && source_read(in, some, 3, err) >= 0)
		return DECLINED;
	return disk_kind->write(loc, key, in, mode, err);
}

static void
spy_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	seen.batches++;
	seen.largest = count > seen.largest ? count : seen.largest;
	for (size_t i = 0; i < count; i++)
		requests[i].outcome = spy_read(
		    loc, &requests[i].key, requests[i].out, &requests[i].err);
}

static enum outcome
spy_touch(struct location *loc, const struct key *key, struct error *err)
{
	seen.touched++;
	return disk_kind->touch(loc, key, err);
}

static enum outcome
spy_remove(struct location *loc, const struct key *key, struct error *err)
{
	seen.removed++;
	if (seen.failing)
		return error_set(err, ERROR_UNREACHABLE, "it is away");
	return disk_kind->remove(loc, key, err);
}

static enum outcome
spy_contains(struct location *loc, const struct key *key, struct error *err)
{
	if (seen.failing)
		return error_set(err, ERROR_UNREACHABLE, "it is away");
	return disk_kind->contains(loc, key, err);
}

static struct location *
spy_on(struct location *leaf)
{
	disk_kind = leaf->kind;
	spy = *leaf->kind;
	spy.read = spy_read;
	spy.write = spy_write;
	spy.read_batch = spy_read_batch;
	spy.touch = spy_touch;
	spy.remove = spy_remove;
	spy.contains = spy_contains;
	leaf->kind = &spy;
	memset(&seen, 0, sizeof(seen));
	return leaf;
}

static bool
leaf_has(struct subject *s, size_t i, const struct key *key)
{
	struct error err = { 0 };

	return location_contains(subject_leaf(s, i), key, &err) == HIT;
}

Test(levels, copy_a_hit_to_every_nearer_level_that_replicates)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(disk(a),disk(b):n,disk(c):r,disk(d),disk(e))");
	check_int(put(subject_leaf(&s, 3), &key, "hello", 5, 0), STORED);
	check(has(s.loc, &key, "hello", 5));
	check(s.loc->served == subject_leaf(&s, 3));
	check(leaf_has(&s, 0, &key) && leaf_has(&s, 2, &key));
	check(!leaf_has(&s, 1, &key) && !leaf_has(&s, 4, &key));
	check_int(subject_leaf(&s, 4)->counts.reads, 0);
	check(has(s.loc, &key, "hello", 5));
	check(s.loc->served == subject_leaf(&s, 0));
	check_int(subject_leaf(&s, 1)->counts.reads, 1);
	check_int(subject_leaf(&s, 3)->counts.hits, 1);
	check_int(subject_leaf(&s, 3)->counts.reads, 1);
	subject_close(&s);
}

Test(levels, copy_large_values_without_losing_a_byte)
{
	static const size_t sizes[] = { 1 << 16, (1 << 20) - 1, 1 << 20,
		(1 << 20) + 1, 5 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct subject s;
		struct key key;
		auto_free char *data = subject_value(5, sizes[i], &key);

		subject_open(&s, "levels(disk(a),fanout(disk(b)))");
		check_int(put(subject_leaf(&s, 1), &key, data, sizes[i], 0), 1);
		check(has(s.loc, &key, data, sizes[i]));
		check(has(subject_leaf(&s, 0), &key, data, sizes[i]));
		subject_close(&s);
	}
}

Test(levels, do_not_copy_what_is_damaged)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(disk(a),disk(b))");
	check_int(put(subject_leaf(&s, 1), &key, "hellO", 5, 0), STORED);
	check(has(s.loc, &key, "hellO", 5));
	check(!leaf_has(&s, 0, &key));
	subject_close(&s);
}

Test(levels, keep_no_copy_at_hand_that_nobody_takes)
{
	struct key key;
	auto_free char *data = subject_value(5, 100000, &key);
	struct subject s;

	subject_open(&s, "levels(small(10,disk(a)),disk(b))");
	check_int(location_limit(s.loc->kind->member(s.loc, 0)), 10);
	check_int(put(s.loc, &key, data, 100000, 0), STORED);
	check(has(s.loc, &key, data, 100000));
	check_int(subject_leaf(&s, 0)->counts.writes, 0);
	subject_close(&s);
}

Test(levels, pass_over_one_that_fails)
{
	struct key key = blob("hello");
	struct error fail = { 0 };
	struct subject s;
	struct location *broken;

	subject_open(&s, "levels(disk(a),disk(b))");
	broken = spy_on(subject_leaf(&s, 0));
	seen.failing = true;
	check_outcome(location_read(s.loc, &key, sink_null(), &err), MISS);
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check(has(s.loc, &key, "hello", 5)); /* not "part of ithello" */
	check_outcome(location_contains(s.loc, &key, &err), HIT);
	check_int(broken->counts.errors, 5); /* a copy was tried too */
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check_int(location_remove(s.loc, &key, &fail), FAILED);
	check(strstr(fail.text, "/a': it is away"));
	location_name(broken, "ssd");
	spy_on(subject_leaf(&s, 1));
	seen.failing = true;
	check_int(location_read(s.loc, &key, sink_null(), &fail), FAILED);
	check_str(fail.text, "'ssd': it broke off");
	check_int(put(s.loc, &key, "hello", 5, 0), FAILED);
	subject_close(&s);
}

Test(levels, write_to_all_or_to_the_first_that_accepts)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(disk(a),disk(b):r,disk(c))");
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check(leaf_has(&s, 0, &key) && leaf_has(&s, 2, &key));
	check(!leaf_has(&s, 1, &key));
	check_int(put(s.loc, &key, "hello", 5, 0), KEPT);
	subject_close(&s);

	subject_open(&s, "levels(!disk(a):r,small(3,disk(b)),disk(c),disk(d))");
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check(!leaf_has(&s, 0, &key) && !leaf_has(&s, 1, &key));
	check(leaf_has(&s, 2, &key) && !leaf_has(&s, 3, &key));
	check_int(subject_leaf(&s, 3)->counts.writes, 0);
	subject_close(&s);

	subject_open(&s, "levels(disk(a):r)");
	check_int(put(s.loc, &key, "hello", 5, 0), DECLINED);
	subject_close(&s);
}

Test(levels, offer_the_whole_value_after_one_declined)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(!disk(a),disk(b))");
	spy_on(subject_leaf(&s, 0));
	seen.declining = true;
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check(has(subject_leaf(&s, 1), &key, "hello", 5));
	subject_close(&s);
}

Test(levels, remove_and_replace_replicas_too)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(disk(a):r,disk(b))");
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check_int(put(s.loc, &record, "old", 3, 0), STORED);
	check(has(s.loc, &key, "hello", 5) && has(s.loc, &record, "old", 3));
	check(leaf_has(&s, 0, &key) && leaf_has(&s, 0, &record));
	check_int(put(s.loc, &record, "new", 3, WRITE_REPLACE), STORED);
	check(has(s.loc, &record, "new", 3));
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check(!has(s.loc, &key, "hello", 5));
	subject_close(&s);
}

Test(levels, touch_where_told_to)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "levels(disk(a):n,disk(b):n,disk(c):nt)");
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	spy_on(subject_leaf(&s, 2));
	check(has(s.loc, &key, "hello", 5));
	check_int(seen.touched, 1);
	check_outcome(location_touch(s.loc, &key, &err), HIT);
	check_int(seen.touched, 2);
	subject_close(&s);
}

#define BATCH 150

Test(levels, ask_each_level_only_for_what_is_missing)
{
	static struct location_read_request reads[BATCH];
	struct subject s;

	subject_open(&s, "levels(disk(a),disk(b))");
	for (unsigned i = 0; i < BATCH; i++) {
		auto_free char *data = subject_value(i, 50, &reads[i].key);

		reads[i].out = sink_null();
		check_int(put(subject_leaf(&s, i % 3 == 0), &reads[i].key, data,
		              50, 0),
		    STORED);
	}
	spy_on(subject_leaf(&s, 1));
	location_read_batch(s.loc, reads, BATCH);
	check_int(subject_leaf(&s, 1)->counts.reads, BATCH / 3);
	check_int(seen.largest, BATCH / 3);
	check_int(seen.batches, 1);
	location_read_batch(s.loc, reads, BATCH);
	check_int(subject_leaf(&s, 1)->counts.reads, BATCH / 3);
	for (unsigned i = 0; i < BATCH; i++)
		check(reads[i].served == subject_leaf(&s, 0));
	subject_close(&s);
}

Test(fanout, leaves_a_key_where_it_is)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "fanout(disk(a),disk(b))");
	check_int(put(subject_leaf(&s, 1), &key, "hello", 5, 0), STORED);
	check_int(put(s.loc, &key, "hello", 5, 0), KEPT);
	check(!leaf_has(&s, 0, &key));
	check_int(put(subject_leaf(&s, 1), &record, "old", 3, 0), STORED);
	check_int(put(s.loc, &record, "new", 3, WRITE_REPLACE), STORED);
	check(!leaf_has(&s, 0, &record));
	check(has(s.loc, &record, "new", 3));
	subject_close(&s);
}

Test(fanout, writes_to_the_first_that_takes_it)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "fanout(disk(a),small(9,disk(b)),disk(c))");
	spy_on(subject_leaf(&s, 0));
	seen.failing = true;
	check_int(put(s.loc, &key, "hello", 5, 0), STORED);
	check(has(s.loc, &key, "hello", 5));
	check(leaf_has(&s, 1, &key) && !leaf_has(&s, 2, &key));
	subject_close(&s);
}

Test(small, declines_what_is_large_or_empty)
{
	struct key key = blob("hello");
	struct subject s;

	subject_open(&s, "small(4,disk(a))");
	check_int(put(s.loc, &key, "hello", 5, 0), DECLINED);
	check_int(put(s.loc, &key, "", 0, 0), DECLINED);
	check_int(put(s.loc, &key, "hell", 4, 0), STORED);
	check_int(subject_leaf(&s, 0)->counts.writes, 1);
	subject_close(&s);
}

Test(spool, gives_back_what_it_took)
{
	static const size_t sizes[] = { 0, 9, 10, 11, 100000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		auto_spool spool = SPOOL_INIT(10);
		auto_sink *in = sink_spool(&spool);
		auto_source *out = NULL;
		auto_buf got = BUF_INIT;
		auto_sink *back = sink_buf(&got, SIZE_MAX);
		struct error err = { 0 };
		struct key key;
		auto_free char *data = subject_value(1, sizes[i], &key);

		check_int(sink_write(in, "x", 1, &err), 0);
		check_int(sink_reset(in, &err), 0);
		for (size_t at = 0; at < sizes[i]; at++)
			check_int(sink_write(in, data + at, 1, &err), 0);
		check((spool.fd >= 0) == (sizes[i] > 10));
		out = spool_source(&spool);
		check_int(out->size, sizes[i]);
		check_int(stream_copy(out, back, &err), 0);
		check_int(got.len, sizes[i]);
		check(memcmp(got.data, data, sizes[i]) == 0);
	}
}
