/*
 * Reproducibility: two runs of one state with different results. What differs and
 * why, as far as that can be told, goes into $TARN_DIR/findings.jsonl, one line
 * for each (docs/events.md), and in short into the event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/spool.h"
#include "exec/keeping.h"
#include "report/difference.h"
#include "report/event.h"

#define IN_MEMORY ((size_t)1 << 20) /* bytes of each value */

struct finding {
	struct keeping *k;
	struct buf parts; /* "{...},{...}" */
	char text[200];   /* of the first, for people */
};

/* ---- the bytes ---- */

/* A file's content, or what was printed. */
struct value {
	const struct buf *contents;
	uint64_t size;
	const struct digest *digest;
};

static struct source *
open_value(struct keeping *k, const struct value *value, struct spool *spool,
    struct error *err)
{
	struct key key = { KEY_BLOB, *value->digest };
	auto_sink *sink = NULL;

	if (value->size <= RECORD_INLINE)
		return source_memory(value->contents->data, value->size);
	sink = sink_spool(spool);
	if (location_read(k->job->tree, &key, sink, err) != HIT)
		return NULL;
	return spool_source(spool);
}

static bool
compare(struct keeping *k, const struct value *a, const struct value *b,
    struct difference *d)
{
	auto_spool spool_a = SPOOL_INIT(IN_MEMORY);
	auto_spool spool_b = SPOOL_INIT(IN_MEMORY);
	struct error err;
	auto_source *first = open_value(k, a, &spool_a, &err);
	auto_source *second = first ? open_value(k, b, &spool_b, &err) : NULL;

	return first && second && difference_find(d, first, second, &err) == 0;
}

/* ---- one part of a finding ---- */

static void
start_part(struct finding *f, const char *what, const char *how)
{
	buf_addf(&f->parts, "%s{", f->parts.len ? "," : "");
	json_name(&f->parts, "what");
	json_text(&f->parts, what);
	json_name(&f->parts, "how");
	json_text(&f->parts, how);
	if (!f->text[0])
		snprintf(f->text, sizeof(f->text), "'%.100s' %s", what, how);
}

static void
add_plain(struct finding *f, const char *what, const char *how)
{
	start_part(f, what, how);
	buf_addf(&f->parts, "}");
}

static void
add_difference(struct finding *f, const char *what, const struct difference *d)
{
	char causes[64], how[160];

	(void)difference_causes(d->causes, causes);
	snprintf(how, sizeof(how),
	    "differs in %llu bytes from %llu on, likely cause: %s",
	    (unsigned long long)d->bytes, (unsigned long long)d->first, causes);
	start_part(f, what, how);
	buf_addf(&f->parts,
	    ",\"cause\":\"%s\",\"first\":%llu,\"bytes\":%llu,\"places\":%llu,"
	    "\"size\":[%llu,%llu]",
	    causes, (unsigned long long)d->first, (unsigned long long)d->bytes,
	    (unsigned long long)d->places, (unsigned long long)d->size[0],
	    (unsigned long long)d->size[1]);
	json_name(&f->parts, "kept");
	json_text(&f->parts, d->sample[0]);
	json_name(&f->parts, "now");
	json_text(&f->parts, d->sample[1]);
	buf_addf(&f->parts, "}");
}

static void
add_values(struct finding *f, const char *what, const struct value *kept,
    const struct value *now)
{
	struct difference d;

	if (compare(f->k, kept, now, &d))
		add_difference(f, what, &d);
	else
		add_plain(f, what, "differs; its bytes are gone");
}

/* ---- what two records differ in ---- */

static const struct output *
find_output(const struct record *record, const struct output *like)
{
	for (size_t i = 0; i < record->count; i++) {
		if (record->outputs[i].place == like->place &&
		    strcmp(record->outputs[i].path, like->path) == 0)
			return &record->outputs[i];
	}
	return NULL;
}

static void
compare_outputs(
    struct finding *f, const struct output *kept, const struct output *now)
{
	const struct value a = { &kept->contents, kept->size, &kept->digest };
	const struct value b = { &now->contents, now->size, &now->digest };
	auto_free char *path = restore_path(&f->k->job->world, kept);
	const char *what = path ? path : kept->path;

	if (record_same_output(kept, now))
		return;
	if (kept->type != now->type)
		add_plain(f, what, "is of another type");
	else if (kept->type == OUTPUT_FILE &&
	    (kept->size != now->size ||
	        !digest_equal(&kept->digest, &now->digest)))
		add_values(f, what, &a, &b);
	else
		add_plain(f, what,
		    kept->type == OUTPUT_LINK ? "has another target or mode"
		                              : "has another mode");
}

static void
compare_printed(struct finding *f, const char *what, const struct printed *kept,
    const struct printed *now)
{
	const struct value a = { &kept->data, kept->size, &kept->digest };
	const struct value b = { &now->data, now->size, &now->digest };

	if (!record_same_printed(kept, now))
		add_values(f, what, &a, &b);
}

static void
compare_all(
    struct finding *f, const struct record *kept, const struct record *now)
{
	const struct output *other;

	for (size_t i = 0; i < kept->count; i++) {
		other = find_output(now, &kept->outputs[i]);
		if (other)
			compare_outputs(f, &kept->outputs[i], other);
		else
			add_plain(f, kept->outputs[i].path, "was not made now");
	}
	for (size_t i = 0; i < now->count; i++) {
		if (!find_output(kept, &now->outputs[i]))
			add_plain(f, now->outputs[i].path, "was made only now");
	}
	compare_printed(f, "standard output", &kept->out, &now->out);
	compare_printed(f, "standard error", &kept->err, &now->err);
	if (kept->status != now->status)
		add_plain(f, "the status", "is another one");
}

/* ---- keeping it ---- */

static void
format(const struct finding *f, struct buf *line)
{
	const struct job *job = f->k->job;
	char time_text[40], hex[DIGEST_HEX + 1];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addf(line, "{\"time\":\"%s\",\"fingerprint\":\"%s\"", time_text,
	    digest_hex(&f->k->record.fingerprint, hex));
	buf_addf(line, ",\"action\":\"%s\"", digest_hex(&job->key, hex));
	json_name(line, "found");
	json_text(line, job->found ? "check" : "second result");
	json_name(line, "command");
	for (char *const *word = job->options.command; *word; word++) {
		buf_addf(line, "%s", word == job->options.command ? "[" : ",");
		json_text(line, *word);
	}
	buf_addf(line, "]");
	json_name(line, "cwd");
	json_text(line, job->cwd);
	json_name(line, "build");
	json_text(line, job->options.build);
	buf_addf(line, ",\"differences\":[%s]}\n", f->parts.data);
}

void
keep_finding(struct keeping *k, const struct record *kept)
{
	struct finding f = { .k = k, .parts = BUF_INIT };
	auto_free char *path = xasprintf("%s/" FINDINGS_FILE, k->job->tarn_dir);
	auto_buf line = BUF_INIT;
	struct error err;

	k->job->differs = true;
	compare_all(&f, kept, &k->record);
	format(&f, &line);
	job_note(k->job,
	    "another run of the same state had another result (%s); the first "
	    "one stays",
	    f.text);
	if (event_append(path, EVENT_LIMIT, &line, &err) < 0)
		job_note(k->job, "%s", err.text);
	buf_release(&f.parts);
}
