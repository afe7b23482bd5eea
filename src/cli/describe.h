#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "base/buf.h"
#include "store/record.h"

/*
 * What is kept in the index, in words: as lines, each with its newline, or as
 * members of a JSON object whose brace is there already.
 */
void describe_record(const struct record *record, bool as_json, struct buf *to);
void describe_path_sets(
    const struct path_sets *sets, bool as_json, struct buf *to);

#endif
