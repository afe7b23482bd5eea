/* What the supervisor believes of the accelerator's log. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/check.h"
#include "trace/ring_read.h"

static struct ring_entry *
add(char *ring, const char *path, uint32_t state)
{
	struct ring_header *header = (void *)ring;
	struct ring_entry *entry = (void *)(ring + header->head);

	entry->path_size = (uint16_t)strlen(path);
	entry->size =
	    (uint32_t)((sizeof(*entry) + entry->path_size + 8) & ~7ul);
	entry->state = state;
	entry->op = RING_STAT;
	strcpy(entry->path, path);
	header->head += entry->size;
	return entry;
}

struct taken {
	char text[4096];
};

static void
take_path(void *arg, const struct ring_entry *entry)
{
	struct taken *taken = arg;

	strcat(taken->text, entry->path);
}

static bool
drain(struct ring_reader *reader, const char *wanted)
{
	struct taken taken = { "" };
	bool fine = ring_drain(reader, take_path, &taken);

	check_str(taken.text, wanted);
	return fine;
}

Test(ring, gives_each_entry_once_when_it_is_done)
{
	auto_free char *ring = calloc(1, RING_SIZE);
	struct ring_reader reader;
	struct ring_entry *late;

	ring_init(&reader, ring);
	check(drain(&reader, ""));
	add(ring, "/a", RING_DONE);
	late = add(ring, "/late", RING_CLAIMED);
	add(ring, "/b", RING_DONE);
	check(drain(&reader, "/a/b"));
	check_int(reader.unfinished_count, 1);
	check(drain(&reader, ""));
	late->state = RING_DONE;
	add(ring, "/c", RING_DONE);
	check(drain(&reader, "/late/c"));
	check_int(reader.unfinished_count, 0);
	check(drain(&reader, ""));
}

/* What may be wrong with the second of three entries, or with the head. */
static void
no_size(struct ring_header *h, struct ring_entry *e)
{
	e->size = 0;
}
static void
odd_size(struct ring_header *h, struct ring_entry *e)
{
	e->size++;
}
static void
too_short(struct ring_header *h, struct ring_entry *e)
{
	e->size = 8;
}
static void
too_long(struct ring_header *h, struct ring_entry *e)
{
	e->size = RING_SIZE;
}
static void
past_head(struct ring_header *h, struct ring_entry *e)
{
	e->size = 4096;
}
static void
long_path(struct ring_header *h, struct ring_entry *e)
{
	e->path_size = 5000;
}
static void
short_path(struct ring_header *h, struct ring_entry *e)
{
	e->path_size = 1;
}
static void
cut_path(struct ring_header *h, struct ring_entry *e)
{
	e->path[1] = '\0';
}
static void
head_back(struct ring_header *h, struct ring_entry *e)
{
	h->head = 8;
}
static void
head_away(struct ring_header *h, struct ring_entry *e)
{
	h->head = RING_SIZE + 8;
}

static const struct {
	void (*harm)(struct ring_header *, struct ring_entry *);
	const char *taken;
} harms[] = {
	{ no_size, "/a" },
	{ odd_size, "/a" },
	{ too_short, "/a" },
	{ too_long, "/a" },
	{ past_head, "/a" },
	{ long_path, "/a" },
	{ short_path, "/a" },
	{ cut_path, "/a" },
	{ head_back, "" },
	{ head_away, "" },
};

Test(ring, is_damaged_for_good)
{
	for (size_t i = 0; i < sizeof(harms) / sizeof(*harms); i++) {
		auto_free char *ring = calloc(1, RING_SIZE);
		struct ring_reader reader;
		struct ring_entry *second;

		ring_init(&reader, ring);
		add(ring, "/a", RING_DONE);
		second = add(ring, "/b", RING_DONE);
		add(ring, "/c", RING_DONE);
		harms[i].harm((void *)ring, second);
		check(!drain(&reader, harms[i].taken));
		check(!drain(&reader, ""));
	}
}

Test(ring, believes_no_entry_twice)
{
	auto_free char *ring = calloc(1, RING_SIZE);
	struct ring_reader reader;
	struct ring_entry *late;

	ring_init(&reader, ring);
	late = add(ring, "/late", RING_CLAIMED);
	check(drain(&reader, ""));
	late->size = RING_SIZE; /* another size than when it was first seen */
	late->state = RING_DONE;
	check(drain(&reader, "/late"));
	late = add(ring, "/other", RING_CLAIMED);
	check(drain(&reader, ""));
	late->path_size = 60000;
	late->state = RING_DONE;
	check(!drain(&reader, ""));
	check_int(reader.unfinished_count, 0);
}

Test(ring, bears_only_so_many_unfinished)
{
	auto_free char *ring = calloc(1, RING_SIZE);
	struct ring_reader reader;

	ring_init(&reader, ring);
	for (int i = 0; i < RING_UNFINISHED_MAX; i++)
		add(ring, "/x", RING_CLAIMED);
	check(drain(&reader, ""));
	add(ring, "/x", RING_CLAIMED);
	check(!drain(&reader, ""));
}
