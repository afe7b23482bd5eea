#ifndef CONFIG_LOCATION_H
#define CONFIG_LOCATION_H

#include "cli/config_reader.h"
#include "proto/config.pb-c.h"

/*
 * Location expressions in tarn.json. To add an option of a location, add a line
 * to the table of its kind; to add a kind, a table and a line in `kinds`.
 *
 * NULL and *r->err set if it is wrong. `name` is the key it stands under, or that
 * of its list. Free with tarn__location__free_unpacked(x, NULL).
 */
Tarn__Location *config_location_read(
    struct reader *r, const char *name, const cJSON *value);

#endif
