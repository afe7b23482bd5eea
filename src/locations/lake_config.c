#include "locations/lake_config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/size.h"
#include "base/yaml.h"

/* What most lakes have. */
static const char usual[LAKE_CONFIG_USUAL + 1] = "levels:\n- 1\n- -1\n";

/* ---- reading ---- */

struct reading {
	struct lake_config config;
	bool levels;  /* were given */
	bool foreign; /* its keys are of another hash: it is not ours */
};

static int
set_level(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct layout *layout = target;
	int64_t level;

	if (yaml_number(yaml, key->name, &level) < 0)
		return -1;
	if (layout_add(layout, level))
		return 0;
	return yaml_fail(yaml,
	    "'levels' has %lld; expected at most %d bytes together, and -1 only"
	    " for the rest of them, at the end",
	    (long long)level, DIGEST_SIZE);
}

static int
set_levels(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct reading *reading = target;
	struct layout *layout = &reading->config.layout;

	if (yaml_type(yaml) == YAML_IS_NULL)
		return 0;
	if (yaml_list(yaml, set_level, key, layout) < 0)
		return -1;
	if (!layout_whole(layout))
		return yaml_fail(yaml,
		    "expected 'levels' of %d bytes together, or -1 at the end",
		    DIGEST_SIZE);
	reading->levels = true;
	return 0;
}

static int
set_skip(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	return yaml_skip(yaml);
}

#define TOOL_NAME 64
struct tool {
	char name[TOOL_NAME]; /* cut */
};

static void
name_tool(struct tool *tool, const char *name)
{
	strncpy(tool->name, name, TOOL_NAME - 1);
}

static int
set_tool_name(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	if (yaml_type(yaml) != YAML_IS_TEXT)
		return yaml_expected(yaml, key->name, "a text");
	name_tool(target, yaml_text(yaml));
	return 0;
}

static int
set_tool_words(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	if (yaml_type(yaml) == YAML_IS_NULL || yaml_type(yaml) == YAML_IS_LIST)
		return yaml_skip(yaml);
	return yaml_expected(yaml, key->name, "a list");
}

static int
set_tool_options(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	if (yaml_type(yaml) == YAML_IS_NULL || yaml_type(yaml) == YAML_IS_MAP)
		return yaml_skip(yaml);
	return yaml_expected(yaml, key->name, "a mapping");
}

static const struct yaml_key tool_keys[] = {
	{ "name", set_tool_name, 0 },
	{ "args", set_tool_words, 0 },
	{ "kwargs", set_tool_options, 0 },
	{ 0 },
};

/* Version 1 of pydantic has a hash's own options beside its name. */
static const struct yaml_key hash_keys[] = {
	{ "name", set_tool_name, 0 },
	{ "args", set_tool_words, 0 },
	{ "kwargs", set_tool_options, 0 },
	{ "*", set_skip, 0 },
	{ 0 },
};

/* "StatUsage" or {name: StatUsage, args: [], kwargs: {}} */
static int
read_tool(struct yaml *yaml, const struct yaml_key *key,
    const struct yaml_key *keys, struct tool *tool)
{
	if (yaml_type(yaml) == YAML_IS_NULL)
		return 0;
	if (yaml_type(yaml) == YAML_IS_TEXT) {
		name_tool(tool, yaml_text(yaml));
		return 0;
	}
	if (yaml_type(yaml) != YAML_IS_MAP)
		return yaml_expected(yaml, key->name, "a name or a mapping");
	if (yaml_map(yaml, key->name, keys, tool) < 0)
		return -1;
	if (!tool->name[0])
		return yaml_fail(
		    yaml, "'%s' has no name; expected 'name'", key->name);
	return 0;
}

static int
set_hash(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct reading *reading = target;
	struct tool tool = { 0 };

	if (read_tool(yaml, key, hash_keys, &tool) < 0)
		return -1;
	reading->config.hash = tool.name[0] != '\0';
	reading->foreign =
	    reading->config.hash && strcmp(tool.name, "sha256") != 0;
	if (reading->foreign)
		return yaml_fail(yaml,
		    "'hash' is '%s'; expected 'sha256': keys of tarn are"
		    " SHA-256 digests, so it can neither read nor write this"
		    " lake",
		    tool.name);
	return 0;
}

static int
set_usage(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct reading *reading = target;
	struct tool tool = { 0 };

	if (read_tool(yaml, key, tool_keys, &tool) < 0)
		return -1;
	reading->config.usage = strcmp(tool.name, "StatUsage") == 0;
	return 0;
}

static int
set_labels(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct reading *reading = target;
	struct tool tool = { 0 };

	if (read_tool(yaml, key, tool_keys, &tool) < 0)
		return -1;
	reading->config.labels = strcmp(tool.name, "JsonLabels") == 0;
	return 0;
}

static int
set_locker(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	struct tool tool = { 0 };

	return read_tool(yaml, key, tool_keys, &tool);
}

static int
set_size_tracker(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	if (yaml_type(yaml) == YAML_IS_TEXT)
		return yaml_expected(yaml, key->name, "a mapping");
	return set_locker(yaml, key, target);
}

static int
set_bytes(struct yaml *yaml, const struct yaml_key *key, void *target)
{
	uint64_t *bytes = (uint64_t *)(void *)((char *)target + key->at);
	struct error ignored;
	int64_t number;

	if (yaml_type(yaml) == YAML_IS_NULL)
		return 0;
	if (yaml_type(yaml) == YAML_IS_TEXT &&
	    size_parse(yaml_text(yaml), bytes, &ignored) == 0)
		return 0;
	if (yaml_number(yaml, key->name, &number) == 0 && number >= 0) {
		*bytes = (uint64_t)number;
		return 0;
	}
	return yaml_expected(
	    yaml, key->name, "a size, such as 4096, '20 GiB' or '20 GB'");
}

static const struct yaml_key config_keys[] = {
	{ "hash", set_hash, 0 },
	{ "levels", set_levels, 0 },
	{ "locker", set_locker, 0 },
	{ "size", set_size_tracker, 0 },
	{ "usage", set_usage, 0 },
	{ "labels", set_labels, 0 },
	{ "free_disk_size", set_bytes,
	    offsetof(struct reading, config.free_disk_size) },
	{ "max_size", set_bytes, offsetof(struct reading, config.max_size) },
	{ 0 },
};

/* With a hash alone, it is one byte and the rest. */
static int
finish(struct reading *reading, struct error *err)
{
	struct layout *layout = &reading->config.layout;

	if (reading->levels)
		return 0;
	if (!reading->config.hash)
		return error_set(err, ERROR_CORRUPT,
		    "line 1: neither 'levels' nor 'hash'; expected 'levels:'"
		    " with a list of numbers of bytes");
	*layout = layout_default;
	layout->rest = false;
	return 0;
}

int
lake_config_parse(struct lake_config *config, const char *text, size_t size,
    struct error *err)
{
	struct reading reading = { 0 };

	if (size == LAKE_CONFIG_USUAL && memcmp(text, usual, size) == 0) {
		*config = (struct lake_config){ .layout = layout_default };
		return 0;
	}
	if (yaml_read(text, size, "a lake's configuration", config_keys,
	        &reading, err) < 0 ||
	    finish(&reading, err) < 0) {
		if (reading.foreign) /* it's no damage, and not to be mended */
			err->kind = ERROR_USAGE;
		return -1;
	}
	*config = reading.config;
	return 0;
}

/* ---- writing ---- */

static void
format_bytes(struct buf *to, const char *name, uint64_t bytes)
{
	if (bytes)
		buf_addf(to, "%s: %" PRIu64 "\n", name, bytes);
}

void
lake_config_format(const struct lake_config *config, struct buf *to)
{
	format_bytes(to, "free_disk_size", config->free_disk_size);
	if (config->hash)
		buf_addf(to, "hash:\n  name: sha256\n");
	if (config->labels)
		buf_addf(to, "labels:\n  kwargs: {}\n  name: JsonLabels\n");
	layout_show(&config->layout, to, "levels:\n- ", "\n- ", "\n");
	format_bytes(to, "max_size", config->max_size);
	if (config->usage)
		buf_addf(to, "usage:\n  kwargs: {}\n  name: StatUsage\n");
}

/* ---- stamps ---- */

static uint64_t
nanoseconds(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void
lake_stamp_init(struct lake_stamp *stamp, const struct stat *st)
{
	*stamp = (struct lake_stamp){ .ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = nanoseconds(st->st_mtim),
		.ctime_ns = nanoseconds(st->st_ctim) };
}

bool
lake_stamp_equal(const struct lake_stamp *a, const struct lake_stamp *b)
{
	return a->ino == b->ino && a->size == b->size &&
	    a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool
lake_stamp_settled(const struct lake_stamp *stamp)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return stamp->ctime_ns + 2000000000 < nanoseconds(now);
}

/* ---- the compiled form ---- */

enum { WITH_HASH = 1, WITH_USAGE = 2, WITH_LABELS = 4, WITH_REST = 8 };

/*
 * 104 bytes, numbers with the little end first, then the start of their digest:
 * magic and version, the stamp, the two sizes, flags, number of parts, parts.
 */
#define MAGIC "TRNLAKE\1"
#define CHECKED 104
#define PARTS_AT 72

static void
sum_up(const unsigned char *data, unsigned char *to)
{
	struct digest digest;

	digest_bytes(&digest, data, CHECKED);
	memcpy(to, digest.bytes, LAKE_COMPILED_SIZE - CHECKED);
}

void
lake_config_encode(const struct lake_config *config,
    const struct lake_stamp *stamp, unsigned char to[static LAKE_COMPILED_SIZE])
{
	const uint64_t numbers[] = { stamp->ino, stamp->size, stamp->mtime_ns,
		stamp->ctime_ns, config->free_disk_size, config->max_size };

	memset(to, 0, LAKE_COMPILED_SIZE);
	memcpy(to, MAGIC, 8);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		bytes_put(to + 8 + 8 * i, numbers[i]);
	to[56] = (unsigned char)((config->hash ? WITH_HASH : 0) |
	    (config->usage ? WITH_USAGE : 0) |
	    (config->labels ? WITH_LABELS : 0) |
	    (config->layout.rest ? WITH_REST : 0));
	to[57] = config->layout.count;
	memcpy(to + PARTS_AT, config->layout.bytes, LAYOUT_PARTS);
	sum_up(to, to + CHECKED);
}

/* Parts that make up a digest, put together as if they had been read. */
static bool
decode_layout(struct layout *layout, const unsigned char *from)
{
	bool rest = from[56] & WITH_REST;
	uint8_t count = from[57];

	if (count > LAYOUT_PARTS)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!layout_add(layout, from[PARTS_AT + i]))
			return false;
	}
	layout->rest = rest;
	return layout_whole(layout);
}

bool
lake_config_decode(struct lake_config *config, const struct lake_stamp *stamp,
    const void *data, size_t size)
{
	const unsigned char *from = data;
	unsigned char check[LAKE_COMPILED_SIZE - CHECKED];
	struct lake_config found = { 0 };
	struct lake_stamp was;

	if (size != LAKE_COMPILED_SIZE || memcmp(from, MAGIC, 8) != 0)
		return false;
	was = (struct lake_stamp){ bytes_get(from + 8), bytes_get(from + 16),
		bytes_get(from + 24), bytes_get(from + 32) };
	sum_up(from, check);
	if (!lake_stamp_equal(stamp, &was) ||
	    memcmp(check, from + CHECKED, sizeof(check)) != 0 ||
	    !decode_layout(&found.layout, from))
		return false;
	found.free_disk_size = bytes_get(from + 40);
	found.max_size = bytes_get(from + 48);
	found.hash = from[56] & WITH_HASH;
	found.usage = from[56] & WITH_USAGE;
	found.labels = from[56] & WITH_LABELS;
	*config = found;
	return true;
}
