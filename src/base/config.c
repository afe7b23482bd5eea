#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/dirs.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tarn_program.h"

#define SYSTEM_CONFIG "/etc/tarn/tarn.json"

/* ---- which files ---- */

static void
add_file(struct config_files *files, char *path, bool project)
{
	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->item[i].path, path) == 0) {
			free(path); /* a project in the user's folder */
			return;
		}
	}
	files->item[files->count++] =
	    (struct config_file){ .path = path, .project = project };
}

static char *
absolute(const char *path)
{
	auto_free char *cwd = NULL;

	if (path[0] != '/')
		cwd = getcwd(NULL, 0);
	return cwd ? xasprintf("%s/%s", cwd, path) : xstrdup(path);
}

static bool
same_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 &&
	    one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

void
config_files_init(
    struct config_files *files, const char *root, const char *file)
{
	const char *variable = getenv("TARN_CONFIG");
	auto_free char *user = dirs_user_config();
	auto_free char *project = xasprintf("%s/tarn.json", root);

	*files = (struct config_files){ 0 };
	if (!file && variable && *variable)
		file = variable;
	if (file) {
		add_file(files, absolute(file), same_file(file, project));
		files->item[0].named = true;
		return;
	}
	add_file(files, xstrdup(SYSTEM_CONFIG), false);
	if (user)
		add_file(files, xasprintf("%s/tarn.json", user), false);
	add_file(files, take(project), true);
}

void
config_files_release(struct config_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->item[i].path);
	*files = (struct config_files){ 0 };
}

bool
config_files_exist(const struct config_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct config_file *file = &files->item[i];

		if (file->named || access(file->path, F_OK) == 0 ||
		    (errno != ENOENT && errno != ENOTDIR))
			return true;
	}
	return false;
}

char *
config_compiled_path(const char *tarn_dir, const struct config_files *files)
{
	char hex[DIGEST_HEX + 1];
	struct digest sum;
	struct hasher h;

	hasher_init(&h);
	hasher_add_number(&h, geteuid());
	for (size_t i = 0; i < files->count; i++) {
		hasher_add_text(&h, files->item[i].path);
		hasher_add_number(&h, files->item[i].project);
	}
	hasher_finish(&h, &sum);
	return xasprintf("%s/config/%s.bin", tarn_dir, digest_hex(&sum, hex));
}

/* ---- sources ---- */

static uint64_t
nanoseconds(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Everything but the path. */
static void
fill_source(Tarn__Source *source, const struct stat *st)
{
	source->absent = !st;
	if (!st)
		return;
	source->dev = st->st_dev;
	source->ino = st->st_ino;
	source->size = (uint64_t)st->st_size;
	source->mtime_ns = nanoseconds(st->st_mtim);
	source->ctime_ns = nanoseconds(st->st_ctim);
}

Tarn__Source *
config_source(const char *path, const struct stat *st)
{
	Tarn__Source *source = xmalloc(sizeof(*source));

	tarn__source__init(source);
	source->path = xstrdup(path);
	fill_source(source, st);
	return source;
}

static bool
source_current(const Tarn__Source *was)
{
	Tarn__Source now;
	struct stat st;

	tarn__source__init(&now);
	if (stat(was->path, &st) == 0)
		fill_source(&now, &st);
	else if (errno == ENOENT || errno == ENOTDIR)
		fill_source(&now, NULL);
	else
		return false;
	return now.absent == was->absent && now.dev == was->dev &&
	    now.ino == was->ino && now.size == was->size &&
	    now.mtime_ns == was->mtime_ns && now.ctime_ns == was->ctime_ns;
}

bool
config_current(const Tarn__Config *config)
{
	for (size_t i = 0; i < config->n_sources; i++) {
		if (!source_current(config->sources[i]))
			return false;
	}
	return true;
}

/* ---- the compiled form: magic, version, SHA-256 of the rest, the rest ---- */

struct head {
	char magic[4];
	unsigned char version[4]; /* little-endian */
	struct digest sum;
};

static void
head_init(struct head *head, const void *data, size_t size)
{
	memcpy(head->magic, "TRNC", 4);
	for (size_t i = 0; i < 4; i++)
		head->version[i] = (unsigned char)(CONFIG_VERSION >> (8 * i));
	digest_bytes(&head->sum, data, size);
}

/* A message may lack what the rest of us relies on. */
static bool
location_whole(const Tarn__Location *loc)
{
	bool whole = loc->kind[0];

	for (size_t i = 0; whole && i < loc->n_levels; i++)
		whole = loc->levels[i]->location &&
		    location_whole(loc->levels[i]->location);
	for (size_t i = 0; whole && i < loc->n_members; i++)
		whole = location_whole(loc->members[i]);
	return whole;
}

int
config_decode(
    const void *data, size_t size, Tarn__Config **out, struct error *err)
{
	const char *body = (const char *)data + sizeof(struct head);
	Tarn__Config *config = NULL;
	struct head head;

	if (size < sizeof(head) || size > CONFIG_MAX)
		return error_set(err, ERROR_CORRUPT, "%zu bytes", size);
	head_init(&head, body, size - sizeof(head));
	if (memcmp(&head, data, sizeof(head)) == 0)
		config = tarn__config__unpack(
		    NULL, size - sizeof(head), (const uint8_t *)body);
	if (!config)
		return error_set(err, ERROR_CORRUPT, "damaged, or not ours");
	if (config->locations && !location_whole(config->locations)) {
		tarn__config__free_unpacked(config, NULL);
		return error_set(err, ERROR_CORRUPT, "half a location");
	}
	*out = config;
	return 0;
}

static int
read_file(const char *path, struct buf *buf, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)CONFIG_MAX)
		return error_set(err, ERROR_CORRUPT, "'%s' is too big", path);
	return buf_read_file(buf, path, err);
}

int
config_load_compiled(const char *path, Tarn__Config **out, struct error *err)
{
	auto_buf buf = BUF_INIT;

	if (read_file(path, &buf, err) < 0)
		return -1;
	if (config_decode(buf.data, buf.len, out, err) < 0)
		return error_wrap(err, "'%s'", path);
	return 0;
}

int
config_store_compiled(
    const char *path, const Tarn__Config *config, struct error *err)
{
	size_t size = tarn__config__get_packed_size(config);
	auto_free uint8_t *body = xmalloc(size + 1);
	auto_buf buf = BUF_INIT;
	struct head head;

	tarn__config__pack(config, body);
	head_init(&head, body, size);
	buf_add(&buf, &head, sizeof(head));
	buf_add(&buf, body, size);
	if (buf.len > CONFIG_MAX)
		return error_set(err, ERROR_USAGE, "too much configuration");
	if (file_make_parents(path, err) < 0)
		return -1;
	return file_replace(path, buf.data, buf.len, 0600, err);
}

/* ---- the configuration in force ---- */

/* Missing, damaged (*err says so) or outdated: it is written anew. */
static bool
load_current(const char *path, Tarn__Config **out, struct error *err)
{
	Tarn__Config *config = NULL;

	if (config_load_compiled(path, &config, err) < 0 || !config)
		return false;
	if (config_current(config)) {
		*out = config;
		return true;
	}
	tarn__config__free_unpacked(config, NULL);
	return false;
}

static int
compile(
    const char *tarn_dir, const char *root, const char *file, struct error *err)
{
	auto_free char *dir = xasprintf("TARN_DIR=%s", tarn_dir);
	auto_free char *top = xasprintf("TARN_ROOT=%s", root);
	const char *words[] = { "tarn", "config", "--compile",
		file ? "--config" : NULL, file, NULL };
	const char *variables[] = { dir, top, NULL };

	return tarn_program_run(words, variables, TARN_PROGRAM_MS, err);
}

static int
find_in(const struct config_files *files, const char *tarn_dir,
    const char *root, const char *file, Tarn__Config **out, struct error *err)
{
	auto_free char *path = config_compiled_path(tarn_dir, files);
	struct error damage = { 0 };

	if (load_current(path, out, &damage))
		return 0;
	if (compile(tarn_dir, root, file, err) < 0 ||
	    config_load_compiled(path, out, err) < 0)
		return -1;
	if (damage.kind == ERROR_NONE ||
	    (damage.kind == ERROR_SYSTEM && damage.sys == ENOENT))
		return 0;
	*err = damage;
	return 1;
}

int
config_find(const char *tarn_dir, const char *root, const char *file,
    Tarn__Config **out, struct error *err)
{
	struct config_files files;
	Tarn__Config *config = NULL;
	int result = 0;

	config_files_init(&files, root, file);
	if (config_files_exist(&files))
		result = find_in(&files, tarn_dir, root, file, &config, err);
	config_files_release(&files);
	if (result >= 0 && config && config->trouble[0]) {
		result = error_set(err, ERROR_USAGE, "%s", config->trouble);
		tarn__config__free_unpacked(config, NULL);
	}
	if (result >= 0)
		*out = config;
	return result;
}

Tarn__Location *
config_default_location(const char *tarn_dir)
{
	Tarn__Location *loc = xmalloc(sizeof(*loc));

	tarn__location__init(loc);
	loc->kind = xstrdup("disk");
	loc->place = xasprintf("%s/lake", tarn_dir);
	loc->max_size = CONFIG_LAKE_SIZE;
	return loc;
}

static bool
is_default_lake(const Tarn__Location *loc, const char *tarn_dir)
{
	size_t size = strlen(tarn_dir);

	return strcmp(loc->kind, "disk") == 0 &&
	    strncmp(loc->place, tarn_dir, size) == 0 &&
	    (strcmp(loc->place + size, "/lake") == 0 ||
	        strcmp(loc->place + size, "/lake/") == 0);
}

void
config_limit_default(Tarn__Location *loc, const char *tarn_dir)
{
	if (!loc->max_size && is_default_lake(loc, tarn_dir))
		loc->max_size = CONFIG_LAKE_SIZE;
	for (size_t i = 0; i < loc->n_levels; i++)
		config_limit_default(loc->levels[i]->location, tarn_dir);
	for (size_t i = 0; i < loc->n_members; i++)
		config_limit_default(loc->members[i], tarn_dir);
}
