#ifndef SSH_AGENT_H
#define SSH_AGENT_H

#include "base/buf.h"
#include "base/error.h"
#include "remote/ssh.h"

/*
 * ssh-agent(1), asked for its keys and to sign, with the connection's deadlines
 * (libssh2's own code for it would wait for ever).
 */
struct ssh_agent {
	struct ssh *ssh; /* for its clock */
	int fd;
};

struct ssh_agent_key {
	const char *type; /* not NUL-terminated */
	size_t type_len;
	const unsigned char *data;
	size_t size;
};

int ssh_agent_open(struct ssh_agent *agent, struct ssh *ssh, const char *path,
    struct error *err);
void ssh_agent_close(struct ssh_agent *agent);

/* Its answer, for ssh_agent_next(). */
int ssh_agent_keys(
    struct ssh_agent *agent, struct buf *answer, struct error *err);

/* The next key, *at being 0 at first: 1, 0 after the last, -1: it is damaged. */
int ssh_agent_next(
    const struct buf *answer, size_t *at, struct ssh_agent_key *key);

/* Add the signature of `data` by that key to `to`: 0 or -1. */
int ssh_agent_sign(struct ssh_agent *agent, const struct ssh_agent_key *key,
    const void *data, size_t size, struct buf *to, struct error *err);

/* What is in an answer to a request to sign; as ssh_agent_sign(). */
int ssh_agent_parse_signature(
    const struct buf *answer, struct buf *to, struct error *err);

#endif
