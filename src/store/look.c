/*
 * Looking at a path set's entries now, the work that a hit consists of.
 *
 * It goes in two passes. The first asks the kernel for the stamp of every file,
 * and for whatever is cheaper to get than to remember, and ends at once where
 * no fingerprint can fit. Were all these stamps seen together before, then the
 * fingerprint is in the digest table, and the second pass, which takes the
 * digest of every file, is spared.
 *
 * Names that must be absent are looked up one by one, unless their folder has the
 * stamp that it had when they were seen to be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/location.h"
#include "store/content.h"
#include "store/cursor.h"
#include "store/machine.h"
#include "store/search.h"

#define TAG_MEMO 1
#define TAG_ABSENT 2
#define TAG_LISTING 3

/* Facets of what a link leads to. */
#define FOLLOWED \
	(FACET_CONTENT | FACET_TYPE | FACET_STAT | FACET_LISTING | \
	    FACET_TIME | FACET_NAMES | FACET_OWNER)

#define FEW_NAMES 3  /* absent ones, below which asking for each is as quick */
#define MANY_NAMES 6 /* from which opening their folder pays */

/* What the first pass saw of an entry. */
struct glance {
	struct stat st;
	size_t link, link_size; /* into struct looking.links */
	bool is_link;
};

struct looking {
	const struct path_set_data *set;
	const struct digest *key;
	const struct world *world;
	const struct path_set *known;
	struct look *look;
	struct cursor cursor;
	int folder; /* of the group, if it is worth opening; else -1 */
	size_t at;  /* number of the entry */
	size_t group;
	struct glance *glance;
	size_t cap;
	struct buf links;
	struct mixer mixer;
	bool settled;  /* every stamp so far */
	bool dangling; /* an absent name was a link that leads nowhere */
};

void
look_release(struct look *look)
{
	buf_release(&look->hint);
}

/* Only a damaged list has it where the words name none. */
static const char *
output_path(const struct looking *l)
{
	return l->world->outputs[0] ? l->world->outputs[0] : "";
}

static int
no_match(struct looking *l, const char *what)
{
	const char *path = l->cursor.path;
	size_t root = strlen(l->world->root);

	if (l->cursor.place == PLACE_OUTPUT)
		path = output_path(l);
	if (strncmp(path, l->world->root, root) == 0 && path[root] == '/')
		path += root + 1;
	else if (strcmp(path, l->world->root) == 0)
		path = ".";
	snprintf(l->look->reason, sizeof(l->look->reason), "'%.200s' %s", path,
	    what);
	return MISS;
}

/* The entry's path, as short as the open folder lets it be. */
static const char *
path_now(const struct looking *l, int *at)
{
	if (l->cursor.place == PLACE_OUTPUT) {
		*at = AT_FDCWD;
		return output_path(l);
	}
	*at = AT_FDCWD;
	if (l->folder == AT_FDCWD || !*cursor_name(&l->cursor))
		return l->cursor.path;
	*at = l->folder;
	return cursor_name(&l->cursor);
}

static bool
gone(void)
{
	return errno == ENOENT || errno == ENOTDIR;
}

/* ---- first pass ---- */

static int
glance_link(struct looking *l, struct glance *g)
{
	char target[PATH_MAX];
	int at;
	const char *path = path_now(l, &at);
	ssize_t size = readlinkat(at, path, target, sizeof(target));

	if (size < 0 && errno != EINVAL)
		return no_match(l, "is gone");
	g->is_link = size >= 0;
	if (!g->is_link)
		return HIT;
	g->link = l->links.len;
	g->link_size = (size_t)size;
	buf_add(&l->links, target, g->link_size);
	mixer_add_bytes(&l->mixer, target, g->link_size);
	return HIT;
}

static void
mix_stat(struct looking *l, const struct glance *g, uint32_t facets)
{
	struct stamp stamp;

	stamp_of(&stamp, &g->st);
	if (facets & (FACET_CONTENT | FACET_LISTING))
		mixer_add_stamp(&l->mixer, &stamp);
	if (facets & FACET_TIME)
		mixer_add(&l->mixer, (uint64_t)stamp.mtime_ns);
	if ((facets & FACET_STAT) && S_ISREG(g->st.st_mode))
		mixer_add(&l->mixer, stamp.size);
	if (facets & FACET_NAMES)
		mixer_add(&l->mixer, g->st.st_nlink);
	if (facets & FACET_OWNER)
		mixer_add(
		    &l->mixer, (uint64_t)g->st.st_uid << 32 | g->st.st_gid);
	mixer_add(&l->mixer, g->st.st_mode);
}

/* Of a file that was looked at and then written: as it was before. */
static void
stat_as_known(const struct observation *item, struct stat *st)
{
	*st = (struct stat){ .st_mode = item->mode,
		.st_size = (off_t)item->stamp.size,
		.st_nlink = item->names };
	st->st_mtim.tv_sec = item->stamp.mtime_ns / 1000000000;
	st->st_mtim.tv_nsec = item->stamp.mtime_ns % 1000000000;
}

/* What is there, and, if that counts, whether it is a link: of most paths one
 * question answers both. */
static int
ask(struct looking *l, struct glance *g, uint32_t facets)
{
	bool link = facets & FACET_LINK;
	int at, outcome;
	const char *path = path_now(l, &at);

	if (l->known && l->known->item[l->at].stamped) {
		stat_as_known(&l->known->item[l->at], &g->st);
		return HIT;
	}
	if (fstatat(at, path, &g->st, link ? AT_SYMLINK_NOFOLLOW : 0) < 0)
		return no_match(l, "is gone");
	if (!link || !S_ISLNK(g->st.st_mode))
		return HIT;
	outcome = glance_link(l, g);
	if (outcome == HIT && (facets & FOLLOWED) &&
	    fstatat(at, path, &g->st, 0) < 0)
		return no_match(l, "is gone");
	return outcome;
}

/* All that counts of something that has to be there. */
static int
glance_there(struct looking *l, struct glance *g, uint32_t facets)
{
	int outcome = ask(l, g, facets);

	if (outcome != HIT)
		return outcome;
	mixer_add(&l->mixer, g->is_link);
	if (!(facets & FOLLOWED))
		return HIT;
	if ((facets & FACET_CONTENT) && !S_ISREG(g->st.st_mode))
		return no_match(l, "is no file any more");
	if ((facets & FACET_LISTING) && !S_ISDIR(g->st.st_mode))
		return no_match(l, "is no folder any more");
	mix_stat(l, g, facets);
	return HIT;
}

static int
glance_absent(struct looking *l)
{
	struct stat st;
	int at;
	const char *path = path_now(l, &at);

	if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* Its folder's stamp can't tell when a link gets a target. */
		l->dangling = true;
		if (fstatat(at, path, &st, 0) == 0)
			return no_match(l, "is there now");
	}
	if (gone() || errno == ELOOP || errno == EACCES)
		return HIT;
	return no_match(l, "is there now");
}

/* What is at the place of an output, before it is written. */
static int
type_before(struct looking *l)
{
	struct stat st;
	int at;
	const char *path = path_now(l, &at);

	if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mode & S_IFMT;
}

static int
glance_before(struct looking *l, struct glance *g, uint32_t facets)
{
	int type = l->known ? l->known->item[l->at].type : type_before(l);

	if (facets & FACET_ROOM) {
		if (type != 0 && type != S_IFREG)
			return no_match(l, "is no place for an output");
		type = S_IFREG;
	}
	g->st.st_mode = (mode_t)type;
	mixer_add(&l->mixer, (uint64_t)type);
	return HIT;
}

static const char *
variable(const struct world *world, const char *name)
{
	size_t size = strlen(name);

	for (char *const *v = world->environment; v && *v; v++) {
		if (strncmp(*v, name, size) == 0 && (*v)[size] == '=')
			return *v + size + 1;
	}
	return NULL;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "*": every variable that counts, sorted. */
static void
add_all_variables(const struct world *world, struct buf *to)
{
	auto_free char **sorted = NULL;
	size_t count = 0;

	while (world->environment && world->environment[count])
		count++;
	sorted = xrealloc(NULL, count, sizeof(*sorted));
	for (size_t i = 0; i < count; i++)
		sorted[i] = world->environment[i];
	if (count > 0)
		qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < count; i++)
		world->add_variable(sorted[i], to);
}

/* What a program that trusts PWD takes the working directory for, if that is
 * another name of it. */
static const char *
other_name(const struct world *world)
{
	const char *pwd = variable(world, "PWD");
	struct stat here, there;

	return pwd && pwd[0] == '/' && strcmp(pwd, world->cwd) != 0 &&
	        stat(pwd, &there) == 0 && stat(world->cwd, &here) == 0 &&
	        here.st_dev == there.st_dev && here.st_ino == there.st_ino
	    ? pwd
	    : NULL;
}

/* The text of a variable or of a fact about the machine. */
static void
add_fact(const struct looking *l, struct buf *to)
{
	const char *name = cursor_name(&l->cursor), *value = NULL;
	struct utsname names;

	if (l->cursor.place == PLACE_VARIABLE) {
		if (strcmp(name, "*") == 0) {
			add_all_variables(l->world, to);
			return;
		}
		if (strncmp(name, SEARCH_PREFIX, strlen(SEARCH_PREFIX)) == 0) {
			search_add(l->world, variable(l->world, "PATH"),
			    name + strlen(SEARCH_PREFIX), to);
			return;
		}
		value = variable(l->world, name);
	} else if (strcmp(name, "root") == 0)
		value = l->world->root;
	else if (strcmp(name, "cwd") == 0)
		value = l->world->cwd;
	else if (strcmp(name, "pwd") == 0)
		value = other_name(l->world);
	else if (strcmp(name, "words") == 0) {
		for (char *const *word = l->world->words; word && *word; word++)
			buf_add(to, *word, strlen(*word) + 1);
		return;
	} else if (strcmp(name, "cpu") == 0) {
		machine_add_cpu(to);
		return;
	} else if (strcmp(name, "uname") == 0 && uname(&names) == 0) {
		buf_addf(to, "%s %s %s %s", names.sysname, names.release,
		    names.version, names.machine);
		return;
	}
	if (value && l->cursor.place == PLACE_VARIABLE)
		l->world->add_value(name, value, to);
	else if (value)
		buf_addf(to, "=%s", value);
}

static void
glance_fact(struct looking *l, struct glance *g)
{
	g->link = l->links.len;
	add_fact(l, &l->links);
	g->link_size = l->links.len - g->link;
	mixer_add_bytes(&l->mixer, l->links.data + g->link, g->link_size);
}

static bool
has_known_content(const struct looking *l)
{
	return l->known && l->known->item[l->at].known;
}

static int
glance_entry(struct looking *l, struct glance *g)
{
	uint32_t facets = l->cursor.facets;
	int outcome = HIT;

	if (l->cursor.place >= PLACE_VARIABLE) {
		glance_fact(l, g);
		return HIT;
	}
	if (facets & (FACET_BEFORE | FACET_ROOM))
		outcome = glance_before(l, g, facets);
	else if (facets & FACET_ABSENT)
		outcome = glance_absent(l);
	if (outcome == HIT && (facets & (FOLLOWED | FACET_LINK)))
		outcome = glance_there(l, g, facets);
	return outcome;
}

static void
enter_folder(struct looking *l)
{
	char end = l->cursor.path[l->cursor.folder];

	l->folder = AT_FDCWD;
	l->group++;
	if (l->cursor.place > PLACE_ABSOLUTE || l->cursor.count < MANY_NAMES ||
	    l->cursor.folder == 0)
		return;
	l->cursor.path[l->cursor.folder] = '\0';
	l->folder = open(l->cursor.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->folder < 0)
		l->folder = AT_FDCWD;
	l->cursor.path[l->cursor.folder] = end;
}

static void
leave_folder(struct looking *l)
{
	if (l->folder != AT_FDCWD)
		close(l->folder);
	l->folder = AT_FDCWD;
}

static struct table_key
absent_key(const struct looking *l, const struct stamp *folder)
{
	struct mixer m = MIXER_INIT;

	mixer_add_bytes(&m, l->set->name.bytes, DIGEST_SIZE);
	mixer_add(&m, l->group);
	mixer_add_stamp(&m, folder);
	return mixer_key(&m, TAG_ABSENT);
}

/*
 * A group of names that must be absent: 1 if the folder's stamp vouches for all
 * of them, 0 if each has to be looked up; then *key is where to remember, if
 * *settled.
 */
static int
absent_at_once(struct looking *l, struct table_key *key, bool *settled)
{
	char end = l->cursor.path[l->cursor.folder];
	struct digest unused;
	struct stamp stamp;
	struct stat st;
	int got;

	*settled = false;
	if (l->cursor.count < FEW_NAMES)
		return 0;
	l->cursor.path[l->cursor.folder] = '\0';
	got = stat(l->cursor.folder ? l->cursor.path : "/", &st);
	if (got == 0) {
		stamp_of(&stamp, &st);
		*settled = stamp_settled(
		    &stamp, -1, l->cursor.folder ? l->cursor.path : "/");
	}
	l->cursor.path[l->cursor.folder] = end;
	if (got < 0)
		return gone();
	*key = absent_key(l, &stamp);
	return table_get(l->world->table, key, &unused, NULL);
}

/* The cursor is on the first of a GROUP_ABSENT; afterwards on its last. */
static int
glance_absent_group(struct looking *l)
{
	static const struct digest nothing;
	struct table_key key;
	bool settled;
	int sure = absent_at_once(l, &key, &settled);

	l->dangling = false;
	if (!sure)
		enter_folder(l);
	else
		l->group++;
	for (;;) {
		if (!sure && glance_absent(l) != HIT) {
			leave_folder(l);
			return MISS;
		}
		l->at++;
		if (l->cursor.left == 0)
			break;
		if (cursor_next(&l->cursor) < 0) {
			leave_folder(l);
			return FAILED;
		}
	}
	leave_folder(l);
	if (!sure && settled && !l->dangling && !l->known)
		table_put(l->world->table, &key, &nothing, 0);
	return HIT;
}

static void
make_room(struct looking *l)
{
	if (l->at < l->cap)
		return;
	l->cap = l->cap ? 2 * l->cap : 256;
	while (l->cap <= l->at)
		l->cap *= 2;
	l->glance = xrealloc(l->glance, l->cap, sizeof(*l->glance));
}

static int
first_pass(struct looking *l)
{
	int more, outcome = HIT;

	while (outcome == HIT && (more = cursor_next(&l->cursor)) != 0) {
		if (more < 0) {
			outcome = FAILED;
			break;
		}
		if (l->cursor.first)
			leave_folder(l);
		if (l->cursor.absent && !l->known) {
			outcome = glance_absent_group(l);
			continue;
		}
		if (l->cursor.first)
			enter_folder(l);
		make_room(l);
		l->glance[l->at] = (struct glance){ .is_link = false };
		outcome = glance_entry(l, &l->glance[l->at]);
		l->at++;
	}
	leave_folder(l);
	return outcome;
}

/* ---- second pass ---- */

static int
take_content(struct looking *l, const struct glance *g, struct hasher *value,
    struct digest *digest)
{
	struct content content;
	struct error err;
	int at;
	const char *path = path_now(l, &at);
	bool can_run;

	if (has_known_content(l)) {
		*digest = l->known->item[l->at].digest;
		can_run = l->known->item[l->at].can_run;
	} else {
		if (!content_known(&content, l->world->table, &g->st)) {
			if (content_of(
			        &content, l->world->table, at, path, &err) < 0)
				return no_match(l, "can't be read");
			if (!content.settled)
				l->settled = false;
		}
		*digest = content.digest;
		can_run = content.mode & 0111;
	}
	hasher_add(value, digest->bytes, DIGEST_SIZE);
	hasher_add(value, can_run ? "x" : "-", 1);
	return HIT;
}

static int
take_listing(struct looking *l, const struct glance *g, struct hasher *value,
    struct digest *digest)
{
	struct error err;
	struct stamp stamp;
	int at;
	const char *path = path_now(l, &at);

	if (has_known_content(l))
		*digest = l->known->item[l->at].digest;
	else {
		stamp_of(&stamp, &g->st);
		if (!stamp_settled(&stamp, -1, path))
			l->settled = false;
		if (content_listing(digest, at, path, NULL, NULL, &err) < 0)
			return no_match(l, "can't be listed");
	}
	hasher_add(value, digest->bytes, DIGEST_SIZE);
	return HIT;
}

/* One number of the value: into the fingerprint, and into the hint. */
static void
take_number(struct hasher *value, struct mixer *hint, uint64_t number)
{
	hasher_add_number(value, number);
	mixer_add(hint, number);
}

static void
take_text(const struct looking *l, const struct glance *g, struct hasher *value,
    struct mixer *hint)
{
	hasher_add_bytes(value, l->links.data + g->link, g->link_size);
	mixer_add_bytes(hint, l->links.data + g->link, g->link_size);
}

static void
take_stat(const struct glance *g, uint32_t facets, struct hasher *value,
    struct mixer *hint)
{
	mode_t mode = g->st.st_mode;

	if (facets & (FACET_TYPE | FACET_BEFORE | FACET_ROOM)) {
		take_number(value, hint, mode & S_IFMT);
		take_number(
		    value, hint, S_ISREG(mode) && (mode & 0111) ? 1 : 0);
	}
	if (facets & FACET_STAT) {
		take_number(value, hint, mode);
		take_number(
		    value, hint, S_ISREG(mode) ? (uint64_t)g->st.st_size : 0);
	}
	if (facets & FACET_TIME)
		take_number(value, hint,
		    (uint64_t)(g->st.st_mtim.tv_sec * 1000000000ll +
		        g->st.st_mtim.tv_nsec));
	if (facets & FACET_NAMES)
		take_number(value, hint, g->st.st_nlink);
	if (facets & FACET_OWNER)
		take_number(
		    value, hint, (uint64_t)g->st.st_uid << 32 | g->st.st_gid);
}

/* Feed the entry's value to `value`; a sum of it to `hint`. */
static int
take_value(struct looking *l, const struct glance *g, struct hasher *value,
    struct mixer *hint)
{
	uint32_t facets = l->cursor.facets;
	struct digest digest = { { 0 } };
	int outcome = HIT;

	if (l->cursor.place >= PLACE_VARIABLE) {
		take_text(l, g, value, hint);
		return HIT;
	}
	if (facets & FACET_LINK)
		take_number(value, hint, g->is_link);
	if (g->is_link)
		take_text(l, g, value, hint);
	if (facets & FACET_CONTENT) {
		outcome = take_content(l, g, value, &digest);
		mixer_add_bytes(hint, digest.bytes, DIGEST_SIZE);
	}
	if (outcome == HIT && (facets & FACET_LISTING)) {
		outcome = take_listing(l, g, value, &digest);
		mixer_add_bytes(hint, digest.bytes, DIGEST_SIZE);
	}
	take_stat(g, facets, value, hint);
	return outcome;
}

static void
say_what_changed(struct looking *l, const void *now)
{
	const unsigned char *old = l->set->old_hint;

	if (!old || l->look->reason[0] ||
	    l->set->old_hint_size < (l->at + 1) * 4 ||
	    memcmp(old + l->at * 4, now, 4) == 0)
		return;
	if (l->cursor.place == PLACE_VARIABLE &&
	    strncmp(cursor_name(&l->cursor), SEARCH_PREFIX,
	        strlen(SEARCH_PREFIX)) == 0)
		snprintf(l->look->reason, sizeof(l->look->reason),
		    "PATH leads to another '%.200s'",
		    cursor_name(&l->cursor) + strlen(SEARCH_PREFIX));
	else if (l->cursor.place == PLACE_VARIABLE &&
	    strcmp(cursor_name(&l->cursor), "*") == 0)
		snprintf(l->look->reason, sizeof(l->look->reason),
		    "the environment changed");
	else if (l->cursor.place == PLACE_VARIABLE)
		snprintf(l->look->reason, sizeof(l->look->reason),
		    "variable %.200s changed", cursor_name(&l->cursor));
	else if (l->cursor.place == PLACE_MACHINE)
		snprintf(l->look->reason, sizeof(l->look->reason),
		    strcmp(cursor_name(&l->cursor), "root") == 0
		        ? "the result holds the root's path, and this is "
		          "another root"
		        : "%.200s changed",
		    cursor_name(&l->cursor));
	else
		(void)no_match(l, "changed");
}

static int
second_pass(struct looking *l, struct hasher *value)
{
	struct mixer hint;
	size_t count = l->at;
	int more, outcome = HIT;

	cursor_init(&l->cursor, l->set->data, l->set->size, l->world->root);
	for (l->at = 0; l->at < count && outcome == HIT; l->at++) {
		more = cursor_next(&l->cursor);
		if (more <= 0)
			return FAILED;
		hint = (struct mixer)MIXER_INIT;
		if (!l->cursor.absent) {
			outcome =
			    take_value(l, &l->glance[l->at], value, &hint);
			say_what_changed(l, hint.lane);
		}
		buf_add(&l->look->hint, hint.lane, 4);
	}
	return outcome;
}

static int
look_again(struct looking *l)
{
	struct table_key memo = mixer_key(&l->mixer, TAG_MEMO);
	struct hasher value;
	int outcome;

	if (!l->known &&
	    table_get(l->world->table, &memo, &l->look->fingerprint, NULL))
		return HIT;
	hasher_init(&value);
	hasher_add_text(&value, "tarn fingerprint 1");
	hasher_add(&value, l->key->bytes, DIGEST_SIZE);
	hasher_add(&value, l->set->name.bytes, DIGEST_SIZE);
	outcome = second_pass(l, &value);
	if (outcome != HIT)
		return outcome;
	hasher_finish(&value, &l->look->fingerprint);
	if (l->settled && !l->known)
		table_put(l->world->table, &memo, &l->look->fingerprint, 0);
	return HIT;
}

int
path_set_look(const struct path_set_data *set, const struct digest *key,
    const struct world *world, const struct path_set *known, struct look *look,
    struct error *err)
{
	auto_free struct looking *l = xmalloc(sizeof(*l));
	int outcome;

	memset(l, 0, offsetof(struct looking, cursor));
	l->set = set, l->key = key, l->world = world, l->known = known;
	l->look = look;
	l->folder = AT_FDCWD;
	l->at = l->group = l->cap = 0;
	l->glance = NULL;
	l->links = (struct buf)BUF_INIT;
	l->mixer = (struct mixer)MIXER_INIT;
	l->settled = true;
	look->reason[0] = '\0';
	mixer_add_bytes(&l->mixer, key->bytes, DIGEST_SIZE);
	mixer_add_bytes(&l->mixer, set->name.bytes, DIGEST_SIZE);
	cursor_init(&l->cursor, set->data, set->size, world->root);
	outcome = first_pass(l);
	if (outcome == HIT)
		outcome = look_again(l);
	buf_release(&l->links);
	free(l->glance);
	if (outcome == FAILED)
		return error_set(err, ERROR_CORRUPT, "a damaged path set");
	return outcome;
}
