/* The digest table: never wrong, whatever happens to its file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/table.h"
#include "support/check.h"
#include "support/faults.h"

static char dir[64];

static void
make_dir(void)
{
	strcpy(dir, "/tmp/tarn-table-XXXXXX");
	check(mkdtemp(dir));
}

static void
remove_dir(void)
{
	auto_free char *command = xasprintf("rm -rf '%s'", dir);

	check_int(system(command), 0);
}

TestSuite(table, .init = make_dir, .fini = remove_dir);

static struct table *
must_open(void)
{
	struct error err = { 0 };
	struct table *table = table_open(dir, &err);

	cr_assert_neq(table, NULL, "%s", err.text);
	return table;
}

static struct table_key
key_of(unsigned n)
{
	const struct stamp stamp = { 1, n, n * 3, n * 5, n * 7 };

	return table_file_key(&stamp);
}

/* Its value follows from its number, so that a wrong one is seen. */
static struct digest
value_of(unsigned n)
{
	struct digest digest;

	digest_bytes(&digest, &n, sizeof(n));
	return digest;
}

static void
put(struct table *table, unsigned n)
{
	struct table_key key = key_of(n);
	struct digest digest = value_of(n);

	table_put(table, &key, &digest, n & 1);
}

/* Is it there? What is there is right. */
static bool
is_right(const struct table *table, unsigned n)
{
	struct table_key key = key_of(n);
	struct digest digest, wanted = value_of(n);
	uint32_t flags = 7;

	if (!table_get(table, &key, &digest, &flags))
		return false;
	check(digest_equal(&digest, &wanted));
	check_int(flags, n & 1);
	return true;
}

static unsigned
count(const struct table *table, unsigned from, unsigned to)
{
	unsigned found = 0;

	for (unsigned n = from; n < to; n++)
		found += is_right(table, n);
	return found;
}

static int
open_file(int flags)
{
	auto_free char *path = xasprintf("%s/digests", dir);

	return open(path, flags);
}

Test(table, keeps_what_is_put)
{
	struct table *table = must_open();

	check(!is_right(table, 1));
	for (unsigned n = 0; n < 1000; n++)
		put(table, n);
	check(count(table, 0, 1000) > 990);
	table_close(table);
	table = must_open();
	check(count(table, 0, 1000) > 990);
	check_int(count(table, 1000, 2000), 0);
	table_close(table);
}

Test(table, a_later_value_replaces)
{
	struct table *table = must_open();
	struct table_key key = key_of(1);
	struct digest other = value_of(2), found;

	put(table, 1);
	table_put(table, &key, &other, 0);
	check(table_get(table, &key, &found, NULL));
	check(digest_equal(&found, &other));
	table_close(table);
}

Test(table, none_is_one_that_knows_nothing)
{
	put(NULL, 1);
	check(!is_right(NULL, 1));
	table_close(NULL);
}

/* Any bytes over any slots: what is found is right, or nothing is found. */
Test(table, torn_entries_read_as_absent)
{
	struct table *table = must_open();
	struct stat st;
	int fd = open_file(O_RDWR);

	check(fd >= 0 && fstat(fd, &st) == 0);
	for (unsigned n = 0; n < 500; n++)
		put(table, n);
	srandom(1);
	for (off_t at = 4096; at < st.st_size; at += 40) {
		char byte;

		if (pread(fd, &byte, 1, at) == 1 && byte) {
			byte ^= (char)(1 << random() % 8);
			check_int(pwrite(fd, &byte, 1, at), 1);
		}
	}
	(void)count(table, 0, 500);
	for (unsigned n = 0; n < 500; n++)
		put(table, n);
	check(count(table, 0, 500) > 480);
	close(fd);
	table_close(table);
}

static void
damage(const char *data, size_t size, off_t at)
{
	int fd = open_file(O_RDWR);

	check_int(pwrite(fd, data, size, at), (ssize_t)size);
	close(fd);
}

Test(table, of_another_version_starts_anew)
{
	struct table *table = must_open();

	put(table, 1);
	table_close(table);
	damage("another!", 8, 0);
	table = must_open();
	check(!is_right(table, 1));
	put(table, 1);
	check(is_right(table, 1));
	table_close(table);
}

Test(table, cut_short_starts_anew)
{
	static const off_t sizes[] = { 0, 1, 100, 5000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct table *table = must_open();
		int fd;

		put(table, 1);
		table_close(table);
		fd = open_file(O_RDWR);
		check_int(ftruncate(fd, sizes[i]), 0);
		close(fd);
		table = must_open();
		put(table, 2);
		check(is_right(table, 2));
		table_close(table);
	}
}

/* While another one is made, whoever has the old one open goes on. */
Test(table, replaced_while_it_is_used)
{
	struct table *old = must_open(), *fresh;

	put(old, 1);
	damage("another!", 8, 0);
	fresh = must_open();
	put(old, 2);
	put(fresh, 3);
	check(is_right(old, 1));
	check(is_right(fresh, 3));
	check(!is_right(fresh, 1));
	table_close(old);
	table_close(fresh);
}

static void
write_and_read(unsigned seed)
{
	struct table *table = must_open();

	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = (i * 7 + seed * 13) % 3000;

		if (i % 3 == 0)
			put(table, n);
		else
			(void)is_right(table, n);
	}
	table_close(table);
}

Test(table, many_writers)
{
	pid_t child[4];
	struct table *table;

	for (unsigned i = 0; i < 4; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			write_and_read(i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		check_int(waitpid(child[i], &status, 0), child[i]);
		check_int(status, 0);
	}
	table = must_open();
	check(count(table, 0, 3000) > 2500);
	table_close(table);
}

Test(table, no_room)
{
	for (int n = 0; faults_begin(n, ENOSPC); n++) {
		struct error err = { 0 };
		struct table *table = table_open(dir, &err);

		put(table, 1);
		faults_end();
		(void)is_right(table, 1);
		table_close(table);
		remove_dir();
		check_int(mkdir(dir, 0700), 0);
	}
}

/* All of a project with so many files, which lie beside one another. */
Test(table, keeps_what_a_large_project_has)
{
	struct table *table = must_open();

	for (unsigned n = 0; n < 200000; n++)
		put(table, n);
	check(count(table, 0, 200000) > 199000);
	for (unsigned n = 0; n < 200000; n++) {
		if (!is_right(table, n))
			put(table, n);
	}
	check(count(table, 0, 200000) > 199900);
	table_close(table);
}

Test(table, more_than_fits)
{
	struct table *table = must_open();

	for (unsigned n = 0; n < 1500000; n++)
		put(table, n);
	check(count(table, 1490000, 1500000) > 8000);
	(void)count(table, 0, 100000);
	table_close(table);
}

static int
open_at_once(int start, int end)
{
	struct table *table;
	char byte;

	close(end);
	(void)!read(start, &byte, 1); /* until all are there */
	table = must_open();
	put(table, (unsigned)getpid());
	table_close(table);
	return 0;
}

/* What each of many puts who find no table is in the one that stays. */
Test(table, many_who_make_it)
{
	pid_t child[8];
	int gate[2];
	struct table *table;

	for (int round = 0; round < 10; round++) {
		auto_free char *path = xasprintf("%s/digests", dir);

		(void)unlink(path);
		check_int(pipe(gate), 0);
		for (int i = 0; i < 8; i++) {
			child[i] = fork();
			if (child[i] == 0)
				_exit(open_at_once(gate[0], gate[1]));
		}
		close(gate[1]);
		close(gate[0]);
		for (int i = 0; i < 8; i++)
			check_int(waitpid(child[i], NULL, 0), child[i]);
		table = must_open();
		for (int i = 0; i < 8; i++)
			check(is_right(table, (unsigned)child[i]));
		table_close(table);
	}
}
