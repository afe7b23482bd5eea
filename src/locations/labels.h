#ifndef LABELS_H
#define LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "locations/location.h"

/*
 * The labels of a value, as the Python library tarn keeps them in a file: a JSON list
 * of texts, in ASCII. Labels are any bytes but NUL. Those that are no UTF-8 are
 * written as Python would write what it got on a command line: \udc80 to \udcff.
 */
#define LABELS_MAX ((size_t)1 << 20) /* bytes of such a file */

struct labels {
	char **item; /* sorted and different, once labels_sort() was called */
	size_t count, room;
};
#define LABELS_INIT \
	{ \
		.item = NULL \
	}
#define auto_labels __attribute__((cleanup(labels_release))) struct labels

void labels_add(struct labels *labels, const char *label);
void labels_sort(struct labels *labels);
bool labels_equal(const struct labels *a, const struct labels *b);
void labels_release(struct labels *labels);

/* Add those of a file; 0, or -1 with ERROR_CORRUPT, the place and what is wrong. */
int labels_parse(
    struct labels *labels, const char *data, size_t size, struct error *err);

/* `["x", "y"]` */
void labels_format(const struct labels *labels, struct buf *to);

/*
 * The same three for a location: the labels in what it has under `where`, sorted. 1, 0 if
 * there are none, or -1: then *labels may have some.
 */
int labels_load(struct labels *labels, const char *data, size_t size,
    const char *where, struct error *err);

/* What a location answers; `there` is what labels_load() returned. */
enum outcome labels_tell(
    const struct labels *labels, int there, location_label_fn *fn, void *arg);

/*
 * What is to be kept, of those and `more`: 1, and *text has it; 0: what is there is
 * that already; -1. What is damaged is written anew: `err` says whether it is, if
 * `there` is -1.
 */
int labels_merge(const struct labels *had, int there, const char *const *more,
    struct buf *text, struct error *err);

#endif
