/* What a trace says of its command, on its way to an inner tarn-exec. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trace/internal.h"
#include "trace/nest.h"

enum nest_touched {
	TOUCHED_STAMPED = 1 << 0,
	TOUCHED_DIGESTED = 1 << 1,
	TOUCHED_LISTED = 1 << 2,
	TOUCHED_LINKED = 1 << 3,
	TOUCHED_PROGRAM = 1 << 4,
	TOUCHED_WRITTEN = 1 << 5,
	TOUCHED_PROBED = 1 << 6,
	TOUCHED_FRESH = 1 << 7,
	TOUCHED_MODE_SET = 1 << 8,
	TOUCHED_TIME_SET = 1 << 9,
	TOUCHED_TREE = 1 << 10,
	TOUCHED_OPENED_ONCE = 1 << 11,
	TOUCHED_TIMED = 1 << 12,
	TOUCHED_ALONE = 1 << 13,
};

/* ---- encoding ---- */

static uint32_t
flags_of(const struct touched *t)
{
	return (t->stamped ? TOUCHED_STAMPED : 0) |
	    (t->digested ? TOUCHED_DIGESTED : 0) |
	    (t->listed ? TOUCHED_LISTED : 0) |
	    (t->linked ? TOUCHED_LINKED : 0) |
	    (t->program ? TOUCHED_PROGRAM : 0) |
	    (t->written ? TOUCHED_WRITTEN : 0) |
	    (t->probed ? TOUCHED_PROBED : 0) | (t->fresh ? TOUCHED_FRESH : 0) |
	    (t->mode_set ? TOUCHED_MODE_SET : 0) |
	    (t->time_set ? TOUCHED_TIME_SET : 0) |
	    (t->tree ? TOUCHED_TREE : 0) |
	    (t->opened == 1 ? TOUCHED_OPENED_ONCE : 0) |
	    (t->timed ? TOUCHED_TIMED : 0) | (t->alone ? TOUCHED_ALONE : 0);
}

static ProtobufCBinaryData
digest_field(const struct digest *digest, bool known)
{
	return (ProtobufCBinaryData){ known ? DIGEST_SIZE : 0,
		(uint8_t *)(uintptr_t)digest->bytes };
}

static void
fill_touched(
    Tarn__NestTouched *to, const struct touched *t, uint64_t words[static 5])
{
	tarn__nest_touched__init(to);
	to->path = nest_bytes(t->path);
	to->facets = t->facets;
	to->flags = flags_of(t);
	to->mode = t->mode;
	to->before = (uint32_t)t->before;
	to->names = t->names;
	to->digest = digest_field(&t->digest, t->digested);
	to->listing = digest_field(&t->listing, t->listed);
	to->link = digest_field(&t->link, t->linked);
	if (!t->stamped)
		return;
	words[0] = t->stamp.dev;
	words[1] = t->stamp.ino;
	words[2] = t->stamp.size;
	words[3] = (uint64_t)t->stamp.mtime_ns;
	words[4] = (uint64_t)t->stamp.ctime_ns;
	to->n_stamp = 5;
	to->stamp = words;
}

static uint32_t
asked_of(const struct trace *trace)
{
	return (trace->asked_cwd ? NEST_ASKED_CWD : 0) |
	    (trace->asked_uname ? NEST_ASKED_UNAME : 0) |
	    (trace->asked_cpu ? NEST_ASKED_CPU : 0) |
	    (trace->asked_environment ? NEST_ASKED_ENVIRONMENT : 0) |
	    (trace->asked_clock ? NEST_ASKED_CLOCK : 0) |
	    (trace->stranger ? NEST_STRANGER : 0);
}

static void
pack(const Tarn__NestTrace *message, struct buf *to)
{
	size_t size = tarn__nest_trace__get_packed_size(message);
	auto_free uint8_t *data = xmalloc(size + 1);

	(void)tarn__nest_trace__pack(message, data);
	buf_add(to, data, size);
}

void
nest_trace_encode(const struct trace *trace, struct buf *to)
{
	size_t count = trace->count, programs = trace->program_count;
	auto_free Tarn__NestTouched *touched =
	    xrealloc(NULL, count + 1, sizeof(*touched));
	auto_free Tarn__NestTouched **items =
	    xrealloc(NULL, count + 1, sizeof(*items));
	auto_free uint64_t *words =
	    xrealloc(NULL, 5 * count + 1, sizeof(*words));
	auto_free ProtobufCBinaryData *names =
	    xrealloc(NULL, programs + 1, sizeof(*names));
	Tarn__NestTrace message = TARN__NEST_TRACE__INIT;

	for (size_t i = 0; i < count; i++) {
		fill_touched(&touched[i], &trace->touched[i], &words[5 * i]);
		items[i] = &touched[i];
	}
	for (size_t i = 0; i < programs; i++)
		names[i] = nest_bytes(trace->programs[i]);
	message.refusal = nest_bytes(trace->refusal);
	message.n_touched = count;
	message.touched = items;
	message.n_programs = programs;
	message.programs = names;
	message.asked = asked_of(trace);
	message.own_clocks = trace->own_clocks;
	message.folders_made = (uint32_t)trace->folders_made;
	message.links_made = (uint32_t)trace->links_made;
	pack(&message, to);
}

/* ---- decoding ---- */

/* A digest where the flags say that there is one. */
static bool
take_digest(struct digest *to, const ProtobufCBinaryData *from, bool known)
{
	if (from->len != (known ? DIGEST_SIZE : 0))
		return false;
	if (known)
		memcpy(to->bytes, from->data, DIGEST_SIZE);
	return true;
}

static bool
take_stamp(struct touched *t, const Tarn__NestTouched *from)
{
	if (from->n_stamp != (t->stamped ? 5 : 0))
		return false;
	if (t->stamped)
		t->stamp = (struct stamp){ from->stamp[0], from->stamp[1],
			from->stamp[2], (int64_t)from->stamp[3],
			(int64_t)from->stamp[4] };
	return true;
}

static void
take_flags(struct touched *t, uint32_t flags)
{
	t->stamped = flags & TOUCHED_STAMPED;
	t->digested = flags & TOUCHED_DIGESTED;
	t->listed = flags & TOUCHED_LISTED;
	t->linked = flags & TOUCHED_LINKED;
	t->program = flags & TOUCHED_PROGRAM;
	t->written = flags & TOUCHED_WRITTEN;
	t->probed = flags & TOUCHED_PROBED;
	t->fresh = flags & TOUCHED_FRESH;
	t->mode_set = flags & TOUCHED_MODE_SET;
	t->time_set = flags & TOUCHED_TIME_SET;
	t->tree = flags & TOUCHED_TREE;
	t->opened = flags & TOUCHED_OPENED_ONCE ? 1 : 0;
	t->timed = flags & TOUCHED_TIMED;
	t->alone = flags & TOUCHED_ALONE;
}

static bool
take_touched(struct trace *trace, const Tarn__NestTouched *from)
{
	auto_free char *path = nest_text(&from->path);
	struct touched *t;

	if (!path || path[0] != '/' || trace_find(trace, path))
		return false;
	t = touched_get(trace, path);
	t->facets = from->facets & FACETS;
	t->mode = from->mode;
	t->before = (int)(from->before & S_IFMT);
	t->names = from->names;
	take_flags(t, from->flags);
	return take_stamp(t, from) &&
	    take_digest(&t->digest, &from->digest, t->digested) &&
	    take_digest(&t->listing, &from->listing, t->listed) &&
	    take_digest(&t->link, &from->link, t->linked);
}

static bool
take_program(struct trace *trace, const ProtobufCBinaryData *from)
{
	char *path = nest_text(from);

	if (!path)
		return false;
	trace->programs = xrealloc(trace->programs, trace->program_count + 1,
	    sizeof(*trace->programs));
	trace->programs[trace->program_count++] = path;
	return true;
}

static bool
take_trace(struct trace *trace, const Tarn__NestTrace *from)
{
	auto_free char *refusal = nest_text(&from->refusal);

	for (size_t i = 0; i < from->n_touched; i++) {
		if (!take_touched(trace, from->touched[i]))
			return false;
	}
	for (size_t i = 0; i < from->n_programs; i++) {
		if (!take_program(trace, &from->programs[i]))
			return false;
	}
	trace->asked_cwd |= (from->asked & NEST_ASKED_CWD) != 0;
	trace->asked_uname |= (from->asked & NEST_ASKED_UNAME) != 0;
	trace->asked_cpu |= (from->asked & NEST_ASKED_CPU) != 0;
	trace->asked_environment |= (from->asked & NEST_ASKED_ENVIRONMENT) != 0;
	trace->asked_clock |= (from->asked & NEST_ASKED_CLOCK) != 0;
	trace->stranger |= (from->asked & NEST_STRANGER) != 0;
	trace->own_clocks |= from->own_clocks;
	trace->folders_made += from->folders_made;
	trace->links_made += from->links_made;
	if (refusal && *refusal)
		trace_refuse(trace, "%s", refusal);
	return refusal;
}

int
nest_trace_decode(
    struct trace *trace, const void *data, size_t size, struct error *err)
{
	Tarn__NestTrace *message = tarn__nest_trace__unpack(NULL, size, data);
	bool sound = message && take_trace(trace, message);

	if (message)
		tarn__nest_trace__free_unpacked(message, NULL);
	if (sound)
		return 0;
	return error_set(err, ERROR_CORRUPT,
	    "what the outer tarn-exec saw can't be understood");
}
