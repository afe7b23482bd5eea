#ifndef SCP_PROTOCOL_H
#define SCP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "remote/far.h"

/*
 * What comes back from the far machine's programs as text, one line each.
 *
 * scp sends, before a file's bytes, `T<mtime> 0 <atime> 0` and `C<mode> <size> <name>`;
 * or byte 1 or 2 and what is wrong.
 */
enum scp_line { SCP_TIMES, SCP_FILE, SCP_WRONG };

/* A line without its end; -1 with ERROR_CORRUPT if it is none of these. */
int scp_parse_line(const char *line, size_t len, enum scp_line *what,
    struct far_stat *st, struct error *err);

/*
 * Of `stat -c '%f %u %g %s %X %Y %n'`: the mode in hexadecimal, owner, group, size,
 * times, and the name, which is what is left. False: it is no such line.
 */
#define SCP_STAT "stat -L -c '%f %u %g %s %X %Y %n'"
bool scp_parse_stat(const char *line, struct far_stat *st, const char **name);

/* The digits of a name like `./58/91b5...`: false unless they are a key's. */
bool scp_parse_key(const char *name, char hex[static DIGEST_HEX + 1]);

/* Bytes that are free, of a line of `df -kP`; UINT64_MAX: it doesn't tell. */
uint64_t scp_parse_df(const char *line);

#endif
