#include "store/stamp.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

#define SECOND 1000000000ll

/* Granularity where stamps move in ticks of the kernel's clock: two at 100 Hz. */
#define TICKS (20 * 1000000ll)

/* And where another host's clock stamps, whose ticks and lag we don't know. */
#define ELSEWHERE (2 * SECOND)

void
stamp_of(struct stamp *stamp, const struct stat *st)
{
	*stamp = (struct stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = st->st_mtim.tv_sec * SECOND + st->st_mtim.tv_nsec,
		.ctime_ns = st->st_ctim.tv_sec * SECOND + st->st_ctim.tv_nsec,
	};
}

bool
stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* Does this kernel tell two changes apart when the first was looked at? */
static bool
kernel_is_fine(void)
{
	static int known = -1;
	struct utsname names;
	long major, minor;
	char *dot;

	if (known >= 0)
		return known;
	known = 0;
	if (uname(&names) == 0) {
		major = strtol(names.release, &dot, 10);
		minor = *dot == '.' ? strtol(dot + 1, NULL, 10) : 0;
		known = major > 6 || (major == 6 && minor >= 13);
	}
	return known;
}

/* Does it do so on this file system? */
static bool
file_system_is_fine(long type)
{
	switch (type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC: return true;
	default: return false;
	}
}

static bool
file_system_is_elsewhere(long type)
{
	switch ((unsigned long)type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC: return false;
	default: return true;
	}
}

/* For the file system with device number `dev`; asked once for each. */
static int64_t
granularity(uint64_t dev, int fd, const char *path)
{
	static struct {
		uint64_t dev;
		int64_t ns;
	} known[16];
	static unsigned count;
	const char *given;
	struct statfs fs;
	int64_t ns;

	for (unsigned i = 0; i < count; i++) {
		if (known[i].dev == dev)
			return known[i].ns;
	}
	given = getenv("TARN_STAMP_GRANULARITY_NS");
	if (given)
		ns = strtoll(given, NULL, 10);
	else if ((fd >= 0 ? fstatfs(fd, &fs) : statfs(path, &fs)) < 0 ||
	    file_system_is_elsewhere(fs.f_type))
		ns = ELSEWHERE;
	else if (kernel_is_fine() && file_system_is_fine(fs.f_type))
		ns = 0;
	else
		ns = TICKS;
	if (count < sizeof(known) / sizeof(*known)) {
		known[count].dev = dev;
		known[count++].ns = ns;
	}
	return ns;
}

bool
stamp_settled(const struct stamp *stamp, int fd, const char *path)
{
	int64_t ns = granularity(stamp->dev, fd, path), now;
	struct timespec ts;

	if (ns == 0)
		return true;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	now = ts.tv_sec * SECOND + ts.tv_nsec;
	return stamp->ctime_ns + ns < now && stamp->mtime_ns + ns < now;
}
