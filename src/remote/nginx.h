#ifndef NGINX_H
#define NGINX_H

#include <sys/stat.h>

#include "base/mem.h"
#include "base/spool.h"
#include "locations/lake_config.h"
#include "locations/location.h"
#include "remote/autoindex.h"
#include "remote/http.h"

/*
 * A web server with values on it: what nginx.c, which asks for one, and
 * nginx_list.c, which lists them, have in common.
 */
struct nginx {
	struct location base;
	struct http *http;
	char *root; /* its URL, without user, password and a slash at the end */
	bool put;   /* writes are wanted */
	bool bazel; /* cas/ and ac/, as Bazel's HTTP cache has them */

	char *authorization; /* a header with a token; NULL */
	char *token_file;    /* from which that comes; NULL */
	struct stat token_stat;

	/* What the server has shown to be like. */
	struct lake_config config; /* its config.yml, or the usual one */
	bool known;                /* `config` is what config.yml says */
	int64_t looked_us;         /* when there was none; 0: never looked */
	bool no_head, no_move;     /* it doesn't do that */
	bool finds; /* what was to be written was there, lately */
};

static inline struct nginx *
nginx_of(struct location *loc)
{
	return container_of(loc, struct nginx, base);
}

/* Before requests: the deadline, and a token that may be new. */
int nginx_begin(struct nginx *nginx, struct error *err);

/*
 * Read config.yml, unless it has been, or was missed just now. Returns 1 if there
 * is one, 0 if not, -1 on failure.
 */
int nginx_learn(struct nginx *nginx, struct error *err);

/* Where the values of a name space are, and cut in which way. Free *root. */
const struct layout *nginx_layout(
    const struct nginx *nginx, enum key_space space, char **root);

/* Headers of every request, NULL at the end. */
struct nginx_headers {
	const char *line[5];
};
void nginx_headers(const struct nginx *nginx, struct nginx_headers *headers);

int nginx_list(struct location *loc, unsigned wanted, location_entry_fn *fn,
    void *arg, struct error *err);

#define NGINX_PAGE (256ull << 20) /* bytes; millions of names */

/* The entries of a folder's page: 0, what fn returned if that is not 0, or -1. */
int nginx_parse_page(
    const struct spool *page, autoindex_fn *fn, void *arg, struct error *err);

/* nginx_tidy.c: as in struct location_kind. */
int nginx_inspect(struct location *loc, bool mend, location_damage_fn *fn,
    void *arg, struct error *err);
enum outcome nginx_collect(struct location *loc,
    const struct collect_request *request, struct collect_result *result,
    struct error *err);

#endif
