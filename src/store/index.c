#include "store/index.h"

#include <string.h>

/* What the bytes say they are, when they are damaged; NULL: nothing. */
static bool
mentions(const void *data, size_t size, const char *type)
{
	return memmem(data, size, type, strlen(type)) != NULL;
}

int
index_decode(struct index_value *value, const struct digest *key,
    const void *data, size_t size, struct error *err)
{
	struct error ignored;

	value->kind = INDEX_RECORD;
	if (record_decode(&value->record, key, data, size, err) == 0)
		return 0;
	value->kind = INDEX_PATH_SETS;
	if (path_sets_decode(&value->sets, data, size, &ignored) == 0)
		return 0;
	path_sets_release(&value->sets);
	if (mentions(data, size, "tarn.PathSets"))
		*err = ignored;
	else if (!mentions(data, size, "tarn.Record"))
		(void)error_set(err, ERROR_CORRUPT,
		    "neither a record nor a list of path sets");
	return -1;
}

void
index_release(struct index_value *value)
{
	if (value->kind == INDEX_RECORD)
		record_release(&value->record);
	else
		path_sets_release(&value->sets);
}

static int
blob_of_printed(const struct printed *printed, index_blob_fn *fn, void *arg)
{
	return printed->size > RECORD_INLINE
	    ? fn(arg, &printed->digest, printed->size)
	    : 0;
}

int
index_each_blob(const struct index_value *value, index_blob_fn *fn, void *arg)
{
	const struct record *record = &value->record;
	int rc;

	if (value->kind != INDEX_RECORD)
		return 0;
	rc = blob_of_printed(&record->out, fn, arg);
	if (rc == 0)
		rc = blob_of_printed(&record->err, fn, arg);
	for (size_t i = 0; rc == 0 && i < record->count; i++) {
		const struct output *output = &record->outputs[i];

		if (output->type == OUTPUT_FILE && output->size > RECORD_INLINE)
			rc = fn(arg, &output->digest, output->size);
	}
	return rc;
}
