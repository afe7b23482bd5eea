#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/config.pb-c.h"

/*
 * Where a server is, and how it is to be spoken to: what a leaf's description says.
 *
 *	scheme://[user[:password]@]host[:port][/path]
 *
 * User, password and host may have %XX in them, and are decoded. An IPv6 address
 * stands in brackets, and is kept without. The path is as written, without its
 * first slash.
 */
struct place {
	char *scheme, *user, *password; /* NULL: not given */
	char *host;                     /* "": none, as in redis+unix:///path */
	uint16_t port;                  /* 0: not given */
	char *path;                     /* "" without one */
};

/* -1 and ERROR_USAGE if it can't be understood; no password is in the message. */
int place_parse(struct place *place, const char *url, struct error *err);
void place_release(struct place *place);

/*
 * The value of an option of a leaf, NULL without it: the last, if there are several.
 * place_options(): -1 and ERROR_USAGE if there is one that `known`, which ends with
 * NULL, does not name; `compress` is known of all.
 */
const char *place_option(const Tarn__Location *config, const char *name);
int place_options(
    const Tarn__Location *config, const char *const *known, struct error *err);

/* An option that is "1", "true", "0" or "false"; `without` if it isn't given. */
int place_flag(const Tarn__Location *config, const char *name, bool without,
    bool *flag, struct error *err);

#endif
