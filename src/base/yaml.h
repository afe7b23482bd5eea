#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Reading YAML that somebody else wrote, by tables of the keys we know.
 *
 * One document, a mapping at its top, is read once and in order; nothing of it is
 * kept but what the tables' setters keep. What a program that dumps a
 * configuration has no use for is an error: anchors and aliases (so nothing can
 * grow), tags other than the plain types', keys given twice, more than
 * YAML_DEPTH levels. Errors are ERROR_CORRUPT and start with the line.
 */
#define YAML_DEPTH 32

struct yaml;

/*
 * A setter looks at the value, where it is called, with the functions below. It has
 * to take all of it: yaml_skip() does if nothing else has. 0 or -1.
 */
struct yaml_key;
typedef int yaml_set_fn(
    struct yaml *yaml, const struct yaml_key *key, void *target);
struct yaml_key {
	const char *name; /* "*" takes all that no key before it does */
	yaml_set_fn *set;
	size_t at; /* of the member of the target, as the setter likes it */
};

/*
 * The keys of the document into `target`. A table ends with an empty key and has
 * less than 32. `what` is for messages: "a lake's configuration".
 */
int yaml_read(const char *text, size_t size, const char *what,
    const struct yaml_key *keys, void *target, struct error *err);

enum yaml_type { YAML_IS_NULL, YAML_IS_TEXT, YAML_IS_LIST, YAML_IS_MAP };
enum yaml_type yaml_type(const struct yaml *yaml);

/* The text of a scalar; it lasts until the setter returns. */
const char *yaml_text(const struct yaml *yaml);

/* A whole number, however quoted. */
int yaml_number(struct yaml *yaml, const char *name, int64_t *number);

/* As yaml_read(), where the value is a mapping. */
int yaml_map(struct yaml *yaml, const char *what, const struct yaml_key *keys,
    void *target);

/* Call `set` for every item of a list. */
int yaml_list(struct yaml *yaml, yaml_set_fn *set, const struct yaml_key *key,
    void *target);

int yaml_skip(struct yaml *yaml);

/* "line 3: <message>"; and that `name` is something else than `expected`. -1. */
int yaml_fail(struct yaml *yaml, const char *fmt, ...) PRINTF_LIKE(2, 3);
int yaml_expected(struct yaml *yaml, const char *name, const char *expected);

#endif
