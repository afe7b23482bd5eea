/*
 * What Redis' cluster says, and what a location does with a real server, which
 * tests/remote/redis.py starts: suite redis_server, of which there is nothing without
 * one. TARN_TEST_CALL is a redis-cli for it, in words of a shell; TARN_TEST_KILL and
 * TARN_TEST_START end it and start it again.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "remote/redis_slots.h"
#include "support/check.h"
#include "support/subject.h"

/* ---- slots, as `CLUSTER KEYSLOT` has them ---- */

static const struct {
	const char *key;
	unsigned slot;
} slots[] = {
	{ "", 0 },
	{ "123456789", 12739 },
	{ "foo", 12182 },
	{ "x{foo}y", 12182 },
	{ "{foo}{bar}", 12182 },
	{ "{}foo", 9500 },
	{ "foo{{bar}}zap", 4015 },
	{ "foo}{", 8134 },
};

Test(redis_slots, are_those_of_redis)
{
	for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++)
		check_int(redis_slot(slots[i].key, strlen(slots[i].key)),
		    slots[i].slot);
}

static const struct {
	const char *text, *got; /* NULL: none */
} redirects[] = {
	{ "MOVED 3999 127.0.0.1:6381", "moved 3999 127.0.0.1 6381" },
	{ "ASK 0 h:1", "ask 0 h 1" },
	{ "MOVED 16383 :6381", "moved 16383  6381" },
	{ "MOVED 1 ::1:6381", "moved 1 ::1 6381" },
	{ "MOVED 16384 h:1", NULL },
	{ "MOVED -1 h:1", NULL },
	{ "MOVED 1 h:0", NULL },
	{ "MOVED 1 h:65536", NULL },
	{ "MOVED 1 h", NULL },
	{ "MOVED 1 \033[2J:1", NULL },
	{ "MOVED  h:1", NULL },
	{ "MOVED ", NULL },
	{ "ASK", NULL },
	{ "ERR MOVED 1 h:1", NULL },
};

Test(redis_slots, redirections_are_understood_or_refused)
{
	for (size_t i = 0; i < sizeof(redirects) / sizeof(*redirects); i++) {
		const char *text = redirects[i].text;
		struct redis_redirect to;
		auto_free char *got = NULL;
		bool is = redis_redirect_parse(&to, text, strlen(text));

		check_int(is, redirects[i].got != NULL);
		if (!is)
			continue;
		check(redis_is_redirect(text, strlen(text)));
		got = xasprintf("%s %u %s %u", to.ask ? "ask" : "moved",
		    to.slot, to.host, to.port);
		check_str(got, redirects[i].got);
	}
}

/* ---- with a server ---- */

#define TEST_WITH(variable, name) \
	static void with_server_##name(struct subject *); \
	ParameterizedTestParameters(redis_server, name) \
	{ \
		static int once; \
		return cr_make_param_array( \
		    int, &once, getenv(variable) ? 1 : 0); \
	} \
	ParameterizedTest(int *once, redis_server, name, .timeout = 300) \
	{ \
		struct subject subject; \
		subject_open(&subject, "remote(a)"); \
		with_server_##name(&subject); \
		subject_close(&subject); \
	} \
	static void with_server_##name(struct subject *s)

#define TEST_WITH_SERVER(name) TEST_WITH("TARN_TEST_CALL", name)

#define MANY ((size_t)100000)

struct many {
	char text[MANY][16];
	struct location_write_request write[MANY];
	struct location_contains_request contains[MANY];
	struct location_read_request read[MANY];
	struct buf got[MANY];
};

static struct many *
make_many(void)
{
	struct many *many = calloc(1, sizeof(*many));

	for (size_t i = 0; i < MANY; i++) {
		size_t len = (size_t)snprintf(many->text[i], 16, "blob %zu", i);
		struct key key = { .space = KEY_BLOB };

		digest_bytes(&key.digest, many->text[i], len);
		many->got[i] = (struct buf)BUF_INIT;
		many->write[i].key = many->contains[i].key = many->read[i].key =
		    key;
		many->write[i].in = source_memory(many->text[i], len);
		many->read[i].out = sink_buf(&many->got[i], 16);
	}
	return many;
}

static void
free_many(struct many *many)
{
	for (size_t i = 0; i < MANY; i++) {
		source_close(many->write[i].in);
		sink_close(many->read[i].out);
		buf_release(&many->got[i]);
	}
	free(many);
}

static int
count_entry(void *arg, const struct location_entry *entry)
{
	struct error err = { 0 };

	check_int(entry->key.space, KEY_BLOB);
	if (++*(size_t *)arg % 2)
		check_int(location_remove(entry->leaf, &entry->key, &err), HIT);
	return 0;
}

TEST_WITH_SERVER(takes_many_at_once)
{
	struct many *many = make_many();
	struct error err = { 0 };
	size_t listed = 0, left = 0;

	location_write_batch(s->loc, many->write, MANY);
	location_contains_batch(s->loc, many->contains, MANY);
	location_read_batch(s->loc, many->read, MANY);
	for (size_t i = 0; i < MANY; i++) {
		check_int(many->write[i].outcome, STORED);
		check_int(many->contains[i].outcome, HIT);
		check_int(many->read[i].outcome, HIT);
		check_str(many->got[i].data, many->text[i]);
	}
	check_int(location_list(s->loc, count_entry, &listed, &err), 0);
	check(listed >= MANY); /* removing may have one told twice */
	location_contains_batch(s->loc, many->contains, MANY);
	for (size_t i = 0; i < MANY; i++)
		left += many->contains[i].outcome == HIT;
	check_int(left, MANY - (listed + 1) / 2);
	free_many(many);
}

/* One of several ends too soon: the others are kept, before it and after it. */
TEST_WITH_SERVER(keeps_nothing_of_a_value_that_ends_too_soon)
{
	static const size_t sizes[] = { 10, 100, 3 << 20, 1000, 70000 };
	struct location_write_request writes[5] = { 0 };
	auto_free char *data[5] = { 0 };
	struct error err = { 0 };

	for (int broken = 1; broken < 3; broken++) {
		for (unsigned i = 0; i < 5; i++) {
			data[i] = subject_value(
			    10 * broken + i, sizes[i], &writes[i].key);
			writes[i].in = source_memory(data[i], sizes[i]);
		}
		source_read(writes[broken].in, (char[50]){ 0 }, 50, &err);
		location_write_batch(s->loc, writes, 5);
		for (int i = 0; i < 5; i++) {
			check_int(
			    writes[i].outcome, i == broken ? FAILED : STORED);
			check_int(
			    has(s->loc, &writes[i].key, data[i], sizes[i]),
			    i != broken);
			source_close(writes[i].in);
			if (i == broken)
				check_int(writes[i].err.kind, ERROR_CORRUPT);
			free(take(data[i]));
		}
	}
}

TEST_WITH_SERVER(does_not_outlive_its_deadline)
{
	struct key key;
	auto_free char *data = subject_value(1, 100, &key);
	struct error err = { 0 };

	location_set_deadline(s->loc, 1);
	check_int(location_read(s->loc, &key, sink_null(), &err), FAILED);
	check_int(err.kind, ERROR_UNREACHABLE);
	location_set_deadline(s->loc, 0);
	check(!has(s->loc, &key, data, 100));
}

TEST_WITH_SERVER(comes_back_after_idle_connections_were_closed)
{
	struct key key;
	auto_free char *data = subject_value(2, 100, &key);

	check_int(put(s->loc, &key, data, 100, WRITE_IF_ABSENT), STORED);
	check_int(
	    subject_shell(s, "$TARN_TEST_CALL client kill type normal >&2"), 0);
	check(has(s->loc, &key, data, 100));
}

TEST_WITH("TARN_TEST_KILL", fails_while_the_server_is_gone_and_goes_on_after)
{
	struct key key;
	auto_free char *data = subject_value(3, 100, &key);
	struct error err = { 0 };

	check_int(put(s->loc, &key, data, 100, WRITE_IF_ABSENT), STORED);
	check_int(subject_shell(s, "eval \"$TARN_TEST_KILL\""), 0);
	for (int i = 0; i < 3; i++) {
		check_int(
		    location_read(s->loc, &key, sink_null(), &err), FAILED);
		check_int(err.kind, ERROR_UNREACHABLE);
	}
	check_int(subject_shell(s, "eval \"$TARN_TEST_START\""), 0);
	check(!has(s->loc, &key, data, 100));
	check_int(put(s->loc, &key, data, 100, WRITE_IF_ABSENT), STORED);
}
