#include "daemon/unite.h"

#include <string.h>

#include "base/mem.h"
#include "store/record.h"

/* A larger one goes as it is. Of all from the far end together, MEMORY is held; one
 * that is larger than its part is written over. */
#define LIST_MAX ((size_t)8 << 20)
#define MEMORY ((size_t)64 << 20)

/* A list, what else it is, and the far end's bytes. */
struct list {
	struct unite *unite;
	struct path_sets sets;
	struct buf far;
};

/* False: it is none, or damaged. */
static bool
read_own(struct list *list)
{
	struct source *in = list->unite->in;
	struct error err = { 0 };
	auto_buf data = BUF_INIT;
	auto_sink *out = sink_buf(&data, LIST_MAX);
	bool is_list;

	if (in->size > LIST_MAX || stream_copy(in, out, &err) < 0 ||
	    sink_commit(out, &err) < 0) {
		(void)source_rewind(in, &err);
		return false;
	}
	(void)source_rewind(in, &err);
	is_list = path_sets_decode(&list->sets, data.data, data.len, &err) == 0;
	if (!is_list)
		path_sets_release(&list->sets);
	return is_list;
}

static int
read_far(
    struct location *loc, struct list *lists, size_t count, struct error *err)
{
	struct location_read_request *reads =
	    xrealloc(NULL, count, sizeof(*reads));
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		reads[i] = (struct location_read_request){
			.key = { KEY_INDEX, lists[i].unite->key },
			.out = sink_buf(&lists[i].far, MEMORY / count),
		};
	location_read_batch(loc, reads, count);
	for (size_t i = 0; i < count; i++) {
		if (reads[i].outcome == HIT)
			(void)sink_commit(reads[i].out, &reads[i].err);
		if (reads[i].outcome == FAILED &&
		    reads[i].err.kind == ERROR_UNREACHABLE) {
			*err = reads[i].err;
			rc = -1;
		}
		sink_close(reads[i].out);
	}
	free(reads);
	return rc;
}

/* What is damaged there, or nobody may read, is written over. */
static void
join_far(struct list *list)
{
	struct path_sets far = { .count = 0 };
	auto_buf data = BUF_INIT;
	struct error err;

	if (list->far.len == 0 ||
	    path_sets_decode(&far, list->far.data, list->far.len, &err) < 0) {
		path_sets_release(&far);
		return;
	}
	(void)path_sets_join(&list->sets, &far);
	path_sets_release(&far);
	path_sets_encode(&list->sets, &data);
	list->unite->there = data.len == list->far.len &&
	    memcmp(data.data, list->far.data, data.len) == 0;
	buf_add(&list->unite->value, data.data, data.len);
}

int
unite_lists(
    struct location *loc, struct unite *lists, size_t count, struct error *err)
{
	struct list *found = xrealloc(NULL, count + 1, sizeof(*found));
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		found[n] = (struct list){ .unite = &lists[i], .far = BUF_INIT };
		n += read_own(&found[n]);
	}
	if (n > 0)
		rc = read_far(loc, found, n, err);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			join_far(&found[i]);
		path_sets_release(&found[i].sets);
		buf_release(&found[i].far);
	}
	free(found);
	return rc;
}
