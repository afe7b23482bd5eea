#ifndef MEMBERS_H
#define MEMBERS_H

#include "locations/location.h"

/*
 * What levels and fanout have in common: several locations, asked in order. One
 * that fails is passed over; the whole has FAILED only if none of those asked gave
 * an answer. Its errors are in its counts.
 */
struct members {
	struct location **at; /* owned, as are the locations */
	size_t count;
};

void members_add(struct members *members, struct location *loc);
void members_close(struct members *members);
struct location *members_get(const struct members *members, size_t i);

/*
 * A read of several keys: start, ask members until none is missing, finish, which
 * is where requests that nobody answered become FAILED.
 */
void members_read_start(struct location_read_request *requests, size_t count);
bool members_read_missing(
    const struct location_read_request *requests, size_t count);
void members_read_from(struct location *member,
    struct location_read_request *requests, size_t count);
void members_read_finish(struct location *whole,
    struct location_read_request *requests, size_t count);

/*
 * What a member said to a write, into what was said before: FAILED < DECLINED <
 * KEPT < STORED. Of what went wrong, the first is told.
 */
void members_write_merge(struct location_write_request *sum,
    struct location_write_request *answer, const struct location *member);

/* Each is asked for what no member before it has. */
void members_contains(const struct members *members,
    struct location_contains_request *requests, size_t count);

/* The labels of the first that has any. */
enum outcome members_labels(const struct members *members,
    const struct key *key, location_label_fn *fn, void *arg, struct error *err);

/* One question for one member. */
typedef enum outcome member_fn(
    struct location *member, const struct key *key, struct error *err);

/* What all said together: a hit, else a miss, else a failure. None: a miss. */
struct answers {
	bool hit, miss, failed;
	struct error err; /* the first */
};

enum outcome answers_add(struct answers *answers, struct location *member,
    member_fn *fn, const struct key *key);
void answers_take(struct answers *answers, struct location *member,
    enum outcome outcome, const struct error *err);
enum outcome answers_sum(const struct answers *answers, struct error *err);

/* The same where a miss counts only if nobody failed: all have to be sure. */
enum outcome answers_sum_sure(struct answers *answers, struct error *err);

/* All members' entries, as location_list_some() has them. */
int members_list(const struct members *members, unsigned wanted,
    location_entry_fn *fn, void *arg, struct error *err);

#endif
