/* A lake as its owner, its other users and the Python library have left it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "locations/lake_config.h"
#include "support/check.h"
#include "support/subject.h"

#define HELLO "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define HELLO_AT \
	"58/91b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

static struct key
hello_key(void)
{
	struct key key = { .space = KEY_BLOB };

	digest_bytes(&key.digest, "hello\n", 6);
	return key;
}

static enum outcome
put_hello(struct location *loc)
{
	struct key key = hello_key();

	return put(loc, &key, "hello\n", 6, WRITE_IF_ABSENT);
}

static bool
has_hello(struct location *loc)
{
	struct key key = hello_key();

	return has(loc, &key, "hello\n", 6);
}

#define check_shell(subject, ...) \
	check_int(subject_shell((subject), __VA_ARGS__), 0)

/* The lake `a` with pairs of an option's name and value, up to a NULL. */
static struct location *
open_with(const struct subject *s, struct error *err, ...)
{
	auto_free char *place = xasprintf("%s/a", s->dir);
	Tarn__Option options[8], *list[8];
	Tarn__Location config;
	va_list ap;

	tarn__location__init(&config);
	config.kind = (char *)"disk";
	config.place = place;
	config.options = list;
	va_start(ap, err);
	for (char *name; (name = va_arg(ap, char *)); config.n_options++) {
		Tarn__Option *option = &options[config.n_options];

		tarn__option__init(option);
		option->name = name;
		option->value = va_arg(ap, char *);
		list[config.n_options] = option;
	}
	va_end(ap);
	return location_open(&config, err);
}

static void
reopen(struct subject *s)
{
	location_close(s->loc);
	s->loc = subject_again(s, "disk(a)");
}

/* ---- options ---- */

static const struct {
	const char *name, *value;
} bad_options[] = {
	{ "levels", "" },
	{ "levels", "1" },
	{ "levels", "1,-1," },
	{ "levels", "-1,1" },
	{ "levels", "1,31,1" },
	{ "levels", "1;31" },
	{ "free_disk_size", "-1" },
	{ "free_disk_size", "1 KiB" },
	{ "permissions", "999" },
	{ "permissions", "077" },
	{ "permissions", "17777" },
	{ "group", "users" },
	{ "group", "4294967295" },
	{ "hash", "md5" },
	{ "colour", "blue" },
};

Test(lake, refuses_options_that_it_can_not_follow)
{
	for (size_t i = 0; i < sizeof(bad_options) / sizeof(*bad_options);
	     i++) {
		struct error err = { 0 };
		struct subject s;

		subject_open(&s, "disk(a)");
		check(!open_with(
		    &s, &err, bad_options[i].name, bad_options[i].value, NULL));
		check_int(err.kind, ERROR_USAGE);
		check(strstr(err.text, bad_options[i].name));
		subject_close(&s);
	}
}

Test(lake, is_made_as_was_asked_for)
{
	struct error err = { 0 };
	struct location *loc;
	struct subject s;

	subject_open(&s, "disk(a)");
	umask(077);
	loc = open_with(&s, &err, "levels", "2,30", "permissions", "2771",
	    "usage", "1", "labels", "1", "hash", "sha256", NULL);
	check_int(put_hello(loc), STORED);
	check(has_hello(loc));
	check_shell(&s,
	    "printf 'hash:\\n  name: sha256\\nlabels:\\n  kwargs: {}\\n"
	    "  name: JsonLabels\\nlevels:\\n- 2\\n- 30\\nusage:\\n  kwargs: "
	    "{}\\n"
	    "  name: StatUsage\\n' | cmp - a/config.yml &&"
	    " test $(stat -c %%a a) = 2771 && test $(ls -A | wc -l) = 1 &&"
	    " test $(stat -c %%a a/5891) = 771 &&"
	    " test $(stat -c %%a a/5891/*) = 440 &&"
	    " test $(stat -c %%a a/tools/usage/58) = 777 &&"
	    " test $(stat -c %%a a/tools/usage/" HELLO_AT ") = 777 &&"
	    " test ! -s a/tools/usage/" HELLO_AT);
	location_close(loc);
	subject_close(&s);
}

Test(lake, is_not_cut_in_two_ways)
{
	struct error err = { 0 };
	struct location *loc, *same;
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put_hello(s.loc), STORED);
	loc = open_with(&s, &err, "levels", "2,30", NULL);
	same = open_with(&s, &err, "levels", "1,31", NULL);
	check_int(location_read(loc, &key, sink_null(), &err), FAILED);
	check(strstr(err.text, "has levels [1, -1]; expected [2, 30]"));
	check_int(put_hello(loc), FAILED);
	check(has_hello(same));
	check_int(put_hello(same), KEPT);
	location_close(loc);
	location_close(same);
	subject_close(&s);
}

/* ---- config.yml ---- */

Test(lake, reads_the_compiled_form_while_its_stamp_is_the_same)
{
	struct lake_config other = { .layout = { 3, true, { 1, 1, 30 } } };
	unsigned char data[LAKE_COMPILED_SIZE];
	auto_free char *config = NULL;
	auto_free char *compiled = NULL;
	struct key none = { KEY_BLOB, { { 1 } } };
	struct lake_stamp stamp;
	struct subject s;
	struct stat st;
	int fd;

	subject_open(&s, "disk(a)");
	check_shell(&s, "mkdir a; printf 'levels: [2, -1]' >a/config.yml");
	check_int(put_hello(s.loc), STORED);
	check_shell(&s,
	    "mkdir -p a/58/91; cp a/5891/* a/58/91;"
	    " echo damaged >a/5891/*; sleep 2.1");
	config = xasprintf("%s/a/config.yml", s.dir);
	compiled = xasprintf("%s/a/tools/tarn-exec/config", s.dir);
	reopen(&s);
	check(access(compiled, F_OK) < 0); /* tarn-exec writes nothing yet */
	check_shell(&s, "mkdir a/tools a/tools/tarn-exec");
	location_contains(s.loc, &none, &(struct error){ 0 });
	check_int(access(compiled, F_OK), 0);
	/* Another one would say, if it were believed: */
	check_int(stat(config, &st), 0);
	lake_stamp_init(&stamp, &st);
	lake_config_encode(&other, &stamp, data);
	check_shell(&s, "chmod u+w a/tools/tarn-exec/config");
	fd = open(compiled, O_WRONLY);
	check_int(write(fd, data, sizeof(data)), sizeof(data));
	close(fd);
	reopen(&s);
	check(has_hello(s.loc));
	/* Damaged, it is not, and config.yml is parsed. */
	check_shell(&s,
	    "printf x | dd of=a/tools/tarn-exec/config conv=notrunc"
	    " seek=60 bs=1 2>/dev/null; rm -r a/58;"
	    " printf 'hello\\n' >a/5891/*");
	reopen(&s);
	check(has_hello(s.loc));
	subject_close(&s);
}

/* One round may come too late, or too early, where other tests are busy. */
static bool
reads_what_is_written_slowly(void)
{
	struct key key = hello_key();
	struct error err = { 0 };
	enum outcome outcome;
	struct subject s;
	int status, ready[2];
	char byte;

	subject_open(&s, "disk(a)");
	check_shell(&s,
	    "mkdir a a/5891; printf 'hello\\n' >a/5891/%s;"
	    " : >a/config.yml",
	    HELLO + 4);
	auto_free char *path = xasprintf("%s/a/config.yml", s.dir);
	check_int(pipe(ready), 0);
	if (fork() == 0) {
		int fd = open(path, O_WRONLY);

		check_int(write(ready[1], "", 1), 1);
		usleep(10000);
		_exit(write(fd, "levels:\n- 2\n- 30\n", 17) != 17);
	}
	check_int(read(ready[0], &byte, 1), 1);
	outcome = location_read(s.loc, &key, sink_null(), &err);
	wait(&status);
	subject_close(&s);
	return outcome == HIT;
}

Test(lake, waits_for_a_config_that_is_being_written)
{
	int hits = 0;

	for (int i = 0; i < 10 && hits == 0; i++)
		hits += reads_what_is_written_slowly();
	check(hits > 0);
}

Test(lake, is_made_by_many_at_once)
{
	int status;
	struct subject s;

	subject_open(&s, "disk(a)");
	for (int i = 0; i < 12; i++) {
		if (fork() == 0) {
			struct location *loc = subject_again(&s, "disk(a)");
			bool good = i % 2 ? put_hello(loc) > MISS
			                  : has_hello(loc) || true;

			location_close(loc);
			_exit(!good);
		}
	}
	while (wait(&status) > 0)
		check_int(status, 0);
	check_shell(
	    &s, "printf 'levels:\\n- 1\\n- -1\\n' | cmp - a/config.yml");
	check_shell(&s, "test -z \"$(ls -A a/.tmp)\"");
	subject_close(&s);
}

Test(lake, that_is_another_one_now_is_written_to_as_that)
{
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put_hello(s.loc), STORED);
	check_shell(
	    &s, "rm -r a; mkdir a; echo 'levels: [2, 30]' >a/config.yml");
	check_int(put_hello(s.loc), STORED);
	check_shell(&s, "test -f a/5891/%s", HELLO + 4);
	check(has_hello(s.loc));
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	subject_close(&s);
}

static const struct {
	const char *make, *message;
} no_lakes[] = {
	{ "ln -s nowhere a", "is a link to what is not there" },
	{ "ln -s a a", "Too many levels of symbolic links" },
	{ "echo >a", "is not a folder" },
	{ "mkdir -p a/config.yml", "is not a file" },
	{ "mkdir a; mkfifo a/config.yml", "is not a file" },
	{ "mkdir a; head -c 70000 /dev/zero | tr '\\0' '#' >a/config.yml",
	    "expected at most 65536 bytes" },
};

Test(lake, says_why_it_is_none)
{
	for (size_t i = 0; i < sizeof(no_lakes) / sizeof(*no_lakes); i++) {
		auto_source *in = source_memory("hello\n", 6);
		struct key key = hello_key();
		struct error err = { 0 };
		struct subject s;

		subject_open(&s, "disk(a)");
		check_shell(&s, "%s", no_lakes[i].make);
		check_int(
		    location_write(s.loc, &key, in, WRITE_IF_ABSENT, &err),
		    FAILED);
		if (!strstr(err.text, no_lakes[i].message))
			check_str(err.text, no_lakes[i].message);
		subject_close(&s);
	}
}

/* ---- reading leaves nothing ---- */

static int
ignore_entry(void *arg, const struct location_entry *entry)
{
	++*(int *)arg;
	return 0;
}

static int
ignore_label(void *arg, const char *label)
{
	++*(int *)arg;
	return 0;
}

Test(lake, is_the_same_after_reading)
{
	struct key key = hello_key(), none = { KEY_BLOB, { { 1 } } };
	struct key record = { KEY_INDEX, { { 2 } } };
	struct error err = { 0 };
	struct subject s;
	int entries = 0, labels = 0;

	subject_open(&s, "disk(a)");
	check_shell(&s,
	    "mkdir a a/58; printf 'hello\\n' >a/" HELLO_AT ";"
	    " printf 'hash: sha256' >a/config.yml; touch -d '1 day ago' a/58/*;"
	    " find a -printf '%%p %%m %%i %%T@\\n' | sort >before");
	check(has_hello(s.loc));
	check_int(location_read(s.loc, &none, sink_null(), &err), MISS);
	check_int(location_read(s.loc, &record, sink_null(), &err), MISS);
	check_int(location_contains(s.loc, &key, &err), HIT);
	check_int(location_contains(s.loc, &none, &err), MISS);
	check_int(location_touch(s.loc, &key, &err), HIT);
	check_int(location_touch(s.loc, &none, &err), MISS);
	check_int(location_remove(s.loc, &none, &err), MISS);
	check_int(location_list(s.loc, ignore_entry, &entries, &err), 0);
	check_int(location_labels(s.loc, &key, ignore_label, &labels, &err), 0);
	check_int(entries, 1);
	check_int(labels, 0);
	check_shell(&s,
	    "find a -printf '%%p %%m %%i %%T@\\n' | sort |"
	    " diff before -");
	subject_close(&s);
}

static void
do_nothing(int sig)
{
}

Test(lake, waits_for_no_pipe)
{
	struct key key = hello_key();
	struct error err = { 0 };
	struct subject s;

	signal(SIGALRM, do_nothing);
	alarm(20);
	subject_open(&s, "disk(a)");
	check_shell(&s, "mkdir -p a/58; mkfifo a/" HELLO_AT);
	check_int(location_read(s.loc, &key, sink_null(), &err), FAILED);
	check(strstr(err.text, "is not a file"));
	check_int(location_contains(s.loc, &key, &err), FAILED);
	check_int(put_hello(s.loc), FAILED);
	subject_close(&s);
	check(alarm(0) > 10);
}

Test(lake, gets_a_blob_of_the_wrong_size_mended)
{
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put_hello(s.loc), STORED);
	check_int(put_hello(s.loc), KEPT);
	check_shell(&s, "chmod u+w a/58/*; printf hel >a/" HELLO_AT);
	check_int(put_hello(s.loc), STORED);
	check(has_hello(s.loc));
	check_shell(
	    &s, "rm a/58/*; mkdir a/" HELLO_AT "; touch a/" HELLO_AT "/data");
	check_int(put_hello(s.loc), STORED);
	check_shell(&s, "test -f a/" HELLO_AT);
	check(has_hello(s.loc));
	subject_close(&s);
}

/* Breaks off when another writer has come in between with the same. */
struct torn {
	struct source base;
	struct location *other;
};

static ssize_t
torn_read(struct source *base, void *data, size_t size, struct error *err)
{
	struct torn *torn = container_of(base, struct torn, base);

	check_int(put_hello(torn->other), STORED);
	return error_set(err, ERROR_UNREACHABLE, "broken off");
}

Test(lake, keeps_what_another_writer_has_finished)
{
	static const struct source_ops ops = { .read = torn_read };
	struct key key = hello_key();
	struct error err = { 0 };
	struct torn torn = { .base = { &ops, 6, -1 } };
	struct subject s;

	subject_open(&s, "disk(a)");
	torn.other = subject_again(&s, "disk(a)");
	check_int(
	    location_write(s.loc, &key, &torn.base, WRITE_IF_ABSENT, &err),
	    FAILED);
	check(has_hello(s.loc));
	check_shell(&s, "test -z \"$(ls -A a/.tmp)\"");
	location_close(torn.other);
	subject_close(&s);
}

/* ---- old folders ---- */

Test(lake, removes_an_old_folder_and_nothing_outside)
{
	struct key key = hello_key();
	struct subject s;

	subject_open(&s, "disk(a)");
	check_shell(&s,
	    "mkdir -p a/" HELLO_AT "/more/deep outside; echo >outside/file;"
	    " printf 'hello\\n' >a/" HELLO_AT "/data;"
	    " ln -s ../../../outside a/" HELLO_AT "/link;"
	    " ln -s ../../../../outside a/" HELLO_AT "/more/deep/link;"
	    " echo >a/" HELLO_AT "/more/file");
	check(has_hello(s.loc));
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check_outcome(location_remove(s.loc, &key, &err), MISS);
	check_shell(&s, "test -f outside/file && test -z \"$(ls -A a/58)\"");
	check_shell(&s,
	    "mkdir -p outside2; echo >outside2/data;"
	    " ln -s ../../outside2 a/" HELLO_AT);
	check_outcome(location_remove(s.loc, &key, &err), HIT);
	check_shell(&s, "test -f outside2/data");
	subject_close(&s);
}

/* ---- sizes ---- */

Test(lake, takes_nothing_when_its_disk_is_to_stay_free)
{
	struct key key = hello_key();
	auto_source *in = source_memory("hello\n", 6);
	struct error err = { 0 };
	struct location *loc;
	struct subject s;

	subject_open(&s, "disk(a)");
	check_shell(&s,
	    "mkdir a; echo '{levels: [1, -1], free_disk_size: 1000"
	    " PB}' >a/config.yml");
	check_int(
	    location_write(s.loc, &key, in, WRITE_IF_ABSENT, &err), DECLINED);
	check(strstr(err.text, "of which 1000000000000000000 are to stay"));
	check_shell(&s,
	    "test ! -e a/58; echo '{levels: [1, -1],"
	    " free_disk_size: 1}' >a/config.yml");
	check_int(put_hello(s.loc), STORED);
	loc =
	    open_with(&s, &err, "free_disk_size", "1000000000000000000", NULL);
	check_int(put_hello(loc), KEPT);
	check_int(
	    put(loc, &(struct key){ 0 }, "x", 1, WRITE_IF_ABSENT), DECLINED);
	location_close(loc);
	subject_close(&s);
}

Test(lake, keeps_to_the_smaller_of_two_sizes)
{
	struct key key;
	auto_free char *data = subject_value(1, 1001, &key);
	auto_source *in = source_memory(data, 1001);
	struct error err = { 0 };
	struct subject s;

	subject_open(&s, "disk(2000,a)");
	check_shell(&s,
	    "mkdir a; printf 'hash: sha256\\nmax_size: 1 kB\\n'"
	    " >a/config.yml");
	check_int(
	    location_write(s.loc, &key, in, WRITE_IF_ABSENT, &err), DECLINED);
	check(strstr(err.text, "1000 bytes"));
	check_int(put_hello(s.loc), STORED);
	subject_close(&s);
}

/* ---- use ---- */

/* Seconds since `what` ("atime", "mtime") of a file in the subject. */
static long
age(const struct subject *s, const char *name, bool access_time)
{
	auto_free char *path = xasprintf("%s/%s", s->dir, name);
	struct stat st;

	check_int(stat(path, &st), 0);
	return (long)(time(NULL) - (access_time ? st.st_atime : st.st_mtime));
}

Test(lake, notes_a_use_once_an_hour)
{
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(put_hello(s.loc), STORED);
	check_shell(&s,
	    "touch -m -d '3 days ago' a/" HELLO_AT ";"
	    "touch -a -d '10 minutes ago' a/" HELLO_AT);
	check_int(
	    put_hello(s.loc), KEPT); /* reading leaves a trace by itself */
	check(age(&s, "a/" HELLO_AT, true) > 590);
	check_shell(&s, "touch -a -d '2 hours ago' a/" HELLO_AT);
	check(has_hello(s.loc));
	check(age(&s, "a/" HELLO_AT, true) < 60);
	check(age(&s, "a/" HELLO_AT, false) > 86400);
	check_shell(&s, "touch -a -d '2 hours ago' a/" HELLO_AT);
	check_int(put_hello(s.loc), KEPT);
	check(age(&s, "a/" HELLO_AT, true) < 60);
	check_shell(&s, "test ! -e a/tools/usage");
	subject_close(&s);
}

static int
take_last_use(void *arg, const struct location_entry *entry)
{
	*(time_t *)arg = entry->last_used;
	return 0;
}

#define MARK "a/tools/usage/" HELLO_AT

Test(lake, keeps_marks_of_use)
{
	struct key key = hello_key();
	struct error err = { 0 };
	struct subject s;
	time_t last = 0;

	subject_open(&s, "disk(a)");
	check_shell(&s,
	    "mkdir a; chmod 2775 a; printf 'hash: sha256\\nlevels:"
	    " [2, 30]\\nusage: StatUsage\\n' >a/config.yml");
	check_int(put_hello(s.loc), STORED);
	check_shell(&s,
	    "test $(stat -c %%a,%%s " MARK ") = 777,0 &&"
	    " test $(stat -c %%a a/tools/usage/58) = 777 &&"
	    " test $(stat -c %%a a/tools/usage) = 775 &&"
	    " test -f a/5891/%s",
	    HELLO + 4);
	check_shell(&s, "touch -d @1000000000 " MARK);
	check_int(location_list(s.loc, take_last_use, &last, &err), 0);
	check_int(last, 1000000000);
	check(has_hello(s.loc)); /* within the hour since it was written */
	check(age(&s, MARK, false) > 86400);
	check_shell(&s, "touch -d '2 hours ago' a/5891/*");
	check(has_hello(s.loc));
	check(age(&s, MARK, false) < 60);
	check_shell(&s, "touch -d '2 hours ago' " MARK);
	check_int(location_touch(s.loc, &key, &err), HIT);
	check(age(&s, MARK, false) < 60);
	check_shell(&s, "rm -r a/tools/usage");
	check_int(location_touch(s.loc, &key, &err), HIT);
	check_shell(&s, "test -f " MARK);
	check_int(location_remove(s.loc, &key, &err), HIT);
	check_shell(&s, "test ! -e " MARK);
	subject_close(&s);
}

/* ---- labels ---- */

static int
join(void *arg, const char *label)
{
	buf_addf(arg, "%s|", label);
	return 0;
}

#define LIST "a/tools/labels/" HELLO_AT ".json"

static void
check_labels(struct location *loc, const char *wanted)
{
	struct key key = hello_key();
	struct error err = { 0 };
	auto_buf labels = BUF_INIT;
	enum outcome outcome = location_labels(loc, &key, join, &labels, &err);

	check_str(err.text, "");
	check_int(outcome, wanted[0] ? HIT : MISS);
	check_str(labels.data, wanted);
}

Test(lake, keeps_labels)
{
	static const char *const two[] = { "y", "x", NULL };
	static const char *const more[] = { "\u00e9", "x", NULL };
	static const char *const none[] = { NULL };
	struct key key = hello_key(), record = { KEY_INDEX, { { 1 } } };
	struct error err = { 0 };
	struct subject s;

	subject_open(&s, "disk(a)");
	check_int(location_add_labels(s.loc, &key, two, &err), MISS);
	check_shell(&s, "test ! -e a");
	check_int(put_hello(s.loc), STORED);
	check_labels(s.loc, "");
	check_int(location_add_labels(s.loc, &key, none, &err), HIT);
	check_labels(s.loc, "");
	check_int(location_add_labels(s.loc, &key, two, &err), HIT);
	check_labels(s.loc, "x|y|");
	check_shell(&s,
	    "test \"$(cat " LIST ")\" = '[\"x\", \"y\"]' &&"
	    " test $(stat -c %%a " LIST ") = 777");
	check_int(location_add_labels(s.loc, &key, more, &err), HIT);
	check_labels(s.loc, "x|y|\u00e9|");
	check_shell(&s, "printf '[\"x\", ' >" LIST);
	check_int(location_labels(s.loc, &key, join, NULL, &err), FAILED);
	check(strstr(err.text, "are damaged: byte 7: expected a text"));
	check_int(location_add_labels(s.loc, &key, two, &err), HIT);
	check_labels(s.loc, "x|y|");
	check_int(location_add_labels(s.loc, &record, two, &err), MISS);
	check_int(location_remove(s.loc, &key, &err), HIT);
	check_labels(s.loc, "");
	check_int(put_hello(s.loc), STORED);
	check_labels(s.loc, "");
	subject_close(&s);
}

Test(lake, loses_no_label_of_many_writers)
{
	struct key key = hello_key();
	struct error err = { 0 };
	auto_buf labels = BUF_INIT;
	struct subject s;
	int status;

	subject_open(&s, "disk(a)");
	check_int(put_hello(s.loc), STORED);
	for (char c = 'a'; c < 'i'; c++) {
		if (fork() == 0) {
			bool good = true;

			for (char d = 'a'; d < 'k'; d++) {
				char label[] = { c, d, '\0' };
				const char *const one[] = { label, NULL };

				good &= location_add_labels(
				            s.loc, &key, one, &err) == HIT;
			}
			_exit(!good);
		}
	}
	while (wait(&status) > 0)
		check_int(status, 0);
	check_int(location_labels(s.loc, &key, join, &labels, &err), HIT);
	check_int(labels.len, 8 * 10 * 3);
	subject_close(&s);
}

/* ---- other users ---- */

static void
become(uid_t user, gid_t group)
{
	check_int(setgroups(1, &group), 0);
	check_int(setresgid(group, group, group), 0);
	check_int(setresuid(user, user, user), 0);
}

/* In a process of that user: 0 if `fn` says so. */
static int
as_user(
    uid_t user, gid_t group, struct subject *s, bool (*fn)(struct subject *))
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		become(user, group);
		reopen(s);
		_exit(!fn(s));
	}
	waitpid(child, &status, 0);
	return status;
}

static bool
stores_beside_others(struct subject *s)
{
	struct key key = hello_key(), near = key;

	near.digest.bytes[31] ^= 1; /* in the same folder */
	return put_hello(s->loc) == KEPT && has_hello(s->loc) &&
	    put(s->loc, &near, "x", 1, WRITE_IF_ABSENT) == STORED &&
	    location_touch(s->loc, &key, &(struct error){ 0 }) == HIT &&
	    location_add_labels(s->loc, &key,
	        (const char *const[]){ "theirs", NULL },
	        &(struct error){ 0 }) == HIT;
}

static bool
may_only_read(struct subject *s)
{
	struct key key = { KEY_BLOB, { { 7 } } };
	auto_source *in = source_memory("x", 1);
	struct error err = { 0 };

	return has_hello(s->loc) && put_hello(s->loc) == KEPT &&
	    location_write(s->loc, &key, in, WRITE_IF_ABSENT, &err) ==
	    DECLINED &&
	    err.text[0];
}

/*
 * Root makes the lake; one of its group works in it, and another one may read, who
 * could write to it if group were not policy.
 */
Test(lake, is_shared_among_users)
{
	struct key key = hello_key();
	struct subject s;

	if (geteuid() != 0)
		cr_skip_test("needs root, to be several users");
	subject_open(&s, "disk(a)");
	umask(077);
	check_shell(&s, "chmod 755 .; mkdir a; chgrp 4242 a; chmod 2775 a");
	check_int(put_hello(s.loc), STORED);
	check_outcome(location_add_labels(s.loc, &key,
	                  (const char *const[]){ "ours", NULL }, &err),
	    HIT);
	check_int(as_user(1234, 4242, &s, stores_beside_others), 0);
	check_labels(s.loc, "ours|theirs|");
	check_int(as_user(1235, 4343, &s, may_only_read), 0);
	check_shell(&s,
	    "test -z \"$(find a ! -group 4242)\" &&"
	    " test -z \"$(ls -A a/.tmp)\" && test ! -e a/07");
	check_shell(&s, "chmod g-s,o+w a a/.tmp");
	check_int(as_user(1235, 4343, &s, may_only_read), 0);
	check_shell(&s,
	    "test -z \"$(find a ! -group 4242)\" &&"
	    " test -z \"$(ls -A a/.tmp)\" && test ! -e a/07");
	subject_close(&s);
}

Test(lake, is_made_for_a_group)
{
	struct error err = { 0 };
	struct location *loc;
	struct subject s;

	if (geteuid() != 0)
		cr_skip_test("needs root, to be several users");
	subject_open(&s, "disk(a)");
	loc = open_with(&s, &err, "permissions", "2770", "group", "4242", NULL);
	check_int(put_hello(loc), STORED);
	check_shell(&s,
	    "test -z \"$(find a ! -group 4242)\" &&"
	    " test $(stat -c %%a a) = 2770 &&"
	    " test $(stat -c %%a a/58) = 770");
	location_close(loc);
	subject_close(&s);
}
