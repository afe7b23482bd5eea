#ifndef KNOWN_HOSTS_H
#define KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * The keys that known_hosts files, as of sshd(8), have for one host: patterns and
 * hashed names, and keys that are @revoked. Lines of @cert-authority are passed over. So
 * are those that can't be understood, but that one of them which names the host keeps
 * it from being taken for a new one.
 */
struct known_key {
	char *type; /* "ssh-ed25519" */
	unsigned char *data;
	size_t size;
	bool revoked;
	char *where; /* for people: file and line */
};

struct known_hosts {
	struct known_key *keys;
	size_t count;
	char *damaged; /* for people: a line for that host whose key is none */
};

enum known { KNOWN_NOT, KNOWN, KNOWN_OTHER, KNOWN_REVOKED };

/* The name that a host has in those files: "[host]:port" if the port isn't 22. */
char *known_hosts_name(const char *host, unsigned port);

void known_hosts_parse(struct known_hosts *known, const char *name,
    const char *path, const char *text, size_t size);

/* The same of a file, if it is there: 0 or -1. */
int known_hosts_read(struct known_hosts *known, const char *name,
    const char *path, struct error *err);
void known_hosts_release(struct known_hosts *known);

/* *which is the line that says so; NULL for KNOWN_NOT. */
enum known known_hosts_check(const struct known_hosts *known, const void *key,
    size_t size, const struct known_key **which);
bool known_hosts_has(const struct known_hosts *known, const char *type);

/* Append a line for this key, with the name hashed or plain. 0 or -1. */
int known_hosts_add(const char *path, const char *name, const void *key,
    size_t size, bool hash, struct error *err);

#endif
