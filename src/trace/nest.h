#ifndef NEST_H
#define NEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "trace/filter.h"

struct seccomp_notif;

/*
 * A tarn-exec inside an action of another one.
 *
 * The kernel lets only one supervisor watch a process, so the inner one can't
 * install a filter of its own. It finds the outer one by opening NEST_PATH, a
 * file that nobody has: that call reaches the outer supervisor like any other,
 * and is answered with one end of a socket pair instead of the kernel's ENOENT.
 * No variable and no socket's name shows in what the command sees, and where
 * there is no outer supervisor, the question costs one failed call.
 *
 * The first thing to read from the socket is a greeting. NEST_WHOLE means that
 * the outer action watches everything and is recorded as a whole: the inner one
 * just runs its command and looks nothing up. Later versions will let it ask
 * for the observations of its own processes, and report what a hit would have
 * read and written. A greeting that one does not understand means NEST_WHOLE.
 */
#define NEST_PATH "/dev/tarn/observer"
#define NEST_MAGIC 0x7461726e /* "tarn" */
#define NEST_VERSION 1

enum nest_mode { NEST_NONE, NEST_WHOLE };

struct nest_greeting {
	uint32_t magic;
	uint16_t version, mode;
};

/* The inner side: is there an outer one? */
enum nest_mode nest_ask(void);

/* The outer side: answer this call, of NEST_PATH being opened, on `listener`.
 * False: it could not be answered so and has to go on. */
bool nest_answer(int listener, uint64_t id);

#endif
