#include "store/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/remote_execution.pb-c.h"
#include "proto/tarn.pb-c.h"

#define RECORD_TYPE "type.googleapis.com/tarn.Record"
#define SETS_TYPE "type.googleapis.com/tarn.PathSets"
#define WORKER "tarn"

/* Stands in the check's place while it is computed. */
static const unsigned char mark[DIGEST_SIZE] =
    "tarn: the check comes here, last";

struct output *
record_add_output(struct record *record, enum output_type type)
{
	struct output *output;

	record->outputs = xrealloc(
	    record->outputs, record->count + 1, sizeof(*record->outputs));
	output = &record->outputs[record->count++];
	*output = (struct output){ .type = type, .contents = BUF_INIT };
	return output;
}

void
record_release(struct record *record)
{
	for (size_t i = 0; i < record->count; i++) {
		free(record->outputs[i].path);
		free(record->outputs[i].target);
		buf_release(&record->outputs[i].contents);
	}
	free(record->outputs);
	free(record->kind);
	free(record->label);
	free(record->order);
	for (char **word = record->command; word && *word; word++)
		free(*word);
	free(record->command);
	if (record->out.data.data)
		buf_release(&record->out.data);
	if (record->err.data.data)
		buf_release(&record->err.data);
	*record = (struct record){ 0 };
}

uint64_t
record_bytes(const struct record *record)
{
	uint64_t bytes = record->out.size + record->err.size;

	for (size_t i = 0; i < record->count; i++)
		bytes += record->outputs[i].size;
	return bytes;
}

/* Where `what` stands last in `data`; NULL if nowhere. */
static unsigned char *
find_last(unsigned char *data, size_t size, const unsigned char *what)
{
	for (size_t at = size; at >= DIGEST_SIZE; at--) {
		if (memcmp(data + at - DIGEST_SIZE, what, DIGEST_SIZE) == 0)
			return data + at - DIGEST_SIZE;
	}
	return NULL;
}

/* ---- writing ---- */

static bool
is_utf8(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		size_t more = *s < 0x80       ? 0
		    : *s >= 0xc2 && *s < 0xe0 ? 1
		    : *s >= 0xe0 && *s < 0xf0 ? 2
		    : *s >= 0xf0 && *s < 0xf5 ? 3
		                              : 9;

		if (more == 9)
			return false;
		for (; more > 0; more--) {
			if ((*++s & 0xc0) != 0x80)
				return false;
		}
	}
	return true;
}

/* Can the path be said in an ActionResult? Then how; else NULL. */
static const char *
api_path(const struct output *output)
{
	if (output->place != PLACE_ROOT || output->path[0] != '/' ||
	    !output->path[1] || !is_utf8(output->path))
		return NULL;
	return output->path + 1;
}

static ProtobufCBinaryData
binary(const void *data, size_t size)
{
	return (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
}

/* All that one record's messages point into; freed as a whole. */
struct encoding {
	Rex__ActionResult result;
	Rex__ExecutedActionMetadata metadata;
	Rex__Any any, *anys[1];
	Tarn__Record record;
	Tarn__Output *outputs, **output_list;
	struct api_file {
		Rex__OutputFile file;
		Rex__Digest digest;
		Rex__NodeProperties properties;
		Rex__UInt32Value mode;
		char hex[DIGEST_HEX + 1];
	} * files;
	Rex__OutputFile **file_list;
	Rex__OutputSymlink *links, **link_list;
	ProtobufCBinaryData *words;
	Rex__Digest out, err;
	char out_hex[DIGEST_HEX + 1], err_hex[DIGEST_HEX + 1];
	char empty[1], worker[8];
};

static char *
borrowed(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void
set_digest(Rex__Digest *message, char hex[static DIGEST_HEX + 1],
    const struct digest *digest, uint64_t size)
{
	rex__digest__init(message);
	message->hash = digest_hex(digest, hex);
	message->size_bytes = (int64_t)size;
}

static void
encode_file(struct encoding *e, const struct output *output, const char *path)
{
	struct api_file *f = &e->files[e->result.n_output_files];

	rex__output_file__init(&f->file);
	rex__node_properties__init(&f->properties);
	rex__uint32_value__init(&f->mode);
	set_digest(&f->digest, f->hex, &output->digest, output->size);
	f->mode.value = output->mode;
	f->properties.unix_mode = &f->mode;
	f->file.path = borrowed(path);
	f->file.digest = &f->digest;
	f->file.is_executable = (output->mode & 0111) != 0;
	f->file.contents = binary(output->contents.data, output->contents.len);
	f->file.node_properties = &f->properties;
	e->file_list[e->result.n_output_files++] = &f->file;
}

static void
encode_link(struct encoding *e, const struct output *output, const char *path)
{
	Rex__OutputSymlink *link = &e->links[e->result.n_output_symlinks];

	rex__output_symlink__init(link);
	link->path = borrowed(path);
	link->target = output->target;
	e->link_list[e->result.n_output_symlinks++] = link;
}

static void
encode_output(struct encoding *e, const struct output *output, size_t i)
{
	Tarn__Output *to = &e->outputs[i];
	const char *path = api_path(output);

	tarn__output__init(to);
	e->output_list[i] = to;
	to->type = output->type;
	to->place = output->place;
	to->path = binary(output->path, strlen(output->path));
	to->mode = output->mode;
	to->flags = output->flags;
	to->mtime_ns = output->mtime_ns;
	if (output->type == OUTPUT_LINK) {
		to->target = binary(output->target, strlen(output->target));
		if (path && is_utf8(output->target))
			encode_link(e, output, path);
	}
	if (output->type != OUTPUT_FILE)
		return;
	to->digest = binary(output->digest.bytes, DIGEST_SIZE);
	to->size = output->size;
	if (path)
		encode_file(e, output, path);
	else
		to->contents =
		    binary(output->contents.data, output->contents.len);
}

static void
encode_printed(struct encoding *e, const struct record *record)
{
	if (record->out.size > RECORD_INLINE) {
		set_digest(
		    &e->out, e->out_hex, &record->out.digest, record->out.size);
		e->result.stdout_digest = &e->out;
	} else
		e->result.stdout_raw =
		    binary(record->out.data.data, record->out.data.len);
	if (record->err.size > RECORD_INLINE) {
		set_digest(
		    &e->err, e->err_hex, &record->err.digest, record->err.size);
		e->result.stderr_digest = &e->err;
	} else
		e->result.stderr_raw =
		    binary(record->err.data.data, record->err.data.len);
}

static void
encode_words(struct encoding *e, const struct record *record)
{
	size_t count = 0;

	while (record->command && record->command[count])
		count++;
	e->words = xrealloc(NULL, count, sizeof(*e->words));
	for (size_t i = 0; i < count; i++)
		e->words[i] =
		    binary(record->command[i], strlen(record->command[i]));
	e->record.n_command = count;
	e->record.command = e->words;
}

static void
encode_metadata(struct encoding *e, const struct record *record)
{
	tarn__record__init(&e->record);
	e->record.version = RECORD_VERSION;
	e->record.kind = record->kind ? record->kind : e->empty;
	e->record.label = record->label ? record->label : e->empty;
	e->record.wall_us = record->wall_us;
	e->record.n_outputs = record->count;
	e->record.outputs = e->output_list;
	e->record.n_order = record->order_count;
	e->record.order = record->order;
	e->record.one_stream = record->one_stream;
	e->record.fingerprint = binary(record->fingerprint.bytes, DIGEST_SIZE);
	e->record.check = binary(mark, sizeof(mark));
	encode_words(e, record);
}

/* An ActionResult with `packed` as its only auxiliary metadata. */
static void
wrap(struct encoding *e, const struct buf *packed, const char *type)
{
	rex__executed_action_metadata__init(&e->metadata);
	rex__any__init(&e->any);
	e->any.type_url = borrowed(type);
	e->any.value = binary(packed->data, packed->len);
	e->anys[0] = &e->any;
	e->metadata.worker = borrowed(WORKER);
	e->metadata.n_auxiliary_metadata = 1;
	e->metadata.auxiliary_metadata = e->anys;
	e->result.execution_metadata = &e->metadata;
}

static void
pack(const ProtobufCMessage *message, struct buf *to)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	auto_free uint8_t *bytes = xmalloc(size);

	protobuf_c_message_pack(message, bytes);
	buf_add(to, bytes, size);
}

static void
seal(struct buf *to, size_t from)
{
	unsigned char *bytes = (unsigned char *)to->data + from;
	unsigned char *check = find_last(bytes, to->len - from, mark);
	struct digest digest;

	digest_bytes(&digest, bytes, to->len - from);
	memcpy(check, digest.bytes, DIGEST_SIZE);
}

void
record_encode(const struct record *record, struct buf *to)
{
	struct encoding e = { 0 };
	auto_buf packed = BUF_INIT;
	size_t count = record->count, from = to->len;

	rex__action_result__init(&e.result);
	e.outputs = xrealloc(NULL, count, sizeof(*e.outputs));
	e.output_list = xrealloc(NULL, count, sizeof(*e.output_list));
	e.files = xrealloc(NULL, count, sizeof(*e.files));
	e.file_list = xrealloc(NULL, count, sizeof(*e.file_list));
	e.links = xrealloc(NULL, count, sizeof(*e.links));
	e.link_list = xrealloc(NULL, count, sizeof(*e.link_list));
	for (size_t i = 0; i < count; i++)
		encode_output(&e, &record->outputs[i], i);
	e.result.output_files = e.file_list;
	e.result.output_symlinks = e.link_list;
	e.result.exit_code = record->status;
	encode_printed(&e, record);
	encode_metadata(&e, record);
	pack(&e.record.base, &packed);
	wrap(&e, &packed, RECORD_TYPE);
	pack(&e.result.base, to);
	seal(to, from);
	free(e.outputs);
	free(e.output_list);
	free(e.files);
	free(e.file_list);
	free(e.links);
	free(e.link_list);
	free(e.words);
}

/* ---- reading ---- */

static int
damaged(struct error *err, const char *what)
{
	return error_set(err, ERROR_CORRUPT, "a damaged record: %s", what);
}

/* The metadata of type `type`, unpacked by `descriptor`; NULL if there is none. */
static ProtobufCMessage *
find_metadata(const Rex__ActionResult *result, const char *type,
    const ProtobufCMessageDescriptor *descriptor)
{
	const Rex__ExecutedActionMetadata *meta = result->execution_metadata;

	for (size_t i = 0; meta && i < meta->n_auxiliary_metadata; i++) {
		const Rex__Any *any = meta->auxiliary_metadata[i];

		if (strcmp(any->type_url, type) == 0)
			return protobuf_c_message_unpack(
			    descriptor, NULL, any->value.len, any->value.data);
	}
	return NULL;
}

static bool
check_holds(const void *data, size_t size, const ProtobufCBinaryData *check)
{
	auto_free unsigned char *copy = xmalloc(size);
	unsigned char *place;
	struct digest digest;

	if (check->len != DIGEST_SIZE)
		return false;
	memcpy(copy, data, size);
	place = find_last(copy, size, check->data);
	if (!place)
		return false;
	memcpy(place, mark, DIGEST_SIZE);
	digest_bytes(&digest, copy, size);
	return memcmp(digest.bytes, check->data, DIGEST_SIZE) == 0;
}

static char *
text_of(const ProtobufCBinaryData *data)
{
	char *text = xmalloc(data->len + 1);

	if (data->len > 0)
		memcpy(text, data->data, data->len);
	text[data->len] = '\0';
	return text;
}

static bool
decode_file(struct output *output, const Tarn__Output *from,
    const Rex__ActionResult *result, size_t *file)
{
	const ProtobufCBinaryData *contents = &from->contents;

	if (from->digest.len != DIGEST_SIZE)
		return false;
	memcpy(output->digest.bytes, from->digest.data, DIGEST_SIZE);
	output->size = from->size;
	if (api_path(output)) {
		if (*file >= result->n_output_files)
			return false;
		contents = &result->output_files[(*file)++]->contents;
	}
	if (output->size <= RECORD_INLINE && contents->len != output->size)
		return false;
	buf_add(&output->contents, contents->len ? contents->data : NULL,
	    contents->len);
	return true;
}

static bool
decode_output(struct record *record, const Tarn__Output *from,
    const Rex__ActionResult *result, size_t *file)
{
	struct output *output;

	if (from->type < OUTPUT_FILE || from->type > OUTPUT_LINK ||
	    from->place > PLACE_OUTPUT ||
	    (from->path.len && memchr(from->path.data, '\0', from->path.len)))
		return false;
	output = record_add_output(record, from->type);
	output->place = from->place;
	output->path = text_of(&from->path);
	output->mode = from->mode & 07777;
	output->flags = from->flags;
	output->mtime_ns = from->mtime_ns;
	if (output->type == OUTPUT_LINK)
		output->target = text_of(&from->target);
	return output->type != OUTPUT_FILE ||
	    decode_file(output, from, result, file);
}

static bool
decode_printed(struct printed *printed, const ProtobufCBinaryData *raw,
    const Rex__Digest *digest)
{
	printed->data = (struct buf)BUF_INIT;
	printed->size = raw->len;
	if (!digest) {
		buf_add(&printed->data, raw->len ? raw->data : NULL, raw->len);
		return true;
	}
	printed->size = (uint64_t)digest->size_bytes;
	return digest->size_bytes > RECORD_INLINE &&
	    digest_parse(&printed->digest, digest->hash);
}

static bool
decode_order(struct record *record, const Tarn__Record *from)
{
	uint64_t sum[2] = { 0, 0 };

	record->order = xrealloc(NULL, from->n_order, sizeof(*record->order));
	record->order_count = from->n_order;
	for (size_t i = 0; i < from->n_order; i++) {
		record->order[i] = from->order[i];
		sum[from->order[i] & 1] += from->order[i] >> 1;
	}
	return sum[0] == record->out.size && sum[1] == record->err.size;
}

static int
decode_fields(struct record *record, const Rex__ActionResult *result,
    const Tarn__Record *from, struct error *err)
{
	size_t file = 0;

	record->kind = xstrdup(from->kind);
	record->label = xstrdup(from->label);
	record->status = result->exit_code;
	record->wall_us = from->wall_us;
	record->one_stream = from->one_stream;
	for (size_t i = 0; i < from->n_outputs; i++) {
		if (!decode_output(record, from->outputs[i], result, &file))
			return damaged(err, "an output");
	}
	if (!decode_printed(
	        &record->out, &result->stdout_raw, result->stdout_digest) ||
	    !decode_printed(
	        &record->err, &result->stderr_raw, result->stderr_digest) ||
	    !decode_order(record, from))
		return damaged(err, "what was printed");
	record->command =
	    xrealloc(NULL, from->n_command + 1, sizeof(*record->command));
	for (size_t i = 0; i < from->n_command; i++)
		record->command[i] = text_of(&from->command[i]);
	record->command[from->n_command] = NULL;
	return 0;
}

static int
decode_record(struct record *record, const struct digest *fingerprint,
    const Rex__ActionResult *result, const Tarn__Record *from,
    struct error *err)
{
	if (from->version != RECORD_VERSION)
		return error_set(err, ERROR_CORRUPT,
		    "a record of version %u, not %d", from->version,
		    RECORD_VERSION);
	if (from->fingerprint.len != DIGEST_SIZE ||
	    memcmp(from->fingerprint.data, fingerprint->bytes, DIGEST_SIZE) !=
	        0)
		return damaged(err, "it belongs to another key");
	record->fingerprint = *fingerprint;
	return decode_fields(record, result, from, err);
}

int
record_decode(struct record *record, const struct digest *fingerprint,
    const void *data, size_t size, struct error *err)
{
	Rex__ActionResult *result =
	    rex__action_result__unpack(NULL, size, data);
	Tarn__Record *from = NULL;
	int status;

	*record = (struct record){ 0 };
	if (result)
		from = (Tarn__Record *)find_metadata(
		    result, RECORD_TYPE, &tarn__record__descriptor);
	if (!from)
		status = damaged(err, "it can't be parsed");
	else if (!check_holds(data, size, &from->check))
		status = damaged(err, "its check does not hold");
	else
		status = decode_record(record, fingerprint, result, from, err);
	if (from)
		tarn__record__free_unpacked(from, NULL);
	if (result)
		rex__action_result__free_unpacked(result, NULL);
	if (status < 0)
		record_release(record);
	return status;
}

bool
record_same_printed(const struct printed *a, const struct printed *b)
{
	if (a->size != b->size)
		return false;
	if (a->size > RECORD_INLINE)
		return digest_equal(&a->digest, &b->digest);
	return memcmp(a->data.data, b->data.data, a->size) == 0;
}

/* Its mode is that of what was there, if anything was. */
static bool
keeps_mode(const struct output *output)
{
	return (output->flags & OUTPUT_IN_PLACE) &&
	    !(output->flags & OUTPUT_MODE_SET);
}

bool
record_same_output(const struct output *a, const struct output *b)
{
	if (a->type != b->type || a->place != b->place ||
	    strcmp(a->path, b->path) != 0 ||
	    (a->mode != b->mode && !keeps_mode(a) && !keeps_mode(b)))
		return false;
	if (a->type == OUTPUT_LINK)
		return strcmp(a->target, b->target) == 0;
	return a->type != OUTPUT_FILE ||
	    (a->size == b->size && digest_equal(&a->digest, &b->digest));
}

bool
record_same_result(const struct record *a, const struct record *b)
{
	if (a->status != b->status || a->count != b->count ||
	    !record_same_printed(&a->out, &b->out) ||
	    !record_same_printed(&a->err, &b->err))
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!record_same_output(&a->outputs[i], &b->outputs[i]))
			return false;
	}
	return true;
}

/* ---- lists of path sets ---- */

static void
release_item(struct path_set_item *item)
{
	buf_release(&item->data);
	buf_release(&item->hint);
}

void
path_sets_release(struct path_sets *sets)
{
	for (size_t i = 0; i < sets->count; i++)
		release_item(&sets->item[i]);
	sets->count = 0;
}

void
path_sets_encode(const struct path_sets *sets, struct buf *to)
{
	struct encoding e = { 0 };
	Tarn__PathSets list = TARN__PATH_SETS__INIT;
	Tarn__PathSet set[PATH_SETS], *each[PATH_SETS];
	auto_buf packed = BUF_INIT;
	size_t from = to->len;

	for (size_t i = 0; i < sets->count; i++) {
		const struct path_set_item *item = &sets->item[i];

		tarn__path_set__init(&set[i]);
		set[i].digest = binary(item->name.bytes, DIGEST_SIZE);
		set[i].data = binary(item->data.data, item->data.len);
		set[i].hint = binary(item->hint.data, item->hint.len);
		each[i] = &set[i];
	}
	list.n_sets = sets->count;
	list.sets = each;
	list.check = binary(mark, sizeof(mark));
	pack(&list.base, &packed);
	rex__action_result__init(&e.result);
	wrap(&e, &packed, SETS_TYPE);
	pack(&e.result.base, to);
	seal(to, from);
}

/* False if the set isn't what its digest says, which `whole` vouches for. */
static bool
decode_set(struct path_set_item *item, const Tarn__PathSet *from, bool whole)
{
	struct digest digest;

	if (from->digest.len != DIGEST_SIZE || from->data.len == 0)
		return false;
	memcpy(digest.bytes, from->digest.data, DIGEST_SIZE);
	if (!whole)
		digest_bytes(&digest, from->data.data, from->data.len);
	if (memcmp(digest.bytes, from->digest.data, DIGEST_SIZE) != 0)
		return false;
	*item = (struct path_set_item){ digest, BUF_INIT, BUF_INIT };
	buf_add(&item->data, from->data.data, from->data.len);
	buf_add(&item->hint, from->hint.len ? from->hint.data : NULL,
	    from->hint.len);
	return true;
}

int
path_sets_decode(
    struct path_sets *sets, const void *data, size_t size, struct error *err)
{
	Rex__ActionResult *result =
	    rex__action_result__unpack(NULL, size, data);
	Tarn__PathSets *from = NULL;
	bool whole;

	sets->count = 0;
	if (result)
		from = (Tarn__PathSets *)find_metadata(
		    result, SETS_TYPE, &tarn__path_sets__descriptor);
	whole = from && check_holds(data, size, &from->check);
	for (size_t i = 0; from && i < from->n_sets; i++) {
		if (sets->count < PATH_SETS &&
		    decode_set(&sets->item[sets->count], from->sets[i], whole))
			sets->count++;
		else
			whole = false;
	}
	if (from)
		tarn__path_sets__free_unpacked(from, NULL);
	if (result)
		rex__action_result__free_unpacked(result, NULL);
	if (whole)
		return 0;
	return error_set(err, ERROR_CORRUPT, "a damaged list of path sets");
}

static size_t
find_set(const struct path_sets *sets, const struct digest *name)
{
	size_t at = 0;

	while (at < sets->count && !digest_equal(&sets->item[at].name, name))
		at++;
	return at;
}

static void
copy_item(struct path_set_item *to, const struct digest *name,
    const struct buf *data, const struct buf *hint)
{
	*to = (struct path_set_item){ *name, BUF_INIT, BUF_INIT };
	buf_add(&to->data, data->data, data->len);
	buf_add(&to->hint, hint->data, hint->len);
}

bool
path_sets_join(struct path_sets *to, const struct path_sets *from)
{
	size_t before = to->count;

	for (size_t i = 0; i < from->count && to->count < PATH_SETS; i++) {
		const struct path_set_item *item = &from->item[i];

		if (find_set(to, &item->name) == to->count)
			copy_item(&to->item[to->count++], &item->name,
			    &item->data, &item->hint);
	}
	return to->count > before;
}

void
path_sets_push(struct path_sets *sets, const struct digest *name,
    const struct buf *data, const struct buf *hint)
{
	size_t at = find_set(sets, name);
	struct path_set_item fresh;

	copy_item(&fresh, name, data, hint);
	if (at < sets->count)
		release_item(&sets->item[at]);
	else if (at == PATH_SETS)
		release_item(&sets->item[--at]);
	else
		sets->count++;
	memmove(&sets->item[1], &sets->item[0], at * sizeof(sets->item[0]));
	sets->item[0] = fresh;
}
