#ifndef CONFIG_JSON_H
#define CONFIG_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"

struct location;

/*
 * Reading tarn.json. Files are read one after the other into one Config; a key
 * at the top of a later one replaces the same key of those before. What is wrong
 * in one is told with file, line and key:
 *
 *	/home/u/tarn.json:7: "max_sise" is no key of a location; expected one of: disk, max_size
 *
 * To add a key, add a line to the table of its object in config_json.c.
 */
enum config_key { CONFIG_LOCATIONS, CONFIG_ACTIONS, CONFIG_KEYS };

extern const char *const config_key_names[CONFIG_KEYS];

struct config_json {
	Tarn__Config *config;      /* owned */
	char *origin[CONFIG_KEYS]; /* owned; "<path>:<line>", NULL: default */
};

/* As after reading nothing. */
void config_json_init(struct config_json *json);
void config_json_release(struct config_json *json);

/* The text of one file. After -1 *json is of no use but for its sources. */
int config_json_parse(struct config_json *json, const char *path, bool project,
    const char *text, size_t len, struct error *err);

/*
 * All files that are there, each noted as a source, there or not; so too after
 * -1, when all else in *json is of no use.
 */
int config_json_load(struct config_json *json, const struct config_files *files,
    struct error *err);

/*
 * The configuration in force where we stand: `file` (--config) or the files found
 * from the working directory; TARN_TIERS overrides the locations, and where
 * nothing does they are the lake in `tarn_dir`.
 */
int config_json_in_force(struct config_json *json, const char *tarn_dir,
    const char *file, struct error *err);

/* The location tree of that, open. NULL on failure. */
struct location *config_json_open(const char *file, struct error *err);

#endif
