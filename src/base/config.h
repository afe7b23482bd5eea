#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"
#include "proto/config.pb-c.h"

/*
 * The configuration in force, for programs that can't read JSON.
 *
 * `tarn config --compile` reads the tarn.json files that apply and leaves what
 * they say in compiled form in TARN_DIR. That form is current for as long as
 * each file it came from, and each that would have counted had it been there,
 * looks the same to stat(). A wrong configuration has a compiled form too: it
 * holds the message, so that a build with a mistake in its tarn.json pays for
 * finding it once and not with every action.
 *
 * TARN_TIERS, which overrides the locations of all files, is no business of
 * these functions: see location_from_tiers().
 */

/* Goes up whenever the meaning of proto/config.proto changes. */
#define CONFIG_VERSION 2

/* More than a compiled form ever has, in bytes. */
#define CONFIG_MAX ((size_t)4 << 20)

/* The default lake's size, in bytes: 10 GiB. */
#define CONFIG_LAKE_SIZE ((uint64_t)10 << 30)

/* A file that may be there; later ones override. */
struct config_file {
	char *path;   /* owned; absolute */
	bool project; /* the project's own: may hold no credentials */
	bool named;   /* by the user: its absence is an error */
};

struct config_files {
	struct config_file item[3];
	size_t count;
};

/*
 * The files for the project at `root`: `file` (--config) if not NULL, else what
 * TARN_CONFIG names, else the system's, the user's and the project's tarn.json.
 */
void config_files_init(
    struct config_files *files, const char *root, const char *file);
void config_files_release(struct config_files *files);

/* Is any of them there, or named? */
bool config_files_exist(const struct config_files *files);

/* Where their compiled form is kept. The caller frees it. */
char *config_compiled_path(
    const char *tarn_dir, const struct config_files *files);

/* What stat() said of `path`; NULL: it isn't there. Free with the Config. */
Tarn__Source *config_source(const char *path, const struct stat *st);

/* Do all sources look as they did? */
bool config_current(const Tarn__Config *config);

/* Returns 0 or -1. Free *out with tarn__config__free_unpacked(x, NULL). */
int config_load_compiled(
    const char *path, Tarn__Config **out, struct error *err);
int config_store_compiled(
    const char *path, const Tarn__Config *config, struct error *err);

/* The same from memory: ERROR_CORRUPT unless all of it is one, whole and ours. */
int config_decode(
    const void *data, size_t size, Tarn__Config **out, struct error *err);

/*
 * All of the above for tarn-exec: the configuration in force for the project at
 * `root`, compiled anew by the program `tarn` if need be. *out is NULL if nothing
 * is configured. -1 with what is wrong, for an event; the build goes on with the
 * default. 1: all is well, but the compiled form was damaged, as *err tells.
 */
int config_find(const char *tarn_dir, const char *root, const char *file,
    Tarn__Config **out, struct error *err);

/* The lake in TARN_DIR. Free with tarn__location__free_unpacked(x, NULL). */
Tarn__Location *config_default_location(const char *tarn_dir);

/* That lake has the same size, unless one is given, wherever it is in the tree. */
void config_limit_default(Tarn__Location *loc, const char *tarn_dir);

#endif
