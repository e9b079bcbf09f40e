#pragma once

/*
 * tree: the one door to libconfuse. It turns text into blocks, keys and values
 * by the names in config/table.h; every value is still a string, with its
 * line. What a value means is not decided here.
 */

#include "config/config.h"

struct cfg_t; /* libconfuse's node: the root or one block */

struct tree_value {
	unsigned int line;
	const char *text; /* lives as long as the tree */
};

/*
 * Parses what source_open returned; NULL with a line in `errors`. The library
 * stops at the first mistake of syntax or unknown name. tree_close frees it.
 */
struct cfg_t *tree_open(char *source, struct config_errors *errors);
void tree_close(struct cfg_t *root);

/* Blocks of that name, and the i-th of them. */
uint32_t tree_blocks(struct cfg_t *root, const char *name);
struct cfg_t *tree_block(struct cfg_t *root, const char *name, uint32_t i);

/* Title, or "" where there is none; the line where it ends. */
const char *tree_title(struct cfg_t *block);
unsigned int tree_line(struct cfg_t *block);

/* Values given for a key, and the i-th of them. */
uint32_t tree_values(struct cfg_t *block, const char *key);
struct tree_value tree_value(struct cfg_t *block, const char *key, uint32_t i);

/* Line on which a key is given a second time, or 0. */
unsigned int tree_repeated(struct cfg_t *block, const char *key);
