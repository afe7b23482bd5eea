#include <errno.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "locations/lake.h"

/* Nobody waits for this lock: a busy second is no reason to hold up a build. */
static int
lock_soon(int fd)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int tries = 0; tries < 20; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		(void)nanosleep(&nap, NULL);
	}
	return -1;
}

static uint64_t
decode(const unsigned char bytes[static 8])
{
	uint64_t number = 0;

	for (size_t i = 8; i-- > 0;)
		number = number << 8 | bytes[i];
	return number;
}

static int
write_total(int fd, uint64_t total)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(total >> (8 * i));
	return pwrite(fd, bytes, 8, 0) == 8 ? 0 : -1;
}

uint64_t
lake_add_total(struct lake *lake, uint64_t more)
{
	struct error err;
	auto_close int fd = lake_open_tool(lake, "size", &err);
	unsigned char bytes[8];
	uint64_t total;
	ssize_t got;

	lake->uncounted += more;
	if (fd < 0 || lock_soon(fd) < 0)
		return 0; /* the next write counts this one too */
	got = pread(fd, bytes, 8, 0);
	if (got < 0)
		return 0;
	if (got < 8)
		return UINT64_MAX;
	total = decode(bytes) + lake->uncounted;
	if (write_total(fd, total) == 0)
		lake->uncounted = 0;
	return total;
}

void
lake_set_total(struct lake *lake, uint64_t total)
{
	struct error err;
	auto_close int fd = lake_open_tool(lake, "size", &err);

	if (fd >= 0 && lock_soon(fd) == 0 && write_total(fd, total) == 0)
		lake->uncounted = 0;
}

int
lake_lock(struct lake *lake, const char *name, struct error *err)
{
	int fd = lake_open_tool(lake, name, err);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error_errno(err, "cannot lock '%s'", name);
		close(fd);
		return -1;
	}
	return fd;
}
