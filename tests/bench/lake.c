/*
 * Work on a lake through its own code: lake WHAT ROOT COUNT SIZE OF
 *
 * WHAT is `write` (COUNT blobs of SIZE bytes), `read` or `contains` (COUNT of the OF
 * that were written, in any order), or one of these with `plain-` in front: the
 * least that a program could do instead, with files at the same places. `age` makes
 * all of COUNT look as if they had been used last at any time of a month. Prints
 * the seconds that took.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stream.h"
#include "locations/layout.h"
#include "locations/location.h"

struct bench {
	const char *root;
	struct location *lake;
	size_t size;
	char *data;
	struct key key;
	char *path;
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
stop(const char *what, const char *why)
{
	fprintf(stderr, "lake: %s: %s\n", what, why);
	exit(1);
}

static struct location *
open_lake(const char *root)
{
	struct error err = { 0 };
	Tarn__Location *config = location_from_word(root, "/", &err);
	struct location *lake = config ? location_open(config, &err) : NULL;

	if (!lake)
		stop(root, err.text);
	tarn__location__free_unpacked(config, NULL);
	return lake;
}

/* The value of this number, its key and its place. */
static void
choose(struct bench *b, unsigned long number)
{
	memset(b->data, 0, b->size < 32 ? b->size : 32);
	snprintf(b->data, b->size, "%lu", number);
	digest_bytes(&b->key.digest, b->data, b->size);
	free(b->path);
	b->path = layout_path(&layout_default, b->root, &b->key.digest);
}

static void
age_one(struct bench *b)
{
	unsigned long number = strtoul(b->data, NULL, 10);
	time_t when =
	    time(NULL) - 3600 - (time_t)(number * 2654435761u % (30 * 86400));
	struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	if (utimensat(AT_FDCWD, b->path, times, 0) < 0)
		stop(b->path, "cannot be touched");
}

/* ---- one of each ---- */

static void
write_one(struct bench *b)
{
	auto_source *in = source_memory(b->data, b->size);
	struct error err = { 0 };

	if (location_write(b->lake, &b->key, in, WRITE_IF_ABSENT, &err) !=
	    STORED)
		stop(b->path, err.text);
}

static void
read_one(struct bench *b)
{
	auto_sink *out = sink_null();
	struct error err = { 0 };

	if (location_read(b->lake, &b->key, out, &err) != HIT)
		stop(b->path, err.text);
}

static void
find_one(struct bench *b)
{
	struct error err = { 0 };

	if (location_contains(b->lake, &b->key, &err) != HIT)
		stop(b->path, err.text);
}

static void
plain_write_one(struct bench *b)
{
	auto_free char *temp = xasprintf("%s/temp", b->root);
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL, 0444);
	char *slash = strrchr(b->path, '/');

	*slash = '\0';
	(void)mkdir(b->path, 0777);
	*slash = '/';
	if (fd < 0 || write(fd, b->data, b->size) != (ssize_t)b->size ||
	    close(fd) < 0 || rename(temp, b->path) < 0)
		stop(b->path, "cannot be written");
}

static void
plain_read_one(struct bench *b)
{
	int fd = open(b->path, O_RDONLY);
	char data[65536];

	if (fd < 0 || read(fd, data, sizeof(data)) != (ssize_t)b->size)
		stop(b->path, "cannot be read");
	close(fd);
}

static void
plain_find_one(struct bench *b)
{
	struct stat st;

	if (stat(b->path, &st) < 0)
		stop(b->path, "is not there");
}

static const struct work {
	const char *name;
	void (*one)(struct bench *b);
	bool all; /* one after the other */
} works[] = {
	{ "write", write_one, true },
	{ "read", read_one, false },
	{ "contains", find_one, false },
	{ "age", age_one, true },
	{ "plain-write", plain_write_one, true },
	{ "plain-read", plain_read_one, false },
	{ "plain-contains", plain_find_one, false },
};

/* What is measured is the work, not how we find something to do. */
static double
run(struct bench *b, const struct work *work, unsigned long count,
    unsigned long of)
{
	double sum = 0, begin;

	for (unsigned long i = 0; i < count; i++) {
		unsigned long number =
		    work->all ? i : (i * 11400714819323198485u >> 20) % of;

		choose(b, number);
		begin = now();
		work->one(b);
		sum += now() - begin;
	}
	return sum;
}

int
main(int argc, char **argv)
{
	struct bench b = { .key.space = KEY_BLOB };

	if (argc != 6)
		stop("usage", "lake WHAT ROOT COUNT SIZE OF");
	b.root = argv[2];
	b.lake = open_lake(b.root);
	b.size = strtoul(argv[4], NULL, 10);
	b.data = calloc(1, b.size + 1);
	for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
		if (strcmp(works[i].name, argv[1]) == 0)
			printf("%.6f\n",
			    run(&b, &works[i], strtoul(argv[3], NULL, 10),
			        strtoul(argv[5], NULL, 10)));
	}
	location_close(b.lake);
	free(b.data);
	free(b.path);
	return 0;
}
