/*
 * Only values up to a size reach the location inside; larger ones are declined,
 * so that a few big binaries can't push everything else out of a fast but scarce
 * level such as Redis. Empty values are declined too, as in the Python library.
 * Reads pass straight through: what is there was small.
 */
#include "base/mem.h"
#include "locations/kinds.h"

struct small {
	struct location base;
	struct location *inner; /* owned */
	uint64_t max_size;      /* bytes */
};

static struct small *
small_of(struct location *loc)
{
	return container_of(loc, struct small, base);
}

static struct location *
inner_of(struct location *loc)
{
	return small_of(loc)->inner;
}

static struct location *
small_open(const Tarn__Location *config, struct error *err)
{
	struct location *inner;
	struct small *small;

	if (config->n_members != 1) {
		error_set(err, ERROR_USAGE, "a 'small' takes one location");
		return NULL;
	}
	if (config->max_size == 0) {
		error_set(err, ERROR_USAGE, "a 'small' needs a 'max_size'");
		return NULL;
	}
	inner = location_open(config->members[0], err);
	if (!inner)
		return NULL;
	small = xmalloc(sizeof(*small));
	*small = (struct small){ .base = { .kind = &location_small },
		.inner = inner,
		.max_size = config->max_size };
	return &small->base;
}

static void
small_close(struct location *loc)
{
	location_close(inner_of(loc));
	free(small_of(loc));
}

static enum outcome
small_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	enum outcome outcome = location_read(inner_of(loc), key, out, err);

	if (outcome == HIT)
		loc->served = inner_of(loc)->served;
	return outcome;
}

static bool
small_takes(const struct small *small, const struct source *in)
{
	return in->size > 0 && in->size <= small->max_size;
}

static enum outcome
small_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	if (!small_takes(small_of(loc), in))
		return DECLINED;
	return location_write(inner_of(loc), key, in, mode, err);
}

static enum outcome
small_contains(struct location *loc, const struct key *key, struct error *err)
{
	return location_contains(inner_of(loc), key, err);
}

static enum outcome
small_remove(struct location *loc, const struct key *key, struct error *err)
{
	return location_remove(inner_of(loc), key, err);
}

static enum outcome
small_touch(struct location *loc, const struct key *key, struct error *err)
{
	return location_touch(inner_of(loc), key, err);
}

static int
small_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	return location_list_some(inner_of(loc), wanted, fn, arg, err);
}

static enum outcome
small_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	return location_add_labels(inner_of(loc), key, labels, err);
}

static enum outcome
small_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	return location_labels(inner_of(loc), key, fn, arg, err);
}

static void
small_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	location_contains_batch(inner_of(loc), requests, count);
}

static void
small_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	location_read_batch(inner_of(loc), requests, count);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == HIT)
			loc->served = requests[i].served;
	}
}

static void
small_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct location_write_request *taken =
	    xrealloc(NULL, count, sizeof(*taken));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		requests[i].outcome = DECLINED;
		if (small_takes(small_of(loc), requests[i].in))
			taken[n++] = requests[i];
	}
	location_write_batch(inner_of(loc), taken, n);
	for (size_t i = 0, j = 0; i < count; i++) {
		if (small_takes(small_of(loc), requests[i].in))
			requests[i] = taken[j++];
	}
	free(taken);
}

static uint64_t
small_limit(struct location *loc)
{
	uint64_t inner = location_limit(inner_of(loc));

	return inner < small_of(loc)->max_size ? inner
	                                       : small_of(loc)->max_size;
}

static struct location *
small_member(struct location *loc, size_t i)
{
	return i == 0 ? inner_of(loc) : NULL;
}

const struct location_kind location_small = {
	.name = "small",
	.open = small_open,
	.close = small_close,
	.read = small_read,
	.write = small_write,
	.contains = small_contains,
	.remove = small_remove,
	.touch = small_touch,
	.list = small_list,
	.add_labels = small_add_labels,
	.labels = small_labels,
	.read_batch = small_read_batch,
	.write_batch = small_write_batch,
	.contains_batch = small_contains_batch,
	.limit = small_limit,
	.member = small_member,
};
