/* Every call into the system fails once, and no promise is broken. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/check.h"
#include "support/faults.h"
#include "support/subject.h"

static const struct key record = { KEY_INDEX, { { 0xab, 0xcd } } };
static const int reasons[] = { ENOSPC, EIO, EROFS, EINVAL };
#define REASONS (sizeof(reasons) / sizeof(*reasons))

/* The fault at the n-th call: what is stored is whole, the rest leaves nothing. */
static void
check_write(const char *description, int n, int reason, int *refused)
{
	struct subject s;
	auto_free char *data = xmalloc(200000);
	auto_close int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	auto_source *in = source_file(fd, 200000);
	struct error why = { 0 };
	enum outcome outcome;

	memset(data, 'f', 200000);
	check_int(write(fd, data, 200000), 200000);
	subject_open(&s, description);
	faults_begin(n, reason);
	outcome = location_write(s.loc, &record, in, WRITE_IF_ABSENT, &why);
	faults_end();
	check(outcome != KEPT);
	check((outcome == STORED) == has(s.loc, &record, data, 200000));
	check_int(
	    subject_shell(&s, "test -z \"$(find . -path '*/.tmp/*')\""), 0);
	check_int(subject_shell(&s, "test \"$(find . -name 'cd00*')\" %s ''",
	              outcome == STORED ? "!=" : "="),
	    0);
	if (outcome != STORED) {
		++*refused;
		check_int(why.sys, reason);
		check_int(outcome,
		    reason == EIO || reason == EINVAL ? FAILED : DECLINED);
	}
	check(put(s.loc, &record, data, 200000, WRITE_IF_ABSENT) > DECLINED);
	check(has(s.loc, &record, data, 200000));
	subject_close(&s);
}

Test(faults, leave_a_lake_whole)
{
	for (size_t i = 0; i < REASONS; i++) {
		int refused = 0, n;

		for (n = 0; n == 0 || faults_struck(); n++)
			check_write("disk(a)", n, reasons[i], &refused);
		check(n > 10);
		check(refused > 5);
	}
}

Test(faults, lake_needs_no_links)
{
	struct subject s;

	faults_no_links(true);
	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &record, "first", 5, WRITE_IF_ABSENT), STORED);
	check_int(put(s.loc, &record, "other", 5, WRITE_IF_ABSENT), KEPT);
	check(has(s.loc, &record, "first", 5));
	check_int(put(s.loc, &record, "third", 5, WRITE_REPLACE), STORED);
	check(has(s.loc, &record, "third", 5));
	check_int(subject_shell(&s, "test -z \"$(ls a/.tmp)\""), 0);
	subject_close(&s);
	faults_no_links(false);
}

Test(faults, in_one_level_leave_the_other)
{
	for (size_t i = 0; i < REASONS; i++) {
		int refused = 0;

		for (int n = 0; n == 0 || faults_struck(); n++)
			check_write("levels(disk(a),disk(100000000,b))", n,
			    reasons[i], &refused);
		check_int(refused, 0);
	}
}

/* Some place is always left: what is stored is read, whatever fails once. */
Test(faults, in_nests_cost_no_value)
{
	static const char *const nests[] = {
		"levels(!disk(a),disk(b))",
		"fanout(disk(a),disk(b))",
		"levels(small(9,disk(a)),fanout(disk(b),levels(disk(c),"
		"disk(d))),disk(e))",
		"small(999999,levels(disk(a),disk(b)))",
		"fanout(small(9,disk(a)),disk(b),disk(c))",
	};

	for (size_t i = 0; i < sizeof(nests) / sizeof(*nests); i++) {
		int refused = 0, n = 0;

		for (; n == 0 || faults_struck(); n++)
			check_write(
			    nests[i], n, i % 2 ? EIO : ENOSPC, &refused);
		check(n > 10);
		check_int(refused, 0);
	}
}

/* Reads of a value that is far away, with every call failing once. */
static void
check_far_reads(const char *description, size_t leaf)
{
	struct key key;
	auto_free char *data = subject_value(9, 100000, &key);
	int rounds = 0, missed = 0;

	for (int n = 0; n == 0 || faults_struck(); n++, rounds++) {
		struct subject s;
		struct error err = { 0 };
		enum outcome outcome;

		subject_open(&s, description);
		check_int(
		    put(subject_leaf(&s, leaf), &key, data, 100000, 0), 1);
		faults_begin(n, ENOSPC);
		outcome = location_read(s.loc, &key, sink_null(), &err);
		faults_end();
		check(outcome == HIT || outcome == MISS);
		missed += outcome == MISS; /* it could not be opened */
		check(has(s.loc, &key, data, 100000));
		check_int(
		    subject_shell(&s, "test -z \"$(find . -path '*/.tmp/*')\""),
		    0);
		subject_close(&s);
	}
	check(rounds > 8);
	check_int(missed, 1);
}

Test(faults, cost_a_copy_and_no_read)
{
	check_far_reads("levels(disk(a),disk(b))", 1);
	check_far_reads("levels(small(200000,disk(a)),"
	                "fanout(disk(b),levels(disk(c),disk(d))))",
	    3);
}

Test(faults, file_is_there_whole_or_not_at_all)
{
	for (int n = 0; n == 0 || faults_struck(); n++) {
		struct subject s;
		struct error err = { 0 };
		auto_source *in = source_memory("hello", 5);
		auto_free char *path = NULL;
		struct sink *out;
		int failed;

		subject_open(&s, "disk(a)");
		path = xasprintf("%s/out", s.dir);
		faults_begin(n, ENOSPC);
		out = sink_file(path, 0644, &err);
		failed = !out || stream_copy(in, out, &err) < 0 ||
		    sink_commit(out, &err) < 0;
		sink_close(out);
		faults_end();
		check(failed == (access(path, F_OK) < 0));
		check(failed == (err.sys == ENOSPC));
		check_int(
		    subject_shell(&s, "test $(ls -A | wc -l) = %d", !failed),
		    0);
		subject_close(&s);
	}
}
