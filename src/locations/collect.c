#include "locations/collect.h"

#include <time.h>

#define BUCKETS 1024
#define YOUNG 60 /* seconds */

struct collection {
	struct location *loc;
	const struct collect_request *request;
	struct collect_result *result;
	struct error *err;
	time_t now;
	uint64_t bytes[BUCKETS]; /* by age */
	size_t oldest_kept;      /* this bucket may go in part, all above go */
	bool failed;
};

static uint64_t
age_of(const struct collection *c, const struct location_entry *entry)
{
	return c->now > entry->last_used ? (uint64_t)(c->now - entry->last_used)
	                                 : 0;
}

/* Growing with the age: 0 to 63, then 32 for each doubling. */
static size_t
bucket_of(uint64_t age)
{
	size_t shift = 0, bucket;

	while (age >> shift >= 64)
		shift++;
	bucket = 32 * shift + (size_t)(age >> shift);
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static bool
too_old(const struct collection *c, const struct location_entry *entry)
{
	return c->request->max_age && age_of(c, entry) > c->request->max_age;
}

static int
count(void *arg, const struct location_entry *entry)
{
	struct collection *c = arg;

	c->result->entries++;
	c->result->bytes += entry->size;
	if (!too_old(c, entry))
		c->bytes[bucket_of(age_of(c, entry))] += entry->size;
	return 0;
}

/* How much may be left after a bucket has gone. */
static uint64_t
goal(const struct collection *c, size_t bucket)
{
	uint64_t max = c->request->max_size;

	return bucket < YOUNG ? max : max - max / 5;
}

static void
choose(struct collection *c)
{
	uint64_t left = 0;
	size_t b;

	for (b = 0; b < BUCKETS; b++)
		left += c->bytes[b];
	c->oldest_kept = BUCKETS;
	if (!c->request->max_size || left <= c->request->max_size)
		return;
	for (b = BUCKETS - 1; b > 0 && left - c->bytes[b] > goal(c, b); b--)
		left -= c->bytes[b];
	c->oldest_kept = b;
}

static bool
must_go(const struct collection *c, const struct location_entry *entry)
{
	size_t bucket = bucket_of(age_of(c, entry));

	if (too_old(c, entry) || bucket > c->oldest_kept)
		return true;
	return bucket == c->oldest_kept && c->result->bytes > goal(c, bucket);
}

static int
remove_if_old(void *arg, const struct location_entry *entry)
{
	struct collection *c = arg;

	if (!must_go(c, entry))
		return 0;
	if (!c->request->dry_run &&
	    location_remove(c->loc, &entry->key, c->err) == FAILED) {
		c->failed = true;
		return 0;
	}
	c->result->entries--;
	c->result->bytes -= entry->size;
	c->result->removed++;
	c->result->removed_bytes += entry->size;
	return 0;
}

int
location_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	struct collection c = { .loc = loc,
		.request = request,
		.result = result,
		.err = err,
		.now = time(NULL) };

	*result = (struct collect_result){ 0 };
	if (location_list(loc, count, &c, err) < 0)
		return -1;
	choose(&c);
	if (c.oldest_kept == BUCKETS && !request->max_age)
		return 0;
	if (location_list(loc, remove_if_old, &c, err) < 0)
		return -1;
	return c.failed ? -1 : 0;
}
