/*
 * The accelerator's log: its first bytes are the input's first half, and are
 * the second half when it is read again. What is taken of it is whole and is
 * understood as the supervisor understands it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "trace/internal.h"
#include "trace/ring_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
	struct trace *trace;
	size_t bytes;
};

static void
take_entry(void *arg, const struct ring_entry *entry)
{
	struct reading *reading = arg;
	struct question q = { .trace = reading->trace,
		.alive = true,
		.answered = true,
		.error = entry->error,
		.mode = entry->mode };

	if (strlen(entry->path) != entry->path_size)
		abort();
	reading->bytes += sizeof(*entry) + entry->path_size + 1;
	if (reading->bytes > RING_SIZE)
		abort(); /* something was taken twice */
	events_logged(&q, entry->op, entry->path);
}

static char *
fresh_ring(void)
{
	static char *ring;

	if (!ring)
		ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		abort();
	return ring;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace trace = { .program = "/bin/true",
		.cwd = "/nowhere/at/all",
		.root = "/nowhere/at/all",
		.tarn_dir = "/nowhere/tarn",
		.input = -1,
		.out = { .fd = -1 },
		.err = { .fd = -1 } };
	struct reading reading = { .trace = &trace };
	size_t half = size / 2;
	struct ring_reader reader;
	char *ring = fresh_ring();

	if (half > RING_SIZE)
		return 0;
	ring_init(&reader, ring);
	reader.patience = 1;
	for (int i = 0; i < 2; i++) {
		memcpy(ring, data + half * i, half);
		(void)ring_drain(&reader, take_entry, &reading);
	}
	memset(ring, 0, half);
	trace_release(&trace);
	return 0;
}
