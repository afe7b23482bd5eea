#ifndef JSON_H
#define JSON_H

#include "base/buf.h"

/*
 * Writing JSON, no more than the lines of events need. Reading it is for cJSON.
 */

/* `text` in quotes, escaped; NULL gives null. Bytes that are no UTF-8 become
 * U+FFFD each. */
void json_text(struct buf *to, const char *text);

/* `,"name":` or, right behind an opening brace, `"name":`. */
void json_name(struct buf *to, const char *name);

#endif
