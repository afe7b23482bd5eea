#include "locations/tee.h"

#include <sys/stat.h>

#include "base/mem.h"

static struct tee *
tee_of(struct sink *base)
{
	return container_of(base, struct tee, base);
}

static void
drop(struct tee *tee)
{
	tee->dropped = true;
	spool_release(&tee->spool);
}

static int
tee_write(struct sink *base, const void *data, size_t size, struct error *err)
{
	struct tee *tee = tee_of(base);
	struct error lost;

	tee->size += size;
	if (!tee->dropped &&
	    (tee->size > tee->limit ||
	        sink_write(tee->copy, data, size, &lost) < 0))
		drop(tee);
	return sink_write(tee->out, data, size, err);
}

static int
tee_write_file(struct sink *base, int fd, struct error *err)
{
	struct tee *tee = tee_of(base);
	struct error lost;
	struct stat st;

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > tee->limit ||
	    sink_write_file(tee->copy, fd, &lost) < 0)
		drop(tee);
	return sink_write_file(tee->out, fd, err);
}

static int
tee_reset(struct sink *base, struct error *err)
{
	struct tee *tee = tee_of(base);

	spool_release(&tee->spool);
	tee->size = 0;
	tee->dropped = false;
	return sink_reset(tee->out, err);
}

/* A copy of that would be as damaged. */
static bool
tee_is_full(struct sink *base)
{
	return sink_is_full(tee_of(base)->out);
}

static int
tee_commit(struct sink *base, struct error *err)
{
	return 0;
}

static void
tee_close(struct sink *base)
{
	struct tee *tee = tee_of(base);

	sink_close(tee->copy);
	spool_release(&tee->spool);
}

void
tee_init(struct tee *tee, struct sink *out, uint64_t limit, size_t memory)
{
	static const struct sink_ops ops = {
		.write = tee_write,
		.reset = tee_reset,
		.commit = tee_commit,
		.close = tee_close,
		.write_file = tee_write_file,
		.is_full = tee_is_full,
	};

	*tee = (struct tee){ .base = { &ops },
		.out = out,
		.spool = SPOOL_INIT(memory),
		.limit = limit };
	tee->copy = sink_spool(&tee->spool);
}
