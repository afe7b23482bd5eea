#ifndef INDEX_H
#define INDEX_H

#include "store/record.h"

/*
 * A value of the index, whichever it is: what is under a fingerprint is a record,
 * what is under an action key a list of path sets, and only the bytes tell.
 */
enum index_kind { INDEX_RECORD = 1, INDEX_PATH_SETS };

struct index_value {
	enum index_kind kind;
	struct record record;  /* of INDEX_RECORD */
	struct path_sets sets; /* of INDEX_PATH_SETS */
};

/* ERROR_CORRUPT unless all of `data` is one or the other, whole, and a record is
 * that of `key`. Returns 0 or -1; release it after 0 only. */
int index_decode(struct index_value *value, const struct digest *key,
    const void *data, size_t size, struct error *err);
void index_release(struct index_value *value);

/* Call `fn` for each blob that the value can't do without, until it returns
 * non-zero, which is then returned. */
typedef int index_blob_fn(
    void *arg, const struct digest *digest, uint64_t size);
int index_each_blob(
    const struct index_value *value, index_blob_fn *fn, void *arg);

#endif
