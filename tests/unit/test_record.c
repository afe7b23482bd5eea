/* Records: what is written is read again, and nothing else is. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/remote_execution.pb-c.h"
#include "store/record.h"
#include "support/check.h"

/* Made by protoc from the Remote Execution API's own definitions. */
static const char *const golden[] = {
	"124e0a066d61696e2e6f12440a406566633764383333316234336430343934343261"
	"3430646432306536333134373039666430373963393738666332646636393065343"
	"36137633132663237663910032a0368690a4a160a0268313a080880e2cfaa061005"
	"42060881e2cfaa06",
	"12590a0862696e2f746f6f6c12440a4065666337643833333162343364303439343"
	"432613430646432306536333134373039666430373963393738666332646636393065"
	"343361376331326632376639100320013a051a0308ed031a4d0a036f75741a440a40"
	"6235323234303836663464383261613531383066336261333366393230313231316330"
	"376263623235336132666639336163663833653566303430333433373"
	"3105f20012002620e0a026c6e120862696e2f746f6f6c",
};

static void
add_hex(struct buf *to, const char *hex)
{
	for (; *hex; hex += 2) {
		const char pair[3] = { hex[0], hex[1] };
		const char byte = (char)strtol(pair, NULL, 16);

		buf_add(to, &byte, 1);
	}
}

Test(record, golden_vectors_come_back)
{
	for (size_t i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
		auto_buf wanted = BUF_INIT;
		auto_free uint8_t *again = NULL;
		Rex__ActionResult *result;

		add_hex(&wanted, golden[i]);
		result = rex__action_result__unpack(
		    NULL, wanted.len, (const uint8_t *)wanted.data);
		check(result);
		check_int(result->n_output_files, 1);
		check_str(result->output_files[0]->path,
		    i == 0 ? "main.o" : "bin/tool");
		check_int(
		    rex__action_result__get_packed_size(result), wanted.len);
		again = xmalloc(wanted.len);
		rex__action_result__pack(result, again);
		check(memcmp(again, wanted.data, wanted.len) == 0);
		rex__action_result__free_unpacked(result, NULL);
	}
}

static const struct digest fingerprint = { "a fingerprint of 32 bytes ......" };

static struct output *
add_file(struct record *record, enum place place, const char *path,
    const char *data, size_t size)
{
	struct output *output = record_add_output(record, OUTPUT_FILE);

	output->place = place;
	output->path = xstrdup(path);
	output->mode = 0640;
	output->size = size;
	digest_bytes(&output->digest, data, size);
	if (size <= RECORD_INLINE)
		buf_add(&output->contents, data, size);
	return output;
}

static void
add_outputs(struct record *record)
{
	static char large[RECORD_INLINE + 1];
	struct output *output;

	add_file(record, PLACE_ROOT, "/a.o", "OBJ\0ECT", 7)->flags =
	    OUTPUT_IN_PLACE;
	add_file(record, PLACE_OUTPUT, "0", "", 0);
	add_file(record, PLACE_ABSOLUTE, "/tmp/x", "x", 1);
	add_file(record, PLACE_ROOT, "/bad\xffname", "y", 1)->mode = 0755;
	add_file(record, PLACE_ROOT, "/large", large, sizeof(large))->mtime_ns =
	    -5;
	add_file(record, PLACE_ROOT, "/edge", large, RECORD_INLINE);
	output = record_add_output(record, OUTPUT_FOLDER);
	output->path = xstrdup("/folder");
	output->mode = 0700;
	output = record_add_output(record, OUTPUT_LINK);
	output->path = xstrdup("/link");
	output->target = xstrdup("../some\xfewhere");
}

static void
fill(struct record *record)
{
	static const uint32_t order[] = { 4 << 1, 3 << 1 | 1, 1 << 1 };

	*record = (struct record){
		.kind = xstrdup("compile"),
		.label = xstrdup("label"),
		.status = 3,
		.wall_us = 123456789012,
		.one_stream = true,
		.fingerprint = fingerprint,
		.out = { .data = BUF_INIT, .size = 5 },
		.err = { .data = BUF_INIT, .size = 3 },
	};
	buf_add(&record->out.data, "out\n!", 5);
	buf_add(&record->err.data, "err", 3);
	record->order = xmalloc(sizeof(order));
	memcpy(record->order, order, sizeof(order));
	record->order_count = 3;
	record->command = xrealloc(NULL, 3, sizeof(char *));
	record->command[0] = xstrdup("gcc");
	record->command[1] = xstrdup("\xff");
	record->command[2] = NULL;
	add_outputs(record);
}

static void
check_outputs(const struct record *a, const struct record *b)
{
	check_int(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct output *x = &a->outputs[i], *y = &b->outputs[i];

		check_int(x->type, y->type);
		check_int(x->place, y->place);
		check_str(x->path, y->path);
		check_int(x->mode, y->mode);
		check_int(x->flags, y->flags);
		check_int(x->mtime_ns, y->mtime_ns);
		check_int(x->size, y->size);
		check(digest_equal(&x->digest, &y->digest));
		check_int(x->contents.len, y->contents.len);
		check(memcmp(x->contents.data, y->contents.data,
		          x->contents.len) == 0);
		if (y->target)
			check_str(x->target, y->target);
	}
}

Test(record, is_read_as_it_was_written)
{
	struct record wanted, found;
	struct error err = { 0 };
	auto_buf data = BUF_INIT;
	auto_buf again = BUF_INIT;

	fill(&wanted);
	record_encode(&wanted, &data);
	cr_assert_eq(
	    record_decode(&found, &fingerprint, data.data, data.len, &err), 0,
	    "%s", err.text);
	check_outputs(&found, &wanted);
	check_str(found.kind, "compile");
	check_str(found.label, "label");
	check_int(found.status, 3);
	check_int(found.wall_us, wanted.wall_us);
	check(found.one_stream);
	check_str(found.out.data.data, "out\n!");
	check_str(found.err.data.data, "err");
	check_int(found.order_count, 3);
	check_str(found.command[1], "\xff");
	check(!found.command[2]);
	check(record_same_result(&found, &wanted));
	record_encode(&found, &again);
	check_int(again.len, data.len);
	check(memcmp(again.data, data.data, data.len) == 0);
	record_release(&wanted);
	record_release(&found);
}

Test(record, can_be_empty)
{
	struct record wanted = { .fingerprint = fingerprint }, found;
	struct error err = { 0 };
	auto_buf data = BUF_INIT;

	record_encode(&wanted, &data);
	check_int(
	    record_decode(&found, &fingerprint, data.data, data.len, &err), 0);
	check_int(found.count, 0);
	record_release(&found);
}

/* Each byte of it counts. */
Test(record, damage_is_found)
{
	static const unsigned char flips[] = { 1, 0x80, 0xff };
	struct record record;
	auto_buf data = BUF_INIT;

	fill(&record);
	buf_release(&record.outputs[5].contents); /* for less work */
	record.outputs[5].contents = (struct buf)BUF_INIT;
	record.outputs[5].size = 0;
	record_encode(&record, &data);
	record_release(&record);
	for (size_t i = 0; i < data.len * sizeof(flips); i++) {
		char *byte = &data.data[i / sizeof(flips)];
		char flip = (char)flips[i % sizeof(flips)];
		struct error err = { 0 };

		*byte ^= flip;
		check_int(record_decode(
		              &record, &fingerprint, data.data, data.len, &err),
		    -1);
		check_int(err.kind, ERROR_CORRUPT);
		*byte ^= flip;
	}
	for (size_t size = 0; size < data.len; size++) {
		struct error err = { 0 };

		check_int(
		    record_decode(&record, &fingerprint, data.data, size, &err),
		    -1);
	}
}

Test(record, belongs_to_one_fingerprint)
{
	struct record record = { .fingerprint = fingerprint };
	struct digest other = fingerprint;
	struct error err = { 0 };
	auto_buf data = BUF_INIT;

	record_encode(&record, &data);
	other.bytes[31]++;
	check_int(
	    record_decode(&record, &other, data.data, data.len, &err), -1);
	check_str(err.text, "a damaged record: it belongs to another key");
}

Test(record, an_action_result_of_somebody_else_is_none)
{
	for (size_t i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
		auto_buf data = BUF_INIT;
		struct error err = { 0 };
		struct record record;

		add_hex(&data, golden[i]);
		check_int(record_decode(
		              &record, &fingerprint, data.data, data.len, &err),
		    -1);
	}
}

Test(record, other_results_are_told_apart)
{
	struct record a, b;

	fill(&a);
	fill(&b);
	b.wall_us = 1;
	check(record_same_result(&a, &b));
	b.outputs[0].digest.bytes[0]++;
	check(!record_same_result(&a, &b));
	record_release(&b);
	fill(&b);
	b.outputs[1].mode = 0600;
	check(!record_same_result(&a, &b));
	b.outputs[1].mode = a.outputs[1].mode;
	b.outputs[0].mode = 0600; /* that of what was there */
	check(record_same_result(&a, &b));
	b.status = 0;
	check(!record_same_result(&a, &b));
	record_release(&a);
	record_release(&b);
}

/* ---- lists of path sets ---- */

static void
push(struct path_sets *sets, int n)
{
	auto_buf data = BUF_INIT;
	auto_buf hint = BUF_INIT;
	struct digest name;

	buf_addf(&data, "set %d", n);
	buf_addf(&hint, "hint %d", n);
	digest_bytes(&name, data.data, data.len);
	path_sets_push(sets, &name, &data, &hint);
}

Test(path_sets, the_latest_come_first_and_the_oldest_go)
{
	struct path_sets sets = { .count = 0 };

	for (int n = 0; n < PATH_SETS + 3; n++)
		push(&sets, n);
	check_int(sets.count, PATH_SETS);
	check_str(sets.item[0].data.data, "set 18");
	check_str(sets.item[PATH_SETS - 1].data.data, "set 3");
	push(&sets, 10);
	check_int(sets.count, PATH_SETS);
	check_str(sets.item[0].data.data, "set 10");
	check_str(sets.item[1].data.data, "set 18");
	path_sets_release(&sets);
}

Test(path_sets, joined_ones_come_behind)
{
	struct path_sets to = { .count = 0 }, from = { .count = 0 };

	push(&to, 2);
	push(&to, 1);
	push(&from, 2);
	check(!path_sets_join(&to, &from));
	check_int(to.count, 2);
	for (int n = 2; n < 2 + PATH_SETS; n++)
		push(&from, n);
	check(path_sets_join(&to, &from));
	check_int(to.count, PATH_SETS);
	check_str(to.item[0].data.data, "set 1");
	check_str(to.item[1].data.data, "set 2");
	check_str(to.item[2].data.data, "set 17");
	check_str(to.item[2].hint.data, "hint 17");
	check_str(to.item[PATH_SETS - 1].data.data, "set 4");
	path_sets_release(&to);
	path_sets_release(&from);
}

/* What is taken for whole is what its name says. */
static void
check_names(const struct path_sets *sets)
{
	for (size_t i = 0; i < sets->count; i++) {
		const struct buf *data = &sets->item[i].data;
		struct digest sum;

		digest_bytes(&sum, data->data, data->len);
		check(digest_equal(&sum, &sets->item[i].name));
	}
}

Test(path_sets, damage_is_found)
{
	struct path_sets sets = { .count = 0 }, found;
	auto_buf data = BUF_INIT;
	struct error err = { 0 };

	push(&sets, 1);
	push(&sets, 2);
	path_sets_encode(&sets, &data);
	path_sets_release(&sets);
	found.count = 0;
	check_int(path_sets_decode(&found, data.data, data.len, &err), 0);
	check_int(found.count, 2);
	check_str(found.item[1].hint.data, "hint 1");
	path_sets_release(&found);
	for (size_t size = 0; size < data.len; size++) {
		err = (struct error){ 0 };
		found.count = 0;
		check_int(path_sets_decode(&found, data.data, size, &err), -1);
		path_sets_release(&found);
	}
	for (size_t i = 0; i < data.len; i++) {
		data.data[i] ^= 1;
		found.count = 0;
		check_int(
		    path_sets_decode(&found, data.data, data.len, &err), -1);
		check_names(&found);
		path_sets_release(&found);
		data.data[i] ^= 1;
	}
	buf_add(&data, "x\n", 2); /* for protobuf, a field that nobody knows */
	found.count = 0;
	check_int(path_sets_decode(&found, data.data, data.len, &err), -1);
	check_int(found.count, 2);
	path_sets_release(&found);
}
