/* What `tarn doctor` looks at of tarnd, which need not run: it starts none. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "cli/format.h"
#include "locations/daemon.h"

#define ANSWER_US 5000000
#define LATE_S 3600 /* an upload that waits for so long is worth a word */

/* ---- its folder ---- */

/* Counts what is told. */
static unsigned
look_at_mode(struct doctor *doctor, const char *name, const char *mode)
{
	auto_free char *path = xasprintf("%s/%s", doctor->tarn_dir, name);
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (st.st_uid != geteuid()) {
		doctor_wrong(doctor, "'%s' belongs to another user", path);
		doctor_mend(doctor,
		    "set TARN_DIR to a folder of your own; one for each user");
		return 1;
	}
	if ((st.st_mode & 077) == 0)
		return 0;
	doctor_wrong(
	    doctor, "'%s' is open to others, so tarnd is not used", path);
	doctor_mend(doctor, "chmod %s '%s'", mode, path);
	return 1;
}

/* ---- it itself ---- */

static void
tell_places(struct doctor *doctor, const Tarn__DaemonStatus *status)
{
	for (size_t i = 0; i < status->n_places; i++) {
		const Tarn__DaemonPlace *place = status->places[i];

		if (!place->away)
			continue;
		doctor_note(doctor,
		    "'%s' is not asked, and tried again in %" PRIu64 " s: %s",
		    place->label, place->retry_s, place->why);
		doctor_mend(
		    doctor, "see to its server; 'tarn flush' tries at once");
	}
}

/* ---- whose environment it has ---- */

/* What decides who we are to a server. */
static bool
is_identity(const char *entry)
{
	static const char *const names[] = { "AWS_",
		"SSH_AUTH_SOCK=", "HOME=", "XDG_CONFIG_HOME=", "http_proxy=",
		"https_proxy=", "HTTPS_PROXY=", "ALL_PROXY=", "all_proxy=",
		"no_proxy=", "NO_PROXY=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static bool
is_among(const char *entry, const struct buf *theirs)
{
	for (size_t at = 0; at < theirs->len;
	     at += strlen(theirs->data + at) + 1) {
		if (strcmp(theirs->data + at, entry) == 0)
			return true;
	}
	return false;
}

static void
add_name(struct buf *to, const char *entry)
{
	buf_addf(
	    to, "%s%.*s", to->len ? ", " : "", (int)strcspn(entry, "="), entry);
}

/* Names only: values may be secrets. It keeps those of its starter. */
static void
compare_environment(struct doctor *doctor, uint32_t pid)
{
	auto_free char *path = xasprintf("/proc/%u/environ", pid);
	auto_buf theirs = BUF_INIT, names = BUF_INIT;
	struct error err;

	if (buf_read_file(&theirs, path, &err) < 0 || theirs.len == 0)
		return;
	for (char **at = environ; at && *at; at++) {
		if (is_identity(*at) && !is_among(*at, &theirs))
			add_name(&names, *at);
	}
	for (size_t at = 0; at < theirs.len;
	     at += strlen(theirs.data + at) + 1) {
		const char *entry = theirs.data + at;
		auto_free char *name =
		    xasprintf("%.*s", (int)strcspn(entry, "="), entry);

		if (is_identity(entry) && !getenv(name))
			add_name(&names, entry);
	}
	if (names.len == 0)
		return;
	doctor_note(doctor,
	    "tarnd was started elsewhere, and has other values of %s",
	    names.data);
	doctor_mend(doctor,
	    "tarn daemon stop && tarn daemon start, if it is to have those of "
	    "here");
}

static void
ask_it(struct doctor *doctor, struct channel *channel)
{
	struct error err = { 0 };
	Tarn__DaemonStatus *status =
	    (Tarn__DaemonStatus *)daemon_ask(channel, CHANNEL_STATUS, 0,
	        &tarn__daemon_status__descriptor, clock_us() + ANSWER_US, &err);

	if (!status) {
		doctor_wrong(
		    doctor, "tarnd runs and does not answer: %s", err.text);
		doctor_mend(doctor, "tarn daemon stop");
		return;
	}
	doctor_ok(
	    doctor, "tarnd %s runs, process %u", status->version, status->pid);
	compare_environment(doctor, status->pid);
	tell_places(doctor, status);
	tarn__daemon_status__free_unpacked(status, NULL);
}

void
doctor_tarnd(struct doctor *doctor)
{
	struct error err = { 0 };
	struct channel channel;

	if (!doctor->tarn_dir ||
	    look_at_mode(doctor, "daemon", "700") +
	            look_at_mode(doctor, "daemon/socket", "600") >
	        0)
		return;
	if (daemon_open(doctor->tarn_dir, DAEMON_JOIN, &channel, &err) == 0) {
		ask_it(doctor, &channel);
	} else if (err.kind == ERROR_SYSTEM) {
		doctor_ok(doctor, "it does not run, and %s",
		    doctor_has_remote(doctor, NULL)
		        ? "is started when it is needed"
		        : "no location needs it");
	} else {
		doctor_wrong(doctor, "%s", err.text);
		doctor_mend(doctor,
		    err.kind == ERROR_USAGE ? "tarn daemon stop"
		                            : "tarn daemon start");
	}
	channel_close(&channel);
}

/* ---- what waits ---- */

struct waiting {
	unsigned count;
	uint64_t bytes;
	time_t oldest; /* 0: none */
};

static void
add_file(int folder, const char *name, struct waiting *waiting)
{
	struct stat st;

	if (name[0] == '.' || fstatat(folder, name, &st, 0) < 0)
		return;
	waiting->count++;
	waiting->bytes += (uint64_t)st.st_size;
	if (waiting->oldest == 0 || st.st_mtim.tv_sec < waiting->oldest)
		waiting->oldest = st.st_mtim.tv_sec;
}

static struct waiting
count_files(const char *folder)
{
	struct waiting waiting = { 0 };
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		add_file(dirfd(dir), entry->d_name, &waiting);
	if (dir)
		closedir(dir);
	return waiting;
}

static bool
tell_waiting(struct doctor *doctor, const char *spool)
{
	struct waiting waiting = count_files(spool);
	auto_buf text = BUF_INIT;
	time_t age = time(NULL) - waiting.oldest;

	if (waiting.count == 0)
		return false;
	buf_addf(&text, "%u %s", waiting.count,
	    waiting.count == 1 ? "upload waits, " : "uploads wait, ");
	format_size(&text, waiting.bytes);
	buf_addf(&text, ", the oldest for ");
	format_duration(&text, age > 0 ? (uint64_t)age * 1000000 : 0);
	if (age < LATE_S) {
		doctor_ok(doctor, "%s", text.data);
		return true;
	}
	doctor_note(doctor, "%s", text.data);
	doctor_mend(doctor, "tarn flush, which says what is in the way");
	return true;
}

static bool
tell_damaged(struct doctor *doctor, const char *damaged)
{
	struct waiting aside = count_files(damaged);

	if (aside.count == 0)
		return false;
	doctor_note(doctor, "%u damaged %s set aside and never uploaded",
	    aside.count, aside.count == 1 ? "upload was" : "uploads were");
	doctor_mend(doctor, "rm -r '%s'", damaged);
	return true;
}

static bool
tell_refused(struct doctor *doctor)
{
	auto_free char *path = xasprintf("%s/daemon/refused", doctor->tarn_dir);
	auto_buf text = BUF_INIT;
	unsigned count = 0;
	struct error err;

	if (buf_read_file(&text, path, &err) < 0)
		return false;
	for (const char *at = text.data; (at = strchr(at, '\n')); at++)
		count++;
	if (count == 0)
		return false;
	doctor_note(doctor, "%u %s refused or damaged, the first: %.*s", count,
	    count == 1 ? "upload was" : "uploads were",
	    (int)strcspn(text.data, "\n"), text.data);
	doctor_mend(
	    doctor, "tarn flush, which tells of all of them and forgets them");
	return true;
}

void
doctor_spool(struct doctor *doctor)
{
	auto_free char *spool = NULL, *damaged = NULL;
	bool told;

	if (!doctor->tarn_dir)
		return;
	spool = xasprintf("%s/daemon/spool", doctor->tarn_dir);
	damaged = xasprintf("%s/daemon/damaged", doctor->tarn_dir);
	told = tell_waiting(doctor, spool);
	told |= tell_damaged(doctor, damaged);
	told |= tell_refused(doctor);
	if (!told)
		doctor_ok(doctor, "none wait, none were refused");
}
