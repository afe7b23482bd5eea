#include "store/content.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define CHUNK (64 * 1024)
#define OVERLAP 24 /* the longest name of a clock and what is around it */

static bool
in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* As a word of its own; what is cut off at either end counts as one. */
static bool
has_word(const char *text, size_t size, const char *word)
{
	size_t length = strlen(word);
	const char *end = text + size, *at = text;

	while ((at = memmem(at, (size_t)(end - at), word, length))) {
		if ((at == text || !in_name(at[-1])) &&
		    (at + length == end || !in_name(at[length])))
			return true;
		at++;
	}
	return false;
}

/* The pragma "dependency" of GCC, which goes by the times of two files, also where
 * a comment or the end of a line stands before its name. */
static bool
compares_ages(const char *text, size_t size)
{
	static const char word[] = "dependency";
	static const char *const before[] = { "GCC", "*/", "\\\n" };
	const char *end = text + size, *at = text;

	while ((at = memmem(at, (size_t)(end - at), word, sizeof(word) - 1))) {
		const char *last = at;

		while (last > text && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++) {
			size_t length = strlen(before[i]);

			if ((size_t)(last - text) >= length &&
			    memcmp(last - length, before[i], length) == 0)
				return true;
		}
		at++;
	}
	return false;
}

uint32_t
content_clocks(const char *text, size_t size)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} clocks[] = { { MACRO("DATE"), TABLE_CLOCK },
		{ MACRO("TIME"), TABLE_CLOCK },
		{ MACRO("TIMESTAMP"), TABLE_TIMESTAMP },
		{ MACRO("FILE"), TABLE_OWN_PATH },
		{ MACRO("BASE_FILE"), TABLE_OWN_PATH },
		{ "__builtin_FILE", TABLE_OWN_PATH },
		{ "source_location", TABLE_OWN_PATH } };
	uint32_t found = 0;

	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		if (has_word(text, size, clocks[i].name))
			found |= clocks[i].flag;
	}
	if (compares_ages(text, size))
		found |= TABLE_AGES;
	return found;
}

/* Programs name the clocks they offer; only what a compiler reads counts. */
static bool
is_text(const char *data, size_t size)
{
	return !(size >= 4 && memcmp(data, "\177ELF", 4) == 0) &&
	    !memchr(data, '\0', size < 512 ? size : 512);
}

/* A precompiled header says of no macro whether it stands for the clock. */
static bool
is_precompiled(const char *data, size_t size)
{
	return size >= 4 &&
	    (memcmp(data, "gpch", 4) == 0 || memcmp(data, "CPCH", 4) == 0);
}

bool
content_is_source(const char *path)
{
	static const char *const suffixes[] = { ".c", ".cc", ".cp", ".cpp",
		".cxx", ".c++", ".C", ".m", ".mm", ".i", ".ii", ".S", ".h",
		".hh", ".hpp", ".hxx", ".h++", ".H", ".inc", ".inl", ".def",
		".ipp", ".tcc", ".l", ".y" };
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(*suffixes);
	     i++) {
		if (strcmp(dot, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int
read_all(int fd, struct content *content, struct error *err)
{
	char data[OVERLAP + CHUNK];
	size_t kept = 0;
	bool text = true, first = true;
	struct hasher h;
	ssize_t got;

	hasher_init(&h);
	while ((got = read(fd, data + kept, CHUNK)) > 0) {
		size_t size = kept + (size_t)got;

		hasher_add(&h, data + kept, (size_t)got);
		if (first)
			text = is_text(data, size);
		if (first && is_precompiled(data, size))
			content->flags |= TABLE_CLOCK | TABLE_TIMESTAMP |
			    TABLE_OWN_PATH | TABLE_AGES;
		first = false;
		if (!text)
			continue;
		content->flags |= content_clocks(data, size);
		kept = size < OVERLAP ? size : OVERLAP;
		memmove(data, data + size - kept, kept);
	}
	if (got < 0)
		return error_errno(err, "cannot read");
	hasher_finish(&h, &content->digest);
	return 0;
}

static int
hash_open_file(int fd, struct content *content, struct table *table,
    const struct stat *before, struct error *err)
{
	struct table_key key;
	struct stat after;
	struct stamp stamp;

	if (read_all(fd, content, err) < 0)
		return -1;
	if (fstat(fd, &after) < 0)
		return error_errno(err, "cannot stat");
	stamp_of(&stamp, &after);
	if (!stamp_equal(&stamp, &content->stamp))
		return error_set(
		    err, ERROR_CORRUPT, "changed while it was read");
	if (!content->settled)
		return 0;
	key = table_file_key(&content->stamp);
	table_put(table, &key, &content->digest, content->flags);
	return 0;
}

bool
content_known(struct content *content, const struct table *table,
    const struct stat *known)
{
	struct table_key key;

	stamp_of(&content->stamp, known);
	content->mode = known->st_mode;
	content->settled = true;
	key = table_file_key(&content->stamp);
	return table_get(table, &key, &content->digest, &content->flags);
}

int
content_of(struct content *content, struct table *table, int at,
    const char *path, struct error *err)
{
	auto_close int fd =
	    openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	*content = (struct content){ 0 };
	if (fd < 0)
		return error_errno(err, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "cannot stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(
		    err, ERROR_SYSTEM, "'%s' is no regular file", path);
	if (content_known(content, table, &st))
		return 0;
	content->flags = 0;
	content->settled = stamp_settled(&content->stamp, fd, NULL);
	if (hash_open_file(fd, content, table, &st, err) < 0)
		return error_wrap(err, "'%s'", path);
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

/* One string an entry: a letter for the type, then the name. */
static char *
listing_item(int dir, const struct dirent *entry)
{
	unsigned char type = entry->d_type;
	struct stat st;

	if (type == DT_UNKNOWN &&
	    fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		type = (unsigned char)IFTODT(st.st_mode);
	return xasprintf("%c%s", 'a' + type, entry->d_name);
}

static size_t
read_names(DIR *dir, char ***names, content_own_fn *own, void *arg)
{
	size_t count = 0, cap = 0;
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    (own && own(arg, entry->d_name)))
			continue;
		if (count == cap) {
			cap = cap ? 2 * cap : 32;
			*names = xrealloc(*names, cap, sizeof(**names));
		}
		(*names)[count++] = listing_item(dirfd(dir), entry);
	}
	return count;
}

int
content_listing(struct digest *digest, int at, const char *path,
    content_own_fn *own, void *arg, struct error *err)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	auto_free char **names = NULL;
	struct hasher h;
	size_t count;

	if (!dir) {
		error_errno(err, "cannot list '%s'", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	count = read_names(dir, &names, own, arg);
	closedir(dir);
	if (count > 0)
		qsort(names, count, sizeof(*names), by_name);
	hasher_init(&h);
	for (size_t i = 0; i < count; i++) {
		hasher_add_text(&h, names[i]);
		free(names[i]);
	}
	hasher_finish(&h, digest);
	return 0;
}
