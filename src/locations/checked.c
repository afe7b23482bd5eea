/* Reading past what is damaged. */
#include <errno.h>

#include "locations/location.h"

struct search {
	const struct key *key;
	struct sink *out;
	struct location_check *check;
	bool removed; /* some leaf forgot a damaged value */
};

/* The first one is told of, and what became of it. */
static void
note_damage(struct search *search, const struct location *leaf,
    const char *what, const char *fate)
{
	char hex[DIGEST_HEX + 1];

	if (search->check->damage.kind == ERROR_NONE)
		error_set(&search->check->damage, ERROR_CORRUPT,
		    "%s %s %s in '%s'%s",
		    search->key->space == KEY_BLOB ? "blob" : "record",
		    digest_hex(&search->key->digest, hex), what, leaf->label,
		    fate);
}

/*
 * What another one packed, where we were not told that values are packed, is none of
 * our business: it is told of, and stays.
 */
static bool
is_only_packed(struct search *search, struct location *leaf)
{
	auto_sink *look = sink_verify(sink_null(), &search->key->digest);
	char hex[DIGEST_HEX + 1];
	struct error err;

	if (search->key->space != KEY_BLOB || leaf->packer ||
	    location_read(leaf, search->key, look, &err) != HIT ||
	    !sink_packed(look, &err))
		return false;
	if (search->check->damage.kind == ERROR_NONE) {
		error_wrap(&err, "blob %s in '%s'",
		    digest_hex(&search->key->digest, hex), leaf->label);
		search->check->damage = err;
	}
	return true;
}

/* `reached`: a removal would come here, too. */
static void
see_to_damage(struct search *search, struct location *leaf, bool reached)
{
	struct error err;
	bool gone;

	if (is_only_packed(search, leaf))
		return;
	gone = search->check->mend && reached &&
	    location_remove(leaf, search->key, &err) == HIT;
	search->removed |= gone;
	note_damage(search, leaf, "is damaged", gone ? " and was removed" : "");
}

/* What its owner or the disk won't let anybody read is as good as damaged: while
 * it is there, no other takes its place. */
static bool
is_unreadable(const struct error *err)
{
	return err->kind == ERROR_SYSTEM &&
	    (err->sys == EACCES || err->sys == EPERM || err->sys == EIO);
}

static void
see_to_unreadable(struct search *search, struct location *leaf, bool reached)
{
	struct error err;

	if (!search->check->mend || !reached ||
	    location_remove(leaf, search->key, &err) != HIT)
		return;
	search->removed = true;
	note_damage(search, leaf, "can't be read", " and was removed");
}

static enum outcome
read_leaf(struct search *search, struct location *leaf, bool reached)
{
	struct error err = { 0 }; /* whoever fails is passed over */
	enum outcome outcome;

	if (sink_reset(search->out, &err) < 0)
		return FAILED;
	outcome = location_read(leaf, search->key, search->out, &err);
	if (outcome == FAILED && is_unreadable(&err))
		see_to_unreadable(search, leaf, reached);
	if (outcome != HIT || search->check->is_whole(search->check->arg))
		return outcome;
	see_to_damage(search, leaf, reached);
	return MISS;
}

static enum outcome
read_leaves(struct search *search, struct location *loc, bool reached)
{
	const struct location_kind *kind = loc->kind;
	struct location *member;

	if (!kind->member)
		return read_leaf(search, loc, reached);
	for (size_t i = 0; (member = kind->member(loc, i)); i++) {
		bool further =
		    reached && (!kind->forgets || kind->forgets(loc, i));

		if (read_leaves(search, member, further) == HIT) {
			loc->served = member->served;
			return HIT;
		}
	}
	return MISS;
}

/* What is whole, back to where it was damaged. */
static void
bring_nearer(struct search *search, struct location *loc)
{
	struct location *served = loc->served;
	struct sink *null = sink_null();
	struct error err;

	(void)location_read(loc, search->key, null, &err);
	sink_close(null);
	loc->served = served;
}

enum outcome
location_read_checked(struct location *loc, const struct key *key,
    struct sink *out, struct location_check *check, struct error *err)
{
	struct search search = { .key = key, .out = out, .check = check };
	enum outcome outcome = location_read(loc, key, out, err);

	check->damage = (struct error){ .kind = ERROR_NONE };
	if (outcome == MISS || (outcome == FAILED && !is_unreadable(err)) ||
	    (outcome == HIT && check->is_whole(check->arg)))
		return outcome;
	if (read_leaves(&search, loc, true) != HIT) {
		if (outcome == FAILED && check->damage.kind == ERROR_NONE)
			return FAILED;
		if (check->damage.kind == ERROR_NONE)
			note_damage(&search, loc->served, "is damaged", "");
		*err = check->damage;
		return FAILED;
	}
	if (search.removed)
		bring_nearer(&search, loc);
	return HIT;
}
