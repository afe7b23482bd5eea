/* Archives that hold when their members were changed, and by whom: owners are no
 * part of any observation, and times rarely mean anything, so these aren't kept. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/keeping.h"
#include "trace/classify.h"

enum {
	MAGIC = 8,
	HEADER =
	    60, /* name 16, time 12, user 6, group 6, mode 8, size 10, end 2 */
	TIME = 16,
	TIME_END = 40,
	SIZE = 48,
};

static bool
runs_archiver(const struct keeping *k)
{
	for (size_t i = 0; i < k->trace->program_count; i++) {
		if (classify_program(k->trace->programs[i]) == PROGRAM_ARCHIVER)
			return true;
	}
	return false;
}

/* Only zeros and blanks from time to group. */
static bool
is_anonymous(const char *header)
{
	for (int i = TIME; i < TIME_END; i++) {
		if (header[i] != '0' && header[i] != ' ')
			return false;
	}
	return memcmp(header + HEADER - 2, "`\n", 2) == 0;
}

static uint64_t
size_of(const char *header)
{
	uint64_t size = 0;

	for (int i = SIZE;
	     i < HEADER - 2 && header[i] >= '0' && header[i] <= '9'; i++)
		size = size * 10 + (uint64_t)(header[i] - '0');
	return size;
}

/* Of a thin archive's members only the tables are inside. */
static bool
is_inside(const char *header, bool thin)
{
	return !thin ||
	    (header[0] == '/' &&
	        (header[1] == ' ' || header[1] == '/' || header[1] == 'S'));
}

/* True for what is no archive at all. */
static bool
has_no_stamps(int fd)
{
	char magic[MAGIC], header[HEADER];
	uint64_t at = MAGIC;
	ssize_t got;
	bool thin;

	if (pread(fd, magic, MAGIC, 0) != MAGIC)
		return true;
	thin = memcmp(magic, "!<thin>\n", MAGIC) == 0;
	if (!thin && memcmp(magic, "!<arch>\n", MAGIC) != 0)
		return true;
	while ((got = pread(fd, header, HEADER, (off_t)at)) == HEADER) {
		if (!is_anonymous(header))
			return false;
		at += HEADER;
		if (is_inside(header, thin))
			at += size_of(header) + size_of(header) % 2;
	}
	return got == 0 || (got == 1 && header[0] == '\n');
}

bool
keep_no_stamps(struct keeping *k)
{
	if (!runs_archiver(k))
		return true;
	for (size_t i = 0; i < k->trace->count; i++) {
		const struct touched *t = &k->trace->touched[i];
		auto_close int fd = -1;

		/* One that is only read has times that "u" compares with. */
		if (!t->written && !(t->facets & FACET_CONTENT))
			continue;
		fd = open(t->path,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK |
		        (t->written ? O_NOFOLLOW : 0));
		if (fd >= 0 && !has_no_stamps(fd))
			return keeping_refuse(k, t->path,
			    "holds times and owners of its members");
	}
	return true;
}

bool
keep_plain_archive(struct keeping *k, int fd, const char *path)
{
	return !runs_archiver(k) || has_no_stamps(fd) ||
	    keeping_refuse(k, path, "holds times and owners of its members");
}
