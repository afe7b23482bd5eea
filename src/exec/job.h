#ifndef JOB_H
#define JOB_H

#include <sys/stat.h>

#include "actions/action.h"
#include "base/config.h"
#include "exec/marks.h"
#include "exec/options.h"
#include "locations/location.h"
#include "store/pathset.h"
#include "store/record.h"
#include "store/restore.h"
#include "trace/nest.h"
#include "trace/trace.h"

/*
 * One run of tarn-exec, from its words to its event:
 *
 *	job_open()     where we are, which program, which cache
 *	key_compute()  what is known before it runs
 *	lookup()       path sets, fingerprints, a record
 *	restore        ... or run it under observation, and keep what it did
 *	job_tell()     the event
 *	make_room()    ... if what was stored is too much
 *
 * Whatever fails on the way costs a miss and a note in the event. The command
 * runs all the same.
 */
struct job {
	struct options options;
	struct timespec begin;
	char *cwd, *root, *tarn_dir; /* owned; tarn_dir may be NULL */
	char *program;               /* owned; the file to run */
	mode_t umask;
	bool ignores_pipe,
	    ignores_child; /* SIGPIPE, SIGCHLD, as it was started */
	bool one_stream, out_tty, err_tty;
	unsigned closed;               /* bit N: descriptor N was not open */
	struct words owned;            /* texts that `options` borrow from us */
	void (*file_size_signal)(int); /* what SIGXFSZ was for us */
	struct nest nest;      /* the tarn-exec in whose action this is */
	Tarn__Config *config;  /* may be NULL */
	struct location *tree; /* may be NULL: nothing to ask */
	struct table *table;   /* may be NULL */
	struct action action;
	struct marks marks; /* stable and unstable sources */
	struct world world;
	const char *outputs[2];
	struct digest key; /* the action key */
	bool keyed;
	struct toolchain *tools; /* owned; if its compiler tells what it reads,
	                          * since nobody can watch it: toolchain.h */
	char told_not[200];      /* ... or why that would not do */
	int input;               /* spool of a declared stdin, or -1 */
	struct digest input_digest;

	bool far;   /* some leaf of the tree is across a network */
	bool found; /* `record` is what lookup() found */
	struct record record;
	struct location *leaf; /* that it came from; borrowed */
	struct buf found_set;  /* by which path set; only for an outer one */

	/* For the event: */
	const char *outcome;
	int status;
	const char *observer;
	char *tier; /* owned */
	char reason[400];
	char note[400];
	char aside[400]; /* a note if there is no other: how it was observed */
	const char *hint, *check;
	bool differs;        /* from an earlier result of the same state */
	struct digest shown; /* the key that the event names */
	bool has_shown;
	uint64_t bytes, saved_us;
};

/* Find out where we are. -1 with *err if the command can't be run at all; then
 * job->status is 126 or 127. */
int job_open(struct job *job, struct error *err);
void job_close(struct job *job);

/* Trouble that costs nothing but time; the first stays. */
void job_note(struct job *job, const char *fmt, ...) PRINTF_LIKE(2, 3);
void job_reason(struct job *job, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Append the event and, with --explain, say it. */
void job_tell(struct job *job);

/* May the result of a run that ended with a failing status be kept? */
bool job_keeps_failures(const struct job *job);

/* key.c: the action key. -1 with *err if something declared can't be read. */
int key_compute(struct job *job, struct error *err);

/* key.c: a path, told from the root if it is below it. */
void key_add_path(const struct job *job, const char *path, struct hasher *h);

/* lookup.c: fill in job->record and job->found, or job->reason. */
void lookup(struct job *job);

/* lookup.c: put a path set in front of those known under the action key, in `where`,
 * which is our tree or a part of it. Returns 0 or -1. */
int path_set_push(struct job *job, struct location *where,
    const struct digest *name, const struct buf *set, const struct buf *hint,
    struct error *err);

/* fetch.c: how long remote locations may take. */
void fetch_begin_lookup(struct job *job);
void fetch_begin_restore(struct job *job);
void fetch_end(struct job *job);

/* fetch.c: false, with the reason: to fetch the record's outputs would take longer
 * than to make them did. */
bool fetch_is_worth_it(struct job *job);

/* keep.c: store what the run did; fills in outcome and reason. */
void keep(struct job *job, struct trace *trace);

/* room.c: if a location holds more than it may, start a process that removes what was
 * used least. It takes its title from `argv`, main()'s. */
void make_room(struct job *job, char **argv);

/* declared.c */
int declared_key(struct job *job, struct hasher *h, struct error *err);
/* Call `fn` for every declared output: the path, absolute. */
void declared_outputs(struct job *job,
    void (*fn)(struct job *job, void *arg, const char *path), void *arg);

/* May an output be there: under root or cwd, or named by the words? */
bool job_allows(void *job, const char *path);

/* outer.c: inside of another's action, may this be one of its own? */
bool outer_lets_us(const struct job *job, const struct strays *strays);

/* outer.c: tell the outer one, if there is one, what the hit stands for, before it is
 * restored. False: it must be run. */
bool outer_knows_hit(struct job *job);

/* outer.c: it was told, and all the same the command has to be run. */
void outer_hears_of_failure(struct job *job);

/* outer.c: the program was looked for in vain. */
void outer_knows_search(struct job *job);

/*
 * replay.c: print what a record says was printed. What is long of it is a blob, for
 * which replay_open() opens a file: it is to be fetched before any output is in
 * place, so that nothing is restored whose words can't be said. replay_close() after
 * either.
 */
struct tape {
	const struct printed *printed;
	int fd; /* of a long one, else -1 */
	size_t at;
};
struct replay {
	const struct record *record;
	struct tape tape[2];
	struct restore_blob blob[2]; /* to be fetched */
	size_t blobs;
};
int replay_open(struct replay *replay, struct job *job, struct error *err);
void replay_print(struct replay *replay);
void replay_close(struct replay *replay);

#endif
