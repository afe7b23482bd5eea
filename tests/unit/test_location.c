/*
 * What every location promises, checked for each kind and a few nestings. A new
 * kind joins by one line in `local`; one that needs a server, by tests/remote/run.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/check.h"
#include "support/subject.h"

static const char *const local[] = {
	"disk(a)",
	"disk(100000000,deep/er/a)",
	"small(9999999,disk(a))",
	"levels(disk(a))",
	"levels(disk(a),disk(b))",
	"packed(a)",
	"levels(small(10,packed(a)),packed(b),disk(c))",
	"fanout(packed(a),small(9,packed(b)),disk(c))",
	"levels(!disk(a),disk(b))",
	"levels(disk(a):r,disk(b))",
	"levels(small(10,disk(a)),disk(b))",
	"fanout(disk(a),disk(b))",
	"levels(fanout(small(5,disk(a)),disk(b)),levels(disk(c):rn,disk(d):t))",
	"levels(!small(10,disk(a)),disk(b))",
	"levels(small(9,disk(a)),fanout(disk(b),levels(disk(c),disk(d))),"
	"disk(e))",
	"small(9999999,levels(disk(a),disk(b)))",
	"fanout(small(5,disk(a)),disk(b))",
	"fanout(fanout(disk(a),disk(b)),small(9999999,fanout(disk(c))))",
	"levels(spied(a),fanout(spied(b),spied(c)))",
	"levels(failing(a),disk(b))",
	"levels(disk(a),failing(b),disk(c))",
	"fanout(failing(a),disk(b))",
	"levels(!failing(a),small(9,failing(b)),fanout(failing(c),disk(d)))",
	"levels(declining(a),disk(b))",
	"fanout(declining(a),small(5,disk(b)),disk(c))",
	"levels(fanout(declining(a),disk(b)),levels(!declining(c),disk(d)))",
};

/* Where there is a server: tests/remote/run. */
static const char *const remote[] = {
	"remote(a)",
	"small(9999999,remote(a))",
	"levels(disk(a),remote(b))",
	"levels(remote(a),disk(b):r)",
	"levels(!small(10,disk(a)),remote(b))",
	"fanout(remote(a),remote(b))",
	"levels(small(9,remote(a)),fanout(disk(b),remote(c)),disk(d))",
	"levels(disk(a),remote(b):rn,remote(c):t)",
};

/* The same through tarnd. */
static const char *const through[] = {
	"proxied(a)",
	"levels(disk(a),proxied(b))",
	"levels(!small(10,disk(a)),proxied(b))",
	"levels(small(9,proxied(a)),fanout(disk(b),proxied(c)),disk(d))",
};
#define COUNT(table) (sizeof(table) / sizeof(*(table)))

static const char *const *
subjects(size_t *count)
{
	if (getenv("TARN_TEST_PROXIED")) {
		*count = COUNT(through);
		return through;
	}
	if (getenv("TARN_TEST_URL")) {
		*count = COUNT(remote);
		return remote;
	}
	*count = COUNT(local);
	return local;
}

#define TEST_EVERY_LOCATION(promise) \
	static void check_##promise(struct location *, struct subject *); \
	ParameterizedTestParameters(location, promise) \
	{ \
		static size_t index[COUNT(local)], count; \
		(void)subjects(&count); \
		for (size_t i = 0; i < count; i++) \
			index[i] = i; \
		return cr_make_param_array(size_t, index, count); \
	} \
	ParameterizedTest(size_t *which, location, promise) \
	{ \
		struct subject subject; \
		size_t count; \
		subject_open(&subject, subjects(&count)[*which]); \
		check_##promise(subject.loc, &subject); \
		check_int(subject_shell(&subject, \
		              "test -z \"$(find . -path '*/.tmp/*')\""), \
		    0); \
		subject_close(&subject); \
	} \
	static void check_##promise( \
	    struct location *loc, struct subject *subject)

static const struct key record = { KEY_INDEX, { { 0xab, 0xcd } } };

/* It isn't there, and only one that failed may not be sure. */
static void
check_removed(
    struct location *loc, const struct key *key, const struct subject *subject)
{
	struct error err = { 0 };
	enum outcome outcome = location_remove(loc, key, &err);

	check(outcome == MISS || (outcome == FAILED && subject->ailing));
	check((outcome == FAILED) == (err.kind != ERROR_NONE));
}

TEST_EVERY_LOCATION(misses_what_was_never_written)
{
	struct key key = { KEY_BLOB, { { 1 } } };

	check_outcome(location_read(loc, &key, sink_null(), &err), MISS);
	check_outcome(location_read(loc, &record, sink_null(), &err), MISS);
	check_outcome(location_contains(loc, &key, &err), MISS);
	check_removed(loc, &key, subject);
	check_outcome(location_touch(loc, &key, &err), MISS);
	check_int(subject_shell(subject, "test -z \"$(ls -A)\""), 0);
}

TEST_EVERY_LOCATION(gives_back_what_it_stored)
{
	static const size_t sizes[] = { 0, 1, 11, 65536, 65537, 3 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct key key;
		auto_free char *data = subject_value(7, sizes[i], &key);
		enum outcome outcome =
		    put(loc, &key, data, sizes[i], WRITE_IF_ABSENT);

		if (sizes[i] == 0 && outcome == DECLINED)
			continue; /* a small does */
		check_int(outcome, STORED);
		check(has(loc, &key, data, sizes[i]));
		check(has(loc, &key, data, sizes[i]));
		check_outcome(location_contains(loc, &key, &err), HIT);
		check_outcome(location_touch(loc, &key, &err), HIT);
	}
}

TEST_EVERY_LOCATION(takes_a_file_and_gives_one)
{
	struct key key;
	auto_free char *data = subject_value(8, 300000, &key);
	auto_free char *path = xasprintf("%s/out", subject->dir);
	auto_close int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	auto_source *in = source_file(fd, 300000);
	struct error fail = { 0 };
	auto_sink *out = sink_file(path, 0644, &fail);
	auto_buf got = BUF_INIT;

	check_int(write(fd, data, 300000), 300000);
	check_outcome(
	    location_write(loc, &key, in, WRITE_IF_ABSENT, &err), STORED);
	check_outcome(location_read(loc, &key, out, &err), HIT);
	check_int(sink_commit(out, &fail), 0);
	check_int(buf_read_file(&got, path, &fail), 0);
	check_int(got.len, 300000);
	check(memcmp(got.data, data, 300000) == 0);
}

TEST_EVERY_LOCATION(lets_the_first_stay_unless_told_to_replace)
{
	check_int(put(loc, &record, "first", 5, WRITE_IF_ABSENT), STORED);
	check(put(loc, &record, "second one", 10, WRITE_IF_ABSENT) > DECLINED);
	check(has(loc, &record, "first", 5));
	check_int(put(loc, &record, "third", 5, WRITE_REPLACE), STORED);
	check(has(loc, &record, "third", 5));
}

TEST_EVERY_LOCATION(forgets_what_is_removed)
{
	struct key key;
	auto_free char *data = subject_value(3, 4, &key);

	check_int(put(loc, &key, data, 4, WRITE_IF_ABSENT), STORED);
	check(has(loc, &key, data, 4));
	check_outcome(location_remove(loc, &key, &err), HIT);
	check_removed(loc, &key, subject);
	check(!has(loc, &key, data, 4));
}

/* ---- labels: as every place keeps them, or none ---- */

static int
join_label(void *arg, const char *label)
{
	strcat(strcat(arg, label), " ");
	return 0;
}

TEST_EVERY_LOCATION(keeps_labels_with_the_value_or_none)
{
	static const char *const first[] = { "b", "a", NULL };
	static const char *const more[] = { "a", "c", NULL };
	struct key key;
	auto_free char *data = subject_value(3, 4, &key);
	char text[64] = "", gone[64] = "";
	struct error why = { 0 };
	enum outcome outcome = location_add_labels(loc, &key, first, &why);

	check(outcome == MISS || (outcome == FAILED && subject->ailing));
	check_int(put(loc, &key, data, 4, WRITE_IF_ABSENT), STORED);
	outcome = location_add_labels(loc, &key, first, &why);
	if (outcome == MISS && !subject->ailing)
		return; /* it keeps none */
	check(outcome == HIT || subject->ailing);
	check_outcome(location_add_labels(loc, &key, more, &err), outcome);
	outcome = location_labels(loc, &key, join_label, text, &why);
	if (outcome == HIT)
		check_str(text, "a b c ");
	(void)location_remove(loc, &key, &why);
	check(location_labels(loc, &key, join_label, gone, &why) != HIT);
}

struct seen {
	size_t blobs, records;
	uint64_t bytes;
};

static int
see(void *arg, const struct location_entry *entry)
{
	struct seen *seen = arg;

	check(entry->last_used > 0);
	seen->blobs += entry->key.space == KEY_BLOB;
	seen->records += entry->key.space == KEY_INDEX;
	seen->bytes += entry->size;
	return 0;
}

static int
stop(void *arg, const struct location_entry *entry)
{
	return ++*(int *)arg == 3 ? 42 : 0;
}

static void
check_listed(
    struct location *loc, const struct subject *subject, struct seen *seen)
{
	struct error err = { 0 };
	int rc = location_list(loc, see, seen, &err);

	check(rc == 0 || (rc == -1 && subject->ailing));
	check((rc == -1) == (err.kind != ERROR_NONE));
}

static void
find_packer(void *arg, struct location *leaf)
{
	*(bool *)arg |= leaf->packer != NULL;
}

/* As many as are kept. */
static void
check_bytes(struct location *loc, const struct seen *seen)
{
	uint64_t bytes = seen->blobs * 1000 + seen->records;
	bool packed = false;

	location_each_leaf(loc, find_packer, &packed);
	if (packed)
		check(seen->bytes <= bytes && seen->bytes > bytes / 2);
	else
		check_int(seen->bytes, bytes);
}

TEST_EVERY_LOCATION(lists_what_it_has)
{
	struct seen seen = { 0 };
	struct error err = { 0 };
	int asked = 0;

	check_listed(loc, subject, &seen);
	check_int(seen.blobs + seen.records, 0);
	for (unsigned i = 0; i < 20; i++) {
		struct key key;
		auto_free char *data = subject_value(i, 1000, &key);

		check_int(put(loc, &key, data, 1000, WRITE_IF_ABSENT), STORED);
	}
	check_int(put(loc, &record, "x", 1, WRITE_IF_ABSENT), STORED);
	check_listed(loc, subject, &seen);
	check(seen.blobs >= 20);
	check(seen.blobs % 20 == 0 || subject->ailing);
	check(seen.records >= 1 && seen.records <= 5);
	check_bytes(loc, &seen);
	check_int(location_list(loc, stop, &asked, &err), 42);
	check_int(asked, 3);
}

/* Told of one space alone, with nothing of labels. */
static int
see_some(void *arg, const struct location_entry *entry)
{
	struct seen *seen = arg;

	check(!entry->unlabelled);
	seen->blobs += entry->key.space == KEY_BLOB;
	seen->records += entry->key.space == KEY_INDEX;
	seen->bytes += entry->size;
	return 0;
}

TEST_EVERY_LOCATION(lists_what_is_wanted)
{
	struct seen blobs = { 0 }, records = { 0 };
	struct error err = { 0 };
	struct key key;
	auto_free char *data = subject_value(1, 1000, &key);

	check_int(put(loc, &key, data, 1000, WRITE_IF_ABSENT), STORED);
	check_int(put(loc, &record, "x", 1, WRITE_IF_ABSENT), STORED);
	(void)location_list_some(loc, LIST_BLOBS, see_some, &blobs, &err);
	(void)location_list_some(loc, LIST_INDEX, see_some, &records, &err);
	check(blobs.blobs > 0 && blobs.bytes >= 500 * blobs.blobs);
	check(records.records > 0 && records.bytes >= records.records);
}

#define BATCH 200

TEST_EVERY_LOCATION(answers_batches)
{
	static struct location_write_request writes[BATCH];
	static struct location_read_request reads[BATCH];
	static struct buf bufs[BATCH];
	char *data[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		data[i] = subject_value(i, 10 * (i + 1), &writes[i].key);
		writes[i].in = source_memory(data[i], 10 * (i + 1));
		reads[i].key = writes[i].key;
		bufs[i] = (struct buf)BUF_INIT;
		reads[i].out = sink_buf(&bufs[i], 100000);
	}
	location_write_batch(loc, writes, BATCH / 2);
	for (int again = 0; again < 2; again++) {
		location_read_batch(loc, reads, BATCH);
		for (unsigned i = 0; i < BATCH / 2; i++) {
			struct error err = { 0 };

			check_int(writes[i].outcome, STORED);
			check_int(reads[i].outcome, HIT);
			check(
			    reads[i].served && !reads[i].served->kind->member);
			check_int(bufs[i].len, 10 * (i + 1));
			check(memcmp(bufs[i].data, data[i], bufs[i].len) == 0);
			check_int(sink_reset(reads[i].out, &err), 0);
		}
		for (unsigned i = BATCH / 2; i < BATCH; i++)
			check_int(reads[i].outcome, MISS);
	}
	for (unsigned i = 0; i < BATCH; i++) {
		source_close(writes[i].in);
		sink_close(reads[i].out);
		buf_release(&bufs[i]);
		free(data[i]);
	}
}

static int
is_far(void *arg, struct location *from, const char *data, size_t size)
{
	++*(int *)arg;
	check(!from->kind->member);
	return size == 5 && memcmp(data, "first", 5) == 0;
}

TEST_EVERY_LOCATION(offers_the_value_of_each_leaf)
{
	int asked = 0;

	check_int(location_read_each(loc, &record, 100, is_far, &asked), 0);
	check_int(asked, 0);
	check_int(put(loc, &record, "first", 5, WRITE_IF_ABSENT), STORED);
	check_int(location_read_each(loc, &record, 4, is_far, &asked), 0);
	check_int(asked, 0); /* larger than wanted */
	check_int(location_read_each(loc, &record, 100, is_far, &asked), 1);
	check_int(asked, 1);
	check(loc->served);
}

static enum outcome
write_in_child(const struct subject *subject, const char *description)
{
	struct location *loc = subject_again(subject, description);
	auto_free char *data = xmalloc(500000);
	enum outcome outcome;

	memset(data, 'w', 500000);
	outcome = put(loc, &record, data, 500000, WRITE_IF_ABSENT);
	location_close(loc);
	return outcome;
}

Test(disk, lets_one_of_many_writers_win)
{
	struct subject subject;
	auto_free char *data = xmalloc(500000);
	int stored = 0, kept = 0, status;

	memset(data, 'w', 500000);
	subject_open(&subject, "disk(new/a)");
	for (int i = 0; i < 8; i++) {
		if (fork() == 0)
			_exit(write_in_child(&subject, "disk(new/a)"));
	}
	while (wait(&status) > 0) {
		stored += WEXITSTATUS(status) == STORED;
		kept += WEXITSTATUS(status) == KEPT;
	}
	check_int(stored, 1);
	check_int(kept, 7);
	check(has(subject.loc, &record, data, 500000));
	check_int(subject_shell(&subject, "test -z \"$(ls new/a/.tmp)\""), 0);
	subject_close(&subject);
}

/* ---- the layout ---- */

static const char hello_path[] =
    "58/91b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

static struct key
hello_key(void)
{
	struct key key = { .space = KEY_BLOB };

	digest_bytes(&key.digest, "hello\n", 6);
	return key;
}

/* Root's mode; folders' and objects' below it. */
static const struct {
	unsigned root, folder, object, config;
} modes[] = {
	{ 0755, 0755, 0444, 0644 },
	{ 02770, 0770, 0440, 0660 },
	{ 0775, 0775, 0444, 0664 },
};

Test(disk, lays_out_a_lake_as_python_does)
{
	struct key key = hello_key();

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct subject s;

		subject_open(&s, "disk(a)");
		subject_shell(&s,
		    "umask 077; mkdir a && chmod %o a; chgrp %d a",
		    modes[i].root, geteuid() == 0 ? 4242 : (int)getegid());
		check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), 1);
		check_int(put(s.loc, &record, "r", 1, WRITE_IF_ABSENT), 1);
		check_int(subject_shell(&s,
		              "printf 'levels:\\n- 1\\n- -1\\n' |"
		              " cmp - a/config.yml"),
		    0);
		check_int(
		    subject_shell(&s,
		        "cd a; find . -printf '%%P %%m %%s\\n' | sort >../got;"
		        " find . ! -group $(stat -c %%g .) | grep . && exit 9;"
		        " test \"$(stat -c %%a %s)\" = %o &&"
		        " test \"$(cat %s)\" = hello &&"
		        " test $(stat -c %%a config.yml) = %o &&"
		        " test $(stat -c %%a 58 .tmp tools tools/tarn-exec"
		        " tools/tarn-exec/index tools/tarn-exec/index/ab |"
		        " sort -u) = %o &&"
		        " test $(stat -c %%a tools/tarn-exec/index/ab/cd%060d)"
		        " = %o && test $(find . -type f | wc -l) = 3",
		        hello_path, modes[i].object, hello_path,
		        modes[i].config, modes[i].folder, 0, modes[i].object),
		    0);
		subject_close(&s);
	}
}

static const struct {
	const char *config, *path;
} lakes[] = {
	{ "levels:\\n- 1\\n- -1\\n",
	    "58/91b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be0"
	    "3" },
	{ "hash:\\n  name: sha256\\nlevels:\\n- 2\\n- 30\\n",
	    "5891/"
	    "b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" },
	{ "levels: [1, 1, -1]\\n",
	    "58/91/"
	    "b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" },
	{ "free_disk_size: 1073741824\\nhash:\\n  name: sha256\\nlabels:\\n"
	  "  kwargs: {}\\n  name: JsonLabels\\nlevels:\\n  - 32\\nlocker:\\n"
	  "  args:\\n  - localhost\\n  kwargs:\\n    expire: 10\\n"
	  "  name: RedisLocker\\n"
	  "max_size: 10 GB\\n# comment\\nusage: StatUsage\\n",
	    "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be0"
	    "3" },
	{ "hash: sha256\\n",
	    "58/91b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be0"
	    "3/data" },
};

Test(disk, reads_a_lake_laid_out_by_hand)
{
	struct key key = hello_key();

	for (size_t i = 0; i < sizeof(lakes) / sizeof(*lakes); i++) {
		struct subject s;
		struct seen seen = { 0 };
		struct error fail = { 0 };
		bool legacy = strstr(lakes[i].path, "data");

		subject_open(&s, "disk(a)");
		check_int(subject_shell(&s,
		              "mkdir a; printf -- '%s' >a/config.yml;"
		              " mkdir -p a/$(dirname %s) a/tools/usage/58;"
		              " printf 'hello\\n' >a/%s; echo >a/README",
		              lakes[i].config, lakes[i].path, lakes[i].path),
		    0);
		check(has(s.loc, &key, "hello\n", 6));
		check_int(location_list(s.loc, see, &seen, &fail), 0);
		check_int(seen.blobs, 1);
		check_outcome(location_contains(s.loc, &key, &err), HIT);
		check_outcome(location_touch(s.loc, &key, &err), HIT);
		check_int(
		    put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), KEPT);
		check_outcome(location_remove(s.loc, &key, &err), HIT);
		check(!has(s.loc, &key, "hello\n", 6));
		check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), 1);
		check_int(subject_shell(&s, "test -f a/%.*s",
		              (int)(strlen(lakes[i].path) - (legacy ? 5 : 0)),
		              lakes[i].path),
		    0);
		subject_close(&s);
	}
}

Test(disk, says_which_configuration_it_does_not_understand)
{
	static const char *const bad[] = { "levels:\\n- 1\\n- 2\\n",
		"levels:\\n- -1\\n- 1\\n", "levels: 7\\n", "colour: blue\\n",
		"levels: [1, -1\\n", "{}\\n", "",
		"levels:\\n- 1\\n- -1\\nlevels:\\n- 2\\n", "- 1\\n", "\\0",
		"levels:\\n- 1x\\n", "levels:\\n- 0\\n- -1\\n" };
	struct key key = hello_key();

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct subject s;
		struct error err = { 0 };

		subject_open(&s, "disk(a)");
		subject_shell(
		    &s, "mkdir a; printf -- '%s' >a/config.yml", bad[i]);
		check_int(
		    location_read(s.loc, &key, sink_null(), &err), FAILED);
		check(strstr(err.text, "a/config.yml': "));
		check(strstr(err.text, "expected"));
		check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), -1);
		subject_close(&s);
	}
}

Test(disk, declines_where_it_may_not_write)
{
	struct key key = hello_key();
	auto_source *in = source_memory("hello\n", 6);
	struct error fail = { 0 };
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	subject_shell(&s, "chmod 755 .; chmod -R a-w a");
	if (geteuid() == 0)
		check_int(seteuid(65534), 0);
	check(has(s.loc, &key, "hello\n", 6));
	check_int(
	    location_write(s.loc, &record, in, WRITE_REPLACE, &fail), DECLINED);
	check_int(fail.kind, ERROR_SYSTEM);
	check(strstr(fail.text, "Permission denied"));
	check_outcome(location_touch(s.loc, &key, &err), HIT);
	if (getuid() == 0)
		check_int(seteuid(0), 0);
	subject_close(&s);
}

Test(disk, fails_below_a_file_and_misses_there)
{
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(file/a)");
	subject_shell(&s, "echo >file");
	check(!has(s.loc, &key, "", 0));
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), FAILED);
	subject_close(&s);
}

Test(disk, makes_its_folder_again)
{
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	subject_shell(&s, "rm -rf a");
	check(!has(s.loc, &key, "hello\n", 6));
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	check_int(subject_shell(&s, "test -f a/config.yml"), 0);
	subject_close(&s);
}

Test(disk, stores_over_an_empty_folder)
{
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	check_int(put(s.loc, &record, "one", 3, WRITE_REPLACE), STORED);
	subject_shell(&s,
	    "for f in a/58/* a/tools/tarn-exec/index/*/*; do"
	    " rm -f $f; mkdir $f; done");
	check(!has(s.loc, &key, "hello\n", 6));
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	check(has(s.loc, &key, "hello\n", 6));
	check_int(put(s.loc, &record, "two", 3, WRITE_REPLACE), STORED);
	check(has(s.loc, &record, "two", 3));
	subject_close(&s);
}

static bool
never(void *arg)
{
	return false;
}

/* What another user has, in a lake that both may write. */
Test(disk, makes_room_where_nobody_may_read)
{
	struct key key = hello_key();
	struct error fail = { 0 };
	auto_sink *out = sink_null();
	struct location_check check_ = { .is_whole = never, .mend = true };
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	subject_shell(&s, "chmod 755 .; chmod -R a+rwX a; chmod 0 a/58/*");
	if (geteuid() == 0)
		check_int(seteuid(65534), 0);
	check_int(
	    location_read_checked(s.loc, &key, out, &check_, &fail), FAILED);
	check(strstr(check_.damage.text, "can't be read"));
	check_int(put(s.loc, &key, "hello\n", 6, WRITE_IF_ABSENT), STORED);
	check(has(s.loc, &key, "hello\n", 6));
	if (getuid() == 0)
		check_int(seteuid(0), 0);
	subject_close(&s);
}

Test(disk, refuses_a_value_that_is_not_as_long_as_announced)
{
	struct key key = hello_key();
	auto_source *in = source_memory("hello\n", 6);
	struct error err = { 0 };
	struct subject s;

	subject_open(&s, "disk(a)");
	in->ops->read(in, (char[2]){ 0 }, 2, &err);
	check_int(
	    location_write(s.loc, &key, in, WRITE_IF_ABSENT, &err), FAILED);
	check_int(err.kind, ERROR_CORRUPT);
	check_int(
	    subject_shell(&s, "test -z \"$(ls a/.tmp)\" && test ! -e a/58"), 0);
	subject_close(&s);
}
