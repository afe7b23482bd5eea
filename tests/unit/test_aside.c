/* Files that are written aside: whole or not at all, and nothing is left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "support/check.h"
#include "support/faults.h"

static char dir[] = "/tmp/tarn-aside-XXXXXX";

static void
enter(void)
{
	check(mkdtemp(dir) && chdir(dir) == 0);
}

static void
leave(void)
{
	auto_free char *rm = xasprintf("rm -rf %s", dir);

	faults_no_nameless(false);
	check(chdir("/") == 0);
	check_int(system(rm), 0);
}

TestSuite(aside, .init = enter, .fini = leave);

/* How many names there are in the folder. */
static int
names(void)
{
	FILE *list = popen("ls -A | wc -l", "re");
	int count = -1;

	check_int(fscanf(list, "%d", &count), 1);
	pclose(list);
	return count;
}

static void
make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	check_int(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static bool
holds(const char *path, const char *text)
{
	auto_buf buf = BUF_INIT;
	struct error err;

	return buf_read_file(&buf, path, &err) == 0 &&
	    buf.len == strlen(text) && memcmp(buf.data, text, buf.len) == 0;
}

/* With `names` names while it is not in place. */
static void
put(const char *path, const char *text, bool there, int more)
{
	struct error err = { 0 };
	auto_aside file = ASIDE_INIT;
	int before = names();

	check_int(aside_start(&file, path, 0644, &err), 0);
	check_int(file_write_all(file.fd, text, strlen(text)), 0);
	check_int(names(), before + more);
	check_str(aside_put(&file, path, there, &err) < 0 ? err.text : "", "");
	aside_release(&file);
	check(holds(path, text));
}

Test(aside, has_no_name_until_it_is_in_place)
{
	put("a", "one", false, 0);
	put("a", "two", true, 0);
	put("a", "three", false, 0);
	put("b", "four", true, 0); /* what was there went away */
	check_int(names(), 2);
}

Test(aside, has_a_hidden_name_where_it_needs_one)
{
	faults_no_nameless(true);
	put("a", "one", false, 1);
	put("a", "two", true, 1);
	check_int(names(), 1);
}

Test(aside, released_is_gone)
{
	for (int named = 0; named < 2; named++) {
		struct error err;
		auto_aside file = ASIDE_INIT;

		faults_no_nameless(named);
		check_int(aside_start(&file, "a", 0644, &err), 0);
		aside_release(&file);
		check_int(names(), 0);
	}
}

Test(aside, takes_long_names)
{
	char name[256];

	memset(name, 'n', 255);
	name[255] = '\0';
	put(name, "one", false, 0);
	put(name, "two", true, 0);
	faults_no_nameless(true);
	put(name, "three", true, 1);
	check_int(names(), 1);
}

/* A process that is killed between a name beside and the place itself. */
Test(aside, removes_what_the_dead_left)
{
	struct error err;
	auto_aside file = ASIDE_INIT;

	make("a", "old");
	check_int(aside_start(&file, "a", 0644, &err), 0);
	make(file.beside, "left");
	aside_release(&file);
	check_int(names(), 2);
	put("a", "new", true, 0);
	check_int(names(), 1);
}

Test(aside, removes_what_has_no_lock)
{
	struct error err;
	auto_aside file = ASIDE_INIT;
	auto_free char *left = NULL;

	faults_no_nameless(true);
	check_int(aside_start(&file, "a", 0444, &err), 0);
	left = xstrdup(file.name);
	check_int(file_write_all(file.fd, "half", 4), 0);
	put("a", "while it lives", false, 1);
	check(holds(left, "half"));
	close(file.fd); /* its maker dies */
	file.fd = -1;
	free(take(file.name));
	check(holds(left, "half"));
	put("a", "when it is dead", true, 0);
	check_int(names(), 1);
}

Test(aside, replaces_no_folder)
{
	for (int named = 0; named < 2; named++) {
		struct error err = { 0 };
		auto_aside file = ASIDE_INIT;

		faults_no_nameless(named);
		(void)mkdir("a", 0755);
		check_int(aside_start(&file, "a", 0644, &err), 0);
		check_int(aside_put(&file, "a", true, &err), -1);
		aside_release(&file);
		check_int(rmdir("a"), 0);
		check_int(names(), 0);
	}
}

#define ROUNDS 300

/* Replace it over and over by bytes of a kind and count of their own. */
static void
replace_often(char c)
{
	char text[2000];

	memset(text, c, sizeof(text));
	for (int i = 0; i < ROUNDS; i++) {
		struct error err;
		auto_aside file = ASIDE_INIT;

		if (aside_start(&file, "a", 0644, &err) < 0 ||
		    file_write_all(file.fd, text, 1000 + (size_t)c) < 0 ||
		    aside_put(&file, "a", i % 2, &err) < 0)
			_exit(1);
	}
	_exit(0);
}

static bool
is_whole(void)
{
	auto_buf buf = BUF_INIT;
	struct error err;

	if (buf_read_file(&buf, "a", &err) < 0)
		return false;
	for (size_t i = 1; i < buf.len; i++) {
		if (buf.data[i] != buf.data[0])
			return false;
	}
	return buf.len == 1000 + (size_t)buf.data[0];
}

Test(aside, many_at_once_are_whole)
{
	for (int named = 0; named < 2; named++) {
		int status, left = 4;

		faults_no_nameless(named);
		make("a", "");
		put("a", "x", true, named);
		for (char c = 'a'; c < 'e'; c++) {
			if (fork() == 0)
				replace_often(c);
		}
		while (left > 0) {
			check(is_whole() || holds("a", "x"));
			if (waitpid(-1, &status, WNOHANG) > 0) {
				check_int(status, 0);
				left--;
			}
		}
		check(is_whole());
		check_int(names(), 1);
	}
}
