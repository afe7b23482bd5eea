#include "report/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

/* The day `days` after 1970-01-01, by the civil calendar, as four-year and
 * hundred-year cycles that begin in March have it. gmtime() would look for the
 * local time zone first, in files. */
static void
civil_day(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t since = days + 719468; /* from 0000-03-01 */
	int64_t era = since / 146097, of_era = since % 146097;
	int64_t of_cycle =
	    (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year =
	    of_era - (365 * of_cycle + of_cycle / 4 - of_cycle / 100);
	int64_t shifted = (5 * of_year + 2) / 153; /* 0: March */

	*day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
	*month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*year = of_cycle + era * 400 + (*month <= 2);
}

static void
add_time(struct buf *to)
{
	struct timespec now;
	int64_t year, second;
	int month, day;

	clock_gettime(CLOCK_REALTIME, &now);
	civil_day(now.tv_sec / 86400, &year, &month, &day);
	second = now.tv_sec % 86400;
	json_name(to, "time");
	buf_addf(to, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\"", (int)year,
	    month, day, (int)(second / 3600), (int)(second / 60 % 60),
	    (int)(second % 60), now.tv_nsec / 1000000);
}

static void
add_text(struct buf *to, const char *name, const char *value)
{
	json_name(to, name);
	json_text(to, value);
}

static void
add_number(struct buf *to, const char *name, uint64_t value)
{
	json_name(to, name);
	buf_addf(to, "%" PRIu64, value);
}

static void
add_words(struct buf *to, const char *name, char *const *words)
{
	json_name(to, name);
	buf_add(to, "[", 1);
	for (char *const *word = words; word && *word; word++) {
		if (word != words)
			buf_add(to, ",", 1);
		json_text(to, *word);
	}
	buf_add(to, "]", 1);
}

static void
add_more(const struct event *event, struct buf *to)
{
	const struct {
		const char *name, *value;
	} more[] = {
		{ "action", event->action },
		{ "label", event->label },
		{ "observer", event->observer },
		{ "note", event->note },
		{ "hint", event->hint },
		{ "check", event->check },
	};

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		if (more[i].value)
			add_text(to, more[i].name, more[i].value);
	}
	if (event->stable)
		add_number(to, "stable", event->stable);
	if (event->saved_us)
		add_number(to, "saved_us", event->saved_us);
	if (event->locations) {
		json_name(to, "locations");
		buf_addf(to, "%s", event->locations);
	}
}

void
event_format(const struct event *event, struct buf *to)
{
	buf_add(to, "{", 1);
	add_time(to);
	add_text(to, "outcome", event->outcome);
	add_text(to, "kind", event->kind);
	add_words(to, "command", event->command);
	add_text(to, "cwd", event->cwd);
	add_number(to, "status", (uint64_t)event->status);
	add_number(to, "wall_us", event->wall_us);
	add_text(to, "key", event->key);
	add_text(to, "reason", event->reason);
	add_text(to, "tier", event->tier);
	add_number(to, "bytes", event->bytes);
	add_text(to, "build", event->build);
	add_more(event, to);
	buf_add(to, "}\n", 2);
}

/* The file grew long: it makes room for a new one. One process does that, and
 * only to the file that it wrote to. */
static void
rotate(const char *path, int fd)
{
	auto_free char *old = xasprintf(
	    "%.*s.1.jsonl", (int)(strlen(path) - strlen(".jsonl")), path);
	struct stat ours, there;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &ours) < 0 ||
	    stat(path, &there) < 0 || ours.st_ino != there.st_ino)
		return;
	(void)rename(path, old);
}

int
event_append(
    const char *path, uint64_t limit, const struct buf *line, struct error *err)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
	auto_close int fd = open(path, flags, 0666);

	if (fd < 0 && errno == ENOENT) {
		if (file_make_parents(path, err) < 0)
			return -1;
		fd = open(path, flags, 0666);
	}
	if (fd < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (file_write_all(fd, line->data, line->len) < 0)
		return error_errno(err, "cannot append to '%s'", path);
	if (limit > 0 && lseek(fd, 0, SEEK_CUR) > (off_t)limit)
		rotate(path, fd);
	return 0;
}

char *
event_path(const char *tarn_dir)
{
	return xasprintf("%s/events.jsonl", tarn_dir);
}
