#include "trace/ring_read.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"

#define PATIENCE 100 /* looks, 50 us apart */

void
ring_init(struct ring_reader *reader, char *ring)
{
	struct ring_header *header = (void *)ring;

	header->magic = RING_MAGIC;
	header->version = RING_VERSION;
	header->size = RING_SIZE;
	header->head = sizeof(*header);
	*reader = (struct ring_reader){
		.ring = ring, .at = sizeof(*header), .patience = PATIENCE
	};
}

/* Nothing more is read of it. */
static void
set_damaged(struct ring_reader *reader)
{
	reader->damaged = true;
	reader->unfinished_count = 0;
}

/* A claimed entry says at once how long it is; give its writer a moment. */
static uint32_t
size_at(const struct ring_reader *reader, uint32_t at)
{
	const struct ring_entry *entry = (void *)(reader->ring + at);
	const struct timespec moment = { 0, 50000 };
	uint32_t size = 0;

	for (int i = 0; i < reader->patience && size == 0; i++) {
		size = __atomic_load_n(&entry->size, __ATOMIC_ACQUIRE);
		if (size == 0)
			nanosleep(&moment, NULL);
	}
	return size;
}

/* Is its path as long as it says, in the room that it has? */
static bool
is_sound(const struct ring_entry *entry, size_t size)
{
	return sizeof(*entry) + entry->path_size < size &&
	    strnlen(entry->path, size - sizeof(*entry)) == entry->path_size;
}

/* True, and the entry is taken, if its writer is done with it. */
static bool
try_entry(struct ring_reader *reader, struct ring_place place,
    ring_entry_fn *fn, void *arg)
{
	const struct ring_entry *entry = (void *)(reader->ring + place.at);
	auto_free struct ring_entry *copy = NULL;

	if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) != RING_DONE)
		return false;
	copy = xmalloc(place.size);
	memcpy(copy, entry, place.size);
	if (is_sound(copy, place.size))
		fn(arg, copy);
	else
		set_damaged(reader);
	return true;
}

static void
retry_unfinished(struct ring_reader *reader, ring_entry_fn *fn, void *arg)
{
	size_t count = reader->unfinished_count, left = 0;

	for (size_t i = 0; i < count && !reader->damaged; i++) {
		if (!try_entry(reader, reader->unfinished[i], fn, arg))
			reader->unfinished[left++] = reader->unfinished[i];
	}
	if (!reader->damaged)
		reader->unfinished_count = left;
}

static bool
place_fits(const struct ring_reader *reader, uint32_t size, uint32_t head)
{
	return size >= sizeof(struct ring_entry) && size % 8 == 0 &&
	    size <= head - reader->at && size <= RING_ENTRY_MAX &&
	    reader->unfinished_count < RING_UNFINISHED_MAX;
}

bool
ring_drain(struct ring_reader *reader, ring_entry_fn *fn, void *arg)
{
	const struct ring_header *header = (void *)reader->ring;
	uint32_t head;

	if (!reader->ring)
		return true;
	retry_unfinished(reader, fn, arg);
	head = __atomic_load_n(&header->head, __ATOMIC_ACQUIRE);
	if (head < reader->at || head > RING_SIZE)
		set_damaged(reader);
	while (!reader->damaged && reader->at < head) {
		struct ring_place place = { reader->at,
			size_at(reader, reader->at) };

		if (!place_fits(reader, place.size, head)) {
			set_damaged(reader);
			break;
		}
		if (!try_entry(reader, place, fn, arg))
			reader->unfinished[reader->unfinished_count++] = place;
		reader->at += place.size;
	}
	return !reader->damaged;
}
