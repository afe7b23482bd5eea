/*
 * Many small values at once, in as many processes as for one. They come by one run of
 * scp into a folder of their own below `.tmp`, laid out as they are to lie in the lake.
 * If all of them have come whole, GNU's `cp -rln` gives each its second name in its
 * place, which fails where there is one already; what has a second name afterwards is
 * there, and what has not is told from it by find. Then the folder goes.
 *
 * Whatever is in the way of that, nothing has been seen of those that are told as
 * MISS, and they go one by one (scp_write() and then a move).
 *
 * Bytes of values are sent only once scp has said that it listens, since a shell may
 * read ahead what it takes for commands; and what scp leaves of them, if it ends too
 * early, is swallowed up to a line that no value can have: random letters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "remote/scp.h"

#define TRIES 3   /* that come to nothing in a row, and it isn't tried again */
#define LETTERS 8 /* random ones at the end of a temporary name */
#define PIECE 32768 /* bytes that are sent together */
#define GROUP "test -G . && test -G"

struct batch {
	struct far *far;
	const struct far_dress *dress, *folder;
	struct far_file *file[FAR_MANY]; /* by where they go */
	bool seen[FAR_MANY];             /* in the answer */
	bool single[FAR_MANY];           /* it has no second name */
	size_t count;
	uint64_t bytes;
	char name[2 * LETTERS + 1];
	struct buf out; /* what is to be sent */
	struct run run;
};

/* ---- which, and in what order ---- */

static int
compare(const void *a, const void *b)
{
	const struct far_file *const *x = a, *const *y = b;

	return strcmp((*x)->to, (*y)->to);
}

static const char *
letters_of(const struct far_file *file)
{
	return file->path + strlen(file->path) - LETTERS;
}

/* Each place once: another for the same goes behind it. */
static void
drop_doubles(struct batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (n > 0 &&
		    strcmp(batch->file[i]->to, batch->file[n - 1]->to) == 0)
			continue;
		batch->file[n++] = batch->file[i];
		batch->bytes += batch->file[i]->in->size;
	}
	batch->count = n;
}

static void
choose(struct batch *batch, struct far_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		files[i].outcome = MISS;
		if (!files[i].replace && files[i].in->size <= SCP_AHEAD)
			batch->file[batch->count++] = &files[i];
	}
	qsort(batch->file, batch->count, sizeof(*batch->file), compare);
	drop_doubles(batch);
	snprintf(batch->name, sizeof(batch->name), "%s%s",
	    letters_of(&files[0]), letters_of(&files[count - 1]));
}

/* How much of a path is its folder, without the slash. */
static size_t
folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* ---- the command ---- */

/* A folder and those above it, but for what is above the one before, too. */
static void
add_folders(struct buf *to, const char *path, const char *before)
{
	size_t len = folder_len(path);

	for (size_t i = 1; i <= len; i++) {
		auto_free char *folder = NULL;

		if (i < len && path[i] != '/')
			continue;
		if (strncmp(path, before, i) == 0 && before[i] == '/')
			continue;
		folder = xasprintf("%.*s", (int)i, path);
		buf_addf(to, " ");
		ssh_quote(to, folder);
	}
}

/* Those that aren't there; a moment after their names they have mode and group. */
static void
add_make_folders(struct buf *to, const struct batch *batch)
{
	buf_addf(to, "n=; for d in");
	for (size_t i = 0; i < batch->count; i++)
		add_folders(to, batch->file[i]->to,
		    i > 0 ? batch->file[i - 1]->to : "");
	buf_addf(to,
	    "; do test -d $d || n=\"$n $d\"; done; "
	    "if test \"$n\"; then mkdir -m %o -- $n || return; "
	    "w=; for d in $n; do " GROUP " $d && test ! -g $d || "
	    "w=\"$w $d\"; done; "
	    "test -z \"$w\" || { chmod g-s -- $w && chgrp %u -- $w; } || "
	    "return; fi; ",
	    (unsigned)batch->folder->mode, (unsigned)batch->folder->gid);
}

/* Have all come, whole, and are of the right mode and group? */
static void
add_check(struct buf *to, const struct batch *batch)
{
	buf_addf(to,
	    "{ " GROUP " $b; } || chgrp -R %u -- $b || return; "
	    "test \"$(find $b -type f -perm %o -group %u "
	    "-exec stat -c %%s -- {} + | { n=0; t=0; while read -r x; do "
	    "n=$((n+1)); t=$((t+x)); done; echo $n $t; })\" = '%zu %llu' || "
	    "return; ",
	    (unsigned)batch->dress->gid, (unsigned)batch->dress->mode,
	    (unsigned)batch->dress->gid, batch->count,
	    (unsigned long long)batch->bytes);
}

/*
 * Only GNU's cp knows the option: others might make room for the second name. find
 * names each, and once more what has no second name.
 */
static void
add_command(struct buf *to, const struct batch *batch)
{
	scp_add_root(to, batch->far);
	buf_addf(to,
	    "test -d .tmp || exit %d; b=.tmp/%s; mkdir -m 700 -- $b || exit 1; "
	    "p() { test $s = 0 && test \"$l\" = %s || return; ",
	    SCP_NO_TEMPS, batch->name, batch->name);
	add_check(to, batch);
	add_make_folders(to, batch);
	buf_addf(to,
	    "cp --sparse=auto -rln -- $b/. . 2>/dev/null; "
	    "cd $b && find . -type f -print -links 1 -print; cd ../..; }; "
	    "scp -p -r -t -- $b; s=$?; "
	    "while read -r l && test \"$l\" != %s; do :; done; "
	    "echo; p; exec rm -rf -- $b",
	    batch->name);
}

/* ---- sending ---- */

static int
send_out(struct batch *batch, size_t least, struct error *err)
{
	int rc = 0;

	if (batch->out.len >= least) {
		rc = ssh_exec_write(
		    batch->run.exec, batch->out.data, batch->out.len, err);
		buf_reset(&batch->out);
	}
	return rc;
}

/* From the folder of one to that of the next. */
static void
add_way(struct batch *batch, const char *from, const char *to)
{
	size_t a = folder_len(from), b = folder_len(to), same = 0;

	for (size_t i = 0; i <= a && i <= b; i++) {
		bool ends_a = i == a || from[i] == '/';
		bool ends_b = i == b || to[i] == '/';

		if (ends_a && ends_b)
			same = i;
		if (i == a || i == b || from[i] != to[i])
			break;
	}
	for (size_t i = same; i < a; i++) {
		if (i == same || from[i] == '/')
			buf_addf(&batch->out, "E\n");
	}
	while (same < b) {
		size_t start = same + (to[same] == '/');
		size_t len = strcspn(to + start, "/");

		buf_addf(&batch->out, "D%04o 0 %.*s\n",
		    (unsigned)batch->folder->mode, (int)len, to + start);
		same = start + len;
	}
}

/* Exactly so many bytes as were told: else there is no way on but to hang up. */
static int
add_bytes(struct batch *batch, struct far_file *file, struct error *err)
{
	char chunk[PIECE];
	uint64_t done = 0;
	ssize_t got;

	while ((got = source_read(file->in, chunk, sizeof(chunk), err)) > 0) {
		done += (uint64_t)got;
		if (done > file->in->size)
			break;
		buf_add(&batch->out, chunk, (size_t)got);
		if (send_out(batch, PIECE, err) < 0)
			return -1;
	}
	if (got < 0 || done != file->in->size)
		return -1;
	buf_add(&batch->out, "", 1);
	return 0;
}

static int
send_batch(struct batch *batch, struct error *err)
{
	const char *before = "";

	for (size_t i = 0; i < batch->count; i++) {
		struct far_file *file = batch->file[i];
		size_t folder = folder_len(file->to);

		add_way(batch, before, file->to);
		buf_addf(&batch->out, "C%04o %llu %s\n",
		    (unsigned)batch->dress->mode,
		    (unsigned long long)file->in->size,
		    file->to + folder + (folder > 0));
		if (add_bytes(batch, file, err) < 0)
			return -1;
		before = file->to;
	}
	add_way(batch, before, "");
	buf_addf(&batch->out, "E\n\n%s\n", batch->name);
	return send_out(batch, 0, err);
}

/* ---- the answer ---- */

/* "./58/91b5..." */
static bool
take_name(struct batch *batch, const char *line)
{
	struct far_file wanted = { .to = line + 2 }, *key = &wanted, **found;
	size_t i;

	if (strncmp(line, "./", 2) != 0)
		return false;
	found = bsearch(
	    &key, batch->file, batch->count, sizeof(*batch->file), compare);
	if (!found)
		return false;
	i = (size_t)(found - batch->file);
	batch->single[i] = batch->seen[i];
	batch->seen[i] = true;
	return true;
}

/* scp's answers: to all is well a NUL each. 0 or -1. */
static int
skip_nuls(struct run *run, struct error *err)
{
	char byte = 0;
	int rc = 1;

	while (rc > 0 && !byte)
		rc = run_byte(run, &byte, err);
	if (rc <= 0)
		return -1;
	run->taken--;
	return 0;
}

static int
take_names(struct batch *batch, struct error *err)
{
	char *line;
	size_t len;
	int rc = skip_nuls(&batch->run, err);

	if (rc < 0)
		return -1;
	while ((rc = run_line(&batch->run, &line, &len, err)) > 0) {
		if (len > 0 && !take_name(batch, line) &&
		    run_pass_over(&batch->run, line, len, err) < 0)
			return -1;
	}
	return rc;
}

/* Whatever comes of it, what was seen is so. */
static void
run_batch(struct batch *batch)
{
	struct error ignored = { 0 }, *err = &ignored;
	auto_buf command = BUF_INIT;
	char byte, *line;
	size_t len;

	add_command(&command, batch);
	if (run_begin(&batch->run, batch->far, &command, true, err) < 0 ||
	    run_byte(&batch->run, &byte, err) <= 0)
		return;
	if (byte == 0) {
		if (send_batch(batch, err) == 0)
			(void)take_names(batch, err);
		return;
	}
	batch->run.taken--; /* it is no scp; unless all has ended, hang up */
	(void)run_line(&batch->run, &line, &len, err);
}

/* Those without a second name: somebody has been first, or it could not be. */
static void
look_at_singles(struct batch *batch)
{
	auto_free struct far_file *looks = far_files(batch->count);
	size_t which[FAR_MANY], n = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->single[i]) {
			looks[n] =
			    (struct far_file){ .path = batch->file[i]->to };
			which[n++] = i;
		}
	}
	if (n > 0)
		scp_stat(batch->far, looks, n);
	for (size_t i = 0; i < n; i++) {
		if (looks[i].outcome == HIT)
			batch->file[which[i]]->outcome = KEPT;
	}
}

/* How many are settled. */
static size_t
settle(struct batch *batch)
{
	size_t settled = 0;

	for (size_t i = 0; i < batch->count; i++) {
		struct far_file *file = batch->file[i];

		if (batch->seen[i] && !batch->single[i])
			file->outcome = HIT;
		file->st.mtime = time(NULL);
	}
	look_at_singles(batch);
	for (size_t i = 0; i < batch->count; i++) {
		struct error ignored;

		if (batch->file[i]->outcome != MISS)
			settled++;
		else
			(void)source_rewind(batch->file[i]->in, &ignored);
	}
	return settled;
}

void
scp_publish(struct far *far, struct far_file *files, size_t count,
    const struct far_dress *dress, const struct far_dress *folder)
{
	struct scp_lake *lake = container_of(far, struct scp_lake, lake.far);
	struct batch batch = {
		.far = far, .dress = dress, .folder = folder, .out = BUF_INIT
	};
	bool fresh;

	choose(&batch, files, count);
	if (batch.count < 2 || lake->failures >= TRIES)
		return;
	run_batch(&batch);
	fresh = batch.run.ended && batch.run.status == SCP_NO_TEMPS;
	run_end(&batch.run);
	if (settle(&batch) == batch.count)
		lake->failures = 0;
	else if (!fresh)
		lake->failures++;
	buf_release(&batch.out);
}
