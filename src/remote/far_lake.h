#ifndef FAR_LAKE_H
#define FAR_LAKE_H

#include "locations/lake_config.h"
#include "locations/location.h"
#include "remote/far.h"

/*
 * A lake on another machine, the same as src/locations/lake.h has on a disk: layout,
 * config.yml, modes and group, index, marks of use and labels. What SFTP and SCP do
 * in different ways is below this, in far.h.
 *
 * config.yml is read when a value isn't where it usually is, before the first write,
 * and again when it may have changed, once in half a minute.
 */
struct far_lake {
	struct location base;
	struct far far;
	struct layout wish;   /* count 0: none */
	bool usage, labels;   /* of a lake that has to be made */
	struct layout layout; /* of blobs, as far as is known */
	struct lake_config config;
	uint64_t own_max_size; /* the location's; 0: none */
	bool known, ready, swept;
	struct far_stat config_st; /* of the config.yml that was read */
	int64_t checked_us;        /* when it was looked at last */
	struct far_dress dress;    /* of all in it: the root's */
};

/* Fill in what `config` says of the host and the lake. 0 or -1. */
int far_lake_init(struct far_lake *lake, const struct far_kind *far,
    const Tarn__Location *config, struct error *err);
void far_lake_release(struct far_lake *lake);

/* What a location_kind over a far_lake has. */
#define FAR_LAKE_METHODS \
	.remote = true, .read = far_lake_read, .write = far_lake_write, \
	.contains = far_lake_contains, .remove = far_lake_remove, \
	.touch = far_lake_touch, .list = far_lake_list, \
	.collect = far_lake_collect, .add_labels = far_lake_add_labels, \
	.labels = far_lake_labels, .read_batch = far_lake_read_batch, \
	.write_batch = far_lake_write_batch, \
	.contains_batch = far_lake_contains_batch

enum outcome far_lake_read(struct location *loc, const struct key *key,
    struct sink *out, struct error *err);
enum outcome far_lake_write(struct location *loc, const struct key *key,
    struct source *in, enum write_mode mode, struct error *err);
enum outcome far_lake_contains(
    struct location *loc, const struct key *key, struct error *err);
enum outcome far_lake_remove(
    struct location *loc, const struct key *key, struct error *err);
enum outcome far_lake_touch(
    struct location *loc, const struct key *key, struct error *err);
int far_lake_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err);
enum outcome far_lake_collect(struct location *loc,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);
enum outcome far_lake_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err);
enum outcome far_lake_labels(struct location *loc, const struct key *key,
    location_label_fn *fn, void *arg, struct error *err);
void far_lake_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count);
void far_lake_write_batch(struct location *loc,
    struct location_write_request *requests, size_t count);
void far_lake_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count);

#endif
