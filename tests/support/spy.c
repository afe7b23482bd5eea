#include "support/spy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/check.h"

#define NAMES 16

struct spy_label {
	struct key key;
	char *text;
};

static struct buf written = BUF_INIT;
static char shown[65536];
static struct {
	struct key key;
	const char *name;
} names[NAMES];
static size_t name_count;

/* ---- what was asked ---- */

static bool
key_equal(const struct key *a, const struct key *b)
{
	return a->space == b->space && digest_equal(&a->digest, &b->digest);
}

void
spy_name(const struct key *key, const char *name)
{
	check(name_count < NAMES);
	names[name_count].key = *key;
	names[name_count++].name = name;
}

static void
write_key(const struct key *key)
{
	for (size_t i = 0; i < name_count; i++) {
		if (key_equal(&names[i].key, key)) {
			buf_addf(&written, "%s", names[i].name);
			return;
		}
	}
	buf_addf(&written, "%u", key->digest.bytes[0]);
}

static void
write_call(const struct spy *spy, const char *call, const void *first,
    size_t step, size_t count)
{
	buf_addf(&written, "%s%s.%s(", written.len ? " " : "", spy->name, call);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&written, "%s", i ? " " : "");
		write_key((const void *)((const char *)first + i * step));
	}
	buf_add(&written, ")", 1);
}

const char *
spy_log(void)
{
	check(written.len < sizeof(shown));
	memcpy(shown, written.data, written.len);
	shown[written.len] = '\0';
	buf_release(&written);
	written = (struct buf)BUF_INIT;
	return shown;
}

/* ---- what it says ---- */

static struct spy *
spy_in(struct location *loc)
{
	return (struct spy *)(uintptr_t)container_of(
	    loc->kind, const struct spy, kind);
}

static bool
must_fail(struct spy *spy)
{
	bool fails = spy->fails || (spy->fails_at >= 0 && spy->fails_at-- == 0);

	if (fails && spy->slow)
		usleep(spy->slow);
	return fails;
}

static enum outcome
fail(struct error *err)
{
	return error_set(err, ERROR_UNREACHABLE, "it broke off");
}

static enum outcome
read_one(struct spy *spy, struct location *loc, const struct key *key,
    struct sink *out, struct error *err)
{
	if (must_fail(spy)) {
		(void)sink_write(out, "part of it", 10, err);
		return fail(err);
	}
	return spy->real->read(loc, key, out, err);
}

static enum outcome
write_one(struct spy *spy, struct location *loc, const struct key *key,
    struct source *in, enum write_mode mode, struct error *err)
{
	bool failing = must_fail(spy);
	char some[3];

	if (failing || spy->declines)
		(void)source_read(in, some, sizeof(some), err);
	if (failing)
		return fail(err);
	return spy->declines ? DECLINED
	                     : spy->real->write(loc, key, in, mode, err);
}

static enum outcome
contain_one(struct spy *spy, struct location *loc, const struct key *key,
    struct error *err)
{
	return must_fail(spy) ? fail(err) : spy->real->contains(loc, key, err);
}

static enum outcome
spy_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct spy *spy = spy_in(loc);

	write_call(spy, "read", key, 0, 1);
	return read_one(spy, loc, key, out, err);
}

static void
spy_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct spy *spy = spy_in(loc);

	write_call(spy, "read", &requests[0].key, sizeof(*requests), count);
	spy->largest = count > spy->largest ? count : spy->largest;
	for (size_t i = 0; i < count; i++)
		requests[i].outcome = read_one(spy, loc, &requests[i].key,
		    requests[i].out, &requests[i].err);
}

static enum outcome
spy_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct spy *spy = spy_in(loc);

	write_call(spy, mode == WRITE_REPLACE ? "replace" : "write", key, 0, 1);
	return write_one(spy, loc, key, in, mode, err);
}

static void
spy_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct spy *spy = spy_in(loc);

	write_call(spy, requests[0].mode == WRITE_REPLACE ? "replace" : "write",
	    &requests[0].key, sizeof(*requests), count);
	spy->largest = count > spy->largest ? count : spy->largest;
	for (size_t i = 0; i < count; i++)
		requests[i].outcome = write_one(spy, loc, &requests[i].key,
		    requests[i].in, requests[i].mode, &requests[i].err);
}

static enum outcome
spy_contains(struct location *loc, const struct key *key, struct error *err)
{
	write_call(spy_in(loc), "contains", key, 0, 1);
	return contain_one(spy_in(loc), loc, key, err);
}

static void
spy_contains_batch(struct location *loc,
    struct location_contains_request *requests, size_t count)
{
	write_call(spy_in(loc), "contains", &requests[0].key, sizeof(*requests),
	    count);
	for (size_t i = 0; i < count; i++)
		requests[i].outcome = contain_one(
		    spy_in(loc), loc, &requests[i].key, &requests[i].err);
}

static void
forget_labels(struct spy *spy, const struct key *key)
{
	size_t left = 0;

	for (size_t i = 0; i < spy->label_count; i++) {
		if (key_equal(&spy->labels[i].key, key))
			free(spy->labels[i].text);
		else
			spy->labels[left++] = spy->labels[i];
	}
	spy->label_count = left;
}

static enum outcome
spy_remove(struct location *loc, const struct key *key, struct error *err)
{
	struct spy *spy = spy_in(loc);
	enum outcome there;

	write_call(spy, "remove", key, 0, 1);
	if (must_fail(spy))
		return fail(err);
	if (spy->declines) {
		there = spy->real->contains(loc, key, err);
		return there == HIT
		    ? error_set(err, ERROR_DENIED, "it is read-only")
		    : there;
	}
	forget_labels(spy, key);
	return spy->real->remove(loc, key, err);
}

static enum outcome
spy_touch(struct location *loc, const struct key *key, struct error *err)
{
	write_call(spy_in(loc), "touch", key, 0, 1);
	if (must_fail(spy_in(loc)))
		return fail(err);
	return spy_in(loc)->real->touch(loc, key, err);
}

static int
spy_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	write_call(spy_in(loc), "list", NULL, 0, 0);
	if (must_fail(spy_in(loc)))
		return fail(err);
	return spy_in(loc)->real->list(loc, wanted, fn, arg, err);
}

/* Sorted, and each once. */
static void
add_label(struct spy *spy, const struct key *key, const char *text)
{
	size_t at = spy->label_count;

	for (size_t i = 0; i < spy->label_count; i++) {
		if (key_equal(&spy->labels[i].key, key) &&
		    strcmp(spy->labels[i].text, text) == 0)
			return;
	}
	spy->labels =
	    xrealloc(spy->labels, spy->label_count + 1, sizeof(*spy->labels));
	for (; at > 0 && strcmp(spy->labels[at - 1].text, text) > 0; at--)
		spy->labels[at] = spy->labels[at - 1];
	spy->labels[at] = (struct spy_label){ *key, xstrdup(text) };
	spy->label_count++;
}

static enum outcome
spy_add_labels(struct location *loc, const struct key *key,
    const char *const *labels, struct error *err)
{
	struct spy *spy = spy_in(loc);
	enum outcome there;

	write_call(spy, "add_labels", key, 0, 1);
	there = contain_one(spy, loc, key, err);
	for (; there == HIT && *labels; labels++)
		add_label(spy, key, *labels);
	return there;
}

static enum outcome
spy_labels(struct location *loc, const struct key *key, location_label_fn *fn,
    void *arg, struct error *err)
{
	struct spy *spy = spy_in(loc);
	enum outcome outcome = MISS;

	write_call(spy, "labels", key, 0, 1);
	if (must_fail(spy))
		return fail(err);
	for (size_t i = 0; i < spy->label_count; i++) {
		if (!key_equal(&spy->labels[i].key, key))
			continue;
		outcome = HIT;
		if (fn(arg, spy->labels[i].text))
			break;
	}
	return outcome;
}

static void
spy_close(struct location *loc)
{
	struct spy *spy = spy_in(loc);

	loc->kind = spy->real;
	for (size_t i = 0; i < spy->label_count; i++)
		free(spy->labels[i].text);
	free(spy->labels);
	spy->real->close(loc);
	free(spy);
}

struct spy *
spy_of(struct location *leaf)
{
	return leaf->kind->close == spy_close ? spy_in(leaf) : NULL;
}

struct spy *
spy_on(struct location *leaf)
{
	struct spy *spy = xmalloc(sizeof(*spy));

	check(!spy_of(leaf));
	*spy = (struct spy){ .kind = *leaf->kind,
		.real = leaf->kind,
		.name = strrchr(leaf->label, '/') + 1,
		.fails_at = -1 };
	spy->kind.read = spy_read;
	spy->kind.read_batch = spy_read_batch;
	spy->kind.write = spy_write;
	spy->kind.write_batch = spy_write_batch;
	spy->kind.contains = spy_contains;
	spy->kind.contains_batch = spy_contains_batch;
	spy->kind.remove = spy_remove;
	spy->kind.touch = spy_touch;
	spy->kind.list = spy_list;
	spy->kind.add_labels = spy_add_labels;
	spy->kind.labels = spy_labels;
	spy->kind.close = spy_close;
	leaf->kind = &spy->kind;
	return spy;
}
