/*
 * The spool of tarnd: what was acknowledged is uploaded, whoever is killed when;
 * what is damaged is not, nor is what names it; and it holds no more than it may.
 * A lake stands for the far end: none while `lake` is a file.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/uploads.h"
#include "support/check.h"
#include "support/subject.h"

#define PATIENCE_US 120000000 /* with a machine that is busy */
#define LIMIT ((uint64_t)1 << 20)

struct place {
	struct subject subject; /* "disk(lake/a)", where values end up */
	struct far *far;
};

static void
place_open(struct place *place)
{
	subject_open(&place->subject, "disk(lake/a)");
}

static void
place_close(struct place *place)
{
	subject_close(&place->subject);
}

/* The far end is gone, or back. */
static void
block(struct place *place, bool on)
{
	check_int(subject_shell(&place->subject,
	              on ? "rm -rf lake && echo >lake" : "rm -f lake"),
	    0);
}

/* As tarnd does when it starts. */
static void
begin(struct place *place, uint64_t limit)
{
	auto_free char *word = xasprintf("%s/lake/a", place->subject.dir);
	struct error err = { 0 };
	Tarn__Location *config = location_from_word(word, "/", &err);
	auto_close int folder =
	    open(place->subject.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	far_set_up(folder);
	check_int(uploads_open(place->subject.dir, limit, &err), 0);
	place->far = far_of(config);
	tarn__location__free_unpacked(config, NULL);
}

static struct key
index_key(char first)
{
	struct key key = { .space = KEY_INDEX };

	key.digest.bytes[0] = (unsigned char)first;
	return key;
}

/* The first `steps` of three: there is a file, all bytes are in it, it has its name. */
static enum outcome
spool(struct place *place, uint64_t action, const struct key *key,
    const char *data, size_t size, int steps)
{
	struct group *group = group_of(action);
	struct error err = { 0 };
	struct uploading up;
	enum outcome outcome = uploads_begin(&up, place->far, group, key, size,
	    key->space == KEY_BLOB ? WRITE_IF_ABSENT : WRITE_REPLACE, &err);

	if (outcome == HIT && steps > 1)
		check_int(parcel_add(&up.writer, data, size, &err), 0);
	if (outcome == HIT && steps > 2)
		check_int(uploads_add(&up, &err), 0);
	group_release(group);
	return outcome;
}

static void
flush(void)
{
	check_int(uploads_flush(clock_us() + PATIENCE_US), 0);
}

static bool
is_there(struct place *place, const struct key *key)
{
	struct error err = { 0 };
	enum outcome outcome = location_contains(place->subject.loc, key, &err);

	check_str(err.text, "");
	return outcome == HIT;
}

/* In a process of its own, which is killed then; as a tarnd before us. */
static void
in_killed(
    struct place *place, void (*fn)(struct place *place, int arg), int arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		begin(place, LIMIT);
		fn(place, arg);
		(void)kill(getpid(), SIGKILL);
	}
	check_int(waitpid(pid, &status, 0), pid);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The same, for what is to be looked at afterwards. */
static void
in_next(struct place *place)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		begin(place, LIMIT);
		flush();
		_exit(0);
	}
	check_int(waitpid(pid, &status, 0), pid);
	check_int(status, 0);
}

Test(uploads, uploads_what_it_took)
{
	struct place place;
	struct key key, entry = index_key('e');
	auto_free char *data = subject_value(1, 5000, &key);

	place_open(&place);
	begin(&place, LIMIT);
	check_int(spool(&place, 1, &key, data, 5000, 3), HIT);
	check_int(spool(&place, 1, &entry, "entry", 5, 3), HIT);
	flush();
	check(has(place.subject.loc, &key, data, 5000));
	check(has(place.subject.loc, &entry, "entry", 5));
	check_int(uploads_sum(NULL).count, 0);
	check_int(uploads_sum(NULL).bytes, 0);
	check_int(subject_shell(&place.subject, "test -z \"$(ls spool)\""), 0);
	place_close(&place);
}

static void
write_steps(struct place *place, int steps)
{
	struct key key;
	auto_free char *data = subject_value(2, 3000, &key);

	check_int(spool(place, 1, &key, data, 3000, steps), HIT);
}

Test(uploads, survive_a_kill_at_each_step)
{
	for (int steps = 1; steps <= 3; steps++) {
		struct place place;
		struct key key;
		auto_free char *data = subject_value(2, 3000, &key);

		place_open(&place);
		block(&place, true);
		in_killed(&place, write_steps, steps);
		block(&place, false);
		in_next(&place);
		check_int(is_there(&place, &key), steps == 3);
		check_int(subject_shell(&place.subject,
		              "test -z \"$(ls -A spool damaged)\""
		              " || test \"$(ls -A spool damaged)\" = "
		              "'damaged:\n\nspool:'"),
		    0);
		place_close(&place);
	}
}

/* A blob, what names it, and what another action that wrote the same blob names. */
static void
write_action(struct place *place, int size)
{
	struct key key, entry = index_key('e'), other = index_key('o');
	auto_free char *data = subject_value(3, (size_t)size, &key);

	(void)group_of(1); /* as long as their clients are there */
	(void)group_of(2);
	check_int(spool(place, 1, &key, data, (size_t)size, 3), HIT);
	check_int(spool(place, 2, &key, data, (size_t)size, 3), KEPT);
	check_int(spool(place, 1, &entry, "entry", 5, 3), HIT);
	check_int(spool(place, 2, &other, "other", 5, 3), HIT);
}

static void
check_damage(const char *change)
{
	struct key key, entry = index_key('e'), other = index_key('o');
	auto_free char *data = subject_value(3, 40, &key);
	struct place place;
	bool there;

	place_open(&place);
	block(&place, true);
	in_killed(&place, write_action, 40);
	check_int(subject_shell(&place.subject,
	              "f=spool/0000000000000001; test -f $f && %s", change),
	    0);
	block(&place, false);
	in_next(&place);
	there = is_there(&place, &key);
	check_int(is_there(&place, &entry), there);
	check_int(is_there(&place, &other), there);
	check(!there);
	check_int(subject_shell(&place.subject,
	              "test -f damaged/0000000000000001 && grep -q 'index' "
	              "refused && test -z \"$(ls spool)\""),
	    0);
	place_close(&place);
}

Test(uploads, let_nothing_name_what_is_damaged)
{
	/* In the magic, the sizes, either digest, the message, the value. */
	static const int places[] = { 0, 8, 17, 30, 60, 90, 120 };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		auto_free char *change =
		    xasprintf("printf '\\377\\376' | dd of=$f bs=1 seek=%d "
		              "conv=notrunc status=none",
		        places[i]);

		check_damage(change);
	}
	check_damage("truncate -s -1 $f");
	check_damage("truncate -s 50 $f");
	check_damage("truncate -s 0 $f");
	check_damage("truncate -s +1 $f");
}

/* What the far end declines is told, and what names it is dropped. */
Test(uploads, tell_what_is_refused)
{
	struct place place;
	struct key key, entry = index_key('e');
	auto_free char *data = subject_value(5, 100, &key);

	place_open(&place);
	check_int(subject_shell(&place.subject,
	              "mkdir -p lake/a && echo 'levels: nonsense' "
	              ">lake/a/config.yml"),
	    0);
	check_int(subject_shell(&place.subject,
	              "rm lake/a/config.yml && chmod 555 lake/a && "
	              "chmod 755 . lake"),
	    0);
	if (geteuid() == 0)
		check_int(chown(place.subject.dir, 65534, 65534), 0);
	if (geteuid() == 0)
		check_int(seteuid(65534), 0);
	begin(&place, LIMIT);
	check_int(spool(&place, 1, &key, data, 100, 3), HIT);
	check_int(spool(&place, 1, &entry, "entry", 5, 3), HIT);
	flush();
	check_int(place.far->counts.refused, 2);
	check_int(subject_shell(&place.subject,
	              "test \"$(wc -l <refused)\" = 2 && grep -q 'Permission "
	              "denied' refused"),
	    0);
	if (getuid() == 0)
		check_int(seteuid(0), 0);
	place_close(&place);
}

static void
write_two(struct place *place, int size)
{
	for (unsigned seed = 6; seed <= 7; seed++) {
		struct key key;
		auto_free char *data = subject_value(seed, (size_t)size, &key);

		check_int(spool(place, 1, &key, data, (size_t)size, 3), HIT);
	}
}

/* One whose folder nobody may look into, and another one in the same batch. */
Test(uploads, go_on_beside_one_that_fails)
{
	struct place place;
	struct key stuck, free_;
	auto_free char *data = subject_value(6, 100, &stuck);
	auto_free char *other = subject_value(7, 100, &free_);
	int64_t end = clock_us() + PATIENCE_US;

	place_open(&place);
	block(&place, true);
	in_killed(&place, write_two, 100);
	block(&place, false);
	check_int(
	    subject_shell(&place.subject,
	        "mkdir -p lake/a/%02x && chmod 0 lake/a/%02x && chmod 755 .",
	        stuck.digest.bytes[0], stuck.digest.bytes[0]),
	    0);
	if (geteuid() == 0) {
		check_int(subject_shell(&place.subject, "chown -R 65534 ."), 0);
		check_int(seteuid(65534), 0);
	}
	begin(&place, LIMIT);
	while (uploads_sum(NULL).count > 1 && clock_us() < end)
		usleep(10000);
	check(is_there(&place, &free_));
	check_int(uploads_sum(NULL).count, 1);
	check_int(subject_shell(&place.subject, "chmod 755 lake/a/%02x",
	              stuck.digest.bytes[0]),
	    0);
	flush();
	check(is_there(&place, &stuck));
	if (getuid() == 0)
		check_int(seteuid(0), 0);
	place_close(&place);
}

Test(uploads, hold_no_more_than_they_may)
{
	struct place place;
	unsigned taken = 0;

	place_open(&place);
	block(&place, true);
	begin(&place, 100 << 10);
	for (unsigned i = 0; i < 40; i++) {
		struct key key;
		auto_free char *data = subject_value(i, 10, &key);

		taken += spool(&place, 1, &key, data, 10, 3) == HIT;
	}
	check_int(taken, 24); /* each is a file, whose bytes are the least */
	check(uploads_sum(NULL).bytes <= 100 << 10);
	check_int(uploads_sum(place.far).count, 24);
	block(&place, false);
	flush();
	check_int(uploads_sum(NULL).bytes, 0);
	place_close(&place);
}

Test(uploads, keep_the_first_unless_it_is_to_be_replaced)
{
	struct place place;
	struct group *group;
	struct key key = index_key('k');
	struct uploading up;
	struct error err = { 0 };

	place_open(&place);
	block(&place, true);
	begin(&place, LIMIT);
	group = group_of(1);
	check_int(spool(&place, 1, &key, "first", 5, 3), HIT);
	check_int(uploads_begin(
	              &up, place.far, group, &key, 6, WRITE_IF_ABSENT, &err),
	    KEPT);
	check(uploads_contains(place.far, group, &key));
	check_int(spool(&place, 1, &key, "second", 6, 3), HIT);
	check(uploads_remove(place.far, &key, clock_us() + PATIENCE_US));
	check(!uploads_contains(place.far, group, &key));
	group_release(group);
	block(&place, false);
	flush();
	check(!is_there(&place, &key));
	place_close(&place);
}
