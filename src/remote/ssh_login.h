#ifndef SSH_LOGIN_H
#define SSH_LOGIN_H

#include "remote/ssh.h"
#include "remote/ssh_config.h"

/*
 * Show the server who we are: with the agent's keys, then those in files, then a
 * password. 0, or -1 with ERROR_DENIED and what was tried.
 */
int ssh_login(struct ssh *ssh, const struct ssh_host *host, const char *user,
    struct error *err);

/* What a file with a private key is, without its passphrase. */
struct ssh_key_look {
	bool rsa, encrypted;
};
struct ssh_key_look ssh_key_look(const char *text, size_t size);

#endif
