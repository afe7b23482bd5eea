#include "cli/tree.h"

#include <string.h>

#include "base/buf.h"
#include "base/dirs.h"
#include "base/mem.h"

int
tree_open(struct tree *tree, const char *file, struct error *err)
{
	auto_free char *tarn_dir = dirs_tarn();

	if (!tarn_dir)
		return error_set(err, ERROR_USAGE,
		    "no folder to work in; set HOME or TARN_DIR");
	config_json_init(&tree->json);
	if (config_json_in_force(&tree->json, tarn_dir, file, err) == 0)
		tree->loc = location_open(tree->json.config->locations, err);
	else
		tree->loc = NULL;
	if (tree->loc)
		return 0;
	config_json_release(&tree->json);
	return -1;
}

void
tree_close(struct tree *tree)
{
	location_close(tree->loc);
	config_json_release(&tree->json);
}

/* ---- walking ---- */

/* The i-th part of a composite, whose configuration has them in the same order. */
static bool
part_of(const struct tree_node *whole, size_t i, struct tree_node *part)
{
	const Tarn__Location *config = whole->config;
	const Tarn__Level *level = NULL;

	if (!whole->loc->kind->member)
		return false;
	*part = *whole;
	part->loc = whole->loc->kind->member(whole->loc, i);
	part->depth++;
	if (i < config->n_levels)
		level = config->levels[i];
	else if (i >= config->n_members)
		return false;
	part->level = level;
	part->config = level ? level->location : config->members[i];
	part->may_write &= !level || !level->read_only;
	/* What nothing is farther than gets no replicas. */
	part->may_change &= !level || !level->read_only ||
	    (!level->no_replicate && i + 1 < config->n_levels);
	return part->loc != NULL;
}

static int
walk(const struct tree_node *node, tree_node_fn *fn, void *arg)
{
	struct tree_node part;
	int rc = fn(arg, node);

	for (size_t i = 0; rc == 0 && part_of(node, i, &part); i++)
		rc = walk(&part, fn, arg);
	return rc;
}

int
tree_each(const struct tree *tree, tree_node_fn *fn, void *arg)
{
	const struct tree_node top = {
		.loc = tree->loc,
		.config = tree->json.config->locations,
		.may_write = true,
		.may_change = true,
	};

	return walk(&top, fn, arg);
}

struct leaves {
	struct tree_node *at;
	size_t count;
};

static int
add_leaf(void *arg, const struct tree_node *node)
{
	struct leaves *leaves = arg;

	if (node->loc->kind->member)
		return 0;
	leaves->at =
	    xrealloc(leaves->at, leaves->count + 1, sizeof(*leaves->at));
	leaves->at[leaves->count++] = *node;
	return 0;
}

size_t
tree_leaves(const struct tree *tree, struct tree_node **leaves)
{
	struct leaves found = { 0 };

	(void)tree_each(tree, add_leaf, &found);
	*leaves = found.at;
	return found.count;
}

/* ---- by name ---- */

struct search {
	const char *name;
	struct location *found;
	struct buf names;
};

static int
match(void *arg, const struct tree_node *node)
{
	struct search *search = arg;

	if (strcmp(node->loc->label, search->name) == 0) {
		search->found = node->loc;
		return 1;
	}
	if (!node->loc->kind->member || (node->level && *node->level->name))
		buf_addf(&search->names, "%s'%s'",
		    search->names.len ? ", " : "", node->loc->label);
	return 0;
}

struct location *
tree_find(const struct tree *tree, const char *name, struct error *err)
{
	struct search search = { .name = name, .names = BUF_INIT };

	if (tree_each(tree, match, &search) == 0)
		error_set(err, ERROR_USAGE,
		    "no location is called '%.100s'; there are: %s", name,
		    search.names.data);
	buf_release(&search.names);
	return search.found;
}

struct location *
tree_part(const struct tree *tree, const char *name, struct error *err)
{
	return name ? tree_find(tree, name, err) : tree->loc;
}

struct place {
	const struct location *leaf;
	bool found;
};

static void
compare_leaf(void *arg, struct location *leaf)
{
	struct place *place = arg;

	place->found |= leaf == place->leaf;
}

bool
tree_has_leaf(struct location *part, const struct location *leaf)
{
	struct place place = { leaf, false };

	location_each_leaf(part, compare_leaf, &place);
	return place.found;
}
