#include "cli/doctor.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/format.h"

/* ---- what was found ---- */

static const char *const states[] = { "ok", "note", "wrong" };

/* The line of a finding stays open for its mend. */
static void
begin(struct doctor *doctor, enum doctor_state state, const char *text)
{
	auto_buf line = BUF_INIT;

	doctor->counts[state]++;
	if (!doctor->as_json) {
		buf_addf(
		    &line, "%-5s  %s: %s", states[state], doctor->check, text);
		format_print(&line);
		return;
	}
	buf_add(&line, "{", 1);
	format_json_text(&line, "check", doctor->check);
	format_json_text(&line, "state", states[state]);
	format_json_text(&line, "text", text);
	if (state == DOCTOR_OK)
		format_json_text(&line, "mend", NULL);
	buf_add(&line, "}", state == DOCTOR_OK);
	fwrite(line.data, 1, line.len, stdout);
	if (state == DOCTOR_OK)
		putchar('\n');
}

#define FORMAT(text) \
	auto_free char *text = NULL; \
	va_list ap; \
	va_start(ap, fmt); \
	if (vasprintf(&(text), fmt, ap) < 0) \
		abort(); \
	va_end(ap)

void
doctor_ok(struct doctor *doctor, const char *fmt, ...)
{
	FORMAT(text);
	begin(doctor, DOCTOR_OK, text);
}

void
doctor_note(struct doctor *doctor, const char *fmt, ...)
{
	FORMAT(text);
	begin(doctor, DOCTOR_NOTE, text);
}

void
doctor_wrong(struct doctor *doctor, const char *fmt, ...)
{
	FORMAT(text);
	begin(doctor, DOCTOR_WRONG, text);
}

void
doctor_mend(struct doctor *doctor, const char *fmt, ...)
{
	auto_buf line = BUF_INIT;
	FORMAT(text);

	if (doctor->as_json) {
		buf_addf(&line, ",\"mend\":");
		json_text(&line, text);
		buf_add(&line, "}", 1);
	} else {
		buf_addf(&line, "       mend: %s", text);
	}
	format_print(&line);
}

/* ---- other programs ---- */

char *
doctor_find(const char *name)
{
	const char *at = getenv("PATH");

	while (at && *at) {
		size_t len = strcspn(at, ":");
		auto_free char *path = xasprintf("%.*s/%s", (int)len, at, name);

		if (len > 0 && access(path, X_OK) == 0)
			return take(path);
		at += len + (at[len] == ':');
	}
	return NULL;
}

/* ---- leaves ---- */

static void
each_leaf(struct doctor *doctor, const Tarn__Location *loc, doctor_leaf_fn *fn)
{
	if (!loc)
		return;
	for (size_t i = 0; i < loc->n_levels; i++)
		each_leaf(doctor, loc->levels[i]->location, fn);
	for (size_t i = 0; i < loc->n_members; i++)
		each_leaf(doctor, loc->members[i], fn);
	if (loc->n_levels == 0 && loc->n_members == 0)
		fn(doctor, loc);
}

void
doctor_each_leaf(struct doctor *doctor, doctor_leaf_fn *fn)
{
	if (doctor->configured)
		each_leaf(doctor, doctor->json.config->locations, fn);
}

static bool
has_remote(const Tarn__Location *loc, const char *kind)
{
	for (size_t i = 0; i < loc->n_levels; i++) {
		if (has_remote(loc->levels[i]->location, kind))
			return true;
	}
	for (size_t i = 0; i < loc->n_members; i++) {
		if (has_remote(loc->members[i], kind))
			return true;
	}
	if (loc->n_levels > 0 || loc->n_members > 0)
		return false;
	return kind ? strcmp(loc->kind, kind) == 0
	            : strcmp(loc->kind, "disk") != 0;
}

bool
doctor_has_remote(const struct doctor *doctor, const char *kind)
{
	return doctor->configured &&
	    has_remote(doctor->json.config->locations, kind);
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	doctor_check_fn *fn;
} checks[] = {
	{ "variables", doctor_variables },
	{ "programs", doctor_programs },
	{ "limits", doctor_limits },
	{ "compilers", doctor_compilers },
	{ "folder", doctor_folder },
	{ "clock", doctor_clock },
	{ "leftovers", doctor_leftovers },
	{ "observers", doctor_observers },
	{ "configuration", doctor_configuration },
	{ "credentials", doctor_credentials },
	{ "locations", doctor_locations },
	{ "tarnd", doctor_tarnd },
	{ "uploads", doctor_spool },
};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)remove(path);
	return 0;
}

static void
release(struct doctor *doctor)
{
	if (doctor->scratch)
		(void)nftw(
		    doctor->scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(doctor->scratch);
	free(doctor->tarn_dir);
	config_json_release(&doctor->json);
}

static int
run(int argc, char **argv)
{
	struct doctor doctor = { .tarn_dir = NULL };
	const struct cmd_option options[] = {
		{ "json", .flag = &doctor.as_json },
		{ "config", .value = &doctor.file },
		{ 0 },
	};
	int status;

	if (cmd_options(&cmd_doctor, argv, options, (struct cmd_words){ 0, 0 },
	        &status) < 0)
		return status;
	doctor.tarn_dir = dirs_tarn();
	config_json_init(&doctor.json);
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		doctor.check = checks[i].name;
		checks[i].fn(&doctor);
		(void)fflush(stdout);
	}
	release(&doctor);
	return doctor.counts[DOCTOR_WRONG] > 0 ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.args = "[--json] [--config FILE]",
	.summary =
	    "look for everything that could be wrong, and say what mends it",
	.details = "A line for each thing that was looked at: 'ok', 'note' or "
	           "'wrong'; "
	           "the status\n"
	           "is 1 if anything is wrong.\n"
	           "\n"
	           "  --json         an object a line\n"
	           "  --config FILE  this configuration file only\n",
	.run = run,
};
