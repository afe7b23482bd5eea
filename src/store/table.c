#include "store/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"

#define TABLE_MAGIC 0x354c42544e524154ull /* "TARNTBL5" */
#define HEADER_SIZE 4096u
#define SLOTS (1u << 20)
#define WAYS 2   /* windows that an entry may be in: */
#define WINDOW 8 /* so many slots each */
#define NEAR 8   /* inode numbers that share a window; a power of two */
#define FILE_SIZE (HEADER_SIZE + (size_t)SLOTS * sizeof(struct slot))

struct slot {
	struct table_key key;
	struct digest digest;
	uint32_t flags;
	uint32_t put;   /* seconds since the epoch */
	uint64_t check; /* over all of the above; never zero */
};

struct header {
	uint64_t magic, slots, slot_size;
};

struct table {
	int fd;
	bool anew;
};

static uint64_t
check_of(const struct slot *slot)
{
	struct mixer m = MIXER_INIT;

	mixer_add_bytes(&m, slot, offsetof(struct slot, check));
	return (m.lane[0] ^ m.lane[1] ^ m.lane[2] ^ m.lane[3]) | 1;
}

/*
 * Neighbours on disk are often neighbours in use, so inode numbers that are close
 * to one another share pages: but only a few, or the windows of busy folders are
 * crowded while others are empty.
 */
static uint32_t
home_of(const struct table_key *key, uint64_t way)
{
	struct mixer m = MIXER_INIT;

	mixer_add(&m, key->word[0] + (way << 56));
	mixer_add(&m, key->word[1] / NEAR);
	return (uint32_t)((m.lane[0] ^ m.lane[2]) * NEAR +
	           key->word[1] % NEAR) %
	    (SLOTS - WINDOW);
}

/* All slots that an entry may be in on this way. */
static bool
read_window(
    const struct table *table, uint32_t home, struct slot slot[static WINDOW])
{
	size_t size = WINDOW * sizeof(*slot);
	off_t at = (off_t)(HEADER_SIZE + (size_t)home * sizeof(*slot));

	return pread(table->fd, slot, size, at) == (ssize_t)size;
}

static bool
find(const struct table *table, const struct table_key *key, uint32_t home,
    struct slot *found)
{
	struct slot slot[WINDOW];

	if (!read_window(table, home, slot))
		return false;
	for (uint32_t i = 0; i < WINDOW; i++) {
		if (memcmp(&slot[i].key, key, sizeof(*key)) != 0 ||
		    slot[i].check != check_of(&slot[i]))
			continue;
		*found = slot[i];
		return true;
	}
	return false;
}

bool
table_get(const struct table *table, const struct table_key *key,
    struct digest *digest, uint32_t *flags)
{
	struct slot slot;
	uint64_t way = 0;

	while (
	    table && way < WAYS && !find(table, key, home_of(key, way), &slot))
		way++;
	if (!table || way == WAYS)
		return false;
	*digest = slot.digest;
	if (flags)
		*flags = slot.flags;
	return true;
}

/* The best place so far for an entry. */
struct choice {
	uint32_t at, put;
	bool same, free; /* it has that key; it has none */
};

static void
consider(struct choice *choice, const struct slot *slot, uint32_t at,
    const struct table_key *key)
{
	bool sound = slot->check != 0 && slot->check == check_of(slot);
	bool same = sound && memcmp(&slot->key, key, sizeof(*key)) == 0;

	if (choice->same || (choice->free && !same) ||
	    (sound && !same && slot->put >= choice->put))
		return;
	*choice = (struct choice){ at, slot->put, same, !sound };
}

/*
 * The slot with this key, else one that is free or torn, else the oldest: what is
 * in use and was lost is put anew, so what nobody asks for goes.
 */
static uint32_t
choose_slot(const struct table *table, const struct table_key *key)
{
	static uint32_t turn;
	uint32_t first = (uint32_t)getpid() + turn++;
	struct choice choice = { .at = home_of(key, 0) + first % WINDOW,
		.put = UINT32_MAX };
	struct slot slot[WINDOW];

	for (uint64_t way = 0; way < WAYS && !choice.same; way++) {
		uint32_t home = home_of(key, way);

		if (!read_window(table, home, slot))
			return home;
		for (uint32_t i = 0; i < WINDOW; i++) {
			uint32_t k = (first + i) % WINDOW;

			consider(&choice, &slot[k], home + k, key);
		}
	}
	return choice.at;
}

static uint32_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME_COARSE, &time);
	return (uint32_t)time.tv_sec;
}

void
table_put(struct table *table, const struct table_key *key,
    const struct digest *digest, uint32_t flags)
{
	struct slot slot = {
		.key = *key, .digest = *digest, .flags = flags, .put = now()
	};
	off_t at;

	if (!table)
		return;
	slot.check = check_of(&slot);
	at = (off_t)(HEADER_SIZE +
	    (size_t)choose_slot(table, key) * sizeof(slot));
	(void)!pwrite(table->fd, &slot, sizeof(slot), at);
}

static bool
header_fits(int fd)
{
	struct header header;
	struct stat st;

	return pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
	    header.magic == TABLE_MAGIC && header.slots == SLOTS &&
	    header.slot_size == sizeof(struct slot) && fstat(fd, &st) == 0 &&
	    st.st_size == (off_t)FILE_SIZE;
}

static int
fill_new(int fd, const char *path, struct error *err)
{
	struct header header = { TABLE_MAGIC, SLOTS, sizeof(struct slot) };

	if (file_write_all(fd, &header, sizeof(header)) < 0 ||
	    ftruncate(fd, (off_t)FILE_SIZE) < 0)
		return error_errno(err, "cannot create '%s'", path);
	return 0;
}

/* Another process may have made one a moment ago; who was first wins, or what the
 * others put would be lost. Replacing what is none is for any of them. */
static int
publish(struct aside *file, const char *path, bool replace, struct error *err)
{
	int status;

	if (replace)
		return aside_put(file, path, true, err);
	status = aside_put_new(file, path, err);
	if (status != 0)
		return status < 0 ? -1 : 0;
	close(file->fd);
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	return file->fd < 0 ? error_errno(err, "cannot open '%s'", path) : 0;
}

/* A new table appears whole, in place of whatever was there. */
static int
create(const char *path, bool replace, struct error *err)
{
	auto_aside file = ASIDE_INIT;
	int fd;

	if (aside_start(&file, path, 0600, err) < 0 &&
	    (err->sys != ENOENT || file_make_parents(path, err) < 0 ||
	        aside_start(&file, path, 0600, err) < 0))
		return -1;
	if (fill_new(file.fd, path, err) < 0 ||
	    publish(&file, path, replace, err) < 0)
		return -1;
	fd = file.fd;
	file.fd = -1;
	return fd;
}

struct table *
table_open(const char *dir, struct error *err)
{
	auto_free char *path = xasprintf("%s/digests", dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool misfit = fd >= 0 && !header_fits(fd);
	struct table *table;

	if (misfit) {
		close(fd);
		fd = -1;
		errno = ENOENT;
	}
	if (fd < 0 && errno != ENOENT) {
		error_errno(err, "cannot open '%s'", path);
		return NULL;
	}
	if (fd < 0)
		fd = create(path, misfit, err);
	if (fd < 0)
		return NULL;
	table = xmalloc(sizeof(*table));
	*table = (struct table){ fd, misfit };
	return table;
}

bool
table_is_anew(const struct table *table)
{
	return table->anew;
}

void
table_close(struct table *table)
{
	if (!table)
		return;
	close(table->fd);
	free(table);
}

static bool
is_empty(const struct slot *slot)
{
	static const struct slot none;

	return memcmp(slot, &none, sizeof(none)) == 0;
}

/* Most of a table is a hole in its file. */
static off_t
skip_hole(int fd, off_t at)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? (off_t)FILE_SIZE : at;
	data -= (data - (off_t)HEADER_SIZE) % (off_t)sizeof(struct slot);
	return data > at ? data : at;
}

static int
count_damaged(int fd, uint64_t *damaged, struct error *err)
{
	struct slot slot[512];
	off_t at = HEADER_SIZE;
	ssize_t got;

	*damaged = 0;
	while ((at = skip_hole(fd, at)) < (off_t)FILE_SIZE) {
		got = pread(fd, slot, sizeof(slot), at);
		if (got < (ssize_t)sizeof(*slot))
			return got < 0 ? error_errno(err, "cannot read") : 0;
		got -= got % (ssize_t)sizeof(*slot);
		for (size_t i = 0; i < (size_t)got / sizeof(*slot); i++)
			*damaged += !is_empty(&slot[i]) &&
			    slot[i].check != check_of(&slot[i]);
		at += got;
	}
	return 0;
}

int
table_check(const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t damaged;

	if (fd < 0)
		return error_errno(err, "cannot open");
	if (!header_fits(fd))
		return error_set(
		    err, ERROR_CORRUPT, "a damaged head or another size");
	if (count_damaged(fd, &damaged, err) < 0)
		return -1;
	if (damaged > 0)
		return error_set(err, ERROR_CORRUPT, "%llu damaged entries",
		    (unsigned long long)damaged);
	return 0;
}

struct table_key
table_file_key(const struct stamp *stamp)
{
	return (struct table_key){ { stamp->dev, stamp->ino, stamp->size,
	    (uint64_t)stamp->mtime_ns, (uint64_t)stamp->ctime_ns } };
}

void
mixer_add_stamp(struct mixer *m, const struct stamp *stamp)
{
	mixer_add(m, stamp->dev);
	mixer_add(m, stamp->ino);
	mixer_add(m, stamp->size);
	mixer_add(m, (uint64_t)stamp->mtime_ns);
	mixer_add(m, (uint64_t)stamp->ctime_ns);
}

void
mixer_add_bytes(struct mixer *m, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t word;

	mixer_add(m, size);
	for (; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		mixer_add(m, word);
	}
	if (size > 0) {
		word = 0;
		memcpy(&word, p, size);
		mixer_add(m, word);
	}
}

/* The tag has its top bit set, which no device number has. */
struct table_key
mixer_key(const struct mixer *m, uint64_t tag)
{
	return (struct table_key){ { tag | 1ull << 63, m->lane[0], m->lane[1],
	    m->lane[2], m->lane[3] } };
}
