#include "exec/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static void
add_pattern(struct scan *scan, int kind, const char *text)
{
	size_t size = strlen(text);

	if (scan->count == SCAN_PATTERNS || size < 2 ||
	    size >= sizeof(scan->pattern[0].text))
		return;
	memcpy(scan->pattern[scan->count].text, text, size + 1);
	scan->pattern[scan->count].size = size;
	scan->pattern[scan->count++].kind = kind;
}

/* "/home/me/x.y" in a symbol is "_home_me_x_y". */
static void
add_mangled(struct scan *scan, const char *root)
{
	char text[512];
	size_t i;

	for (i = 0; root[i] && i + 1 < sizeof(text); i++)
		text[i] = isalnum((unsigned char)root[i]) ? root[i] : '_';
	text[i] = '\0';
	if (i > 6)
		add_pattern(scan, SCAN_ROOT, text);
}

/* The working directory by another name that leads there. */
static void
add_pwd(struct scan *scan, const char *cwd)
{
	const char *pwd = getenv("PWD");
	struct stat here, there;

	if (pwd && strcmp(pwd, cwd) != 0 && stat(pwd, &there) == 0 &&
	    stat(cwd, &here) == 0 && here.st_dev == there.st_dev &&
	    here.st_ino == there.st_ino)
		add_pattern(scan, SCAN_PWD, pwd);
}

void
scan_variable(struct scan *scan, const char *entry, const char *value)
{
	if (scan->variables == SCAN_VARIABLES)
		return;
	add_pattern(scan, SCAN_KINDS + (int)scan->variables, value);
	scan->variable[scan->variables++] = entry;
}

/* As clocks here and in Greenwich have it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void
add_moment(struct scan *scan, time_t at, const char *format)
{
	char here[64], there[64];
	struct tm tm;

	strftime(here, sizeof(here), format, localtime_r(&at, &tm));
	strftime(there, sizeof(there), format, gmtime_r(&at, &tm));
	add_pattern(scan, SCAN_CLOCK, here);
	if (strcmp(here, there) != 0)
		add_pattern(scan, SCAN_CLOCK, there);
}
#pragma GCC diagnostic pop

static void
add_day(struct scan *scan, time_t at)
{
	add_moment(scan, at, "%b %e %Y");
	add_moment(scan, at, "%Y-%m-%d");
}

void
scan_host(struct scan *scan)
{
	struct utsname names;

	if (uname(&names) == 0)
		add_pattern(scan, SCAN_HOST, names.nodename);
}

void
scan_init(struct scan *scan, const char *root, const char *cwd)
{
	memset(scan, 0, sizeof(*scan));
	if (root[1]) {
		add_pattern(scan, SCAN_ROOT, root);
		add_mangled(scan, root);
	}
	add_pwd(scan, cwd);
	add_day(scan, time(NULL));
}

/* The seconds that the run may have seen, as its macro and time(2) have them; of
 * a long one, the minutes. */
void
scan_since(struct scan *scan, long seconds)
{
	bool few = seconds <= 6;
	time_t now = time(NULL), step = few ? 1 : 60;
	time_t most = few ? seconds + 1 : seconds + step;

	if (most > 20 * step)
		most = 20 * step;
	for (time_t at = now - most; at <= now; at += step) {
		char text[64];

		add_moment(scan, at, few ? "%H:%M:%S" : "%H:%M:");
		/* The last two digits are a minute and a half. */
		snprintf(text, sizeof(text), "%lld",
		    (long long)(few ? at : at / 100));
		add_pattern(scan, SCAN_CLOCK, text);
	}
	add_day(scan, now - seconds);
}

/* Which pairs of bytes a pattern begins with: one look at each place of the data
 * is enough for all patterns together. */
static void
mark_beginnings(const struct scan *scan, unsigned char *begins)
{
	memset(begins, 0, 65536 / 8);
	for (size_t i = 0; i < scan->count; i++) {
		unsigned pair = (unsigned char)scan->pattern[i].text[0] |
		    (unsigned)(unsigned char)scan->pattern[i].text[1] << 8;

		begins[pair / 8] |= (unsigned char)(1 << pair % 8);
	}
}

static void
note_found(struct scan *scan, int kind)
{
	if (kind < SCAN_KINDS)
		scan->found[kind] = true;
	else
		scan->shown[kind - SCAN_KINDS] = true;
}

static void
try_patterns(struct scan *scan, const unsigned char *at, size_t left)
{
	for (size_t i = 0; i < scan->count; i++) {
		if (scan->pattern[i].size <= left &&
		    memcmp(at, scan->pattern[i].text, scan->pattern[i].size) ==
		        0)
			note_found(scan, scan->pattern[i].kind);
	}
}

/* ---- any moment ---- */

int64_t
scan_day(const struct tm *day)
{
	return (day->tm_year + 1900) * 10000 + (day->tm_mon + 1) * 100 +
	    day->tm_mday;
}

static void
add_any(struct scan *scan, int64_t moment)
{
	for (size_t i = 0; i < scan->moment_count; i++) {
		if (scan->moment[i] == moment)
			return;
	}
	if (scan->moment_count < SCAN_MOMENTS)
		scan->moment[scan->moment_count++] = moment;
}

static size_t
digits(const unsigned char *at, size_t left)
{
	size_t size = 0;

	while (size < left && isdigit(at[size]))
		size++;
	return size;
}

/* "2001-12-31" */
static bool
is_day(const unsigned char *at, size_t left)
{
	return left >= 10 && digits(at, left) == 4 && at[4] == '-' &&
	    digits(at + 5, 2) == 2 && at[7] == '-' && digits(at + 8, 2) == 2;
}

static int64_t
number(const unsigned char *at, size_t size)
{
	int64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value * 10 + (at[i] - '0');
	return value;
}

static void
scan_moments(struct scan *scan, const unsigned char *at, size_t size)
{
	for (size_t i = 0; i < size && scan->moment_count < SCAN_MOMENTS;) {
		size_t run = digits(at + i, size - i);
		const unsigned char *text = at + i;

		if (run >= 9 && run <= 10)
			add_any(scan, number(text, run));
		else if (is_day(text, size - i))
			add_any(scan,
			    -(number(text, 4) * 10000 +
			        number(text + 5, 2) * 100 +
			        number(text + 8, 2)));
		i += run + 1;
	}
}

void
scan_bytes(struct scan *scan, const void *data, size_t size)
{
	unsigned char begins[65536 / 8];
	const unsigned char *at = data;

	if (scan->moments)
		scan_moments(scan, at, size);
	mark_beginnings(scan, begins);
	for (size_t i = 0; i + 1 < size; i++) {
		unsigned pair = at[i] | (unsigned)at[i + 1] << 8;

		if (begins[pair / 8] & (1 << pair % 8))
			try_patterns(scan, at + i, size - i);
	}
}

void
scan_file(struct scan *scan, int fd)
{
	enum { KEPT = sizeof(scan->pattern[0].text) };
	static char data[KEPT + CHUNK];
	size_t kept = 0;
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, data + kept, CHUNK, at)) > 0) {
		size_t size = kept + (size_t)got;

		scan_bytes(scan, data, size);
		at += got;
		kept = size < KEPT ? size : KEPT;
		memmove(data, data + size - kept, kept);
	}
}
