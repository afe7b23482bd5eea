#ifndef LAKE_CONFIG_H
#define LAKE_CONFIG_H

#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"
#include "locations/layout.h"

/*
 * What a lake's config.yml says: as the Python library tarn writes it in any of
 * its versions, and as its readers would also take it.
 *
 * Parsing YAML is not for the way of a hit. A lake whose config.yml is the usual
 * one, to the byte, never gets that far. For others there is a compiled form, as
 * long as config.yml looks the same to stat(); it holds numbers that are checked
 * like those of a stranger.
 */
#define LAKE_CONFIG_FILE "config.yml"
#define LAKE_CONFIG_MAX (64 * 1024) /* bytes */
#define LAKE_CONFIG_USUAL 17        /* bytes: levels [1, -1] and no more */

struct lake_config {
	struct layout layout;    /* `levels`; blobs lie so */
	bool hash;               /* `hash` is given, and SHA-256 */
	bool usage;              /* StatUsage: marks say when a blob was used */
	bool labels;             /* JsonLabels */
	uint64_t free_disk_size; /* bytes that have to stay free; 0: any */
	uint64_t max_size;       /* bytes; 0: none given */
};

/* 0, or -1 with ERROR_CORRUPT, the line and what was expected. */
int lake_config_parse(struct lake_config *config, const char *text, size_t size,
    struct error *err);

/*
 * The bytes of a new config.yml, in the one form that all versions of the Python
 * library read. A new lake gets no sizes, which are an affair of each machine; one
 * that is written anew keeps its own.
 */
void lake_config_format(const struct lake_config *config, struct buf *to);

/* What stat() says of a config.yml, but for what differs between hosts. */
struct lake_stamp {
	uint64_t ino, size, mtime_ns, ctime_ns;
};

void lake_stamp_init(struct lake_stamp *stamp, const struct stat *st);
bool lake_stamp_equal(const struct lake_stamp *a, const struct lake_stamp *b);

/*
 * May the file still change without a new stamp? Clocks of file systems tick
 * slowly, and those of other hosts may differ from ours.
 */
bool lake_stamp_settled(const struct lake_stamp *stamp);

#define LAKE_COMPILED_SIZE 128

void lake_config_encode(const struct lake_config *config,
    const struct lake_stamp *stamp,
    unsigned char to[static LAKE_COMPILED_SIZE]);

/* False, with *config untouched, unless it is whole, ours and of this stamp. */
bool lake_config_decode(struct lake_config *config,
    const struct lake_stamp *stamp, const void *data, size_t size);

#endif
