/* Who is asked for what, in which calls, and what becomes of the answers. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/check.h"
#include "support/spy.h"
#include "support/subject.h"

#define COUNT 4 /* keys 1 to 4 */

static struct key
numbered(unsigned n)
{
	return (struct key){ KEY_INDEX, { { (unsigned char)n } } };
}

static void
put_in(struct subject *s, size_t leaf, unsigned n, const char *text)
{
	struct key key = numbered(n);

	check_int(
	    put(subject_leaf(s, leaf), &key, text, strlen(text), WRITE_REPLACE),
	    STORED);
	(void)spy_log();
}

/* "1a 2b" : those keys with that in the value; the rest are misses. */
static const char *
read_all(struct location *loc, size_t count)
{
	static char found[256];
	struct location_read_request reads[COUNT];
	struct buf bufs[COUNT];

	found[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		bufs[i] = (struct buf)BUF_INIT;
		reads[i].key = numbered(i + 1);
		reads[i].out = sink_buf(&bufs[i], 1000);
	}
	location_read_batch(loc, reads, count);
	for (unsigned i = 0; i < count; i++) {
		if (reads[i].outcome == HIT)
			sprintf(found + strlen(found), "%u%.*s ", i + 1,
			    (int)bufs[i].len, bufs[i].data);
		sink_close(reads[i].out);
		buf_release(&bufs[i]);
	}
	return found;
}

/* Values of one more byte each: "x", "xx", ... */
static const char *
write_all(struct location *loc, enum write_mode mode, size_t count)
{
	static char said[256];
	struct location_write_request writes[COUNT];

	said[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		writes[i].key = numbered(i + 1);
		writes[i].in = source_memory("xxxx", i + 1);
		writes[i].mode = mode;
	}
	location_write_batch(loc, writes, count);
	for (unsigned i = 0; i < count; i++) {
		static const char *const words[] = { "failed", "declined",
			"stored", "kept" };

		sprintf(
		    said + strlen(said), "%s ", words[writes[i].outcome + 1]);
		source_close(writes[i].in);
	}
	return said;
}

/* ---- reading ---- */

Test(nests, levels_ask_each_level_for_what_is_missing)
{
	struct subject s;

	subject_open(&s, "levels(spied(a),spied(b),spied(c))");
	put_in(&s, 0, 1, "A");
	put_in(&s, 1, 2, "B");
	put_in(&s, 2, 3, "C");
	check_str(read_all(s.loc, COUNT), "1A 2B 3C ");
	check_str(spy_log(),
	    "a.read(1 2 3 4) b.read(2 3 4) a.write(2)"
	    " c.read(3 4) a.write(3) b.write(3)");
	check_str(read_all(s.loc, 3), "1A 2B 3C ");
	check_str(spy_log(), "a.read(1 2 3)");
	subject_close(&s);
}

Test(nests, levels_replicate_where_told_to)
{
	struct subject s;

	/* From an old lake to a new one, which is how one is moved. */
	subject_open(&s, "levels(spied(new),spied(none):n,spied(old):rn)");
	put_in(&s, 2, 1, "A");
	check_str(read_all(s.loc, 1), "1A ");
	check_str(
	    spy_log(), "new.read(1) none.read(1) old.read(1) new.write(1)");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 2), "stored stored ");
	check_str(spy_log(), "new.write(1 2) none.write(1 2)");
	subject_close(&s);

	/* Fast disks in front of a store that alone is written to. */
	subject_open(&s, "levels(spied(ssd):r,spied(hdd):r,spied(nfs))");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "stored ");
	check_str(spy_log(), "nfs.write(1)");
	check_str(read_all(s.loc, 1), "1x ");
	check_str(spy_log(),
	    "ssd.read(1) hdd.read(1) nfs.read(1) ssd.write(1) hdd.write(1)");
	subject_close(&s);
}

Test(nests, ask_nobody_out_of_reach)
{
	static const char *const nests[] = {
		"levels(spied(a),fanout(spied(b)),spied(c))",
		"levels(spied(a),levels(small(9,spied(b)),spied(c)))",
	};

	for (size_t i = 0; i < sizeof(nests) / sizeof(*nests); i++) {
		struct subject s;
		struct location *far;
		struct key key = numbered(2);

		subject_open(&s, nests[i]);
		far = subject_leaf(&s, 1);
		put_in(&s, 0, 1, "A");
		put_in(&s, 1, 2, "B");
		put_in(&s, 2, 3, "C");
		subject_spy(&s, 1)->kind.remote = true;
		location_set_reach(s.loc, REACH_NEAR);
		check_str(read_all(s.loc, 2), "1A ");
		check_str(spy_log(), "a.read(1 2) c.read(2)");
		check(!has(far, &key, "B", 1));
		check_int(far->counts.reads, 0);
		location_set_reach(s.loc, REACH_FAR);
		check_str(read_all(s.loc, 3), "2B ");
		check_str(spy_log(), "b.read(1 2 3) a.write(2)");
		check(has(far, &key, "B", 1));
		(void)spy_log();
		location_set_reach(s.loc, REACH_ALL);
		check_str(read_all(s.loc, 2), "1A 2B ");
		check_str(spy_log(), "a.read(1 2)");
		subject_close(&s);
	}
}

Test(nests, levels_touch_where_the_value_was_and_beyond)
{
	struct subject s;
	struct key key = numbered(1);

	subject_open(&s, "levels(spied(a):t,spied(b):nt,spied(c),spied(d):t)");
	put_in(&s, 1, 1, "B");
	check_str(read_all(s.loc, 1), "1B ");
	check_str(
	    spy_log(), "a.read(1) b.read(1) a.write(1) b.touch(1) d.touch(1)");
	check_str(read_all(s.loc, 1), "1B ");
	check_str(spy_log(), "a.read(1) a.touch(1) b.touch(1) d.touch(1)");
	check_outcome(location_touch(s.loc, &key, &err), HIT);
	check_str(spy_log(), "a.touch(1) b.touch(1) c.touch(1) d.touch(1)");
	subject_close(&s);
}

Test(nests, fanout_asks_members_in_order_for_what_is_missing)
{
	struct subject s;

	subject_open(&s, "fanout(spied(a),spied(b),spied(c))");
	put_in(&s, 0, 1, "A");
	put_in(&s, 1, 2, "B");
	put_in(&s, 1, 1, "old");
	check_str(read_all(s.loc, 2), "1A 2B ");
	check_str(spy_log(), "a.read(1 2) b.read(2)");
	check_str(read_all(s.loc, COUNT), "1A 2B ");
	check_str(spy_log(), "a.read(1 2 3 4) b.read(2 3 4) c.read(3 4)");
	subject_close(&s);
}

Test(nests, contains_asks_for_what_is_missing)
{
	static const char *const nests[] = {
		"levels(spied(a),spied(b),spied(c))",
		"fanout(spied(a),spied(b),spied(c))",
		"small(9,levels(spied(a),fanout(spied(b),spied(c))))",
	};

	for (size_t i = 0; i < sizeof(nests) / sizeof(*nests); i++) {
		struct location_contains_request asked[COUNT];
		struct subject s;
		struct key key = numbered(2);

		subject_open(&s, nests[i]);
		put_in(&s, 0, 1, "A");
		put_in(&s, 1, 2, "B");
		for (unsigned n = 0; n < COUNT; n++)
			asked[n].key = numbered(n + 1);
		location_contains_batch(s.loc, asked, COUNT);
		check_str(spy_log(),
		    "a.contains(1 2 3 4) b.contains(2 3 4) c.contains(3 4)");
		for (unsigned n = 0; n < COUNT; n++)
			check_int(asked[n].outcome, n < 2 ? HIT : MISS);
		check_outcome(location_contains(s.loc, &key, &err), HIT);
		check_str(spy_log(), "a.contains(2) b.contains(2)");
		subject_spy(&s, 2)->fails = true;
		location_contains_batch(s.loc, asked, COUNT);
		check_int(asked[3].outcome, MISS); /* two others said so */
		subject_spy(&s, 0)->fails = subject_spy(&s, 1)->fails = true;
		location_contains_batch(s.loc, asked, 1);
		check_int(asked[0].outcome, FAILED);
		check(strstr(asked[0].err.text, "it broke off"));
		(void)spy_log();
		subject_close(&s);
	}
}

Test(nests, pass_large_batches_on_whole)
{
	static struct location_read_request reads[500];
	static struct location_write_request writes[500];
	struct subject s;

	subject_open(&s, "levels(spied(a),fanout(spied(b),spied(c)))");
	for (unsigned i = 0; i < 500; i++) {
		auto_free char *data = subject_value(i, 8, &writes[i].key);

		reads[i].key = writes[i].key;
		reads[i].out = sink_null();
		writes[i].in = source_memory("12345678", 8);
		writes[i].mode = WRITE_IF_ABSENT;
	}
	location_write_batch(s.loc, writes, 500);
	check_int(subject_spy(&s, 0)->largest, 500);
	check_int(subject_spy(&s, 1)->largest, 500);
	check_int(subject_spy(&s, 2)->largest, 0);
	check_int(subject_leaf(&s, 1)->counts.writes, 500);
	location_read_batch(s.loc, reads, 500);
	check_int(subject_leaf(&s, 1)->counts.reads, 0);
	check_int(subject_leaf(&s, 0)->counts.reads, 500);
	for (unsigned i = 0; i < 500; i++) {
		struct error err = { 0 };

		check_int(
		    location_remove(subject_leaf(&s, 0), &reads[i].key, &err),
		    HIT);
		source_close(writes[i].in);
	}
	/* 64 at a time where copies are made, so that they fit into memory. */
	subject_spy(&s, 1)->largest = subject_spy(&s, 2)->largest = 0;
	location_read_batch(s.loc, reads, 500);
	check_int(subject_spy(&s, 1)->largest, 64);
	check_int(subject_leaf(&s, 1)->counts.reads, 500);
	check_int(subject_leaf(&s, 2)->counts.reads, 0);
	(void)spy_log();
	subject_close(&s);
}

/* ---- writing ---- */

Test(nests, levels_write_to_every_level_or_the_first)
{
	struct subject s;

	subject_open(&s, "levels(small(2,spied(a)),spied(b):r,spied(c))");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, COUNT),
	    "stored stored stored stored ");
	check_str(spy_log(), "a.write(1 2) c.write(1 2 3 4)");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "kept ");
	check_str(spy_log(), "a.write(1) c.write(1)");
	subject_close(&s);

	subject_open(&s, "levels(!small(2,spied(a)),spied(b):r,spied(c))");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, COUNT),
	    "stored stored stored stored ");
	check_str(spy_log(), "a.write(1 2) c.write(3 4)");
	subject_spy(&s, 0)->fails = true;
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 2), "stored stored ");
	check_str(spy_log(), "a.write(1 2) c.write(1 2)");
	subject_spy(&s, 2)->declines = true;
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "declined ");
	subject_spy(&s, 2)->fails = true;
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "failed ");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, levels_leave_nothing_old_where_something_was_replaced)
{
	struct subject s;

	subject_open(&s, "levels(spied(a):r,small(2,spied(b)),spied(c))");
	put_in(&s, 0, 3, "old");
	put_in(&s, 1, 3, "old");
	put_in(&s, 2, 3, "old");
	check_str(write_all(s.loc, WRITE_REPLACE, 3), "stored stored stored ");
	check_str(spy_log(),
	    "b.replace(1 2) c.replace(1 2 3)"
	    " a.remove(1) a.remove(2) a.remove(3) b.remove(3)");
	check_str(read_all(s.loc, 3), "1x 2xx 3xxx ");
	(void)spy_log();
	subject_close(&s);

	/* One that is farther and declined, too: it would show again. */
	subject_open(&s, "levels(spied(a),small(2,spied(b)))");
	put_in(&s, 1, 3, "old");
	check_str(write_all(s.loc, WRITE_REPLACE, 3), "stored stored stored ");
	check_str(spy_log(), "a.replace(1 2 3) b.replace(1 2) b.remove(3)");
	subject_close(&s);

	/* Nothing is lost where nothing was replaced. */
	subject_open(&s, "levels(small(2,spied(a)),spied(b):rn)");
	put_in(&s, 0, 3, "old");
	check_str(
	    write_all(s.loc, WRITE_REPLACE, 3), "stored stored declined ");
	check_str(read_all(s.loc, 3), "1x 2xx 3old ");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, fanout_writes_where_the_key_is_or_to_the_first)
{
	struct subject s;

	subject_open(&s, "fanout(spied(a),spied(b),spied(c))");
	put_in(&s, 1, 2, "old");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 3), "stored kept stored ");
	check_str(spy_log(),
	    "a.contains(1 2 3) b.contains(1 2 3) c.contains(1 3)"
	    " a.write(1 3)");
	check_str(write_all(s.loc, WRITE_REPLACE, 2), "stored stored ");
	check_str(spy_log(),
	    "a.contains(1 2) b.contains(2) a.replace(1) b.replace(2)"
	    " b.remove(1) c.remove(1) a.remove(2) c.remove(2)");
	check_str(read_all(s.loc, COUNT), "1x 2xx 3xxx ");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, fanout_passes_over_who_declines_or_fails)
{
	struct subject s;

	subject_open(&s, "fanout(failing(a),declining(b),spied(c),spied(d))");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 2), "stored stored ");
	check_str(spy_log(),
	    "a.contains(1 2) b.contains(1 2) c.contains(1 2) d.contains(1 2)"
	    " a.write(1 2) b.write(1 2) c.write(1 2)");
	check_str(read_all(s.loc, 2), "1x 2xx ");
	check_str(spy_log(), "a.read(1 2) b.read(1 2) c.read(1 2)");
	subject_spy(&s, 2)->fails = subject_spy(&s, 3)->fails = true;
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "declined ");
	subject_spy(&s, 1)->fails = true;
	check_str(write_all(s.loc, WRITE_IF_ABSENT, 1), "failed ");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, fanout_replaces_elsewhere_if_it_must)
{
	struct subject s;
	struct key key = numbered(3);
	auto_source *in = source_memory("new", 3);
	struct error err = { 0 };

	/* It is too large for where it was. */
	subject_open(&s, "fanout(small(2,spied(a)),spied(b))");
	put_in(&s, 0, 3, "old");
	check_str(write_all(s.loc, WRITE_REPLACE, 3), "stored stored stored ");
	check_str(read_all(s.loc, 3), "1x 2xx 3xxx ");
	check(!has(subject_leaf(&s, 0), &key, "old", 3));
	(void)spy_log();
	subject_close(&s);

	/* Where it was keeps the old one, and is asked first: nothing was done. */
	subject_open(&s, "fanout(spied(a),spied(b))");
	put_in(&s, 0, 3, "old");
	subject_spy(&s, 0)->declines = true;
	check_int(location_write(s.loc, &key, in, WRITE_REPLACE, &err), FAILED);
	check(strstr(err.text, "/a': it is read-only"));
	check_str(read_all(s.loc, 3), "3old ");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, small_passes_on_what_is_small)
{
	struct subject s;

	subject_open(&s, "small(3,levels(spied(a),fanout(spied(b))))");
	check_str(write_all(s.loc, WRITE_IF_ABSENT, COUNT),
	    "stored stored stored declined ");
	check_str(spy_log(), "a.write(1 2 3) b.contains(1 2 3) b.write(1 2 3)");
	check_str(read_all(s.loc, COUNT), "1x 2xx 3xxx ");
	check_str(spy_log(), "a.read(1 2 3 4) b.read(4)");
	put_in(&s, 0, 4, "larger than it takes");
	check_str(read_all(s.loc, COUNT), "1x 2xx 3xxx 4larger than it takes ");
	(void)spy_log();
	subject_close(&s);
}

/* ---- removing ---- */

Test(nests, remove_reaches_all_that_may_have_copies)
{
	struct subject s;
	struct key key = numbered(1);

	subject_open(&s,
	    "levels(spied(a):r,spied(b):n,spied(c):rn,"
	    "fanout(spied(d),spied(e)))");
	for (size_t i = 0; i < 5; i++)
		put_in(&s, i, 1, "x");
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check_str(spy_log(), "a.remove(1) b.remove(1) d.remove(1) e.remove(1)");
	check_str(read_all(s.loc, 1), "1x "); /* c is never written to */
	(void)spy_log();
	subject_close(&s);
}

/* ---- labels ---- */

static int
add_label(void *arg, const char *label)
{
	strcat(strcat(arg, label), " ");
	return 0;
}

static const char *
labels_of(struct location *loc, unsigned n)
{
	static char text[256];
	struct key key = numbered(n);
	struct error err = { 0 };
	enum outcome outcome;

	text[0] = '\0';
	outcome = location_labels(loc, &key, add_label, text, &err);
	check((outcome == HIT) == (text[0] != '\0'));
	return outcome == FAILED ? "failed" : text;
}

static enum outcome
label(struct location *loc, unsigned n, const char *text)
{
	const char *const labels[] = { text, NULL };
	struct key key = numbered(n);
	struct error err = { 0 };

	return location_add_labels(loc, &key, labels, &err);
}

Test(nests, labels_go_where_values_are_written)
{
	struct subject s;
	struct key key = numbered(1);

	subject_open(&s, "levels(spied(a):r,small(9,spied(b)),spied(c):n)");
	check_int(label(s.loc, 1, "x"), MISS);
	check_str(labels_of(s.loc, 1), "");
	put_in(&s, 0, 1, "replica");
	put_in(&s, 2, 1, "origin");
	check_int(label(s.loc, 1, "x"), HIT);
	check_str(spy_log(), "b.add_labels(1) c.add_labels(1)");
	check_str(labels_of(s.loc, 1), "x ");
	check_str(spy_log(), "a.labels(1) b.labels(1) c.labels(1)");
	put_in(&s, 1, 1, "another");
	check_int(label(s.loc, 1, "y"), HIT);
	(void)spy_log();
	check_str(labels_of(s.loc, 1), "y "); /* of the first that has any */
	check_str(spy_log(), "a.labels(1) b.labels(1)");
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check_str(labels_of(s.loc, 1), "");
	(void)spy_log();
	subject_close(&s);
}

Test(nests, labels_need_all_to_be_sure)
{
	static const char *const nests[] = { "levels(failing(a),spied(b))",
		"fanout(failing(a),spied(b))" };

	for (size_t i = 0; i < 2; i++) {
		struct subject s;

		subject_open(&s, nests[i]);
		check_int(label(s.loc, 1, "x"), FAILED);
		check_str(labels_of(s.loc, 1), "");
		put_in(&s, 1, 1, "x");
		check_int(label(s.loc, 1, "x"), HIT);
		check_str(labels_of(s.loc, 1), "x ");
		subject_spy(&s, 1)->fails = true;
		check_str(labels_of(s.loc, 1), "failed");
		(void)spy_log();
		subject_close(&s);
	}
}

/* ---- deep ---- */

Test(nests, of_nests_ask_as_each_of_them_would)
{
	struct subject s;

	subject_open(&s,
	    "levels(small(2,spied(a)),"
	    "fanout(spied(b),levels(spied(c),spied(d))),spied(e))");
	put_in(&s, 3, 2, "D");
	check_str(read_all(s.loc, 2), "2D ");
	check_str(spy_log(),
	    "a.read(1 2) b.read(1 2) c.read(1 2) d.read(1 2) c.write(2)"
	    " a.write(2) e.read(1)");
	check_str(
	    write_all(s.loc, WRITE_IF_ABSENT, 3), "stored stored stored ");
	check_str(spy_log(),
	    "a.write(1 2) b.contains(1 2 3) c.contains(1 2 3) d.contains(1 3)"
	    " b.write(1 3) e.write(1 2 3)");
	check_str(read_all(s.loc, COUNT), "1x 2D 3xxx ");
	check_str(spy_log(),
	    "a.read(1 2 3 4) b.read(3 4) c.read(4) d.read(4) e.read(4)");
	subject_close(&s);
}

/* ---- what is damaged ---- */

struct wanted {
	const struct buf *got;
	const char *text;
	int asked;
};

static bool
is_wanted(void *arg)
{
	struct wanted *wanted = arg;

	wanted->asked++;
	return wanted->got->len == strlen(wanted->text) &&
	    memcmp(wanted->got->data, wanted->text, wanted->got->len) == 0;
}

static enum outcome
read_checked(struct location *loc, unsigned n, const char *text, bool mend,
    struct error *damage)
{
	auto_buf got = BUF_INIT;
	auto_sink *out = sink_buf(&got, 1000);
	struct wanted wanted = { &got, text, 0 };
	struct location_check check = {
		.is_whole = is_wanted, .arg = &wanted, .mend = mend
	};
	struct key key = numbered(n);
	struct error err = { 0 };
	enum outcome outcome =
	    location_read_checked(loc, &key, out, &check, &err);

	*damage = check.damage;
	check((outcome == FAILED) == (err.kind != ERROR_NONE));
	check(outcome != HIT || wanted.asked > 0);
	if (outcome == HIT) {
		check(!loc->served->kind->member);
		check_str(got.data, text);
	}
	return outcome;
}

#define DEEP \
	"levels(small(9,spied(a)),fanout(spied(b),levels(spied(c),spied(d)))," \
	"spied(e):rn)"

Test(nests, read_past_what_is_damaged_and_heal_it)
{
	struct subject s;
	struct error damage;

	subject_open(&s, DEEP);
	put_in(&s, 0, 1, "bad");
	put_in(&s, 1, 1, "bad");
	put_in(&s, 3, 1, "good");
	check_int(read_checked(s.loc, 1, "good", true, &damage), HIT);
	check(strstr(damage.text, "/a' and was removed"));
	check_str(spy_log(),
	    "a.read(1) a.read(1) a.remove(1) b.read(1) b.remove(1) c.read(1)"
	    " d.read(1) a.read(1) b.read(1) c.read(1) d.read(1) c.write(1)"
	    " a.write(1)");
	check(s.loc->served == subject_leaf(&s, 3));
	check_int(read_checked(s.loc, 1, "good", true, &damage), HIT);
	check_int(damage.kind, ERROR_NONE);
	check_str(spy_log(), "a.read(1)");
	subject_close(&s);
}

Test(nests, remove_nothing_where_they_may_not)
{
	struct subject s;
	struct error damage;

	subject_open(&s, "levels(spied(a):rn,declining(b),spied(c))");
	put_in(&s, 0, 1, "bad");
	put_in(&s, 2, 1, "good");
	check_int(read_checked(s.loc, 1, "good", true, &damage), HIT);
	check(strstr(damage.text, "/a'") && !strstr(damage.text, "removed"));
	check_str(spy_log(), "a.read(1) a.read(1) b.read(1) c.read(1)");
	put_in(&s, 2, 1, "bad");
	check_int(read_checked(s.loc, 1, "good", false, &damage), FAILED);
	check_str(spy_log(), "a.read(1) a.read(1) b.read(1) c.read(1)");
	check_int(read_checked(s.loc, 1, "good", true, &damage), FAILED);
	check_str(
	    spy_log(), "a.read(1) a.read(1) b.read(1) c.read(1) c.remove(1)");
	check_int(read_checked(s.loc, 2, "good", true, &damage), MISS);
	check_int(damage.kind, ERROR_NONE);
	(void)spy_log();
	subject_close(&s);
}

/* A record is no digest of its bytes, so a damaged one is copied; all go. */
Test(nests, remove_replicas_of_what_is_damaged)
{
	struct subject s;
	struct error damage;

	subject_open(&s, DEEP);
	put_in(&s, 4, 1, "bad");
	check_int(read_checked(s.loc, 1, "good", true, &damage), FAILED);
	(void)spy_log();
	for (size_t i = 0; i < 4; i++) {
		struct key key = numbered(1);

		check_outcome(
		    location_contains(subject_leaf(&s, i), &key, &err), MISS);
	}
	(void)spy_log();
	subject_close(&s);
}

Test(nests, fail_over_while_reading_past_damage)
{
	for (int n = 0; n < 4; n++) {
		struct subject s;
		struct error damage;

		subject_open(&s, "levels(spied(a),spied(b),spied(c))");
		put_in(&s, 0, 1, "bad");
		put_in(&s, 1, 1, "good");
		put_in(&s, 2, 1, "good");
		subject_spy(&s, 0)->fails_at = n;
		check_int(read_checked(s.loc, 1, "good", true, &damage), HIT);
		(void)spy_log();
		subject_close(&s);
	}
}

/* ---- any one call that fails ---- */

static const char *const nests[] = {
	"levels(spied(a),spied(b))",
	"levels(!spied(a),spied(b))",
	"fanout(spied(a),spied(b))",
	"small(99,fanout(spied(a),spied(b)))",
	"levels(small(9,spied(a)),fanout(spied(b),levels(spied(c),spied(d))),"
	"spied(e))",
	"fanout(levels(spied(a):r,spied(b)),levels(spied(c),spied(d):t))",
};
#define NESTS (sizeof(nests) / sizeof(*nests))

/* Has an answer: either right, or none; `sure`: nothing has failed. */
static void
check_read(struct location *loc, unsigned n, const char *text, bool sure)
{
	auto_buf got = BUF_INIT;
	auto_sink *out = sink_buf(&got, 1000);
	struct key key = numbered(n);
	struct error err = { 0 };
	enum outcome outcome = location_read(loc, &key, out, &err);

	check((outcome == FAILED) == (err.kind != ERROR_NONE));
	check(outcome == HIT || !sure);
	if (outcome == HIT)
		check_str(got.data, text);
}

/* A small life. The old value may show again only where something failed. */
static void
live(struct location *loc, bool sure)
{
	struct key key = numbered(1);
	struct error err = { 0 };
	enum outcome first = put(loc, &key, "same", 4, WRITE_IF_ABSENT);
	enum outcome second;

	check(first == STORED || !sure);
	check(put(loc, &key, "same", 4, WRITE_IF_ABSENT) == KEPT || !sure);
	if (first > DECLINED)
		check_read(loc, 1, "same", sure);
	second = put(loc, &key, "another", 7, WRITE_REPLACE);
	check(second == STORED || !sure);
	if (second == STORED && sure)
		check_read(loc, 1, "another", true);
	check(location_contains(loc, &key, &err) == HIT || !sure);
	check(location_touch(loc, &key, &err) == HIT || !sure);
	check(location_remove(loc, &key, &err) == HIT || !sure);
	check(location_remove(loc, &key, &err) == MISS || !sure);
}

/* How many calls of this leaf a life takes, with the n-th failing. */
static bool
live_with_fault(const char *nest, size_t leaf, int n)
{
	struct subject s;
	struct spy *spy;
	bool struck;

	subject_open(&s, nest);
	spy = subject_spy(&s, leaf);
	spy->fails_at = n;
	live(s.loc, n < 0);
	struck = n >= 0 && spy->fails_at < 0;
	spy->fails_at = -1;
	(void)location_remove(
	    s.loc, &(struct key){ KEY_INDEX, { { 1 } } }, &(struct error){ 0 });
	live(s.loc, true); /* and all is well again */
	(void)spy_log();
	subject_close(&s);
	return struck;
}

static size_t
count_leaves(const char *nest)
{
	size_t count = 0;

	for (; (nest = strstr(nest, "spied")); nest++)
		count++;
	return count;
}

Test(nests, live_on_when_any_call_fails)
{
	for (size_t i = 0; i < NESTS; i++) {
		check(!live_with_fault(nests[i], 0, -1));
		for (size_t leaf = 0; leaf < count_leaves(nests[i]); leaf++) {
			int n = 0;

			while (live_with_fault(nests[i], leaf, n))
				n++;
			check(n >= 2 || leaf > 2);
		}
	}
}

/* Calls that fail once, in the middle of batches. */
/* A server that hangs costs its time once, however much is asked. */
Test(nests, leave_alone_who_takes_long_to_fail)
{
	struct subject s;

	subject_open(&s, "levels(spied(a),disk(b))");
	put_in(&s, 1, 1, "b");
	subject_spy(&s, 0)->fails = true;
	check_str(read_all(s.loc, 1), "1b ");
	check_str(read_all(s.loc, 1), "1b ");
	check_str(spy_log(), "a.read(1) a.write(1) a.read(1) a.write(1)");
	subject_spy(&s, 0)->slow = 510000;
	check_str(read_all(s.loc, 1), "1b ");
	check_str(read_all(s.loc, 2), "1b ");
	check_str(write_all(s.loc, WRITE_REPLACE, 2), "stored stored ");
	check_str(spy_log(), "a.read(1)");
	subject_leaf(&s, 0)->rest_until = 0;
	subject_spy(&s, 0)->fails = false;
	check_str(read_all(s.loc, 1), "1x ");
	check(strstr(spy_log(), "a.read(1)"));
	subject_close(&s);
}

Test(nests, answer_the_rest_of_a_batch)
{
	for (size_t i = 0; i < NESTS; i++) {
		for (size_t leaf = 0; leaf < count_leaves(nests[i]); leaf++) {
			struct subject s;
			const char *found;

			subject_open(&s, nests[i]);
			subject_spy(&s, leaf)->fails_at = 2;
			(void)write_all(s.loc, WRITE_IF_ABSENT, COUNT);
			subject_spy(&s, leaf)->fails_at = 2;
			found = read_all(s.loc, COUNT);
			check(strstr(found, "1x 2xx "));
			check(!strstr(found, "part"));
			subject_spy(&s, leaf)->fails_at = -1;
			(void)write_all(s.loc, WRITE_IF_ABSENT, COUNT);
			check_str(read_all(s.loc, COUNT), "1x 2xx 3xxx 4xxxx ");
			(void)spy_log();
			subject_close(&s);
		}
	}
}

/* ---- streams that are larger than what may be held ---- */

#define LARGE ((size_t)24 << 20)
#define ROOM ((size_t)4 << 20) /* of memory, for all that is on the way */

size_t __sanitizer_get_current_allocated_bytes(void);
#pragma weak __sanitizer_get_current_allocated_bytes

static size_t
allocated(void)
{
	return __sanitizer_get_current_allocated_bytes
	    ? __sanitizer_get_current_allocated_bytes()
	    : mallinfo2().uordblks;
}

static size_t floor_bytes, most_bytes;

static void
measure(void)
{
	size_t now = allocated() - floor_bytes;

	if (now < SIZE_MAX / 2 && now > most_bytes)
		most_bytes = now;
}

/* Bytes that follow from where they are. */
static void
fill(char *data, uint64_t at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)((at + i) * 2654435761u >> 13);
}

struct pattern {
	struct source base;
	uint64_t at;
};

static ssize_t
pattern_read(struct source *src, void *data, size_t size, struct error *err)
{
	struct pattern *pattern = container_of(src, struct pattern, base);
	size_t left = (size_t)(src->size - pattern->at);

	measure();
	if (size > left)
		size = left;
	fill(data, pattern->at, size);
	pattern->at += size;
	return (ssize_t)size;
}

static int
pattern_rewind(struct source *src, struct error *err)
{
	container_of(src, struct pattern, base)->at = 0;
	return 0;
}

static void
pattern_close(struct source *src)
{
}

struct matcher {
	struct sink base;
	uint64_t at;
	bool differs;
};

static int
matcher_write(
    struct sink *sink, const void *data, size_t size, struct error *err)
{
	struct matcher *matcher = container_of(sink, struct matcher, base);
	char wanted[4096];

	measure();
	for (size_t done = 0; done < size;) {
		size_t step =
		    size - done < sizeof(wanted) ? size - done : sizeof(wanted);

		fill(wanted, matcher->at, step);
		matcher->differs |=
		    memcmp(wanted, (const char *)data + done, step) != 0;
		matcher->at += step;
		done += step;
	}
	return 0;
}

static int
matcher_reset(struct sink *sink, struct error *err)
{
	struct matcher *matcher = container_of(sink, struct matcher, base);

	matcher->at = 0;
	matcher->differs = false;
	return 0;
}

static void
matcher_close(struct sink *sink)
{
}

static void
check_large(struct location *loc, const struct key *key)
{
	static const struct sink_ops ops = { .write = matcher_write,
		.reset = matcher_reset,
		.close = matcher_close };
	struct matcher matcher = { .base = { &ops } };

	check_outcome(location_read(loc, key, &matcher.base, &err), HIT);
	check_int(matcher.at, LARGE);
	check(!matcher.differs);
}

Test(nests, stream_in_bounded_memory)
{
	static const struct source_ops ops = { .read = pattern_read,
		.rewind = pattern_rewind,
		.close = pattern_close };

	for (size_t i = 0; i < NESTS; i++) {
		struct pattern in = { .base = { &ops, LARGE, -1 } };
		struct key key = numbered(1);
		size_t last = count_leaves(nests[i]) - 1;
		struct subject s;

		if (strncmp(nests[i], "small", 5) == 0)
			continue;
		subject_open(&s, nests[i]);
		floor_bytes = allocated();
		most_bytes = 0;
		check_outcome(location_write(
		                  s.loc, &key, &in.base, WRITE_IF_ABSENT, &err),
		    STORED);
		check_large(s.loc, &key);
		/* From the far end, after the near one broke off. */
		check_outcome(location_remove(s.loc, &key, &err), HIT);
		check_int(pattern_rewind(&in.base, NULL), 0);
		check_outcome(location_write(subject_leaf(&s, last), &key,
		                  &in.base, WRITE_IF_ABSENT, &err),
		    STORED);
		subject_spy(&s, 0)->fails_at = 0;
		check_large(s.loc, &key);
		check_large(s.loc, &key);
		check(most_bytes > 0 && most_bytes < ROOM);
		(void)spy_log();
		subject_close(&s);
	}
}
