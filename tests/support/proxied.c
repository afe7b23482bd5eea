#include "support/proxied.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "locations/daemon.h"
#include "locations/kinds.h"
#include "support/check.h"

#define PATIENCE_US 120000000 /* with a machine that is busy */

struct proxied {
	struct location_kind kind; /* in place of the leaf's */
	const struct location_kind *real;
	struct location *proxy;
	char *tarn_dir;
	int64_t until; /* of the question that is being asked */
};

static struct proxied *
proxied_of(struct location *loc)
{
	return (struct proxied *)(uintptr_t)container_of(
	    loc->kind, const struct proxied, kind);
}

static struct location *
begin(struct location *loc)
{
	struct proxied *proxied = proxied_of(loc);

	proxied->until = clock_us() + PATIENCE_US;
	return proxied->proxy;
}

/* Was nobody asked, or was it too slow? Then it is asked again. */
static bool
again(struct location *loc, enum outcome outcome, const struct error *err)
{
	struct proxied *proxied = proxied_of(loc);

	if (outcome != FAILED || clock_us() > proxied->until ||
	    (err->kind != ERROR_SKIPPED && err->kind != ERROR_UNREACHABLE))
		return false;
	usleep(50000);
	daemon_forgive(proxied->tarn_dir);
	daemon_set_up(proxied->tarn_dir, DAEMON_START);
	return true;
}

static enum outcome
ask_read(struct location *loc, const struct key *key, struct sink *out,
    struct error *err)
{
	struct location *proxy = begin(loc);
	struct error why = { 0 };
	enum outcome outcome;

	do {
		check_int(sink_reset(out, &why), 0);
		why = (struct error){ 0 };
		outcome = location_read(proxy, key, out, &why);
	} while (again(loc, outcome, &why));
	if (outcome == FAILED)
		*err = why;
	return outcome;
}

static void
ask_read_batch(
    struct location *loc, struct location_read_request *requests, size_t count)
{
	struct location *proxy = begin(loc);

	location_read_batch(proxy, requests, count);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == FAILED)
			requests[i].outcome = ask_read(loc, &requests[i].key,
			    requests[i].out, &requests[i].err);
	}
}

static enum outcome
ask_write(struct location *loc, const struct key *key, struct source *in,
    enum write_mode mode, struct error *err)
{
	struct location *proxy = begin(loc);
	struct error why = { 0 };
	enum outcome outcome;

	do {
		check_int(source_rewind(in, &why), 0);
		why = (struct error){ 0 };
		outcome = location_write(proxy, key, in, mode, &why);
	} while (again(loc, outcome, &why));
	if (outcome <= DECLINED)
		*err = why;
	return outcome;
}

static void
ask_write_batch(
    struct location *loc, struct location_write_request *requests, size_t count)
{
	struct location *proxy = begin(loc);

	location_write_batch(proxy, requests, count);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].outcome == FAILED)
			requests[i].outcome = ask_write(loc, &requests[i].key,
			    requests[i].in, requests[i].mode, &requests[i].err);
	}
}

#define QUESTION(name) \
	static enum outcome ask_##name( \
	    struct location *loc, const struct key *key, struct error *err) \
	{ \
		struct location *proxy = begin(loc); \
		struct error why = { 0 }; \
		enum outcome outcome; \
		do { \
			why = (struct error){ 0 }; \
			outcome = location_##name(proxy, key, &why); \
		} while (again(loc, outcome, &why)); \
		if (outcome == FAILED) \
			*err = why; \
		return outcome; \
	}

QUESTION(contains)
QUESTION(remove)
QUESTION(touch)

/* All that was written has to be there. */
static void
flush(struct proxied *proxied)
{
	struct error err = { 0 };
	struct channel channel;
	Tarn__DaemonAnswer *answer;

	check_int(
	    daemon_open(proxied->tarn_dir, DAEMON_START, &channel, &err), 0);
	err = (struct error){ 0 };
	answer = (Tarn__DaemonAnswer *)daemon_ask(&channel, CHANNEL_FLUSH,
	    PATIENCE_US, &tarn__daemon_answer__descriptor, 0, &err);
	check_str(err.text, "");
	check_int(answer->number, 0);
	tarn__daemon_answer__free_unpacked(answer, NULL);
	channel_close(&channel);
}

static int
list_real(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err)
{
	struct proxied *proxied = proxied_of(loc);

	flush(proxied);
	return proxied->real->list(loc, wanted, fn, arg, err);
}

static void
close_both(struct location *loc)
{
	struct proxied *proxied = proxied_of(loc);

	location_close(proxied->proxy);
	loc->kind = proxied->real;
	loc->kind->close(loc);
	free(proxied->tarn_dir);
	free(proxied);
}

static const struct location_kind *
proxy_kind(const char *name)
{
	static const struct location_kind *const kinds[] = { &proxy_nginx,
		&proxy_redis, &proxy_s3, &proxy_scp, &proxy_sftp };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	check(!"a kind that tarnd speaks for");
	return NULL;
}

void
proxied_set(
    struct location *leaf, const Tarn__Location *config, const char *tarn_dir)
{
	struct proxied *proxied = xmalloc(sizeof(*proxied));
	struct error err = { 0 };

	*proxied = (struct proxied){
		.kind = { .name = leaf->kind->name,
		    .open = leaf->kind->open,
		    .close = close_both,
		    .read = ask_read,
		    .write = ask_write,
		    .contains = ask_contains,
		    .remove = ask_remove,
		    .touch = ask_touch,
		    .list = list_real,
		    .read_batch = ask_read_batch,
		    .write_batch = ask_write_batch },
		.real = leaf->kind,
		.proxy = proxy_kind(leaf->kind->name)->open(config, &err),
		.tarn_dir = xstrdup(tarn_dir),
	};
	check(proxied->proxy);
	leaf->kind = &proxied->kind;
	daemon_set_up(tarn_dir, DAEMON_START);
}

void
proxied_end(const char *tarn_dir)
{
	struct error err;

	daemon_set_up(NULL, DAEMON_OFF);
	(void)daemon_stop(tarn_dir, clock_us() + PATIENCE_US, &err);
}
