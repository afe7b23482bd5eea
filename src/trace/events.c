/*
 * What each system call says about the command: the heart of observation.
 *
 * The caller is stopped; what the kernel will tell it when it goes on is what
 * the kernel tells us now. Reads come before writes: as long as a path has not
 * been written, each question about it leaves facets; from the first write on
 * it is the command's own, and says nothing about the world.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/content.h"
#include "store/record.h"
#include "trace/classify.h"
#include "trace/internal.h"
#include "trace/ring.h"

#define PATH_SIZE (2 * PATH_MAX)
#define SCRIPT_SIZE (1 << 20) /* what is longer is data */

static uint64_t
argument(const struct question *q, int i)
{
	return i < 0 ? 0 : q->data->args[i];
}

/* ---- who asks ---- */

/* The last answers, since calls come in runs. */
static enum program_class
class_of(pid_t pid)
{
	static struct {
		pid_t pid;
		enum program_class class;
	} known[64];
	size_t at = (size_t)pid % (sizeof(known) / sizeof(*known));
	char path[PATH_MAX];

	if (pid == 0) { /* one becomes another program, with all its threads */
		memset(known, 0, sizeof(known));
		return PROGRAM_UNKNOWN;
	}
	if (known[at].pid == pid)
		return known[at].class;
	if (!process_link(pid, "exe", path, sizeof(path)))
		return PROGRAM_UNKNOWN;
	known[at].pid = pid;
	known[at].class = classify_program(path);
	return known[at].class;
}

/* A compiler that may not be one, or has foreign code in it, goes by whatever it
 * likes. */
static enum program_class
class_for(const struct question *q)
{
	enum program_class class = class_of(q->pid);

	return class == PROGRAM_COMPILER && q->trace->stranger ? PROGRAM_UNKNOWN
	                                                       : class;
}

/* Do the words or the script at `path` hold a shell's tests for what is newer? */
static bool
compares_times(struct trace *trace, const char *path)
{
	static const char *const tests[] = { "-nt", "-ot" };
	auto_buf text = BUF_INIT;
	struct error err;

	if (buf_read_file(&text, path, &err) < 0)
		return true;
	if (memmem(text.data, text.len, " -ef ", 5))
		trace_refuse(
		    trace, "a shell compares which files are the same (-ef)");
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		if (memmem(text.data, text.len, tests[i], 3))
			return true;
	}
	return false;
}

/* What a shell does depends on its words; they are looked at once. */
static bool
shell_compares_times(const struct question *q)
{
	char words[64];

	if (q->trace->shells_compare_times || q->trace->asked_shell == q->pid)
		return q->trace->shells_compare_times;
	q->trace->asked_shell = q->pid;
	snprintf(words, sizeof(words), "/proc/%d/cmdline", (int)q->pid);
	q->trace->shells_compare_times = compares_times(q->trace, words);
	return q->trace->shells_compare_times;
}

/* ... and on the scripts that it reads. */
static void
shell_reads(const struct question *q, const char *path, uint64_t size)
{
	if (q->answered || q->trace->shells_compare_times ||
	    size > SCRIPT_SIZE || class_for(q) != PROGRAM_SHELL)
		return;
	q->trace->shells_compare_times = compares_times(q->trace, path);
}

/* What a stat() by this program makes count. */
static uint32_t
stat_facets(const struct question *q, mode_t mode)
{
	const uint32_t times = S_ISREG(mode) ? FACET_TIME | FACET_NAMES : 0;

	if (q->answered && !q->trace->stranger)
		return FACET_TYPE;
	switch (class_for(q)) {
	case PROGRAM_COMPILER: return FACET_TYPE;
	case PROGRAM_SHELL:
		if (!shell_compares_times(q))
			return FACET_STAT;
		__attribute__((fallthrough));
	case PROGRAM_TIMES: return FACET_STAT | times;
	case PROGRAM_OWNERS: return FACET_STAT | FACET_OWNER | times;
	case PROGRAM_ALL_TIMES:
		return FACET_STAT | FACET_OWNER | FACET_TIME | times;
	default: return FACET_STAT;
	}
}

/* What is there and what one may do with it, but no more. */
static uint32_t
plain_facets(const struct question *q, mode_t mode)
{
	return stat_facets(q, mode) & (FACET_STAT | FACET_TYPE);
}

/* ---- reading ---- */

static bool
is_ours(const struct trace *trace, const char *path)
{
	size_t size = strlen(trace->tarn_dir);

	if ((trace->events && strcmp(path, trace->events) == 0) ||
	    (trace->jobserver && strcmp(path, trace->jobserver) == 0))
		return true;
	return strncmp(path, trace->tarn_dir, size) == 0 &&
	    (path[size] == '/' || path[size] == '\0');
}

/* True if the path needs no more attention. */
static bool
is_special(struct question *q, const char *path, bool opened)
{
	struct trace *trace = q->trace;

	switch (classify_path(path, opened)) {
	case SPECIAL_NONE: return is_ours(trace, path);
	case SPECIAL_TOLERATED: break;
	case SPECIAL_CPU: trace->asked_cpu = true; break;
	case SPECIAL_UNAME: trace->asked_uname = true; break;
	case SPECIAL_ENVIRONMENT: trace->asked_environment = true; break;
	case SPECIAL_STDIN:
		trace_refuse(trace, "it read its standard input");
		break;
	case SPECIAL_REFUSED: trace_refuse(trace, "it read '%s'", path); break;
	}
	return true;
}

/* The path's entry if what is learned now still counts, else NULL. */
static struct touched *
unwritten(struct trace *trace, const char *path)
{
	struct touched *t = touched_get(trace, path);

	return t->written || trace_is_own(trace, path) ? NULL : t;
}

static void
note_stat(struct touched *t, const struct stamp *stamp, mode_t mode)
{
	if (t->stamped)
		return;
	t->stamped = true;
	t->stamp = *stamp;
	t->mode = mode;
}

/* What was only asked about has a state, too, that must be the same at the end. */
static void
note(struct question *q, const char *path, uint32_t facets)
{
	struct touched *t = unwritten(q->trace, path);
	struct stamp stamp;
	struct stat st;

	if (!t)
		return;
	t->facets |= facets;
	if ((facets & ~FACET_ABSENT) && !t->stamped && !q->answered &&
	    stat(path, &st) == 0) {
		stamp_of(&stamp, &st);
		note_stat(t, &stamp, st.st_mode);
	}
}

/* As the kernel answers, or as the log says that it did. 0 or an errno. */
static int
ask_stat(struct question *q, const char *path, bool follow, struct stamp *stamp,
    mode_t *mode)
{
	struct stat st;

	if (q->answered) {
		*stamp = q->stamp;
		*mode = q->mode;
		return q->error;
	}
	if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return errno;
	stamp_of(stamp, &st);
	*mode = st.st_mode;
	return 0;
}

static void
refuse_error(struct question *q, const char *path, int error)
{
	trace_refuse(
	    q->trace, "it could not look at '%s': %s", path, strerror(error));
}

static bool
note_absent(struct question *q, const char *path, int error)
{
	struct stat st;

	if (error != ENOENT && error != ENOTDIR && error != ELOOP &&
	    error != EACCES) {
		refuse_error(q, path, error);
		return false;
	}
	/* What is there and may not be opened has a mode that says so; what is
	 * behind a folder that may not be entered is as good as absent. */
	if (error == EACCES && stat(path, &st) == 0)
		note(q, path, FACET_STAT);
	else
		note(q, path, FACET_ABSENT);
	return true;
}

/* Content as it is now, kept because it is about to change or may have. */
static void
take_content_now(struct trace *trace, struct touched *t)
{
	struct content content;
	struct error err = { 0 };

	if (t->digested)
		return;
	if (content_of(&content, trace->table, AT_FDCWD, t->path, &err) < 0) {
		trace_refuse(trace, "%s", err.text);
		return;
	}
	t->facets |= FACET_CONTENT;
	t->digested = true;
	t->digest = content.digest;
	note_stat(t, &content.stamp, content.mode);
}

/* What stat() or fstat() tells its caller. */
static void
note_facts(struct question *q, struct touched *t, mode_t mode)
{
	t->facets |= stat_facets(q, mode);
	t->timed |= S_ISREG(mode) &&
	    (q->answered ? q->trace->stranger
	                 : class_for(q) == PROGRAM_UNKNOWN);
}

static void
note_content(struct question *q, const char *path, const struct stamp *stamp,
    mode_t mode)
{
	struct touched *t = unwritten(q->trace, path);

	if (!t)
		return;
	t->facets |= FACET_CONTENT;
	t->opened++;
	note_stat(t, stamp, mode);
	if (!t->digested && !stamp_settled(stamp, -1, path))
		take_content_now(q->trace, t);
}

static void
note_link(struct question *q, const char *path)
{
	struct touched *t = unwritten(q->trace, path);
	char target[PATH_MAX];
	ssize_t size;

	if (!t)
		return;
	t->facets |= FACET_LINK;
	if (t->linked)
		return;
	size = readlink(path, target, sizeof(target));
	t->linked = true;
	if (size >= 0)
		digest_bytes(&t->link, target, (size_t)size);
}

/* ---- writing ---- */

/* What is there can't be told: that is not the same as nothing. */
static void
refuse_unseen(struct trace *trace, const char *path)
{
	if (errno != ENOENT && errno != ENOTDIR)
		trace_refuse(trace, "it could not be seen what '%s' is: %s",
		    path, strerror(errno));
}

static int
type_of(struct trace *trace, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return (int)(st.st_mode & S_IFMT);
	refuse_unseen(trace, path);
	return 0;
}

/* The first write to a path; what it was before is remembered. */
static struct touched *
write_to(struct trace *trace, const char *path)
{
	struct touched *t = touched_get(trace, path);
	struct stamp stamp;
	struct stat st;

	if (t->written)
		return t;
	if (lstat(path, &st) == 0) {
		t->before = (int)(st.st_mode & S_IFMT);
		t->names = (uint32_t)st.st_nlink;
	} else
		refuse_unseen(trace, path);
	t->written = true;
	if ((t->facets & (FACET_STAT | FACET_TIME)) && !t->stamped &&
	    stat(path, &st) == 0) {
		stamp_of(&stamp, &st);
		note_stat(t, &stamp, st.st_mode);
	}
	if (t->facets &
	    (FACET_ABSENT | FACET_LINK | FACET_TYPE | FACET_STAT | FACET_TIME))
		t->probed = true;
	if ((t->facets & FACET_CONTENT) && !t->digested &&
	    S_ISREG(t->before)) /* read, and now changed */
		take_content_now(trace, t);
	return t;
}

/* Its content matters to what it will be. */
static struct touched *
change(struct question *q, const char *path)
{
	struct touched *t = touched_get(q->trace, path);

	if (!t->written && !trace_is_own(q->trace, path)) {
		if (S_ISREG(type_of(q->trace, path)))
			take_content_now(q->trace, t);
		else
			t->facets |= FACET_STAT;
	}
	return write_to(q->trace, path);
}

/* Whether it is there shows in the answer, unless it is the command's own. */
static struct touched *
write_probing(struct trace *trace, const char *path)
{
	bool own = touched_get(trace, path)->written;
	struct touched *t = write_to(trace, path);

	t->probed |= !own;
	return t;
}

/* ---- links that the command made ---- */

static bool
is_made(const struct trace *trace, const char *path)
{
	const struct touched *t = trace_find(trace, path);

	return t ? t->written : trace_is_own(trace, path);
}

/* Where the link at path[0,size) leads, with what is behind it, in its place. */
static bool
follow_link(char *path, size_t size)
{
	char target[PATH_MAX], to[PATH_SIZE], rest[PATH_SIZE];
	ssize_t got;

	snprintf(rest, sizeof(rest), "%s", path + size);
	path[size] = '\0';
	got = readlink(path, target, sizeof(target) - 1);
	if (got > 0) {
		target[got] = '\0';
		*strrchr(path, '/') = '\0';
		to[0] = to[1] = '\0';
		if (target[0] != '/' && !realpath(path[0] ? path : "/", to))
			got = -1;
		if (!to[1]) /* the root's slash comes with what follows */
			to[0] = '\0';
		path[strlen(path)] = '/';
	}
	if (got > 0 && process_join(to, sizeof(to), target) &&
	    strlen(to) + strlen(rest) < PATH_SIZE) {
		memcpy(path, to, strlen(to) + 1);
		memcpy(path + strlen(to), rest, strlen(rest) + 1);
		path_tidy(path);
		return true;
	}
	memcpy(path + size, rest, strlen(rest) + 1);
	return false;
}

/* The first link in `path` that the command made. */
static bool
follow_one(const struct trace *trace, char *path, bool last)
{
	for (size_t at = 1;; at++) {
		struct stat st;
		char end = path[at];
		bool link;

		if (end != '/' && end != '\0')
			continue;
		if (end == '\0' && !last)
			return false;
		path[at] = '\0';
		link = is_made(trace, path) && lstat(path, &st) == 0 &&
		    S_ISLNK(st.st_mode);
		path[at] = end;
		if (link)
			return follow_link(path, at);
		if (end == '\0')
			return false;
	}
}

/*
 * What lies behind a link that the command made is no work of its own: it is
 * known by the name that it had without the link. `last`: the last name is
 * followed, too.
 */
static void
pass_own_links(const struct trace *trace, char *path, bool last)
{
	if (trace->links_made == 0)
		return;
	for (int i = 0; i < 40 && follow_one(trace, path, last); i++)
		;
}

/* Does this call look behind a link at the end of its path? */
static bool
follows_last(const struct call_spec *spec, uint64_t flags)
{
	switch (spec->call) {
	case CALL_OPEN:
		return !(flags & O_NOFOLLOW) &&
		    (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	case CALL_STAT: return !(flags & AT_SYMLINK_NOFOLLOW);
	case CALL_OPENAT2:
	case CALL_ACCESS:
	case CALL_CHDIR:
	case CALL_EXEC:
	case CALL_CHMOD:
	case CALL_TRUNCATE: return true;
	default: return false;
	}
}

/* ---- what is not a compiler's own ---- */

/* Not the project's, and where packages put things. */
static bool
is_trusted_place(const struct trace *trace, const char *path)
{
	const char *const folders[] = { trace->root, trace->cwd };

	for (size_t i = 0; i < 2; i++) {
		size_t size = strlen(folders[i]);

		if (size > 1 && strncmp(path, folders[i], size) == 0 &&
		    path[size] == '/')
			return false;
	}
	return classify_is_system(path);
}

static bool
is_shared_object(const char *path)
{
	Elf64_Ehdr head;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = fd < 0 ? -1 : pread(fd, &head, sizeof(head), 0);

	if (fd >= 0)
		close(fd);
	return got == (ssize_t)sizeof(head) &&
	    memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_type == ET_DYN;
}

/* Linkers read shared libraries that they don't load. */
static bool
is_linker(pid_t pid)
{
	char path[PATH_MAX];
	const char *name;

	if (!process_link(pid, "exe", path, sizeof(path)))
		return false;
	name = strrchr(path, '/');
	return name && (strstr(name, "ld") || strcmp(name, "/collect2") == 0);
}

/*
 * A plugin, or a library that was put in front of others, is code that asks for
 * whatever it likes. The linkers' own plugin is part of every compiler.
 */
static void
meet_library(struct question *q, const char *path)
{
	bool plugin = strcasestr(path, "plugin") && !strstr(path, "lto_plugin");

	if (q->answered || q->trace->stranger ||
	    (!plugin && is_trusted_place(q->trace, path)) ||
	    class_for(q) != PROGRAM_COMPILER ||
	    (!plugin && is_linker(q->pid)) || !is_shared_object(path))
		return;
	q->trace->stranger = true;
}

/* The accelerator is no stranger; valgrind's libraries are gone again when a
 * program of ours starts. */
static bool
is_known_preload(const char *name, size_t size)
{
	return size == 0 || memmem(name, size, "/lib/observe-", 13) ||
	    memmem(name, size, "/vgpreload_", 11);
}

static bool
preloads(const char *value)
{
	while (*value) {
		size_t size = strcspn(value, " :");

		if (!is_known_preload(value, size))
			return true;
		value += size + (value[size] != '\0');
	}
	return false;
}

/*
 * A compiler starts: its dynamic linker asks for the machine's own list of libraries
 * to load. What a script put into its variables is in its memory by now.
 */
static void
meet_preloads(struct question *q, const char *path)
{
	static const char *const names[] = { "LD_PRELOAD=", "LD_AUDIT=" };
	auto_buf text = BUF_INIT;
	struct error err;
	char from[64];

	if (q->answered || q->trace->stranger ||
	    strcmp(path, "/etc/ld.so.preload") != 0 ||
	    class_for(q) != PROGRAM_COMPILER)
		return;
	snprintf(from, sizeof(from), "/proc/%d/environ", (int)q->pid);
	if (buf_read_file(&text, from, &err) < 0)
		q->alive = false;
	for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1) {
		for (size_t i = 0; i < 2; i++) {
			size_t size = strlen(names[i]);

			if (strncmp(text.data + at, names[i], size) == 0 &&
			    preloads(text.data + at + size))
				q->trace->stranger = true;
		}
	}
}

/* What a program looks up to tell the time of day. */
static void
meet_clock(struct question *q, const char *path)
{
	if (!q->trace->asked_clock &&
	    (strcmp(path, "/etc/localtime") == 0 ||
	        strncmp(path, "/usr/share/zoneinfo/", 20) == 0) &&
	    (q->answered || class_of(q->pid) == PROGRAM_COMPILER))
		q->trace->asked_clock = true;
}

/* ---- open ---- */

/* May we, and so the command? */
static bool
may(struct question *q, const char *path, int what)
{
	if (faccessat(AT_FDCWD, path, what, AT_EACCESS) == 0)
		return true;
	if (errno != EACCES && errno != EPERM && errno != EROFS &&
	    errno != ETXTBSY)
		refuse_unseen(q->trace, path);
	return false;
}

static void
open_special_file(struct question *q, const char *path, mode_t mode, bool write)
{
	if (S_ISDIR(mode))
		note(q, path, plain_facets(q, mode));
	else if (unwritten(q->trace, path))
		trace_refuse(q->trace, "it %s '%s', which is no file",
		    write ? "wrote to" : "read", path);
}

/*
 * Who has a file open is told by fstat() all about it. That call names no path, and
 * not each of its kinds is seen: so it counts as made. Compilers go by the content.
 */
static void
note_open(struct question *q, const char *path, mode_t mode)
{
	struct touched *t = unwritten(q->trace, path);

	if (t &&
	    (q->answered ? q->trace->stranger
	                 : class_for(q) != PROGRAM_COMPILER))
		note_facts(q, t, mode);
}

enum opening { OPEN_TO_LOOK, OPEN_TO_READ, OPEN_TO_RUN };

static void
open_to_read(struct question *q, const char *path, enum opening why)
{
	struct stamp stamp = { 0 };
	mode_t mode = 0;
	int error = ask_stat(q, path, true, &stamp, &mode);

	meet_clock(q, path);
	if (error) {
		note_absent(q, path, error);
		return;
	}
	if (why == OPEN_TO_LOOK || !S_ISREG(mode)) {
		if (why == OPEN_TO_LOOK)
			note(q, path, stat_facets(q, mode));
		else
			open_special_file(q, path, mode, false);
		return;
	}
	if (!q->answered && (mode & 0444) != 0444 && !may(q, path, R_OK)) {
		note(q, path, FACET_STAT);
		return;
	}
	meet_library(q, path);
	note_content(q, path, &stamp, mode);
	if (why == OPEN_TO_READ)
		note_open(q, path, mode);
	shell_reads(q, path, stamp.size);
}

static void
open_new(struct question *q, const char *path, uint64_t flags)
{
	bool exclusive = flags & O_EXCL;
	char folder[PATH_SIZE];
	struct touched *t;
	bool own;

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (!S_ISDIR(type_of(q->trace, folder[0] ? folder : "/"))) {
		struct stat st;

		if (stat(folder[0] ? folder : "/", &st) < 0 ||
		    !S_ISDIR(st.st_mode)) {
			note_absent(q, path, ENOENT);
			return;
		}
	}
	if (!may(q, folder[0] ? folder : "/", W_OK)) {
		note(q, folder, FACET_STAT);
		return;
	}
	own = touched_get(q->trace, path)->written;
	t = write_to(q->trace, path);
	t->fresh |= exclusive;
	/* Had something been there, it would have failed, or added to that. */
	t->alone |= !own && (exclusive || !(flags & O_TRUNC));
}

static void
open_to_write(struct question *q, const char *path, uint64_t flags)
{
	bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT || !(flags & O_CREAT))
			note_absent(q, path, errno);
		else
			open_new(q, path, flags);
		return;
	}
	if (exclusive || S_ISDIR(st.st_mode)) { /* it will fail */
		note(q, path, FACET_TYPE);
		return;
	}
	if (S_ISLNK(st.st_mode)) {
		trace_refuse(q->trace, "it wrote through the link '%s'", path);
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		open_special_file(q, path, st.st_mode, true);
		return;
	}
	if (!may(q, path, W_OK))
		note(q, path, FACET_STAT);
	else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY)
		(void)write_to(q->trace, path);
	else
		(void)change(q, path);
}

/* bash opens the terminal when it starts, just to see whether it can. */
static bool
is_terminal_check(const struct question *q, const char *path, uint64_t flags)
{
	return strcmp(path, "/dev/tty") == 0 && (flags & O_NONBLOCK) &&
	    (flags & O_ACCMODE) == O_RDWR && class_for(q) == PROGRAM_SHELL;
}

/* A descriptor that came from outside, opened by its name in /proc. */
static void
refuse_stray(struct question *q, const char *path)
{
	const char *last = strstr(path, "/fd/");
	int fd;

	if (!last || strncmp(path, "/proc/", 6) != 0)
		return;
	fd = atoi(last + 4);
	for (int i = 0; i < q->trace->strays.count; i++) {
		if (q->trace->strays.fd[i] == fd)
			trace_refuse(q->trace,
			    "it used descriptor %d, which came from outside",
			    fd);
	}
}

static void
handle_open(struct question *q, const char *path, uint64_t flags)
{
	bool write =
	    (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));

	refuse_stray(q, path);
	if (flags & O_PATH)
		write = false;
	if (is_terminal_check(q, path, flags) ||
	    is_special(q, path, !(flags & O_PATH)))
		return;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		note(q, path, FACET_TYPE);
	else if (write)
		open_to_write(q, path, flags);
	else
		open_to_read(
		    q, path, flags & O_PATH ? OPEN_TO_LOOK : OPEN_TO_READ);
}

/* ---- looking ---- */

static void
handle_stat(struct question *q, const char *path, bool follow)
{
	struct stamp stamp = { 0 };
	struct touched *t;
	mode_t mode = 0;
	int error;

	if (is_special(q, path, false))
		return;
	error = ask_stat(q, path, follow, &stamp, &mode);
	if (error) {
		note_absent(q, path, error);
		return;
	}
	if (!follow)
		note_link(q, path);
	if (S_ISLNK(mode))
		return;
	t = unwritten(q->trace, path);
	if (!t)
		return;
	note_facts(q, t, mode);
	note_stat(t, &stamp, mode);
	/* Shells look whether PWD is true, and then need not ask. */
	if (!q->answered && strcmp(path, q->trace->cwd) == 0 &&
	    class_for(q) != PROGRAM_COMPILER)
		q->trace->asked_cwd = true;
}

static void
handle_access(struct question *q, const char *path)
{
	struct stamp stamp = { 0 };
	mode_t mode = 0;
	int error;

	if (is_special(q, path, false))
		return;
	if (q->answered) {
		if (q->error)
			note_absent(q, path, q->error);
		else
			note(q, path, plain_facets(q, 0));
		return;
	}
	meet_preloads(q, path);
	error = ask_stat(q, path, true, &stamp, &mode);
	if (error)
		note_absent(q, path, error);
	else
		note(q, path, plain_facets(q, mode));
}

static void
handle_readlink(struct question *q, const char *path)
{
	struct stat st;
	int error = q->error == EINVAL ? 0 : q->error;

	if (is_special(q, path, false))
		return;
	if (!q->answered)
		error = lstat(path, &st) < 0 ? errno : 0;
	if (error)
		note_absent(q, path, error);
	else
		note_link(q, path);
}

static bool
made_by_command(void *arg, const char *name)
{
	struct {
		const struct trace *trace;
		const char *folder;
	} *own = arg;
	auto_free char *path = xasprintf("%s/%s", own->folder, name);
	const struct touched *t = trace_find(own->trace, path);

	return t && t->written && t->before == 0;
}

static void
note_listing(struct trace *trace, const char *path)
{
	struct {
		const struct trace *trace;
		const char *folder;
	} own = { trace, path };
	struct touched *t = unwritten(trace, path);
	struct error err = { 0 };

	if (!t || t->listed)
		return;
	t->facets |= FACET_LISTING;
	t->listed = true;
	if (content_listing(
	        &t->listing, AT_FDCWD, path, made_by_command, &own, &err) < 0)
		trace_refuse(trace, "%s", err.text);
}

static void
handle_listing(struct question *q)
{
	char path[PATH_SIZE], what[32];

	snprintf(what, sizeof(what), "fd/%d", (int)argument(q, 0));
	if (!process_link(q->pid, what, path, sizeof(path))) {
		q->alive = false;
		return;
	}
	if (!is_special(q, path, true))
		note_listing(q->trace, path);
}

/* ---- running ---- */

/* One whose variables we know, or take for one that asks for none. */
static bool is_known_class(enum program_class class)
{
	return class == PROGRAM_COMPILER || class == PROGRAM_ARCHIVER ||
	    class == PROGRAM_OBJECTS;
}

static void
add_program(struct trace *trace, const char *path)
{
	auto_free char *real = realpath(path, NULL);

	if (!real)
		return;
	for (size_t i = 0; i < trace->program_count; i++) {
		if (strcmp(trace->programs[i], real) == 0)
			return;
	}
	if (classify_program(real) == PROGRAM_REFUSED ||
	    classify_program(path) == PROGRAM_REFUSED)
		trace_refuse(trace,
		    "it ran '%s', whose result is the clock, the machine or "
		    "chance",
		    path);
	if (is_known_class(classify_program(real)) &&
	    !is_trusted_place(trace, real))
		trace->stranger = true;
	trace->programs = xrealloc(trace->programs, trace->program_count + 1,
	    sizeof(*trace->programs));
	trace->programs[trace->program_count++] = take(real);
}

static void run_program(struct question *q, const char *path, int depth);

static void
run_interpreter(struct question *q, char *line, int depth)
{
	char *end;

	line += strspn(line, " \t");
	end = line + strcspn(line, " \t\n");
	*end = '\0';
	if (line[0] == '/')
		run_program(q, line, depth + 1);
	else
		trace_refuse(q->trace,
		    "it ran a script with the relative "
		    "interpreter '%s'",
		    line);
}

/* The dynamic linker that the program names. */
static void
run_loader(struct question *q, int fd, const char *path)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;
	char loader[PATH_MAX];

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_machine != EM_X86_64) {
		trace_refuse(q->trace,
		    "it ran '%s', a program of another architecture", path);
		return;
	}
	for (unsigned i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &part, sizeof(part),
		        (off_t)(head.e_phoff + i * sizeof(part))) !=
		    (ssize_t)sizeof(part)) {
			trace_refuse(
			    q->trace, "it ran '%s', which can't be read", path);
			return;
		}
		if (part.p_type != PT_INTERP || part.p_filesz >= sizeof(loader))
			continue;
		memset(loader, 0, sizeof(loader));
		if (pread(fd, loader, part.p_filesz, (off_t)part.p_offset) >
		        0 &&
		    loader[0] == '/')
			open_to_read(q, loader, OPEN_TO_RUN);
		return;
	}
}

static void
run_file(struct question *q, int fd, const char *path, int depth)
{
	char head[PATH_MAX + 1];
	ssize_t got = pread(fd, head, sizeof(head) - 1, 0);

	if (got < 0) {
		trace_refuse(
		    q->trace, "it ran '%s', which can't be read", path);
		return;
	}
	head[got] = '\0';
	if (strncmp(head, "#!", 2) == 0)
		run_interpreter(q, head + 2, depth);
	else if (got >= 4 && memcmp(head, "\177ELF", 4) == 0)
		run_loader(q, fd, path);
}

static void
run_program(struct question *q, const char *path, int depth)
{
	struct touched *t;
	struct stat st;
	int fd;

	if (depth > 5)
		return;
	if (stat(path, &st) < 0) {
		note_absent(q, path, errno);
		return;
	}
	if (!S_ISREG(st.st_mode) || !may(q, path, X_OK)) {
		note(q, path, FACET_STAT);
		return;
	}
	t = touched_get(q->trace, path);
	if (t->program)
		return;
	t->program = true;
	add_program(q->trace, path);
	open_to_read(q, path, OPEN_TO_RUN);
	if (st.st_mode & (S_ISUID | S_ISGID))
		trace_refuse(q->trace, "it ran the set-id program '%s'", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		trace_refuse(
		    q->trace, "it ran '%s', which can't be read", path);
		return;
	}
	run_file(q, fd, path, depth);
	close(fd);
}

void
events_started(struct trace *trace, const char *program)
{
	struct question q = { .trace = trace, .pid = getpid() };

	run_program(&q, program, 0);
}

/* ---- changes ---- */

/* A source of the command's own is gone at the end, with what it named. */
static void
note_own_source(struct trace *trace, const char *path)
{
	struct content content;
	struct error err;

	if (content_is_source(path) &&
	    content_of(&content, NULL, AT_FDCWD, path, &err) == 0)
		trace->own_clocks |= content.flags;
}

static void
handle_unlink(struct question *q, const char *path)
{
	struct stat st;
	struct touched *t;

	if (is_special(q, path, false))
		return;
	if (lstat(path, &st) < 0) {
		note_absent(q, path, errno);
		return;
	}
	t = write_probing(q->trace, path);
	if (t->before == 0 && S_ISREG(st.st_mode))
		note_own_source(q->trace, path);
	t = touched_get(q->trace, path);
	t->fresh = true;
	t->mode_set = t->time_set = false;
}

static void
handle_mkdir(struct question *q, const char *path)
{
	struct stat st;
	struct touched *t;

	if (is_special(q, path, false))
		return;
	if (lstat(path, &st) == 0) {
		note(q, path, FACET_TYPE);
		return;
	}
	t = write_probing(q->trace, path);
	t->fresh = true;
	q->trace->folders_made++;
}

/* A name that appears, or replaces what was there. */
static struct touched *
arrive(struct question *q, const char *path, bool replaces)
{
	struct touched *t;
	struct stat st;

	if (is_special(q, path, false))
		return NULL;
	if (!replaces && lstat(path, &st) == 0) {
		note(q, path, FACET_TYPE);
		return NULL;
	}
	t = replaces ? write_to(q->trace, path) : write_probing(q->trace, path);
	t->fresh = true;
	return t;
}

static void
handle_rename(
    struct question *q, const char *from, const char *to, uint64_t flags)
{
	struct touched *t;
	struct stat st;
	bool times, mode;

	if (is_special(q, from, false) || is_special(q, to, false)) {
		trace_refuse(q->trace, "it renamed '%s'", from);
		return;
	}
	if (lstat(from, &st) < 0) {
		note_absent(q, from, errno);
		return;
	}
	if (flags & ~(uint64_t)1 /* RENAME_NOREPLACE */) {
		trace_refuse(q->trace, "it exchanged '%s' and '%s'", from, to);
		return;
	}
	t = touched_get(q->trace, from);
	if (!t->written && !trace_is_own(q->trace, from))
		trace_refuse(
		    q->trace, "it renamed '%s', which it did not make", from);
	t = write_to(q->trace, from);
	times = t->time_set, mode = t->mode_set;
	t = arrive(q, to, !(flags & 1));
	if (!t)
		return;
	t->time_set = times, t->mode_set = mode;
	if (S_ISLNK(st.st_mode))
		q->trace->links_made++;
	if (S_ISDIR(st.st_mode)) {
		t->tree = true;
		q->trace->folders_made++;
	}
}

static void
handle_link(struct question *q, const char *from, const char *to)
{
	struct stamp stamp = { 0 };
	mode_t mode = 0;

	if (is_special(q, from, true) || is_special(q, to, false)) {
		if (strncmp(from, "/proc/", 6) == 0) /* of O_TMPFILE */
			(void)arrive(q, to, false);
		return;
	}
	if (ask_stat(q, from, false, &stamp, &mode)) {
		note_absent(q, from, ENOENT);
		return;
	}
	if (S_ISREG(mode))
		note_content(q, from, &stamp, mode);
	else {
		note_link(q, from);
		q->trace->links_made++;
	}
	(void)arrive(q, to, false);
}

static void
handle_chown(struct question *q, const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		note_absent(q, path, errno);
		return;
	}
	if ((uid != (uid_t)-1 && uid != st.st_uid) ||
	    (gid != (gid_t)-1 && gid != st.st_gid))
		trace_refuse(q->trace, "it changed the owner of '%s'", path);
}

/* Does the call set times of its own, not just the present? */
static bool
sets_times(const struct question *q, int number)
{
	struct timespec times[2];
	uint64_t at = argument(
	    q, number == SYS_utimensat || number == SYS_futimesat ? 2 : 1);

	if (at == 0)
		return false;
	if (number != SYS_utimensat)
		return true;
	return process_bytes(q->pid, at, times, sizeof(times)) &&
	    times[1].tv_nsec != UTIME_NOW;
}

/*
 * cp, install and sed -i copy access lists. One that says no more than the mode
 * does, with its three entries, is a way to set the mode; taking a default list
 * away from a file takes nothing away.
 */
static bool
is_plain_mode(struct question *q)
{
	const int plain = 4 + 3 * 8; /* bytes: a version, entries */
	char name[64];
	int number = q->data->nr;
	bool sets = number == SYS_setxattr || number == SYS_lsetxattr ||
	    number == SYS_fsetxattr;

	if (!process_text(q->pid, argument(q, 1), name, sizeof(name)))
		return false;
	return strcmp(name, "system.posix_acl_access") == 0
	    ? sets && argument(q, 3) <= (uint64_t)plain
	    : strcmp(name, "system.posix_acl_default") == 0 && !sets;
}

static void
handle_change(
    struct question *q, const struct call_spec *spec, const char *path)
{
	struct touched *t;
	struct stat st;

	if (is_special(q, path, false))
		return;
	if (stat(path, &st) < 0) {
		note_absent(q, path, errno);
		return;
	}
	if (spec->call == CALL_CHOWN) {
		int first = spec->number == SYS_fchownat ? 2 : 1;

		handle_chown(q, path, (uid_t)argument(q, first),
		    (gid_t)argument(q, first + 1));
		return;
	}
	if (spec->call == CALL_SETXATTR && !is_plain_mode(q)) {
		trace_refuse(q->trace, "it set extended attributes");
		return;
	}
	t = change(q, path);
	if (spec->call == CALL_CHMOD || spec->call == CALL_SETXATTR)
		t->mode_set = true;
	if (spec->call == CALL_UTIME)
		t->time_set = sets_times(q, spec->number);
}

/* ---- the rest ---- */

/* Is the process's descriptor `fd` still the one that came from outside? */
static bool
leads_outside(const struct question *q, int fd)
{
	char name[64];
	struct stat ours, theirs;

	if (fd == 0 && q->trace->input >= 0)
		return false; /* declared: it is in the key */
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)q->pid, fd);
	if (stat(name, &theirs) < 0)
		return errno != ENOENT;
	snprintf(name, sizeof(name), "/proc/%d/fd/%d",
	    (int)(q->trace->owner ? q->trace->owner : getpid()), fd);
	if (stat(name, &ours) < 0)
		return errno != ENOENT;
	return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino &&
	    !(S_ISCHR(ours.st_mode) && ours.st_rdev == 0x103 /* null */);
}

static void
handle_descriptor(struct question *q, const struct call_spec *spec)
{
	int fd = (int)argument(q, spec->only_arg);
	uint64_t command = argument(q, 1);

	if (spec->to >= 0 && !leads_outside(q, fd))
		fd = (int)argument(q, spec->to);
	if (!leads_outside(q, fd))
		return;
	/* Shells put it aside, where no program looks, and take it back before
	 * it is used. Any other copy is to use it by another number. */
	if (spec->number == SYS_fcntl &&
	    ((command != F_DUPFD && command != F_DUPFD_CLOEXEC) ||
	        (class_for(q) == PROGRAM_SHELL && argument(q, 2) >= 10)))
		return;
	if (fd == 0)
		trace_refuse(q->trace, "it read its standard input");
	else
		trace_refuse(q->trace,
		    "it used descriptor %d, which came from outside", fd);
}

static void
handle_connect(struct question *q)
{
	struct sockaddr_un address;
	struct stat st;
	uint64_t size = argument(q, 2);

	memset(&address, 0, sizeof(address));
	if (size > sizeof(address))
		size = sizeof(address);
	if (!process_bytes(q->pid, argument(q, 1), &address, size)) {
		q->alive = false;
		return;
	}
	if (address.sun_family == AF_UNIX && address.sun_path[0] == '/') {
		address.sun_path[sizeof(address.sun_path) - 1] = '\0';
		if (q->data->nr == SYS_connect &&
		    lstat(address.sun_path, &st) < 0) {
			note_absent(q, address.sun_path, errno);
			return;
		}
	}
	trace_refuse(q->trace,
	    address.sun_family == AF_UNIX ? "it used a socket"
	                                  : "it used the network");
}

static void
handle_socket(struct question *q)
{
	uint64_t family = argument(q, 0), type = argument(q, 1) & 15;

	if (family == AF_UNIX ||
	    ((family == AF_INET || family == AF_INET6) && type == SOCK_STREAM))
		return; /* what it does with it will tell */
	trace_refuse(q->trace, "it used the network");
}

/* A signal from the command is its own affair as long as it goes to its own. */
static void
handle_kill(struct question *q)
{
	pid_t pid = (pid_t)argument(q, 0);
	pid_t us = q->trace->owner ? q->trace->owner : getpid();

	for (int depth = 0; pid > 1 && pid != us && depth < 100; depth++)
		pid = process_parent(pid);
	if (pid != us)
		trace_refuse(
		    q->trace, "it sent a signal to a process from outside");
}

/* There is room for one tracer, and that is us. */
static void
handle_ptrace(struct question *q)
{
	q->trace->wanted_ptrace = true;
	trace_refuse(q->trace, "it used ptrace, as its observer had to");
}

static void
handle_clone(struct question *q)
{
	const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP |
	    CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
	    CLONE_NEWNET;
	uint64_t flags = argument(q, 0);

	if (q->data->nr == SYS_clone3 &&
	    !process_bytes(q->pid, argument(q, 0), &flags, sizeof(flags)))
		q->alive = false;
	else if (flags & namespaces)
		trace_refuse(q->trace, "it made a namespace");
	else if ((flags & CLONE_UNTRACED) && q->trace->by_ptrace &&
	    q->data->nr == SYS_clone3) /* clone() is mended */
		handle_ptrace(q);
}

static bool
path_of(struct question *q, int folder, int path, char *to)
{
	char what[32];
	int at = folder < 0 ? AT_FDCWD : (int)argument(q, folder);
	bool found;

	if (path >= 0 && argument(q, path) != 0)
		found =
		    process_path(q->pid, at, argument(q, path), to, PATH_SIZE);
	else { /* a descriptor alone */
		snprintf(what, sizeof(what), "fd/%d", at);
		found = process_link(q->pid, what, to, PATH_SIZE);
	}
	if (!found)
		q->alive = false;
	return found && to[0] == '/';
}

static void
handle_two_paths(
    struct question *q, const struct call_spec *spec, const char *from)
{
	char to[PATH_SIZE];
	bool at = spec->folder >= 0;

	if (!path_of(q, at ? 2 : -1, at ? 3 : 1, to))
		return;
	pass_own_links(q->trace, to, false);
	if (spec->call == CALL_RENAME)
		handle_rename(q, from, to,
		    spec->flags < 0 ? 0 : argument(q, spec->flags));
	else
		handle_link(q, from, to);
}

static void
handle_exec(struct question *q, const char *path)
{
	if (!is_special(q, path, true))
		run_program(q, path, 0);
	class_of(0);
}

static void
handle_openat2(struct question *q, const char *path)
{
	struct open_how how;

	if (process_bytes(q->pid, argument(q, 2), &how, sizeof(how)))
		handle_open(q, path, how.flags);
	else
		q->alive = false;
}

/* That a file has none is what counts of it; what they are is not kept. */
static void
handle_attributes(struct question *q, const char *path)
{
	char names[4096];
	ssize_t size = llistxattr(path, names, sizeof(names));

	if (size < 0 && errno == ERANGE)
		size = sizeof(names);
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		if (size == sizeof(names) ||
		    strncmp(names + at, "user.", 5) == 0 ||
		    strncmp(names + at, "system.", 7) == 0) {
			trace_refuse(q->trace,
			    "it read the extended attributes of '%s'", path);
			break;
		}
	}
	handle_access(q, path);
}

static void
handle_path(struct question *q, const struct call_spec *spec, char *path)
{
	uint64_t flags = spec->flags < 0 ? 0 : argument(q, spec->flags);

	pass_own_links(q->trace, path, follows_last(spec, flags));
	switch (spec->call) {
	case CALL_OPEN:
		if (spec->number == SYS_creat)
			flags = O_CREAT | O_WRONLY | O_TRUNC;
		handle_open(q, path, flags);
		break;
	case CALL_OPENAT2: handle_openat2(q, path); break;
	case CALL_STAT:
		handle_stat(q, path, !(flags & AT_SYMLINK_NOFOLLOW));
		break;
	case CALL_LSTAT: handle_stat(q, path, false); break;
	case CALL_ATTRIBUTES: handle_attributes(q, path); break;
	case CALL_CHDIR:
	case CALL_ACCESS: handle_access(q, path); break;
	case CALL_READLINK: handle_readlink(q, path); break;
	case CALL_EXEC: handle_exec(q, path); break;
	case CALL_UNLINK: handle_unlink(q, path); break;
	case CALL_MKDIR: handle_mkdir(q, path); break;
	case CALL_SYMLINK:
		q->trace->links_made++;
		(void)arrive(q, path, false);
		break;
	case CALL_MKNOD: (void)arrive(q, path, false); break;
	case CALL_RENAME:
	case CALL_LINK: handle_two_paths(q, spec, path); break;
	default: handle_change(q, spec, path); break;
	}
}

/* fstat() is newfstatat() with an empty path in the C library of our day. */
static bool
is_fstat(const struct question *q, const struct call_spec *spec)
{
	char first;

	return spec->call == CALL_STAT && spec->flags >= 0 &&
	    (argument(q, spec->flags) & AT_EMPTY_PATH) &&
	    (argument(q, spec->path) == 0 ||
	        (process_bytes(q->pid, argument(q, spec->path), &first, 1) &&
	            first == '\0'));
}

static void
handle_without_path(struct question *q, const struct call_spec *spec)
{
	switch (spec->call) {
	case CALL_LISTING: handle_listing(q); break;
	case CALL_GETCWD: q->trace->asked_cwd = true; break;
	case CALL_UNAME: q->trace->asked_uname = true; break;
	case CALL_CPU: q->trace->asked_cpu = true; break;
	case CALL_KILL: handle_kill(q); break;
	case CALL_SOCKET: handle_socket(q); break;
	case CALL_CONNECT: handle_connect(q); break;
	case CALL_SENDTO: trace_refuse(q->trace, "it used the network"); break;
	case CALL_CLONE: handle_clone(q); break;
	case CALL_PTRACE: handle_ptrace(q); break;
	case CALL_READ:
	case CALL_WRITE:
	case CALL_DUP: handle_descriptor(q, spec); break;
	default: trace_refuse(q->trace, "%s", spec->what); break;
	}
}

static bool
came_from_outside(const struct question *q, int fd)
{
	for (int i = 0; i < q->trace->strays.count; i++) {
		if (q->trace->strays.fd[i] == fd)
			return true;
	}
	return fd >= 0 && fd <= 2;
}

/* What the command opened itself has told when it was opened. */
static void
handle_fstat(struct question *q)
{
	char path[PATH_SIZE];
	struct touched *t;
	struct stamp stamp;
	struct stat st;

	if (!came_from_outside(q, (int)argument(q, 0)) ||
	    class_for(q) == PROGRAM_COMPILER || !path_of(q, 0, -1, path) ||
	    is_special(q, path, false) || stat(path, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return;
	t = unwritten(q->trace, path);
	if (!t)
		return;
	stamp_of(&stamp, &st);
	note_facts(q, t, st.st_mode);
	note_stat(t, &stamp, st.st_mode);
}

/* An open file of that process, which has a path. */
static bool
takes_descriptor(const struct call_spec *spec)
{
	return spec->call == CALL_CHMOD || spec->call == CALL_CHOWN ||
	    spec->call == CALL_SETXATTR || spec->call == CALL_ATTRIBUTES;
}

void
events_handle(struct question *q)
{
	const struct call_spec *spec = filter_find(q->data->nr);
	char path[PATH_SIZE];

	if (q->data->arch != AUDIT_ARCH_X86_64 || !spec) {
		trace_refuse(
		    q->trace, "it ran a program of another architecture");
		return;
	}
	if (spec->path < 0 && !takes_descriptor(spec)) {
		handle_without_path(q, spec);
		return;
	}
	if (is_fstat(q, spec)) {
		handle_fstat(q);
		return;
	}
	if (path_of(q, spec->folder, spec->path, path))
		handle_path(q, spec, path);
}

void
events_logged(struct question *q, int op, const char *path)
{
	char tidy[PATH_SIZE];

	if (path[0] != '/' || strlen(path) >= sizeof(tidy)) {
		trace_refuse(q->trace, "the accelerator's log is damaged");
		return;
	}
	memcpy(tidy, path, strlen(path) + 1);
	path_tidy(tidy);
	pass_own_links(q->trace, tidy, op != RING_LSTAT && op != RING_READLINK);
	switch (op) {
	case RING_OPEN: handle_open(q, tidy, O_RDONLY); break;
	case RING_STAT: handle_stat(q, tidy, true); break;
	case RING_LSTAT: handle_stat(q, tidy, false); break;
	case RING_ACCESS: handle_access(q, tidy); break;
	case RING_READLINK: handle_readlink(q, tidy); break;
	default: trace_refuse(q->trace, "the accelerator's log is damaged");
	}
}

struct question
events_question(const struct ring_entry *entry)
{
	return (struct question){
		.pid = (pid_t)entry->pid,
		.alive = true,
		.answered = true,
		.error = entry->error,
		.stamp = { entry->dev, entry->ino, entry->file_size,
		    entry->mtime_ns, entry->ctime_ns },
		.mode = entry->mode,
	};
}

/* ---- what an inner tarn-exec tells ---- */

/* The facets that a stat() answers. */
#define STATS (FACET_TYPE | FACET_STAT | FACET_TIME | FACET_NAMES | FACET_OWNER)

static void
report_stat(struct question *q, const char *path, uint32_t facets)
{
	struct stamp stamp = { 0 };
	struct touched *t;
	mode_t mode = 0;
	int error = ask_stat(q, path, true, &stamp, &mode);

	if (error) {
		note_absent(q, path, error);
		return;
	}
	if ((facets & FACET_CONTENT) && S_ISREG(mode))
		note_content(q, path, &stamp, mode);
	t = unwritten(q->trace, path);
	if (!t)
		return;
	t->facets |= facets & STATS;
	note_stat(t, &stamp, mode);
}

void
events_reported(struct trace *trace, const char *path, uint32_t facets)
{
	const uint32_t before = FACET_BEFORE | FACET_ROOM;
	struct question q = { .trace = trace, .pid = getpid(), .alive = true };
	char own[PATH_SIZE];
	struct stat st;

	if (strlen(path) >= sizeof(own) || is_special(&q, path, false))
		return;
	memcpy(own, path, strlen(path) + 1);
	pass_own_links(trace, own, !(facets & FACET_LINK));
	if (facets & FACET_ABSENT)
		note(&q, own, FACET_ABSENT);
	if (facets & before)
		note(&q, own, lstat(own, &st) < 0 ? FACET_ABSENT : FACET_TYPE);
	if (facets & FACET_LINK)
		note_link(&q, own);
	if (facets & FACET_LISTING)
		note_listing(trace, own);
	if (facets & (FACET_CONTENT | STATS))
		report_stat(&q, own, facets & ~before);
}

void
events_made(struct trace *trace, const char *path, int type, uint32_t flags)
{
	char own[PATH_SIZE];
	struct touched *t;

	if (strlen(path) >= sizeof(own))
		return;
	memcpy(own, path, strlen(path) + 1);
	pass_own_links(trace, own, false);
	t = write_to(trace, own);
	t->probed |= (flags & OUTPUT_LOOKED_FOR) != 0;
	t->fresh |= !(flags & OUTPUT_IN_PLACE);
	t->mode_set = flags & OUTPUT_MODE_SET;
	t->time_set = flags & OUTPUT_TIME_SET;
	trace->folders_made += type == OUTPUT_FOLDER;
	trace->links_made += type == OUTPUT_LINK;
}
