#ifndef TREE_H
#define TREE_H

#include "cli/config_json.h"
#include "locations/location.h"

/*
 * The location tree in force beside what the configuration says of it: a location
 * doesn't tell whether the level that it is may be written, its configuration
 * does.
 */
struct tree {
	struct config_json json;
	struct location *loc;
};

/* `file` is --config, or NULL. Returns 0 or -1; release it after 0 only. */
int tree_open(struct tree *tree, const char *file, struct error *err);
void tree_close(struct tree *tree);

/* A location as a walk meets it. */
struct tree_node {
	struct location *loc;         /* borrowed, as all of these */
	const Tarn__Location *config; /* its description */
	const Tarn__Level *level;     /* its entry of `levels`, or NULL */
	size_t depth;                 /* 0: the whole tree */
	bool may_write;  /* neither it nor anything around it is only read */
	bool may_change; /* the same, where replicas count as writes */
};

/* From the whole to its parts, nearest first, until `fn` returns non-zero, which
 * is then returned. */
typedef int tree_node_fn(void *arg, const struct tree_node *node);
int tree_each(const struct tree *tree, tree_node_fn *fn, void *arg);

/* The leaves alone. The caller frees *leaves. */
size_t tree_leaves(const struct tree *tree, struct tree_node **leaves);

/* The location that is called so; NULL and the names there are if none is. */
struct location *tree_find(
    const struct tree *tree, const char *name, struct error *err);

/* What a command may touch of the tree: all of it or, with --location, a part. */
struct location *tree_part(
    const struct tree *tree, const char *name, struct error *err);

/* Is `leaf` a leaf of `part`? */
bool tree_has_leaf(struct location *part, const struct location *leaf);

#endif
