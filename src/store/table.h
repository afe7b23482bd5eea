#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "store/stamp.h"

/*
 * The digest table: what was once found out about the files of this machine, in
 * one file that all processes of a user share.
 *
 * It answers three questions with one kind of entry, a key of 40 bytes and a
 * digest: which content has the file with this stamp; were these names absent
 * from the folder with this stamp; which fingerprint has this path set when
 * everything in it has these stamps. All of them can be answered anew at any
 * time, so an entry may be lost, but never wrong: each carries a check over all
 * of itself, and one that a crash or a second writer tore reads as absent.
 * Nothing locks. Only settled stamps (store/stamp.h) may be put in.
 *
 * Both ways go through the page cache by pread() and pwrite(), a window of slots
 * at a time. A hit asks some two dozen times; mapping the file cost it more, in
 * faults that bring in sixteen pages each and take them out again, and made a
 * full disk a signal instead of an error code.
 */
struct table;

struct table_key {
	uint64_t word[5];
};

/* Flags that an entry can carry besides its digest. */
enum table_flags {
	TABLE_CLOCK = 1 << 0, /* the text names the date's or time's macro */
	TABLE_TIMESTAMP = 1 << 1, /* the text names that of a file's time */
	TABLE_OWN_PATH = 1 << 2,  /* the text names that of its own path */
	TABLE_AGES = 1 << 3,      /* the text compares times of files */
};

/* The table in `dir`, made if need be. NULL with *err set on failure: go on
 * without, every function takes NULL for a table that knows nothing. */
struct table *table_open(const char *dir, struct error *err);
void table_close(struct table *table);

/* Was something else in its place, damaged or of another version? */
bool table_is_anew(const struct table *table);

/* Look at every entry of the file `path`: -1 with ERROR_CORRUPT if it is no table,
 * or some of them are damaged, whose number *err tells. */
int table_check(const char *path, struct error *err);

bool table_get(const struct table *table, const struct table_key *key,
    struct digest *digest, uint32_t *flags);
void table_put(struct table *table, const struct table_key *key,
    const struct digest *digest, uint32_t flags);

/* The key of a file's content. */
struct table_key table_file_key(const struct stamp *stamp);

/* A quick digest of 256 bits over words, for keys; good against chance only. */
struct mixer {
	uint64_t lane[4];
};
#define MIXER_INIT \
	{ \
		{ \
			0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, \
			    0x165667b19e3779f9, 0x27d4eb2f165667c5 \
		} \
	}
static inline void
mixer_add(struct mixer *m, uint64_t word)
{
	m->lane[0] = (m->lane[0] ^ word) * 0x9fb21c651e98df25;
	m->lane[0] ^= m->lane[0] >> 32;
	m->lane[1] = (m->lane[1] + word) * 0xd6e8feb86659fd93;
	m->lane[1] ^= m->lane[1] >> 29;
	m->lane[2] =
	    (m->lane[2] ^ (word << 32 | word >> 32)) * 0xa0761d6478bd642f;
	m->lane[2] ^= m->lane[2] >> 31;
	m->lane[3] =
	    (m->lane[3] + (word ^ 0xe7037ed1a0b428db)) * 0x8ebc6af09c88c6e3;
	m->lane[3] ^= m->lane[3] >> 33;
}
void mixer_add_stamp(struct mixer *m, const struct stamp *stamp);
void mixer_add_bytes(struct mixer *m, const void *data, size_t size);
struct table_key mixer_key(const struct mixer *m, uint64_t tag);

#endif
