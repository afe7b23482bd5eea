#ifndef NEST_H
#define NEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "proto/nest.pb-c.h"
#include "trace/filter.h"

struct seccomp_notif;
struct trace;

/*
 * A tarn-exec inside an action of another one: the inner side.
 *
 * The kernel lets only one supervisor watch a process, so the inner one can't
 * install a filter of its own. It finds the outer one by opening NEST_PATH, a
 * file that nobody has: that call reaches the outer supervisor like any other,
 * and is answered with one end of a socket pair instead of the kernel's ENOENT.
 * No variable and no socket's name shows in what the command sees, and where
 * there is no outer supervisor, the question costs one failed call.
 *
 * From then on the outer one takes no notice of what the inner one itself does,
 * which is a cache's work and not the command's. What the command would have done
 * it is told, or sees:
 *
 *	greeting    the outer one's word whether it takes part, and which
 *	            descriptors it watches
 *	NEST_PASS   the inner one only runs its command, as part of the outer action
 *	NEST_WATCH  it runs it, and wants to know what it does; NEST_END asks for that
 *	            (a NestTrace), once all its processes have ended
 *	NEST_HIT    it is about to restore a record: what the command looked at,
 *	            and what it will find made
 *
 * Each names what the inner one looked at for the command's sake (where it looked
 * for the program, which sources are in its key), and each is answered, so that
 * the outer one has looked at it before anything changes. Requests and answers
 * are in proto/nest.proto.
 *
 * An outer one that traces by ptrace has no way to hand a descriptor out. It lets
 * the call fail with an errno that no open() has, which means NEST_WHOLE.
 */
#define NEST_PATH "/dev/tarn/observer"
#define NEST_ERROR \
	ENOANO /* instead of a socket, from one that can't give any */
#define NEST_MAGIC 0x7461726e /* "tarn" */
#define NEST_VERSION 2
#define NEST_MESSAGE_MAX (256u << 20) /* bytes */

enum nest_mode {
	NEST_NONE,  /* there is no outer one */
	NEST_WHOLE, /* it watches everything and is recorded as a whole */
	NEST_OPEN,  /* it takes requests */
};

struct nest_greeting {
	uint32_t magic;
	uint16_t version, mode;
	struct strays strays;
};

enum nest_kind { NEST_PASS = 1, NEST_WATCH, NEST_END, NEST_HIT };

/* Facts about more than a path. */
enum nest_asked {
	NEST_ASKED_CWD = 1 << 0,
	NEST_ASKED_UNAME = 1 << 1,
	NEST_ASKED_CPU = 1 << 2,
	NEST_ASKED_ENVIRONMENT = 1 << 3,
	NEST_ASKED_CLOCK = 1 << 4,
	NEST_STRANGER = 1 << 5, /* as in struct trace */
};

struct nest {
	enum nest_mode mode;
	int socket;                /* -1 unless NEST_OPEN */
	struct strays strays;      /* that the outer one watches */
	Tarn__NestRequest request; /* the next */
};

/* Is there an outer one? Before anything else that it should not see. */
void nest_open(struct nest *nest);
void nest_close(struct nest *nest);

/*
 * For the next request: that the command would have looked at `path` (enum facet),
 * or will have made it (enum output_type and output_flags). Copied.
 */
void nest_seen(struct nest *nest, const char *path, uint32_t facets);
void nest_made(struct nest *nest, const char *path, int type, uint32_t flags);
void nest_forget(struct nest *nest); /* all that was seen and made */

/*
 * Make the next request, and wait for the answer, which is appended to `answer`
 * (NULL: there is none). `ring` is a descriptor to hand over, or -1. What was seen
 * and made stays. Returns 0, or -1 if the outer one is gone or does not understand.
 */
int nest_ask(
    struct nest *nest, int ring, struct buf *answer, struct error *err);

/* The bytes of a text in a request; borrowed. */
ProtobufCBinaryData nest_bytes(const char *text);

/* A copy as a text, the caller's to free; NULL if it holds a NUL. */
char *nest_text(const ProtobufCBinaryData *bytes);

/*
 * nest_trace.c: what a trace says of its command, as a NestTrace. Decoding adds
 * to a trace that says nothing yet; -1 and ERROR_CORRUPT if that is no trace.
 */
void nest_trace_encode(const struct trace *trace, struct buf *to);
int nest_trace_decode(
    struct trace *trace, const void *data, size_t size, struct error *err);

/*
 * A message: its size, and its bytes in a memory file that comes along, with
 * perhaps a second descriptor. Sending returns 0 or -1. Receiving returns 1; 0 at
 * the end; -1 if it is no message. *fd is -1 if there was no second one.
 */
int nest_send(int socket, const void *data, size_t size, int fd);
int nest_receive(int socket, struct buf *data, int *fd);

#endif
