/* Path sets: encoded, gone through, and looked at. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/cursor.h"
#include "store/pathset.h"
#include "support/check.h"
#include "support/subject.h"

static const struct {
	enum place place;
	uint32_t facets;
	const char *path;
} entries[] = {
	{ PLACE_ROOT, FACET_CONTENT, "/a.c" },
	{ PLACE_ROOT, FACET_CONTENT | FACET_LINK, "/include/a.h" },
	{ PLACE_ROOT, FACET_ABSENT, "/include/b.h" },
	{ PLACE_ROOT, FACET_ABSENT, "/include/c.h" },
	{ PLACE_ROOT, FACET_LISTING, "/" },
	{ PLACE_ABSOLUTE, FACET_CONTENT, "/usr/include/stdio.h" },
	{ PLACE_ABSOLUTE, FACET_TYPE, "/" },
	{ PLACE_ABSOLUTE, FACET_ABSENT, "/usr/local/include/stdio.h" },
	{ PLACE_OUTPUT, FACET_ROOM, "0" },
	{ PLACE_VARIABLE, FACET_CONTENT, "CPATH" },
	{ PLACE_MACHINE, FACET_CONTENT, "uname" },
};
#define ENTRIES (sizeof(entries) / sizeof(*entries))

static void
encode(struct buf *to, bool backwards)
{
	struct path_set set = { 0 };

	for (size_t i = 0; i < ENTRIES; i++) {
		size_t at = backwards ? ENTRIES - 1 - i : i;

		(void)path_set_add(&set, entries[at].place, entries[at].facets,
		    entries[at].path);
	}
	path_set_encode(&set, to);
	path_set_release(&set);
}

struct found {
	bool entry[ENTRIES];
	size_t count;
};

static int
find(void *arg, enum place place, uint32_t facets, const char *path)
{
	struct found *found = arg;

	found->count++;
	for (size_t i = 0; i < ENTRIES; i++) {
		if (entries[i].place == place && entries[i].facets == facets &&
		    strcmp(entries[i].path, path) == 0)
			found->entry[i] = true;
	}
	return 0;
}

Test(pathset, comes_back_whole)
{
	struct found found = { 0 };
	struct error err = { 0 };
	auto_buf data = BUF_INIT;

	encode(&data, false);
	cr_assert_eq(path_set_each(data.data, data.len, find, &found, &err), 0,
	    "%s", err.text);
	check_int(found.count, ENTRIES);
	for (size_t i = 0; i < ENTRIES; i++)
		cr_assert(found.entry[i], "'%s' is missing", entries[i].path);
}

Test(pathset, order_does_not_count)
{
	auto_buf a = BUF_INIT;
	auto_buf b = BUF_INIT;

	encode(&a, false);
	encode(&b, true);
	check_int(a.len, b.len);
	check(memcmp(a.data, b.data, a.len) == 0);
}

Test(pathset, doubles_are_joined)
{
	struct path_set set = { 0 };
	struct found found = { 0 };
	struct error err = { 0 };
	auto_buf data = BUF_INIT;

	(void)path_set_add(&set, PLACE_ROOT, FACET_CONTENT, "/include/a.h");
	(void)path_set_add(&set, PLACE_ROOT, FACET_LINK, "/include/a.h");
	path_set_encode(&set, &data);
	check_int(path_set_each(data.data, data.len, find, &found, &err), 0);
	check_int(found.count, 1);
	check(found.entry[1]);
	path_set_release(&set);
}

Test(pathset, damage_does_no_harm)
{
	auto_buf data = BUF_INIT;
	struct found found;
	struct error err;

	encode(&data, false);
	for (size_t size = 0; size < data.len; size++)
		(void)path_set_each(data.data, size, find, &found, &err);
	for (size_t i = 0; i < data.len * 8; i++) {
		data.data[i / 8] ^= (char)(1 << i % 8);
		(void)path_set_each(data.data, data.len, find, &found, &err);
		data.data[i / 8] ^= (char)(1 << i % 8);
	}
}

/* ---- looking ---- */

static char root[64];
static struct world world;

static void
no_variables(const char *entry, struct buf *to)
{
}

static void
shell(const char *what)
{
	auto_free char *command = xasprintf("cd '%s' && { %s; }", root, what);

	check_int(system(command), 0);
}

static void
make_world(void)
{
	static const char *const outputs[] = { NULL };
	static char *const environment[] = { NULL };

	strcpy(root, "/tmp/tarn-pathset-XXXXXX");
	check(mkdtemp(root));
	world = (struct world){
		.root = root,
		.cwd = root,
		.outputs = outputs,
		.environment = environment,
		.add_variable = no_variables,
	};
}

static void
remove_world(void)
{
	auto_free char *command = xasprintf("rm -rf '%s'", root);

	check_int(system(command), 0);
}

TestSuite(look, .init = make_world, .fini = remove_world);

static int
look_at(const struct path_set_data *set, struct digest *fingerprint)
{
	static const struct digest key = { "a key" };
	struct look look = LOOK_INIT;
	struct error err = { 0 };
	int outcome = path_set_look(set, &key, &world, NULL, &look, &err);

	*fingerprint = look.fingerprint;
	look_release(&look);
	return outcome;
}

/* Does `change` change what the entry sees? -1: nothing fits any more. */
static int
changes(uint32_t facets, const char *path, const char *change)
{
	struct path_set set = { 0 };
	auto_buf data = BUF_INIT;
	struct path_set_data encoded;
	struct digest before, after;
	int outcome;

	(void)path_set_add(&set, PLACE_ROOT, facets, path);
	path_set_encode(&set, &data);
	path_set_release(&set);
	encoded = (struct path_set_data){ .data = data.data, .size = data.len };
	digest_bytes(&encoded.name, data.data, data.len);
	check_int(look_at(&encoded, &before), HIT);
	shell(change);
	outcome = look_at(&encoded, &after);
	check(outcome == HIT || outcome == MISS);
	return outcome == MISS ? -1 : !digest_equal(&before, &after);
}

Test(look, content)
{
	shell("echo 1 >a");
	check_int(changes(FACET_CONTENT, "/a", "touch -d @5 a"), 0);
	check_int(changes(FACET_CONTENT, "/a", "chmod o-r a"), 0);
	check_int(changes(FACET_CONTENT, "/a", "echo 2 >a"), 1);
	check_int(changes(FACET_CONTENT, "/a", "chmod +x a"), 1);
	check_int(changes(FACET_CONTENT, "/a", "mv a b && ln -s b a"), 0);
	check_int(changes(FACET_CONTENT, "/a", "rm a b"), -1);
}

Test(look, absent)
{
	check_int(changes(FACET_ABSENT, "/a", "echo >b"), 0);
	check_int(changes(FACET_ABSENT, "/x/y/a", "mkdir -p x/y"), 0);
	check_int(changes(FACET_ABSENT, "/a", "ln -s nowhere a"), 0);
	check_int(changes(FACET_ABSENT, "/a", "rm a; echo >a"), -1);
}

Test(look, links)
{
	shell("echo >a; echo >b; ln -s a l");
	check_int(changes(FACET_LINK, "/l", "echo 2 >a"), 0);
	check_int(changes(FACET_LINK, "/l", "ln -sf b l"), 1);
	check_int(changes(FACET_LINK, "/l", "rm l; echo >l"), 1);
}

Test(look, listings)
{
	shell("mkdir d; echo 1 >d/a");
	check_int(changes(FACET_LISTING, "/d", "echo 2 >d/a"), 0);
	check_int(changes(FACET_LISTING, "/d", "echo >d/b"), 1);
	check_int(changes(FACET_LISTING, "/d", "mv d/b d/c"), 1);
	check_int(changes(FACET_LISTING, "/d", "rm d/c; mkdir d/c"), 1);
	check_int(changes(FACET_LISTING, "/d", "rm -r d"), -1);
	check_int(changes(FACET_LISTING, "/", "echo >x"), 1);
}

Test(look, what_a_stat_tells)
{
	shell("echo 1 >a");
	check_int(changes(FACET_TYPE, "/a", "echo 22 >a; chmod 600 a"), 0);
	check_int(changes(FACET_TYPE, "/a", "chmod 755 a"), 1);
	check_int(changes(FACET_STAT, "/a", "touch -d @7 a"), 0);
	check_int(changes(FACET_STAT, "/a", "chmod 600 a"), 1);
	check_int(changes(FACET_STAT, "/a", "echo 333 >a"), 1);
	check_int(changes(FACET_TIME, "/a", "touch -d @8 a"), 1);
	check_int(changes(FACET_TYPE, "/a", "rm a; mkdir a"), 1);
}

Test(look, room_for_an_output)
{
	check_int(changes(FACET_ROOM, "/o", "echo >o"), 0);
	check_int(changes(FACET_BEFORE, "/o", "rm o"), 1);
	check_int(changes(FACET_ROOM, "/o", "mkdir o"), -1);
}
