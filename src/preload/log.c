/*
 * The log, and which lookups are already in it.
 *
 * A lookup that was not seen before claims its entry, then makes its call, then
 * finishes the entry, so that a process that dies between leaves a mark. One that
 * is in the log already makes its call first, and only writes an entry when the
 * answer has changed. That is sound: the earlier entry stands for what was seen
 * before anything changed, which is what counts as an input, and an answer that
 * agrees with it in device, inode and both time stamps adds nothing. What
 * a process learned and died of before it could write the change down has changed
 * while the command ran, which shows without us: a change from inside is a call
 * that the supervisor sees, one from outside fails its check at the end.
 *
 * A file that is opened again is told again: how often says what a linker does with
 * its old output.
 *
 * The table below knows entries by their place in the log and compares them
 * letter by letter, so no two lookups are ever taken for one another. It needs
 * no lock: a slot is one number, set after its entry is done. The worst that two
 * threads or a signal handler can do is to log a lookup twice. A child of fork()
 * has the table and the log of its parent, a child of vfork() shares them.
 */
#include "preload/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS 8192u /* a power of two */
#define PROBES 8u   /* beyond these, log again */

static struct ring_header *ring; /* NULL: not active */
static uint32_t slots[SLOTS];    /* offsets into the log */

long
stub_call(long nr, const void *a, uintptr_t b, long c)
{
	long got;

	__asm__ volatile(
	    "call *%[stub]"
	    : "=a"(got)
	    : [stub] "r"(RING_STUB_PAGE), "a"(nr), "D"(a), "S"(b), "d"(c)
	    : "rcx", "r11", "cc", "memory");
	return got;
}

long
stub_result(long got)
{
	if (got >= 0)
		return got;
	errno = (int)-got;
	return -1;
}

bool
ring_active(void)
{
	return ring != NULL;
}

/* A page with `syscall; ret`, where nothing else is. */
static bool
stub_map(void)
{
	static const unsigned char code[] = { 0x0f, 0x05, 0xc3 };
	// NOLINTNEXTLINE(performance-no-int-to-ptr)
	void *want = (void *)(uintptr_t)RING_STUB_PAGE;
	void *page = mmap(want, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (page == MAP_FAILED)
		return false;
	if (page == want) {
		memcpy(page, code, sizeof(code));
		if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0)
			return true;
	}
	munmap(page, 4096);
	return false;
}

static void *
ring_map(const char *path)
{
	int fd = (int)syscall(SYS_open, path, O_RDWR | O_CLOEXEC);
	void *memory = MAP_FAILED;
	struct stat st;

	if (fd < 0)
		return MAP_FAILED;
	if (syscall(SYS_fstat, fd, &st) == 0 && st.st_size >= RING_SIZE)
		memory = mmap(
		    NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return memory;
}

bool
ring_attach(const char *path)
{
	struct ring_header *header = ring_map(path);

	if (header == MAP_FAILED)
		return false;
	if (header->magic != RING_MAGIC || header->version != RING_VERSION ||
	    header->size != RING_SIZE || !stub_map()) {
		munmap(header, RING_SIZE);
		return false;
	}
	__atomic_fetch_add(&header->mapped, 1, __ATOMIC_SEQ_CST);
	ring = header;
	return true;
}

static struct ring_entry *
entry_at(uint32_t offset)
{
	return (struct ring_entry *)(void *)((char *)ring + offset);
}

/* Room for an entry, marked as not done; NULL if there is none. */
static struct ring_entry *
entry_claim(const struct lookup *l)
{
	size_t size = (sizeof(struct ring_entry) + l->size + 8) & ~(size_t)7;
	uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
	struct ring_entry *e;

	do {
		if (head > RING_SIZE - size)
			return NULL;
	} while (!__atomic_compare_exchange_n(&ring->head, &head,
	    head + (uint32_t)size, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	e = entry_at(head);
	e->size = (uint32_t)size;
	e->op = (uint16_t)l->op;
	e->path_size = (uint16_t)l->size;
	e->pid = (uint32_t)getpid();
	memcpy(e->path, l->path, l->size + 1);
	return e;
}

static int64_t
time_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
entry_finish(struct ring_entry *e, int error, const struct stat *st)
{
	e->error = error;
	if (!error && st) {
		e->mode = st->st_mode;
		e->dev = st->st_dev;
		e->ino = st->st_ino;
		e->file_size = (uint64_t)st->st_size;
		e->mtime_ns = time_ns(st->st_mtim);
		e->ctime_ns = time_ns(st->st_ctim);
	}
	__atomic_store_n(&e->state, RING_DONE, __ATOMIC_RELEASE);
}

static bool
entry_agrees(const struct ring_entry *e, int error, const struct stat *st)
{
	if (e->error != error || error || !st)
		return e->error == error;
	return e->mode == st->st_mode && e->dev == st->st_dev &&
	    e->ino == st->st_ino && e->file_size == (uint64_t)st->st_size &&
	    e->mtime_ns == time_ns(st->st_mtim) &&
	    e->ctime_ns == time_ns(st->st_ctim);
}

static uint64_t
hash_add(uint64_t hash, const char *at, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, at, size);
	hash = (hash ^ word) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 32;
}

static uint32_t
path_hash(const char *path, size_t size, uint32_t seed)
{
	uint64_t hash = seed;

	for (; size > 8; size -= 8, path += 8)
		hash = hash_add(hash, path, 8);
	hash = hash_add(hash, path, size);
	return (uint32_t)(hash_add(hash, path, 0) >> 32);
}

/* Sets `known`, and `slot` to where the entry is or may go. */
static void
lookup_find(struct lookup *l)
{
	uint32_t first = path_hash(l->path, l->size, l->op) % SLOTS;

	l->known = NULL;
	l->slot = first;
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t slot = (first + i) % SLOTS;
		uint32_t at = __atomic_load_n(&slots[slot], __ATOMIC_ACQUIRE);
		const struct ring_entry *e = entry_at(at);

		if (!at) {
			l->slot = slot;
			return;
		}
		if (e->op == l->op && e->path_size == l->size &&
		    memcmp(e->path, l->path, l->size) == 0) {
			l->known = e;
			l->slot = slot;
			return;
		}
	}
}

static bool
name_is_special(const char *name, size_t size)
{
	return (size == 4 && memcmp(name, "proc", 4) == 0) ||
	    (size == 3 && memcmp(name, "sys", 3) == 0) ||
	    (size == 3 && memcmp(name, "dev", 3) == 0);
}

/* A name counts at the root, and after "..", which may lead there. */
bool
path_is_special(const char *path)
{
	bool counts = true;

	for (;;) {
		const char *end;
		size_t size;

		while (*path == '/')
			path++;
		end = strchrnul(path, '/');
		size = (size_t)(end - path);
		if (!size || (counts && name_is_special(path, size)))
			return size != 0;
		if (path[0] != '.' || size > 2)
			counts = false;
		else if (path[size - 1] == '.' && size == 2)
			counts = true;
		path = end;
	}
}

static bool
lookup_absolute(struct lookup *l, const char *path, size_t size)
{
	long cwd;

	l->path = path;
	l->size = size;
	if (path[0] == '/')
		return true;
	cwd = stub_call(SYS_getcwd, l->room, sizeof(l->room), 0) - 1;
	if (cwd <= 0 || l->room[0] != '/' || cwd + size + 1 > LOOKUP_PATH)
		return false;
	if (l->room[cwd - 1] != '/')
		l->room[cwd++] = '/';
	memcpy(l->room + cwd, path, size + 1);
	l->path = l->room;
	l->size += (size_t)cwd;
	return true;
}

bool
lookup_begin(struct lookup *l, enum ring_op op, const char *path)
{
	size_t size;

	if (!ring || !path || !path[0])
		return false;
	size = strnlen(path, LOOKUP_PATH + 1);
	if (size > LOOKUP_PATH || !lookup_absolute(l, path, size) ||
	    path_is_special(l->path))
		return false;
	l->op = op;
	lookup_find(l);
	l->entry = l->known ? NULL : entry_claim(l);
	return l->known || l->entry;
}

bool
lookup_end(struct lookup *l, long got, const struct stat *st)
{
	int error = got < 0 ? (int)-got : 0;
	uint32_t at;

	if (l->known) {
		if (entry_agrees(l->known, error, st) &&
		    (l->op != RING_OPEN || error))
			return true;
		l->entry = entry_claim(l);
		if (!l->entry)
			return false;
	}
	entry_finish(l->entry, error, st);
	at = (uint32_t)((char *)l->entry - (char *)ring);
	__atomic_store_n(&slots[l->slot], at, __ATOMIC_RELEASE);
	return true;
}
