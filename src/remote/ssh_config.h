#ifndef SSH_CONFIG_H
#define SSH_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * What ssh_config(5) says about one host, of what we need. The first value that is
 * found counts, in the user's file and then in the system's; only IdentityFile adds
 * up. Host with patterns, Match with all, host, originalhost, user and localuser,
 * Include, quotes, and the tokens %% %d %h %i %n %p %r %u, ~ and ${NAME} are
 * understood. Keywords that are of no matter to us are passed over, as are those
 * of blocks that don't apply.
 *
 * What would be of matter and is not understood (a Match that runs a command and
 * decides a key, a ProxyJump) is an error that names its file and line: to guess
 * would lead to another place than ssh does.
 */
struct ssh_texts {
	char **item;
	size_t count;
};

struct ssh_host {
	const char *name;       /* as asked for, borrowed */
	const char *home;       /* borrowed */
	const char *local_user; /* borrowed */

	/* Owned; NULL, 0 or -1: not given. */
	char *host_name, *user, *key_alias, *agent, *proxy_jump, *proxy_command;
	struct ssh_texts keys, known_hosts, global_known_hosts;
	uint32_t port;
	int keys_only, hash_known_hosts;
};

/* `name`, `home` and `local_user` are there; the rest is empty. */
void ssh_host_init(struct ssh_host *host, const char *name, const char *home,
    const char *local_user);
void ssh_host_release(struct ssh_host *host);

/*
 * Add what a file's text says. `folder` is where Include's relative paths are from;
 * NULL: none is followed. 0, or -1 with ERROR_USAGE.
 */
int ssh_config_parse(struct ssh_host *host, const char *path,
    const char *folder, const char *text, size_t size, struct error *err);

/* The same of a file, if it is there. */
int ssh_config_read(struct ssh_host *host, const char *path, const char *folder,
    struct error *err);

/* When all files are read: put in what tokens stand for, and refuse a proxy. */
int ssh_host_finish(struct ssh_host *host, struct error *err);

void ssh_texts_add(struct ssh_texts *texts, const char *text);
void ssh_texts_release(struct ssh_texts *texts);

#endif
