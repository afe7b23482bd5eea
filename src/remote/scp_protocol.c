#include "remote/scp_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A number without a sign, with `end` behind it; moves *p behind that. */
static bool
take_number(const char **p, int base, char end, uint64_t *number)
{
	char *stop;

	if (!strchr("0123456789abcdef", **p) || !**p)
		return false;
	errno = 0;
	*number = strtoull(*p, &stop, base);
	if (errno || stop == *p || *stop != end)
		return false;
	*p = stop + 1;
	return true;
}

static bool
parse_times(const char *p, struct far_stat *st)
{
	uint64_t mtime, atime, rest;

	if (!take_number(&p, 10, ' ', &mtime) ||
	    !take_number(&p, 10, ' ', &rest) ||
	    !take_number(&p, 10, ' ', &atime) || mtime > UINT32_MAX * 4ULL ||
	    atime > UINT32_MAX * 4ULL)
		return false;
	st->mtime = (int64_t)mtime;
	st->atime = (int64_t)atime;
	return true;
}

static bool
parse_file(const char *p, struct far_stat *st)
{
	uint64_t mode;

	if (!take_number(&p, 8, ' ', &mode) ||
	    !take_number(&p, 10, ' ', &st->size) || mode > 07777)
		return false;
	st->mode = (uint32_t)mode | S_IFREG;
	return true;
}

int
scp_parse_line(const char *line, size_t len, enum scp_line *what,
    struct far_stat *st, struct error *err)
{
	bool whole = len > 0 && !memchr(line, '\0', len);

	if (whole && (*line == 1 || *line == 2)) {
		*what = SCP_WRONG;
		return 0;
	}
	if (whole && *line == 'T' && parse_times(line + 1, st)) {
		*what = SCP_TIMES;
		return 0;
	}
	if (whole && *line == 'C' && parse_file(line + 1, st)) {
		*what = SCP_FILE;
		return 0;
	}
	return error_set(err, ERROR_CORRUPT,
	    "scp on the server says '%.*s', which is not its protocol",
	    len < 60 ? (int)len : 60, line);
}

bool
scp_parse_stat(const char *line, struct far_stat *st, const char **name)
{
	uint64_t mode, uid, gid, atime, mtime;

	*st = (struct far_stat){ 0 };
	if (!take_number(&line, 16, ' ', &mode) ||
	    !take_number(&line, 10, ' ', &uid) ||
	    !take_number(&line, 10, ' ', &gid) ||
	    !take_number(&line, 10, ' ', &st->size) ||
	    !take_number(&line, 10, ' ', &atime) ||
	    !take_number(&line, 10, ' ', &mtime) || !*line)
		return false;
	st->mode = (uint32_t)mode;
	st->uid = (uint32_t)uid;
	st->gid = (uint32_t)gid;
	st->atime = (int64_t)(atime & INT64_MAX);
	st->mtime = (int64_t)(mtime & INT64_MAX);
	*name = line;
	return true;
}

bool
scp_parse_key(const char *name, char hex[static DIGEST_HEX + 1])
{
	size_t len = 0;

	if (strncmp(name, "./", 2) == 0)
		name += 2;
	for (; *name; name++) {
		if (*name == '/')
			continue;
		if (!strchr("0123456789abcdef", *name) || len == DIGEST_HEX)
			return false;
		hex[len++] = *name;
	}
	hex[len] = '\0';
	return len == DIGEST_HEX;
}

uint64_t
scp_parse_df(const char *line)
{
	uint64_t number;

	for (int field = 0; field < 3; field++) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	if (!take_number(&line, 10, ' ', &number) || number > UINT64_MAX / 1024)
		return UINT64_MAX;
	return number * 1024;
}
