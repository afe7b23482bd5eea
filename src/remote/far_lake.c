#include "remote/far_lake.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/percent.h"
#include "locations/collect.h"
#include "locations/labels.h"
#include "locations/lake.h"
#include "remote/place.h"

#define FRESH 3600        /* seconds, for which another use is no news */
#define CHECK_US 30000000 /* how long config.yml is taken to be as it was */
#define SWEEP_AGE 3600    /* seconds; no upload stands still for that long */
#define LABEL_TRIES 5

static struct far_lake *
lake_of(struct location *loc)
{
	return container_of(loc, struct far_lake, base);
}

/* ---- opening ---- */

static const char *const options[] = { SSH_OPTIONS, "levels", "usage", "labels",
	NULL };

/* "/~/x" is x in the home of whoever logs in there. */
static int
set_root(struct far_lake *lake, const char *path, struct error *err)
{
	auto_free char *plain = percent_decode(path, strlen(path));
	size_t len = plain ? strlen(plain) : 0;

	while (len > 0 && plain[len - 1] == '/')
		plain[--len] = '\0';
	if (!plain || len == 0)
		return error_set(err, ERROR_USAGE,
		    "expected the path of a folder behind the host, as in "
		    "sftp://host/path");
	if (strcmp(plain, "~") == 0)
		lake->far.root = xstrdup(".");
	else if (strncmp(plain, "~/", 2) == 0)
		lake->far.root = xasprintf("./%s", plain + 2);
	else
		lake->far.root = xasprintf("/%s", plain);
	return 0;
}

static int
set_levels(
    struct far_lake *lake, const Tarn__Location *config, struct error *err)
{
	const char *levels = place_option(config, "levels");

	lake->layout = layout_default;
	if (!levels)
		return 0;
	if (!layout_parse(&lake->wish, levels))
		return error_set(err, ERROR_USAGE,
		    "option 'levels' is '%s'; expected numbers of bytes, 32 "
		    "together, or -1 at the end",
		    levels);
	lake->layout = lake->wish;
	return 0;
}

int
far_lake_init(struct far_lake *lake, const struct far_kind *kind,
    const Tarn__Location *config, struct error *err)
{
	struct place place;
	int rc;

	lake->far.kind = kind;
	lake->far.ssh.fd = -1;
	lake->own_max_size = config->max_size;
	if (place_options(config, options, err) < 0 ||
	    place_flag(config, "usage", false, &lake->usage, err) < 0 ||
	    place_flag(config, "labels", false, &lake->labels, err) < 0 ||
	    set_levels(lake, config, err) < 0 ||
	    place_parse(&place, config->place, err) < 0)
		return -1;
	rc = set_root(lake, place.path, err);
	if (rc == 0)
		rc = ssh_init(&lake->far.ssh, &place, config,
		    &lake->base.deadline_us, err);
	place_release(&place);
	return rc;
}

void
far_lake_release(struct far_lake *lake)
{
	lake->far.kind->close(&lake->far);
	ssh_release(&lake->far.ssh);
	free(take(lake->far.root));
}

/* ---- what config.yml says ---- */

static int
take_config(struct far_lake *lake, const struct buf *text, struct error *err)
{
	struct lake_config config;

	if (lake_config_parse(&config, text->data, text->len, err) < 0)
		return error_wrap(
		    err, "'%s/" LAKE_CONFIG_FILE "'", lake->far.root);
	if (lake->wish.count && !layout_equal(&lake->wish, &config.layout))
		return error_set(err, ERROR_USAGE,
		    "'%s/" LAKE_CONFIG_FILE "' has other 'levels' than the "
		    "location",
		    lake->far.root);
	lake->config = config;
	lake->layout = config.layout;
	lake->known = true;
	lake->checked_us = ssh_now();
	return 1;
}

/* Returns 1, 0 if there is none, or -1. */
static int
learn(struct far_lake *lake, struct error *err)
{
	auto_buf text = BUF_INIT;
	auto_sink *out = sink_buf(&text, LAKE_CONFIG_MAX);
	struct far_file file = { .path = LAKE_CONFIG_FILE, .out = out };
	enum outcome outcome;

	if (lake->known)
		return 1;
	outcome = far_one(&lake->far, &file, lake->far.kind->read, err);
	if (outcome != HIT)
		return outcome;
	if (sink_commit(out, err) < 0)
		return -1;
	lake->config_st = file.st;
	return take_config(lake, &text, err);
}

/* Learn it; is the layout another one than was thought? */
static int
learn_better(struct far_lake *lake, struct error *err)
{
	struct layout was = lake->layout;

	if (lake->known)
		return 0;
	if (learn(lake, err) < 0)
		return -1;
	return !layout_equal(&was, &lake->layout);
}

/* ---- names ---- */

static char *
place_of(const struct far_lake *lake, const struct key *key)
{
	auto_free char *path = NULL;

	if (key->space == KEY_INDEX)
		return layout_path(&layout_default, LAKE_INDEX, &key->digest);
	path = layout_path(&lake->layout, "", &key->digest);
	return xstrdup(path + 1);
}

static char *
tool_path(const char *tool, const struct digest *digest, const char *ending)
{
	auto_free char *root = xasprintf("tools/%s", tool);
	auto_free char *path = layout_path(&layout_default, root, digest);

	return xasprintf("%s%s", path, ending);
}

static char *
temp_name(const char *name)
{
	unsigned char bytes[8];
	char letters[9] = { 0 };

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		memset(bytes, (int)ssh_now(), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		letters[i] = (char)('a' + bytes[i] % 26);
	return xasprintf(".tmp/%s%s", name, letters);
}

static void
free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
}

/* ---- folders and files in them ---- */

static int
make_folder(struct far_lake *lake, const char *path,
    const struct far_dress *dress, struct error *err)
{
	const struct far_kind *kind = lake->far.kind;
	enum outcome outcome = kind->make_folder(&lake->far, path, dress, err);
	const char *slash = strrchr(path, '/');
	auto_free char *parent =
	    slash ? xasprintf("%.*s", (int)(slash - path), path) : NULL;

	if (outcome != MISS)
		return outcome == FAILED ? -1 : 0;
	if (parent) {
		if (make_folder(lake, parent, &lake->dress, err) < 0)
			return -1;
		outcome = kind->make_folder(&lake->far, path, dress, err);
	}
	if (outcome == MISS)
		return error_set(
		    err, ERROR_SYSTEM, "'%s' is gone", lake->far.root);
	return outcome == FAILED ? -1 : 0;
}

static int
make_parent(struct far_lake *lake, const char *path, struct error *err)
{
	auto_free char *parent =
	    xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);

	return make_folder(lake, parent, &lake->dress, err);
}

static void
retry(struct far_lake *lake, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	const struct far_kind *kind = lake->far.kind;

	for (size_t i = 0; i < count; i++) {
		struct far_file *file = &files[i];

		if (file->outcome != MISS)
			continue;
		if (make_parent(
		        lake, dress ? file->path : file->to, &file->err) < 0)
			file->outcome = FAILED;
		else if (dress)
			kind->write(&lake->far, file, 1, dress);
		else
			kind->move(&lake->far, file, 1);
		if (file->outcome == MISS) {
			file->outcome = FAILED;
			error_set(&file->err, ERROR_SYSTEM,
			    "the folder of '%s' is gone", file->path);
		}
	}
}

/* Written aside and moved: HIT, KEPT or FAILED. */
static void
publish_each(struct far_lake *lake, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	const struct far_kind *kind = lake->far.kind;
	auto_free struct far_file *moves = far_files(count);
	size_t which[FAR_MANY], n = 0;

	kind->write(&lake->far, files, count, dress);
	retry(lake, files, count, dress);
	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == HIT) {
			moves[n] = files[i];
			which[n++] = i;
		}
	}
	if (n > 0)
		kind->move(&lake->far, moves, n);
	retry(lake, moves, n, NULL);
	for (size_t i = 0; i < n; i++) {
		files[which[i]].outcome = moves[i].outcome;
		files[which[i]].err = moves[i].err;
	}
}

/* All at once where that goes; what is left over, in two steps. */
static void
publish(struct far_lake *lake, struct far_file *files, size_t count,
    const struct far_dress *dress)
{
	const struct far_kind *kind = lake->far.kind;
	auto_free struct far_file *rest = NULL;
	size_t which[FAR_MANY], n = 0;

	if (!kind->publish || count < 2) {
		publish_each(lake, files, count, dress);
		return;
	}
	rest = far_files(count);
	kind->publish(&lake->far, files, count, dress, &lake->dress);
	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == MISS) {
			rest[n] = files[i];
			which[n++] = i;
		}
	}
	if (n > 0)
		publish_each(lake, rest, n, dress);
	for (size_t i = 0; i < n; i++)
		files[which[i]] = rest[i];
}

static int
publish_text(struct far_lake *lake, const char *path, const char *name,
    const char *text, size_t size, const struct far_dress *dress, bool replace,
    struct error *err)
{
	auto_free char *temp = temp_name(name);
	auto_source *in = source_memory(text, size);
	struct far_file file = {
		.path = temp, .to = path, .in = in, .replace = replace
	};

	publish(lake, &file, 1, dress);
	if (file.outcome != FAILED)
		return 0;
	*err = file.err;
	return -1;
}

/* ---- making the lake ---- */

/* The root and the folders above it, as the server's umask has them. */
static int
make_root(struct far_lake *lake, struct error *err)
{
	auto_free char *root = lake->far.root;
	int rc = 0;

	lake->far.root = xstrdup("");
	for (char *p = root + 1; rc == 0 && p; p = p ? p + 1 : NULL) {
		enum outcome outcome;

		p = strchr(p, '/');
		if (p)
			*p = '\0';
		free(lake->far.root);
		lake->far.root = xstrdup(root);
		outcome =
		    lake->far.kind->make_folder(&lake->far, "", NULL, err);
		if (p)
			*p = '/';
		if (outcome == MISS)
			rc = error_set(err, ERROR_SYSTEM,
			    "cannot create folder '%s'", root);
		else if (outcome == FAILED && !p)
			rc = -1;
		if (!p)
			break;
	}
	free(lake->far.root);
	lake->far.root = take(root);
	return rc;
}

static int
find_root(struct far_lake *lake, struct error *err)
{
	struct far_file root = { .path = "" };
	const struct far_kind *kind = lake->far.kind;
	enum outcome outcome = far_one(&lake->far, &root, kind->stat, err);

	if (outcome == MISS) {
		if (make_root(lake, err) < 0)
			return -1;
		outcome = far_one(&lake->far, &root, kind->stat, err);
	}
	if (outcome == MISS)
		return error_set(
		    err, ERROR_SYSTEM, "'%s' is gone", lake->far.root);
	if (outcome == FAILED)
		return -1;
	if (!S_ISDIR(root.st.mode))
		return error_set(
		    err, ERROR_USAGE, "'%s' is not a folder", lake->far.root);
	lake->dress = (struct far_dress){ root.st.mode & 0777, root.st.gid };
	return 0;
}

static int
write_config(struct far_lake *lake, struct error *err)
{
	struct lake_config config = { .layout = lake->wish,
		.usage = lake->usage,
		.labels = lake->labels };
	struct far_dress dress = lake->dress;
	auto_buf text = BUF_INIT;

	if (!config.layout.count)
		config.layout = layout_default;
	lake_config_format(&config, &text);
	dress.mode &= 0666;
	return publish_text(lake, LAKE_CONFIG_FILE, LAKE_CONFIG_FILE, text.data,
	    text.len, &dress, false, err);
}

/* Is config.yml the one that was read? */
static bool
is_as_known(struct far_lake *lake)
{
	struct far_file file = { .path = LAKE_CONFIG_FILE };
	struct error ignored;

	if (!lake->ready || !lake->known)
		return false;
	if (ssh_now() - lake->checked_us < CHECK_US)
		return true;
	if (far_one(&lake->far, &file, lake->far.kind->stat, &ignored) != HIT ||
	    file.st.size != lake->config_st.size ||
	    file.st.mtime != lake->config_st.mtime)
		return false;
	lake->checked_us = ssh_now();
	return true;
}

static int
prepare(struct far_lake *lake, struct error *err)
{
	int there;

	if (is_as_known(lake))
		return 0;
	lake->ready = lake->known = false;
	if (find_root(lake, err) < 0)
		return -1;
	there = learn(lake, err);
	if (there == 0 && write_config(lake, err) < 0)
		return -1;
	if (there == 0)
		there = learn(lake, err);
	if (there == 0)
		return error_set(err, ERROR_SYSTEM,
		    "'%s/" LAKE_CONFIG_FILE "' is gone again", lake->far.root);
	lake->ready = there > 0;
	return there > 0 ? 0 : -1;
}

/* ---- when it was used ---- */

static bool
publish_tool(struct far_lake *lake, const char *tool, const char *path,
    const char *text, size_t size, struct error *err)
{
	auto_free char *top = xasprintf("tools/%s", tool);
	auto_free char *folder =
	    xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
	struct far_file file = { .path = top };
	struct far_dress dress = { .mode = 0777 };

	if (make_folder(lake, top, &lake->dress, err) < 0 ||
	    far_one(&lake->far, &file, lake->far.kind->stat, err) != HIT)
		return false;
	dress.gid = file.st.gid;
	if (make_folder(lake, folder, &dress, err) < 0)
		return false;
	return publish_text(lake, path, tool, text, size, &dress, true, err) ==
	    0;
}

static void
mark(struct far_lake *lake, const struct key *key)
{
	auto_free char *path = NULL;
	struct far_file file = { .atime = time(NULL), .mtime = time(NULL) };
	struct error ignored;

	if (key->space != KEY_BLOB || learn(lake, &ignored) <= 0 ||
	    !(lake->config.usage || lake->usage))
		return;
	path = tool_path("usage", &key->digest, "");
	file.path = path;
	if (far_one(&lake->far, &file, lake->far.kind->touch, &ignored) ==
	        MISS &&
	    prepare(lake, &ignored) == 0)
		(void)publish_tool(lake, "usage", path, "", 0, &ignored);
}

static bool
is_stale(const struct far_stat *st)
{
	int64_t last = st->atime > st->mtime ? st->atime : st->mtime;

	return time(NULL) - last > FRESH;
}

/* As on a disk: the time of the last use of each that wasn't used for long. */
static void
note_uses(struct far_lake *lake, const struct far_file *files, size_t count,
    const struct key *const *keys)
{
	auto_free struct far_file *stale = far_files(count);
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome != HIT || !is_stale(&files[i].st))
			continue;
		stale[n++] = (struct far_file){ .path = files[i].path,
			.atime = time(NULL),
			.mtime = files[i].st.mtime };
		mark(lake, keys[i]);
	}
	if (n > 0)
		lake->far.kind->touch(&lake->far, stale, n);
}

/* ---- asking about several ---- */

typedef void ask_fn(struct far *far, struct far_file *files, size_t count);

/* One that can be asked again about those that an old folder holds. */
static bool
is_old_folder(const struct far_file *file)
{
	return S_ISDIR(file->st.mode) &&
	    (file->outcome == HIT || file->outcome == FAILED);
}

static void
ask_again(struct far_lake *lake, struct far_file *file, char **name,
    char *other, ask_fn *ask)
{
	struct error err = { 0 };

	free(*name);
	*name = other;
	file->path = other;
	file->st = (struct far_stat){ 0 };
	if (file->out && sink_reset(file->out, &err) < 0) {
		file->outcome = FAILED;
		file->err = err;
		return;
	}
	ask(&lake->far, file, 1);
}

/* Where they usually are; else in old folders; else where config.yml says. */
static void
find(struct far_lake *lake, struct far_file *files, char **names,
    const struct key *const *keys, size_t count, ask_fn *ask)
{
	struct error err = { 0 };
	bool missed = false;
	int better;

	for (size_t i = 0; i < count; i++)
		files[i].path = names[i] = place_of(lake, keys[i]);
	ask(&lake->far, files, count);
	for (size_t i = 0; i < count; i++)
		missed |=
		    files[i].outcome == MISS && keys[i]->space == KEY_BLOB;
	better = missed ? learn_better(lake, &err) : 0;
	for (size_t i = 0; i < count; i++) {
		if (files[i].outcome == MISS && keys[i]->space == KEY_BLOB) {
			if (better < 0) {
				files[i].outcome = FAILED;
				files[i].err = err;
			} else if (better) {
				ask_again(lake, &files[i], &names[i],
				    place_of(lake, keys[i]), ask);
			}
		}
		if (is_old_folder(&files[i]))
			ask_again(lake, &files[i], &names[i],
			    xasprintf("%s/data", names[i]), ask);
	}
}

static void
read_some(
    struct far_lake *lake, struct location_read_request *requests, size_t count)
{
	struct far_file files[FAR_AT_ONCE];
	const struct key *keys[FAR_AT_ONCE] = { NULL };
	char *names[FAR_AT_ONCE];

	for (size_t i = 0; i < count; i++) {
		files[i] = (struct far_file){ .out = requests[i].out };
		keys[i] = &requests[i].key;
	}
	find(lake, files, names, keys, count, lake->far.kind->read);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = files[i].outcome;
		if (files[i].outcome == FAILED)
			requests[i].err = files[i].err;
	}
	note_uses(lake, files, count, keys);
	free_names(names, count);
}

void
far_lake_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	for (size_t at = 0; at < count; at += FAR_AT_ONCE)
		read_some(lake_of(loc), requests + at,
		    count - at < FAR_AT_ONCE ? count - at : FAR_AT_ONCE);
}

enum outcome
far_lake_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location_read_request request = { .key = *key, .out = out };

	read_some(lake_of(loc), &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

static void
look_at_some(struct far_lake *lake, struct location_contains_request *requests,
    size_t count)
{
	auto_free struct far_file *files = far_files(count);
	const struct key *keys[FAR_MANY] = { NULL };
	char *names[FAR_MANY];

	for (size_t i = 0; i < count; i++)
		keys[i] = &requests[i].key;
	find(lake, files, names, keys, count, lake->far.kind->stat);
	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = files[i].outcome;
		if (files[i].outcome == FAILED)
			requests[i].err = files[i].err;
	}
	free_names(names, count);
}

void
far_lake_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	struct far_lake *lake = lake_of(loc);
	size_t many = lake->far.kind->many;

	for (size_t at = 0; at < count; at += many)
		look_at_some(
		    lake, requests + at, count - at < many ? count - at : many);
}

enum outcome
far_lake_contains(
    struct location *loc, const struct key *key, struct error *err)
{
	struct location_contains_request request = { .key = *key };

	look_at_some(lake_of(loc), &request, 1);
	if (request.outcome == FAILED)
		*err = request.err;
	return request.outcome;
}

enum outcome
far_lake_touch(struct location *loc, const struct key *key, struct error *err)
{
	struct far_lake *lake = lake_of(loc);
	struct far_file file = { 0 };
	enum outcome outcome;
	char *name = NULL;

	find(lake, &file, &name, &key, 1, lake->far.kind->stat);
	outcome = file.outcome;
	if (outcome == HIT) {
		file.atime = time(NULL);
		file.mtime = file.st.mtime;
		outcome = far_one(
		    &lake->far, &file, lake->far.kind->touch, &file.err);
		mark(lake, key);
	}
	free(name);
	if (outcome == FAILED && file.err.kind == ERROR_SYSTEM)
		return HIT; /* another's file: so be it */
	if (outcome == FAILED)
		*err = file.err;
	return outcome;
}

/* ---- removing ---- */

static enum outcome
remove_object(struct far_lake *lake, const char *path, struct error *err)
{
	auto_free char *data = xasprintf("%s/data", path);
	struct far_file file = { .path = path }, inner = { .path = data };
	const struct far_kind *kind = lake->far.kind;
	struct error ignored;
	enum outcome outcome = far_one(&lake->far, &file, kind->remove, err);

	if (outcome != FAILED)
		return outcome;
	if (far_one(&lake->far, &inner, kind->remove, &ignored) != HIT)
		return FAILED;
	kind->remove_folder(&lake->far, path);
	return HIT;
}

static void
remove_marks(struct far_lake *lake, const struct key *key)
{
	auto_free char *usage = tool_path("usage", &key->digest, "");
	auto_free char *labels = tool_path("labels", &key->digest, ".json");
	struct far_file files[] = { { .path = usage }, { .path = labels } };

	lake->far.kind->remove(&lake->far, files, 2);
}

enum outcome
far_lake_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct far_lake *lake = lake_of(loc);
	auto_free char *path = place_of(lake, key);
	auto_free char *other = NULL;
	enum outcome outcome = remove_object(lake, path, err);

	if (outcome == MISS && key->space == KEY_BLOB) {
		int better = learn_better(lake, err);

		if (better < 0)
			return FAILED;
		other = place_of(lake, key);
		if (better)
			outcome = remove_object(lake, other, err);
	}
	if (outcome == HIT && key->space == KEY_BLOB)
		remove_marks(lake, key);
	return outcome;
}

/* ---- writing ---- */

static bool
is_refusal(const struct error *err)
{
	return err->kind == ERROR_SYSTEM &&
	    (err->sys == EACCES || err->sys == ENOSPC || err->sys == EROFS ||
	        err->sys == EDQUOT || err->sys == EFBIG);
}

static void
decline(struct location_write_request *request, const struct error *why)
{
	request->outcome = is_refusal(why) ? DECLINED : FAILED;
	request->err = *why;
}

/* The smaller one; 0: there is none. */
static uint64_t
max_size(const struct far_lake *lake)
{
	uint64_t own = lake->own_max_size, all = lake->config.max_size;

	return own && (!all || own < all) ? own : all;
}

static bool
has_room(struct far_lake *lake, struct location_write_request *request,
    uint64_t *room)
{
	uint64_t size = request->in->size;
	uint64_t most = max_size(lake), keep = lake->config.free_disk_size;

	request->outcome = DECLINED;
	if (most && size > most) {
		error_set(&request->err, ERROR_NONE,
		    "it is larger than all of '%s' may be, %llu bytes",
		    lake->far.root, (unsigned long long)most);
		return false;
	}
	if (!keep)
		return true;
	if (*room == 0)
		*room = lake->far.kind->room(&lake->far);
	if (*room >= size && *room - size >= keep)
		return true;
	error_set(&request->err, ERROR_NONE,
	    "'%s' has %llu bytes free, of which %llu are to stay free",
	    lake->far.root, (unsigned long long)*room,
	    (unsigned long long)keep);
	return false;
}

/*
 * Blobs are never replaced, but for one of the wrong size. True: it has to be
 * written.
 */
static bool
is_to_write(struct far_lake *lake, struct location_write_request *request,
    struct far_file *file, uint64_t *room)
{
	bool blob = request->key.space == KEY_BLOB;
	struct error ignored;

	file->replace = !blob && request->mode == WRITE_REPLACE;
	if (file->outcome == FAILED && !file->replace) {
		decline(request, &file->err);
		return false;
	}
	if (file->outcome == HIT && !file->replace) {
		if (!blob || file->st.size == request->in->size) {
			request->outcome = KEPT;
			return false;
		}
		file->replace = true;
		(void)remove_object(lake, file->path, &ignored);
	}
	return has_room(lake, request, room);
}

/* A full disk is no more than a failure to SFTP. */
static void
explain(struct far_lake *lake, struct location_write_request *request,
    struct error *why)
{
	if (why->kind == ERROR_SYSTEM && why->sys == EIO &&
	    lake->far.kind->room(&lake->far) < request->in->size) {
		why->sys = ENOSPC;
		error_wrap(why, "no space is left");
	}
	decline(request, why);
}

/* What killed uploads left, by the server's clock. */
static void
sweep(struct far_lake *lake, int64_t now)
{
	if (!lake->swept && now > SWEEP_AGE)
		lake->far.kind->sweep(&lake->far, ".tmp", now - SWEEP_AGE);
	lake->swept = true;
}

static void
publish_some(struct far_lake *lake, struct location_write_request **requests,
    struct far_file *files, size_t count)
{
	struct far_dress dress = lake->dress;

	dress.mode &= 0444;
	publish(lake, files, count, &dress);
	for (size_t i = 0; i < count; i++) {
		struct location_write_request *request = requests[i];

		request->outcome =
		    files[i].outcome == HIT ? STORED : files[i].outcome;
		if (files[i].outcome == FAILED)
			explain(lake, request, &files[i].err);
		else if (files[i].outcome == HIT)
			mark(lake, &request->key);
		if (files[i].outcome == HIT)
			sweep(lake, files[i].st.mtime);
	}
}

static void
write_found(struct far_lake *lake, struct location_write_request *requests,
    struct far_file *found, size_t count)
{
	auto_free struct far_file *files = far_files(count);
	struct location_write_request *which[FAR_MANY];
	char *temps[FAR_MANY];
	uint64_t room = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		char hex[DIGEST_HEX + 1];

		if (!is_to_write(lake, &requests[i], &found[i], &room))
			continue;
		which[n] = &requests[i];
		temps[n] = temp_name(digest_hex(&requests[i].key.digest, hex));
		files[n] = (struct far_file){ .path = temps[n],
			.to = found[i].path,
			.in = requests[i].in,
			.replace = found[i].replace };
		n++;
	}
	if (n > 0)
		publish_some(lake, which, files, n);
	free_names(temps, n);
}

static void
write_some(struct far_lake *lake, struct location_write_request *requests,
    size_t count)
{
	auto_free struct far_file *files = far_files(count);
	const struct key *keys[FAR_MANY] = { NULL };
	char *names[FAR_MANY];
	struct error err = { 0 };

	if (prepare(lake, &err) < 0) {
		for (size_t i = 0; i < count; i++)
			decline(&requests[i], &err);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		keys[i] = &requests[i].key;
		files[i].path = names[i] = place_of(lake, keys[i]);
	}
	lake->far.kind->stat(&lake->far, files, count);
	write_found(lake, requests, files, count);
	for (size_t i = 0; i < count; i++)
		files[i].outcome = requests[i].outcome == KEPT ? HIT : MISS;
	note_uses(lake, files, count, keys);
	free_names(names, count);
}

void
far_lake_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct far_lake *lake = lake_of(loc);
	size_t many = lake->far.kind->many;

	for (size_t at = 0; at < count; at += many)
		write_some(
		    lake, requests + at, count - at < many ? count - at : many);
}

enum outcome
far_lake_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location_write_request request = {
		.key = *key, .in = in, .mode = mode
	};

	write_some(lake_of(loc), &request, 1);
	if (request.outcome == FAILED || request.outcome == DECLINED)
		*err = request.err;
	return request.outcome;
}

/* ---- listing ---- */

struct listing {
	struct location *loc;
	enum key_space space;
	location_entry_fn *fn;
	void *arg;
	struct location_entry entries[FAR_AT_ONCE];
	size_t count;
	bool unlabelled; /* all of it */
	unsigned wanted;
};

/* Marks are exact; without one, what the file itself says counts. */
static void
ask_marks(struct far_lake *lake, struct listing *listing)
{
	struct far_file files[FAR_AT_ONCE] = { 0 };
	char *names[FAR_AT_ONCE];

	for (size_t i = 0; i < listing->count; i++)
		files[i].path = names[i] =
		    tool_path("usage", &listing->entries[i].key.digest, "");
	lake->far.kind->stat(&lake->far, files, listing->count);
	for (size_t i = 0; i < listing->count; i++) {
		if (files[i].outcome == HIT)
			listing->entries[i].last_used = files[i].st.mtime;
	}
	free_names(names, listing->count);
}

static int
tell(struct listing *listing)
{
	struct far_lake *lake = lake_of(listing->loc);
	int rc = 0;

	if (listing->count > 0 && listing->space == KEY_BLOB &&
	    (listing->wanted & LIST_USES) &&
	    (lake->config.usage || lake->usage))
		ask_marks(lake, listing);
	for (size_t i = 0; rc == 0 && i < listing->count; i++)
		rc = listing->fn(listing->arg, &listing->entries[i]);
	listing->count = 0;
	return rc;
}

static int
take_entry(void *arg, const char *hex, const struct far_stat *st)
{
	struct listing *listing = arg;
	struct location_entry *entry = &listing->entries[listing->count];

	*entry = (struct location_entry){ .key = { .space = listing->space },
		.size = st->size,
		.last_used = st->atime > st->mtime ? st->atime : st->mtime,
		.unlabelled = listing->unlabelled,
		.leaf = listing->loc };
	if (!digest_parse(&entry->key.digest, hex))
		return 0;
	return ++listing->count == FAR_AT_ONCE ? tell(listing) : 0;
}

static int
list_space(struct listing *listing, enum key_space space, const char *folder,
    const struct layout *layout, struct error *err)
{
	struct far *far = &lake_of(listing->loc)->far;
	int rc;

	listing->space = space;
	rc = far->kind->list(far, folder, layout, take_entry, listing, err);
	return rc ? rc : tell(listing);
}

/* Who lists need not ask for the labels of each, then. */
static bool
has_no_labels(struct far_lake *lake)
{
	struct far_file folder = { .path = "tools/labels" };
	struct error ignored;

	return far_one(&lake->far, &folder, lake->far.kind->stat, &ignored) ==
	    MISS;
}

int
far_lake_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	struct far_lake *lake = lake_of(loc);
	struct listing listing = {
		.loc = loc, .fn = fn, .arg = arg, .wanted = wanted
	};
	struct layout layout;
	int rc = 0;

	if (learn(lake, err) < 0)
		return -1;
	listing.unlabelled = (wanted & LIST_LABELS) && has_no_labels(lake);
	if (wanted & LIST_INDEX)
		rc = list_space(
		    &listing, KEY_INDEX, LAKE_INDEX, &layout_default, err);
	layout = lake->layout;
	if (rc == 0 && (wanted & LIST_BLOBS))
		rc = list_space(&listing, KEY_BLOB, "", &layout, err);
	return rc;
}

/* ---- making room ---- */

/* What is to go goes with others, not one by one. */
struct collecting {
	struct far_lake *lake;
	struct key keys[FAR_AT_ONCE];
	size_t count;
};

typedef char *name_fn(const struct far_lake *lake, const struct key *key);

static char *
usage_of(const struct far_lake *lake, const struct key *key)
{
	return tool_path("usage", &key->digest, "");
}

static char *
labels_of(const struct far_lake *lake, const struct key *key)
{
	return tool_path("labels", &key->digest, ".json");
}

static void
remove_all(const struct collecting *c, struct far_file *files, name_fn *name)
{
	char *names[FAR_AT_ONCE];

	for (size_t i = 0; i < c->count; i++)
		files[i] = (struct far_file){ .path = names[i] =
			                          name(c->lake, &c->keys[i]) };
	c->lake->far.kind->remove(&c->lake->far, files, c->count);
	free_names(names, c->count);
}

/* An old folder can't be removed so: those that failed go each by itself. */
static int
remove_doomed(struct collecting *c, struct error *err)
{
	struct far_file files[FAR_AT_ONCE], marks[FAR_AT_ONCE];
	int rc = 0;

	if (c->count == 0)
		return 0;
	remove_all(c, files, place_of);
	remove_all(c, marks, usage_of);
	remove_all(c, marks, labels_of);
	for (size_t i = 0; i < c->count; i++) {
		if (files[i].outcome == FAILED &&
		    far_lake_remove(&c->lake->base, &c->keys[i], err) == FAILED)
			rc = -1;
	}
	c->count = 0;
	return rc;
}

static int
collect_list(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	struct collecting *c = arg;
	int rc = far_lake_list(&c->lake->base, LIST_ALL, fn, fn_arg, err);

	return rc != 0 ? rc : remove_doomed(c, err);
}

/* That it went shows when the others of its request do. */
static enum outcome
collect_remove(void *arg, const struct location_entry *entry, struct error *err)
{
	struct collecting *c = arg;

	c->keys[c->count++] = entry->key;
	if (c->count < FAR_AT_ONCE)
		return HIT;
	return remove_doomed(c, err) < 0 ? FAILED : HIT;
}

enum outcome
far_lake_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	struct collecting c = { .lake = lake_of(loc) };
	const struct collect_parts parts = { .count = 1,
		.list = collect_list,
		.remove = collect_remove,
		.arg = &c };
	struct collect_request own = *request;

	if (learn(c.lake, err) < 0)
		return FAILED;
	if (own.own_size && !own.max_size)
		own.max_size = max_size(c.lake);
	return collect_parts(&parts, &own, result, err);
}

/* ---- labels ---- */

/* Returns 1, 0 if there are none, or -1. */
static int
load_labels(struct far_lake *lake, const char *path, struct labels *labels,
    struct error *err)
{
	auto_buf text = BUF_INIT;
	auto_sink *out = sink_buf(&text, LABELS_MAX);
	struct far_file file = { .path = path, .out = out };
	enum outcome outcome =
	    far_one(&lake->far, &file, lake->far.kind->read, err);

	if (outcome != HIT)
		return outcome;
	if (sink_commit(out, err) < 0)
		return -1;
	return labels_load(labels, text.data, text.len, path, err);
}

enum outcome
far_lake_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err)
{
	auto_free char *path = tool_path("labels", &key->digest, ".json");
	auto_labels labels = LABELS_INIT;
	int there;

	if (key->space != KEY_BLOB)
		return MISS;
	there = load_labels(lake_of(loc), path, &labels, err);
	return labels_tell(&labels, there, fn, arg);
}

/* 1: there was nothing to add, 0: it was, -1. */
static int
merge_labels(struct far_lake *lake, const char *path, const char *const *more,
    struct error *err)
{
	auto_labels had = LABELS_INIT;
	auto_buf text = BUF_INIT;
	int rc = load_labels(lake, path, &had, err);

	rc = labels_merge(&had, rc, more, &text, err);
	if (rc <= 0)
		return rc < 0 ? -1 : 1;
	return publish_tool(lake, "labels", path, text.data, text.len, err)
	    ? 0
	    : -1;
}

/*
 * No lock reaches from here to there: so it is looked at again, until what was added
 * is still there after it was.
 */
enum outcome
far_lake_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct far_lake *lake = lake_of(loc);
	auto_free char *path = tool_path("labels", &key->digest, ".json");
	enum outcome there =
	    key->space == KEY_BLOB ? far_lake_contains(loc, key, err) : MISS;
	int rc = *labels ? 0 : 1;

	if (there != HIT)
		return there;
	if (prepare(lake, err) < 0)
		return FAILED;
	for (int tries = 0; rc == 0 && tries < LABEL_TRIES; tries++)
		rc = merge_labels(lake, path, labels, err);
	if (rc < 0)
		return FAILED;
	there = far_lake_contains(loc, key, err);
	if (there == MISS)
		remove_marks(lake, key);
	return there;
}
