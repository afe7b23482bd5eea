#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which system calls we are told of, and how each is to be understood. One table
 * makes both the seccomp filter and the supervisor's dispatch.
 */

enum call {
	CALL_OPEN = 1, /* flags: number of the argument */
	CALL_OPENAT2,
	CALL_STAT,
	CALL_LSTAT,
	CALL_ACCESS,
	CALL_READLINK,
	CALL_ATTRIBUTES, /* extended ones, and the like: that it is there */
	CALL_EXEC,
	CALL_LISTING,
	CALL_CHDIR,
	CALL_GETCWD,
	CALL_UNAME,
	CALL_CPU,
	CALL_KILL,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_MKDIR,
	CALL_MKNOD,
	CALL_LINK,
	CALL_SYMLINK,
	CALL_TRUNCATE,
	CALL_CHMOD,
	CALL_CHOWN,
	CALL_UTIME,
	CALL_SETXATTR,
	CALL_SOCKET,
	CALL_CONNECT,
	CALL_SENDTO,
	CALL_CLONE,
	CALL_PTRACE,  /* asked about only where we trace ourselves */
	CALL_READ,    /* from descriptor 0, or one of the strays */
	CALL_WRITE,   /* to one of the strays */
	CALL_DUP,     /* of either */
	CALL_REFUSED, /* just to be refused: `what` says as what */
};

struct call_spec {
	uint16_t number;
	uint8_t call;
	int8_t folder;     /* argument that is the folder's descriptor, or -1 */
	int8_t path;       /* argument that is the path; -1: a descriptor's, in
	                     * `folder` */
	int8_t flags;      /* argument with flags, or -1 */
	const char *what;  /* for a refusal: "it ..." */
	uint8_t fast;      /* let through when it comes from the accelerator */
	int8_t only_arg;   /* only if this argument ... */
	uint8_t only_mask; /* 0: equals only_value; 1: has a bit of it; 2: is
	                     * not zero; 3: is one of the descriptors that
	                     * lead outside */
	uint32_t only_value;
	int8_t to; /* with mask 3: one more, which is written to; or -1 */
};

/*
 * Descriptors beyond 0, 1 and 2 that the command inherits from whoever called
 * us. Having them is fine; to use one is to reach outside.
 */
#define STRAYS_MAX 8
struct strays {
	int fd[STRAYS_MAX];
	int count;
};

/* NULL if we did not ask for it. */
const struct call_spec *filter_find(int number);

/* Who is asked: the holder of a listener, or the tracer of the process. */
enum filter_asks { ASK_LISTENER, ASK_TRACER };

/* What goes with a question to the tracer if the number of the call is not one of
 * x86-64's. */
#define FILTER_OTHER 1

/*
 * Put the filter on the calling thread. Returns the listener, or 0 where the
 * tracer is asked, or -1 with errno.
 * The accelerator's calls are let through: an action inside of this one may have it.
 * `fast`: it is this one's, and so nobody goes by the fstat() of an open file.
 */
int filter_install(
    enum filter_asks asks, bool fast, const struct strays *strays);

/*
 * Under a filter that asks the tracer: does he get to see the calls? A filter that
 * was there before has the last word, and may give them to somebody else. Each is
 * made with arguments that do nothing, PROOF_ARGUMENT but for a few; the tracer
 * answers it with PROOF_ERROR. -1 with errno if one of them did not come to him.
 */
#define PROOF_ARGUMENT (~0ull)
#define PROOF_ERROR ENOANO
int filter_prove(void);

#endif
