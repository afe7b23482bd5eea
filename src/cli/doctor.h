#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "cli/config_json.h"

/*
 * `tarn doctor`: everything that could be wrong, looked at in the order of a table
 * of checks. A check says what it found, in one line or several: that it is well,
 * or worth knowing, or wrong; of the latter two also what mends it, as a command or
 * a setting. It changes nothing but what it makes for itself and removes again, and
 * TARN_DIR, which is made as the first action would.
 */
enum doctor_state { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WRONG, DOCTOR_STATES };

struct doctor {
	bool as_json;
	const char *check; /* the one that speaks */
	unsigned counts[DOCTOR_STATES];

	char *tarn_dir; /* owned; NULL: none is known */
	char *scratch;  /* owned; a folder in it, or NULL */
	struct config_json
	    json;         /* that is in force; `config` may be of no use */
	bool configured;  /* ... unless this is set */
	const char *file; /* --config, or NULL */
	unsigned found;   /* for a check: how much it has told of */
};

/* All is well with it. Control characters are shown as '?'. */
void doctor_ok(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Worth knowing, or wrong; doctor_mend() follows, and says what to do. */
void doctor_note(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_wrong(struct doctor *doctor, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
void doctor_mend(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The program of this name on PATH. NULL: there is none. The caller frees it. */
char *doctor_find(const char *name);

/* Does any leaf of the tree in force need a server; one of this kind (or NULL)? */
bool doctor_has_remote(const struct doctor *doctor, const char *kind);

/* What stands in the configuration about each leaf. */
typedef void doctor_leaf_fn(struct doctor *doctor, const Tarn__Location *leaf);
void doctor_each_leaf(struct doctor *doctor, doctor_leaf_fn *fn);

/* The checks: those of the machine, of TARN_DIR, of locations, of tarnd. */
typedef void doctor_check_fn(struct doctor *doctor);
doctor_check_fn doctor_variables, doctor_limits, doctor_programs,
    doctor_compilers, doctor_clock, doctor_observers;
doctor_check_fn doctor_folder, doctor_leftovers;
doctor_check_fn doctor_configuration, doctor_locations, doctor_credentials;
doctor_check_fn doctor_tarnd, doctor_spool;

#endif
