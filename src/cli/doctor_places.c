/* What `tarn doctor` looks at of the configuration: what is read, secrets, leaves. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/config_reader.h"
#include "cli/doctor.h"
#include "cli/format.h"
#include "cli/trial.h"

#define TRIAL_US 20000000 /* for one leaf, whatever it waits for */

/* ---- files ---- */

static void
tell_files(struct doctor *doctor)
{
	const Tarn__Config *config = doctor->json.config;
	const char *const *origin = (const char *const *)doctor->json.origin;
	auto_buf text = BUF_INIT;

	for (size_t i = 0; i < config->n_sources; i++) {
		if (!config->sources[i]->absent)
			buf_addf(&text, "%s'%s'", text.len ? ", " : "",
			    config->sources[i]->path);
	}
	doctor_ok(doctor, "%s%s; locations are from %s",
	    text.len ? "read: " : "no file is there", text.data,
	    origin[CONFIG_LOCATIONS] ? origin[CONFIG_LOCATIONS]
	                             : "the default");
}

void
doctor_configuration(struct doctor *doctor)
{
	struct error err = { 0 };

	if (!doctor->tarn_dir)
		return;
	if (config_json_in_force(
	        &doctor->json, doctor->tarn_dir, doctor->file, &err) == 0) {
		doctor->configured = true;
		tell_files(doctor);
		return;
	}
	doctor_wrong(doctor, "%s", err.text);
	doctor_mend(doctor,
	    "correct that; tarn.json(5) has all keys. Until then builds go on "
	    "with the lake in TARN_DIR alone");
}

/* ---- secrets ---- */

/* Counts those whom others may read. */
static unsigned
look_at_file(struct doctor *doctor, const char *path, const char *what)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & 077) == 0)
		return 0;
	doctor_wrong(doctor, "'%s' %s, and others may %s it", path, what,
	    st.st_mode & 044 ? "read" : "change");
	doctor_mend(doctor, "chmod 600 '%s'", path);
	return 1;
}

static bool
has_secret(const Tarn__Location *leaf)
{
	size_t len;

	for (size_t i = 0; i < leaf->n_options; i++) {
		/* Options of such names that name a file are none. */
		if (reader_secret_name(leaf->options[i]->name) &&
		    leaf->options[i]->value[0] != '/')
			return true;
	}
	return leaf->place && reader_password(leaf->place, &len);
}

/* Options whose values are no secrets, but name files that hold some. */
static void
look_at_secrets(struct doctor *doctor, const Tarn__Location *leaf)
{
	const char *origin = doctor->json.origin[CONFIG_LOCATIONS];
	auto_free char *path = origin
	    ? xasprintf("%.*s", (int)(strrchr(origin, ':') - origin), origin)
	    : NULL;

	for (size_t i = 0; i < leaf->n_options; i++) {
		const Tarn__Option *o = leaf->options[i];

		if (reader_secret_name(o->name) && o->value[0] == '/')
			doctor->found +=
			    look_at_file(doctor, o->value, "holds a secret");
	}
	if (path && path[0] == '/' && has_secret(leaf) && doctor->found == 0)
		doctor->found += look_at_file(doctor, path, "holds a password");
}

/* Where each kind finds keys by itself. */
static void
look_at_home(struct doctor *doctor)
{
	static const struct {
		const char *kind, *path, *what;
	} files[] = {
		{ "s3", ".aws/credentials", "holds keys" },
		{ "sftp", ".ssh/id_ed25519", "is a key" },
		{ "sftp", ".ssh/id_ecdsa", "is a key" },
		{ "scp", ".ssh/id_ed25519", "is a key" },
		{ "scp", ".ssh/id_ecdsa", "is a key" },
	};
	const char *home = getenv("HOME");

	for (size_t i = 0; home && i < sizeof(files) / sizeof(*files); i++) {
		auto_free char *path = xasprintf("%s/%s", home, files[i].path);

		if (doctor_has_remote(doctor, files[i].kind))
			doctor->found +=
			    look_at_file(doctor, path, files[i].what);
	}
}

void
doctor_credentials(struct doctor *doctor)
{
	doctor->found = 0;
	doctor_each_leaf(doctor, look_at_secrets);
	look_at_home(doctor);
	if (doctor->found == 0)
		doctor_ok(doctor, "no file with secrets is open to others");
}

/* ---- leaves ---- */

/* In a process of its own, since a file system whose server is gone may hang. */
static pid_t
start_trial(const struct tree_node *node, int to)
{
	pid_t pid = fork();
	struct trial trial;

	if (pid != 0)
		return pid;
	location_set_deadline(node->loc, clock_us() + TRIAL_US);
	trial_make(node, &trial);
	_exit(file_write_all(to, &trial, sizeof(trial)) < 0);
}

/* All of it, or -1. It is less than a pipe holds, and comes at once. */
static int
hear_trial(int from, struct trial *trial)
{
	struct pollfd wait = { .fd = from, .events = POLLIN };
	int64_t end = clock_us() + TRIAL_US + TRIAL_US / 4, left;

	while ((left = end - clock_us()) > 0) {
		if (poll(&wait, 1, (int)(left / 1000) + 1) > 0)
			return read(from, trial, sizeof(*trial)) ==
			        (ssize_t)sizeof(*trial)
			    ? 0
			    : -1;
	}
	return -1;
}

static void
try_leaf(const struct tree_node *node, struct trial *trial)
{
	int ends[2];
	pid_t pid;

	*trial = (struct trial){ .verdict = TRIAL_FAILED };
	if (pipe2(ends, O_CLOEXEC) < 0) {
		error_errno(&trial->err, "cannot make a pipe");
		return;
	}
	pid = start_trial(node, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		error_errno(&trial->err, "cannot fork");
	} else if (hear_trial(ends[0], trial) < 0) {
		error_set(&trial->err, ERROR_UNREACHABLE,
		    "it does not end within %d s",
		    (TRIAL_US + TRIAL_US / 4) / 1000000);
		(void)kill(pid, SIGKILL);
	}
	close(ends[0]); /* it is not waited for: it may hang in the kernel */
}

static uint64_t
sum(const struct trial *trial)
{
	uint64_t us = 0;

	for (size_t i = 0; i < TRIAL_STEPS; i++)
		us += trial->done[i] ? trial->us[i] : 0;
	return us;
}

/* By what can be done about it. */
static const char *
mend_of(const struct error *err)
{
	switch (err->kind) {
	case ERROR_UNREACHABLE:
		return "see that its server runs and can be reached from "
		       "here; builds go on without it";
	case ERROR_DENIED:
		return "correct user, password or keys of it: 'tarn config' "
		       "says where it is configured";
	case ERROR_CORRUPT:
		return "tarn verify --repair, and see who else writes there";
	case ERROR_USAGE:
		return "correct its description: 'tarn config' says where "
		       "it is configured";
	default:
		return "see to what is said of it, or take it out of the "
		       "configuration";
	}
}

static void
tell_trial(struct doctor *doctor, const char *name, const struct trial *trial)
{
	auto_buf text = BUF_INIT;

	buf_addf(&text, "'%s' %s", name,
	    trial->verdict == TRIAL_FAILED ? "fails" : "is ");
	if (trial->verdict != TRIAL_FAILED)
		buf_addf(&text, "%s", trial_verdicts[trial->verdict]);
	if (trial->verdict == TRIAL_SOUND) {
		buf_addf(&text, ", in ");
		format_duration(&text, sum(trial));
	}
	if (trial->err.text[0])
		buf_addf(&text, ": %s", trial->err.text);
	if (trial->verdict == TRIAL_FAILED) {
		doctor_wrong(doctor, "%s", text.data);
		doctor_mend(doctor, "%s", mend_of(&trial->err));
	} else if (trial->verdict == TRIAL_DECLINED) {
		doctor_note(doctor, "%s", text.data);
		doctor_mend(doctor,
		    "\"write\": false for its level, if nothing is to be "
		    "written there; else give it room and rights");
	} else {
		doctor_ok(doctor, "%s", text.data);
	}
}

/* Could a lake grow to its limit? */
static void
compare_room(struct doctor *doctor, const struct tree_node *node)
{
	uint64_t limit = node->config->max_size, whole;
	auto_buf text = BUF_INIT;
	struct statfs fs;

	if (strcmp(node->config->kind, "disk") != 0 || limit == 0 ||
	    statfs(node->config->place, &fs) < 0)
		return;
	whole = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	if (limit <= whole / 10 * 9)
		return;
	buf_addf(&text, "'%s' may grow to ", node->loc->label);
	format_size(&text, limit);
	buf_addf(&text, " on a file system of ");
	format_size(&text, whole);
	doctor_note(doctor, "%s", text.data);
	buf_reset(&text);
	format_size(&text, whole / 2);
	doctor_mend(doctor, "\"max_size\": \"%s\" for it", text.data);
}

static int
look_at_leaf(void *arg, const struct tree_node *node)
{
	struct doctor *doctor = arg;
	struct trial trial;

	if (node->loc->kind->member)
		return 0;
	try_leaf(node, &trial);
	tell_trial(doctor, node->loc->label, &trial);
	compare_room(doctor, node);
	return 0;
}

void
doctor_locations(struct doctor *doctor)
{
	struct error err = { 0 };
	struct tree tree;

	if (!doctor->configured)
		return;
	if (tree_open(&tree, doctor->file, &err) < 0) {
		doctor_wrong(doctor, "%s", err.text);
		doctor_mend(doctor, "%s", mend_of(&err));
		return;
	}
	(void)tree_each(&tree, look_at_leaf, doctor);
	tree_close(&tree);
}
