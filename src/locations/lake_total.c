#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "locations/lake.h"

/*
 * LAKE_TOOLS/size: slots of 16 bytes, a number and the same number with MAGIC mixed
 * in, little end first, so that neither zeros nor parts pass for a total. Slot 0 is
 * the size to be exceeded before anybody collects again; the sum of the others is
 * what the lake holds.
 */
#define SLOTS 64
#define SLOT_SIZE 16
#define FILE_SIZE ((size_t)SLOTS * SLOT_SIZE)
#define MAGIC 0x32657a69734b414cu /* "LAKsize2" */

struct slots {
	int64_t number[SLOTS];
};

/* Nobody waits for long: whoever holds it may be stopped. */
static bool
lock_soon(struct lake *lake, int fd)
{
	const struct timespec nap = { .tv_nsec = 500000 };

	for (int tries = lake->impatient ? 1 : 40; tries > 0; tries--) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		(void)nanosleep(&nap, NULL);
	}
	lake->impatient = true;
	return false;
}

/*
 * Of this host, where its lock keeps processes apart; of this process on this host
 * where it could not be had.
 */
static size_t
slot_for(bool locked)
{
	char name[256] = "";
	unsigned hash = locked ? 5381 : (unsigned)getpid();

	(void)gethostname(name, sizeof(name) - 1);
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	hash = (hash ^ hash >> 15) * 0x9e3779b1u;
	hash ^= hash >> 16;
	return 1 + hash % (SLOTS - 1);
}

static void
encode(unsigned char *to, int64_t number)
{
	bytes_put(to, (uint64_t)number);
	bytes_put(to + 8, (uint64_t)number ^ MAGIC);
}

static bool
try_slots(int fd, struct slots *slots)
{
	unsigned char bytes[FILE_SIZE + 1];

	if (pread(fd, bytes, sizeof(bytes), 0) != FILE_SIZE)
		return false;
	for (size_t i = 0; i < SLOTS; i++) {
		const unsigned char *slot = bytes + i * SLOT_SIZE;

		slots->number[i] = (int64_t)bytes_get(slot);
		if (bytes_get(slot + 8) != (bytes_get(slot) ^ MAGIC))
			return false;
	}
	return true;
}

/* One that is being written may look damaged, but not for long. */
static bool
read_slots(int fd, struct slots *slots)
{
	for (int tries = 0; tries < 3; tries++) {
		if (try_slots(fd, slots))
			return true;
	}
	return false;
}

/* Other hosts may be writing the rest. */
static void
write_slot(int fd, const struct slots *slots, size_t slot)
{
	unsigned char bytes[SLOT_SIZE];

	encode(bytes, slots->number[slot]);
	(void)!pwrite(fd, bytes, SLOT_SIZE, (off_t)(slot * SLOT_SIZE));
}

static void
write_slots(int fd, const struct slots *slots)
{
	unsigned char bytes[FILE_SIZE];

	for (size_t i = 0; i < SLOTS; i++)
		encode(bytes + i * SLOT_SIZE, slots->number[i]);
	if (pwrite(fd, bytes, FILE_SIZE, 0) == (ssize_t)FILE_SIZE)
		(void)!ftruncate(fd, FILE_SIZE);
}

static int64_t
sum_of(const struct slots *slots)
{
	int64_t sum = 0;

	for (size_t i = 1; i < SLOTS; i++)
		sum += slots->number[i];
	return sum;
}

int
lake_add_total(struct lake *lake, int64_t more, struct lake_total *total)
{
	auto_free char *path = xasprintf("%s/" LAKE_SIZE, lake->root);
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct slots slots;
	size_t slot;
	int64_t sum;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	slot = slot_for(more && lock_soon(lake, fd));
	if (!read_slots(fd, &slots))
		return 0;
	slots.number[slot] += more;
	if (more)
		write_slot(fd, &slots, slot);
	sum = sum_of(&slots);
	total->bytes = sum > 0 ? (uint64_t)sum : 0;
	total->again = (uint64_t)slots.number[0];
	return 1;
}

void
lake_set_total(struct lake *lake, const struct lake_total *total)
{
	struct error err;
	auto_close int fd = lake_open_tool(lake, "size", &err);
	struct slots slots;
	size_t slot;
	bool whole;

	if (fd < 0)
		return;
	slot = slot_for(lock_soon(lake, fd));
	whole = read_slots(fd, &slots);
	if (!whole)
		slots = (struct slots){ 0 };
	slots.number[slot] += (int64_t)total->bytes - sum_of(&slots);
	slots.number[0] = (int64_t)total->again;
	if (!whole) {
		write_slots(fd, &slots);
		return;
	}
	write_slot(fd, &slots, slot);
	write_slot(fd, &slots, 0);
}
