#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "store/pathset.h"
#include "store/table.h"
#include "trace/filter.h"

/*
 * Running a command and seeing what it and all its children do to files,
 * without privileges and without their knowledge (docs/observation.md).
 *
 * Each system call that takes a path, and each that can't be reconciled with
 * caching, stops its caller until we have looked; then it goes on as if nothing
 * had been. We see the question, not the answer, so the answer is foretold by
 * asking the kernel the same a moment before, and at the end everything is
 * looked at once more: what does not agree is no observation to record.
 */

/* What happened to one path, until the command ended. */
struct touched {
	char *path;      /* owned; absolute, as the command named it */
	uint32_t facets; /* what was learned from it before it was written */
	bool timed;      /* a program that we don't know asked for its stat() */
	bool stamped;    /* `stamp` and `mode` are those of the first look */
	struct stamp stamp;
	uint32_t mode;
	bool digested; /* content was taken early, since it then changed */
	struct digest digest;
	bool listed;
	struct digest listing; /* less the names that the command had made */
	struct digest link;    /* of the target, or zero: no link */
	bool linked;           /* `link` is known */
	bool program;          /* it was run */
	unsigned opened;       /* how often its content could be read */

	bool written;   /* or made, renamed to, removed, ... */
	bool probed;    /* before that, it was looked for in a telling way */
	int before;     /* type before that, S_IFMT bits; 0: absent */
	uint32_t names; /* hard links before that */
	bool alone;     /* made in a way that had noticed anything there */
	bool fresh;     /* what was there before went away first */
	bool mode_set, time_set;
	bool tree; /* a folder that came here by a rename, with all in it */
};

/* What was printed on one stream. */
struct capture {
	struct buf data; /* the first RECORD_INLINE bytes */
	uint64_t size;
	int fd; /* all of it, once it is longer; else -1 */
};

struct trace {
	/* In: */
	const char *program; /* file to run; argv[0] stays what it is */
	char *const *argv;
	char *const *environment;
	const char *cwd, *root;
	const char *tarn_dir;  /* its files are no observations */
	const char *events;    /* nor is this one; may be NULL */
	const char *jobserver; /* nor make\'s named pipe; may be NULL */
	struct table *table;
	bool observe;    /* else just run it and keep what it prints */
	bool by_ptrace;  /* observe by ptrace, and not by a listener */
	bool accelerate; /* a known compiler driver: try the library */
	bool one_stream; /* stdout and stderr are one open file */
	bool stranger;   /* in, out: code that is no compiler's own may run in
	                  * one, or one may be nobody's we know */
	int input;       /* file for its stdin, or -1: as ours */
	void (*file_size_signal)(int); /* what SIGXFSZ is for it */
	struct strays strays;
	struct nest
	    *nest;   /* inside of another's action: its supervisor; or NULL */
	pid_t owner; /* whose command it is, if not ours: trace/nested.h */

	/* Out: */
	int64_t began_ns; /* by the clock that stamps files */
	int status;       /* as from waitpid() */
	int exec_error;   /* errno if it could not be run at all */
	int denied; /* errno: the kernel refuses that kind of observation */
	bool wanted_ptrace;   /* it called ptrace, which was taken */
	const char *observer; /* "accelerated", "observed", "traced",
	                       * "depfile" or "unobserved" */
	char refusal[320];    /* why nothing may be recorded; "" if it may */
	struct touched *touched;
	size_t count, cap;
	uint32_t *index; /* hash table over touched */
	size_t index_size;
	size_t folders_made, links_made;
	char **programs; /* real paths of what was run, without doubles */
	size_t program_count;
	uint32_t
	    own_clocks; /* enum table_flags of sources that came and went */
	bool asked_cwd, asked_uname, asked_cpu, asked_environment;
	bool asked_clock;          /* a compiler looked up the time zone */
	bool shells_compare_times; /* a shell's text says -nt or -ot */
	pid_t asked_shell;         /* whose text was looked at last */
	struct capture out, err;
	uint32_t *order; /* as in struct record */
	size_t order_count, order_cap;
	uint64_t wall_us;
};

/*
 * Run it to its end. Returns 0; -1 with *err set only if it could not even be
 * started, in which case nothing has happened yet. Nor has anything if `denied`
 * is set then: it can be tried again in another way. Call trace_release() after
 * any of it.
 */
int trace_run(struct trace *trace, struct error *err);
void trace_release(struct trace *trace);

/* Nothing may be recorded; the first reason stays. */
void trace_refuse(struct trace *trace, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What is known of `path`; NULL if it was never touched. */
struct touched *trace_find(const struct trace *trace, const char *path);

/* The same, made if need be, of a path that may hold needless dots: for those who
 * learn by other means what a command did. Valid until the next. */
struct touched *trace_touch(struct trace *trace, const char *path);

/* It ran this program. */
void trace_add_program(struct trace *trace, const char *path);

/* Is `path` in a folder that the command itself made? */
bool trace_is_own(const struct trace *trace, const char *path);

#endif
