#ifndef FORMAT_H
#define FORMAT_H

#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "locations/location.h"

/* How things are written, for people and for scripts. All append to `to`. */

/* "17", "1.5 MiB" */
void format_size(struct buf *to, uint64_t bytes);

/* "850 ms", "12.3 s", "3 h 05 min" */
void format_duration(struct buf *to, uint64_t us);

/* "2026-01-02 03:04:05" where we are; "-" for 0, which is never. */
void format_time(struct buf *to, time_t when);

/* "blob" or "index" */
const char *format_space(enum key_space space);

/* Words as a shell would read them. */
void format_words(struct buf *to, char *const *words);

/* A member of a JSON object, whose opening brace is there already. */
void format_json_text(struct buf *to, const char *name, const char *value);
void format_json_number(struct buf *to, const char *name, uint64_t value);
void format_json_flag(struct buf *to, const char *name, bool value);
void format_json_key(
    struct buf *to, const char *name, const struct digest *key);
/* RFC 3339 in UTC; null for 0. */
void format_json_time(struct buf *to, const char *name, time_t when);

/* Control characters become '?': names and labels may be anybody's. */
void format_harmless(struct buf *line);

/* Print a line to stdout, whose text is in `line` but for the newline, and empty
 * it. */
void format_print(struct buf *line);

#endif
