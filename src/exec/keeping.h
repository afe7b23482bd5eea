#ifndef KEEPING_H
#define KEEPING_H

#include "exec/job.h"
#include "exec/scan.h"

/* A file, whatever its name. */
struct file_id {
	uint64_t dev, ino;
};

/* What the files that keep a run's result share. */
struct keeping {
	struct job *job;
	struct trace *trace;
	struct path_set set;
	struct record record;
	struct scan scan;
	struct file_id *read; /* owned, in order: files whose content counts */
	size_t read_count;
	bool read_known;
	bool named_clock; /* what was read names the macro of date or time */
	char text[400];   /* why it can't be kept; "" as long as it can */
};

/* Can't be kept, because of `path`. Returns false. */
bool keeping_refuse(struct keeping *k, const char *path, const char *what);

/* keep_inputs.c: `path` as observations and outputs have it. */
enum place keeping_place(
    const struct job *job, const char *path, const char **rest);

/* keep_inputs.c: what was looked at, as far as it is still so. */
bool keep_inputs(struct keeping *k);

/* keep_inputs.c: is what was looked at still so, after the fingerprint was taken? */
bool keep_same_inputs(struct keeping *k);

/* keep_inputs.c: of a command that wasn't watched, what its depfiles name. */
bool keep_declared_inputs(struct keeping *k);

/* keep_clocks.c: what the digest table knows of a path's text (table_flags),
 * without opening it if it is as it was when the command looked. */
uint32_t keeping_flags(const struct keeping *k, const struct touched *t);

/* keep_inputs.c: was nothing run but compilers, what they call, and programs for
 * objects and archives? */
bool keeping_knows_programs(const struct keeping *k);

/* keep_clocks.c: no date or time of the run in what it made, and nothing that a
 * compiler makes one of in what it read. */
bool keep_no_clock(struct keeping *k);

/* keep_archive.c: no times and owners in archives that an archiver wrote or read. */
bool keep_no_stamps(struct keeping *k);

/* keep_archive.c: the same of one output, however it got its name. */
bool keep_plain_archive(struct keeping *k, int fd, const char *path);

/* keep_inputs.c: variables and the machine, once the outputs were looked through. */
void keep_facts(struct keeping *k);

/* findings.c: another run got another result, which is kept: say what differs. */
#define FINDINGS_FILE "findings.jsonl"
void keep_finding(struct keeping *k, const struct record *kept);

/* keep_shown.c: look for these in the outputs, too; what is found there, or is named
 * by what the command went by, counts. */
void keep_watch_shown(struct keeping *k);

/* keep_shown.c: does a file's content count, be it by another name? */
bool keep_shown_reads(struct keeping *k, const struct touched *t);
void keep_shown_variables(struct keeping *k);
void keep_shown_times(struct keeping *k);

/* keep_outputs.c: what was written, and printed; blobs are stored. */
bool keep_outputs(struct keeping *k);
bool keep_declared_outputs(struct keeping *k);
bool keep_all_printed(struct keeping *k);

#endif
