#ifndef RING_H
#define RING_H

#include <stdint.h>

/*
 * The memory that an accelerated program shares with its supervisor.
 *
 * The preloaded library (src/preload/observe.c) makes the system calls of a
 * compiler's lookups itself, from one `syscall` instruction at a fixed address
 * that the seccomp filter lets through, and writes here what it asked and what
 * the kernel answered. Everything that does not come from there still reaches
 * the supervisor as a notification, so a program without the library, or a
 * library that gives up, costs time and never an observation.
 *
 * The log only grows: a writer claims room by adding to `head`, fills the entry
 * in, and sets its state to RING_DONE last. It makes the call between claiming
 * and finishing, so that an entry that never became RING_DONE tells of a process
 * that died half way, and nothing is recorded. A writer that finds no room left
 * makes the call without the log, where the filter sees it.
 *
 * Only calls that change nothing may be made this way: the order of reads and
 * writes is what the supervisor sees, which empties the log before each
 * notification that it answers.
 */

#define RING_MAGIC 0x74617252 /* "tarR" */
#define RING_VERSION 1u
#define RING_SIZE \
	(8u << 20) /* bytes, all of it; only what is used is touched */

/* Where the `syscall` instruction is; the filter allows instruction pointers
 * that are right behind it. A page below every mapping that a kernel chooses. */
#define RING_STUB_PAGE 0x6ffff0000000ull
#define RING_STUB_AFTER (RING_STUB_PAGE + 2)

/*
 * How the library finds it, besides LD_PRELOAD: a path that opens the memory,
 * "/proc/PID/fd/N". The library takes both variables out of the environment
 * before main() runs and puts them back only for programs that it can go into.
 */
#define RING_ENV "TARN_RING"

enum ring_op {
	RING_OPEN = 1, /* open for reading, no creation */
	RING_STAT,     /* stat, following links */
	RING_LSTAT,    /* of the path itself */
	RING_ACCESS,
	RING_READLINK, /* the target is not kept: the supervisor reads it again */
};

enum ring_state {
	RING_CLAIMED = 0, /* what fresh memory says */
	RING_DONE = 1,
};

struct ring_header {
	uint32_t magic, version;
	uint32_t size;   /* bytes, all of it */
	uint32_t head;   /* atomic: bytes claimed, header included; never
				  * past `size` */
	uint32_t mapped; /* atomic: processes that the library went into */
	uint32_t unused;
};

/* Entries lie behind one another at multiples of 8 bytes; a path has 16 bits. */
#define RING_ENTRY_MAX (128u << 10)
struct ring_entry {
	uint32_t size;  /* bytes, this struct and the path, rounded up to 8 */
	uint32_t state; /* atomic: enum ring_state */
	uint16_t op;
	uint16_t path_size; /* without the NUL that follows it */
	int32_t error;      /* 0, or the errno that the call gave */
	uint32_t pid;

	/* Of what was found, when error is 0 and `op` is not RING_READLINK
	 * or RING_ACCESS: */
	uint32_t mode;
	uint64_t dev, ino, file_size;
	int64_t mtime_ns, ctime_ns;

	char path[]; /* absolute: the library puts the working directory, as
		      * getcwd() gave it, and a slash before a relative one */
};

#endif
