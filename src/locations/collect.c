#include "locations/collect.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#define STEPS 1024
#define YOUNG 60     /* seconds */
#define SAMPLE 16384 /* entries that the first guess is from */
#define STRIDE 37    /* parts; no divisor of their number */
#define WALKS 3

/* A gentle one works for so long, in microseconds, then sleeps. */
#define WORK 2000
#define SLEEP 6000

/* What was seen of a location, by age. */
struct census {
	size_t parts;
	uint64_t entries, bytes;
	uint64_t by_step[STEPS];
};

struct collection {
	const struct collect_parts *parts;
	const struct collect_request *request;
	struct collect_result *result;
	struct error *err;
	time_t now;
	size_t start;        /* the first part */
	struct census known; /* from which the limit is computed */
	struct census kept;
	bool learn;     /* this part is not in `known` yet */
	size_t limit;   /* this step goes in part, all above go */
	double share;   /* of the bytes of that step */
	double owed;    /* of it so far, less what went */
	double most;    /* that this walk may remove for the size */
	uint64_t began; /* microseconds; since when there was no pause */
	unsigned since; /* entries since the clock was asked */
	bool failed;
};

/* ---- ages ---- */

static uint64_t
age_of(const struct collection *c, const struct location_entry *entry)
{
	return c->now > entry->last_used ? (uint64_t)(c->now - entry->last_used)
	                                 : 0;
}

/* Growing with the age: 0 to 63, then 32 for each doubling. */
static size_t
step_of(uint64_t age)
{
	size_t shift = 0, step;

	while (age >> shift >= 64)
		shift++;
	step = 32 * shift + (size_t)(age >> shift);
	return step < STEPS ? step : STEPS - 1;
}

static void
census_add(struct census *census, size_t step, uint64_t bytes)
{
	census->entries++;
	census->bytes += bytes;
	census->by_step[step] += bytes;
}

/* ---- the limit ---- */

/* How much may be left after a step has gone. */
static double
goal(const struct collection *c, size_t step)
{
	double max = (double)c->request->max_size;

	return step < YOUNG ? max * 0.95 : max * 0.8;
}

/* What is known stands for all parts alike. */
static void
choose(struct collection *c)
{
	double scale = (double)c->parts->count / (double)c->known.parts;
	double left = (double)c->known.bytes * scale, here = 0;
	size_t step;

	c->limit = STEPS;
	if (!c->request->max_size || left <= (double)c->request->max_size)
		return;
	for (step = STEPS - 1; step > 0; step--) {
		here = (double)c->known.by_step[step] * scale;
		if (left - here <= goal(c, step))
			break;
		left -= here;
	}
	here = (double)c->known.by_step[step] * scale;
	c->limit = step;
	c->share = here > 0 ? (left - goal(c, step)) / here : 0;
}

/* A guess that makes too much go is stopped by what is known of the whole. */
static void
limit_removal(struct collection *c)
{
	double bytes = (double)c->parts->bytes;

	c->most = bytes > 0 ? bytes - goal(c, c->limit) : INFINITY;
}

static bool
too_old(const struct collection *c, const struct location_entry *entry)
{
	return c->request->max_age && age_of(c, entry) > c->request->max_age;
}

static bool
must_go(struct collection *c, const struct location_entry *entry)
{
	size_t step = step_of(age_of(c, entry));

	if (too_old(c, entry))
		return true;
	if (step < c->limit || (double)c->result->removed_bytes >= c->most)
		return false;
	if (step > c->limit)
		return true;
	c->owed += c->share * (double)entry->size;
	if (c->owed < 1) /* not for what rounding made of 0 */
		return false;
	c->owed -= (double)entry->size;
	return true;
}

/* ---- pauses ---- */

static uint64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
breathe(struct collection *c, const struct location_entry *entry)
{
	if (c->request->progress)
		c->request->progress(c->request->arg, entry);
	if (!c->request->gentle || ++c->since < 16)
		return;
	c->since = 0;
	if (now_us() - c->began < WORK)
		return;
	usleep(SLEEP);
	c->began = now_us();
}

/* ---- walking ---- */

static void
learn(struct collection *c, const struct location_entry *entry)
{
	if (!too_old(c, entry))
		census_add(&c->known, step_of(age_of(c, entry)), entry->size);
}

static int
count(void *arg, const struct location_entry *entry)
{
	struct collection *c = arg;

	c->result->entries++;
	c->result->bytes += entry->size;
	learn(c, entry);
	breathe(c, entry);
	return 0;
}

static void
keep(struct collection *c, const struct location_entry *entry)
{
	c->result->entries++;
	c->result->bytes += entry->size;
	census_add(&c->kept, step_of(age_of(c, entry)), entry->size);
}

static int
judge(void *arg, const struct location_entry *entry)
{
	struct collection *c = arg;

	if (c->learn)
		learn(c, entry);
	breathe(c, entry);
	if (!must_go(c, entry)) {
		keep(c, entry);
		return 0;
	}
	if (!c->request->dry_run &&
	    c->parts->remove(c->parts->arg, entry, c->err) == FAILED) {
		c->failed = true;
		keep(c, entry);
		return 0;
	}
	c->result->removed++;
	c->result->removed_bytes += entry->size;
	return 0;
}

/* Not one after the other, so that whatever made neighbours alike is spread. */
static void
list_part(struct collection *c, size_t i, location_entry_fn *fn)
{
	size_t part = (c->start + i * STRIDE) % c->parts->count;

	if (c->parts->list(c->parts->arg, part, fn, c, c->err) < 0)
		c->failed = true;
}

/* Enough for a first guess; where that is everything, the result is there. */
static void
sample(struct collection *c)
{
	for (size_t i = 0; i < c->parts->count; i++) {
		if (c->known.entries >= SAMPLE)
			break;
		list_part(c, i, count);
		c->known.parts++;
	}
	choose(c);
}

static void
walk_part(struct collection *c, size_t i)
{
	uint64_t before = c->result->removed_bytes;

	c->learn = i >= c->known.parts;
	list_part(c, i, judge);
	if (c->learn) {
		c->known.parts++;
		choose(c);
		limit_removal(c);
	}
	if (c->parts->removed && !c->request->dry_run)
		c->parts->removed(
		    c->parts->arg, c->result->removed_bytes - before);
}

static void
walk(struct collection *c)
{
	c->result->entries = c->result->bytes = 0;
	c->kept = (struct census){ .parts = c->parts->count };
	c->owed = 0;
	for (size_t i = 0; i < c->parts->count; i++)
		walk_part(c, i);
}

/* What stayed is too much, since the guess was wrong; now it is known exactly. */
static bool
prepare_again(struct collection *c)
{
	uint64_t max = c->request->max_size;

	if (c->failed || !max || c->result->bytes <= max)
		return false;
	if (c->request->dry_run) /* then all are still there */
		c->result->removed = c->result->removed_bytes = 0;
	else
		c->known = c->kept;
	choose(c);
	c->most = INFINITY;
	return true;
}

enum outcome
collect_parts(const struct collect_parts *parts,
    const struct collect_request *request, struct collect_result *result,
    struct error *err)
{
	struct collection c = { .parts = parts,
		.request = request,
		.result = result,
		.err = err,
		.now = time(NULL),
		.most = INFINITY,
		.began = now_us() };

	*result = (struct collect_result){ 0 };
	c.start = (size_t)(c.began / 7 + (uint64_t)getpid()) % parts->count;
	sample(&c);
	if (c.known.parts == parts->count && c.limit == STEPS &&
	    !request->max_age)
		return c.failed ? FAILED : HIT;
	if (c.known.parts < parts->count)
		limit_removal(&c);
	for (int i = 0; i < WALKS && (i == 0 || prepare_again(&c)); i++)
		walk(&c);
	return c.failed ? FAILED : HIT;
}

/* ---- any location ---- */

static int
list_all(void *arg, size_t part, location_entry_fn *fn, void *fn_arg,
    struct error *err)
{
	return location_list(arg, fn, fn_arg, err);
}

static enum outcome
remove_from(void *arg, const struct location_entry *entry, struct error *err)
{
	return location_remove(arg, &entry->key, err);
}

enum outcome
location_collect(struct location *loc, const struct collect_request *request,
    struct collect_result *result, struct error *err)
{
	const struct collect_parts whole = {
		.count = 1, .list = list_all, .remove = remove_from, .arg = loc
	};

	*result = (struct collect_result){ 0 };
	if (loc->kind->collect)
		return loc->kind->collect(loc, request, result, err);
	if (!loc->kind->list || !loc->kind->remove) {
		error_set(err, ERROR_DENIED, "a location of kind %s can't %s",
		    loc->kind->name, loc->kind->list ? "forget" : "be listed");
		return MISS;
	}
	return collect_parts(&whole, request, result, err);
}

/* ---- those that are over their size ---- */

static void
ask_leaf(void *arg, struct location *leaf)
{
	bool *over = arg;

	*over |= leaf->kind->is_over && leaf->kind->is_over(leaf, true);
}

bool
location_is_over(struct location *tree)
{
	bool over = false;

	location_each_leaf(tree, ask_leaf, &over);
	return over;
}

static void
collect_leaf(void *arg, struct location *leaf)
{
	const struct collect_request *request = arg;
	struct collect_result result;
	struct error err = { 0 };

	if (leaf->kind->is_over && leaf->kind->is_over(leaf, false) &&
	    location_collect(leaf, request, &result, &err) == FAILED)
		leaf->counts.errors++;
}

void
location_collect_over(struct location *tree, bool gentle)
{
	struct collect_request request = { .own_size = true, .gentle = gentle };

	location_each_leaf(tree, collect_leaf, &request);
}
