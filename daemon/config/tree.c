#include "config/tree.h"

#include "base/must.h"
#include "config/errors.h"
#include "config/table.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * libconfuse hands its callbacks no context and remembers no line of a value.
 * So what they find is noted in the tree itself:
 *   N1 a value that was seen reads MARK LINE MARK TEXT (source.c lets no MARK
 *      in), which also tells a list's new element from its closing brace;
 *   N2 an option that was given has a comment: "" or, given again, the line of
 *      the second time;
 *   N3 a block in which parsing broke off has the message as its comment.
 */

#define MARK '\001'

static int note_value(cfg_t *block, cfg_opt_t *opt)
{
	char line[16];
	char *noted;
	char **text = &opt->values[opt->nvalues - 1]->string;

	if (**text == MARK)
		return 0; /* called for the closing brace */
	(void)snprintf(line, sizeof(line), "%d", block->line);
	if (opt->nvalues == 1) { /* N2 */
		if (!opt->comment)
			line[0] = '\0';
		if (cfg_opt_setcomment(opt, line))
			return -1;
	}
	if (asprintf(&noted, "%c%d%c%s", MARK, block->line, MARK, *text) < 0)
		return -1;
	free(*text);
	*text = noted; /* N1 */
	return 0;
}

/* N3 */
__attribute__((format(printf, 2, 0))) static void
note_error(cfg_t *block, const char *format, va_list args)
{
	if (!block->comment && vasprintf(&block->comment, format, args) < 0)
		block->comment = NULL;
}

static void fill_keys(const struct table_block *block, cfg_opt_t *opts)
{
	size_t i;

	MUST(block->keys_n < TABLE_NAMES_MAX);
	for (i = 0; i < block->keys_n; i++) {
		const struct table_key *key = &block->keys[i];
		cfg_opt_t one = CFG_STR(key->name, NULL, CFGF_NODEFAULT);
		cfg_opt_t list = CFG_STR_LIST(key->name, NULL, CFGF_NODEFAULT);

		opts[i] = table_is_list(key) ? list : one;
		opts[i].validcb = note_value;
	}
	opts[i] = (cfg_opt_t)CFG_END();
}

/* libconfuse copies the arrays. */
static cfg_t *make_root(void)
{
	cfg_opt_t root[TABLE_NAMES_MAX + TABLE_BLOCKS];
	cfg_opt_t keys[TABLE_BLOCKS][TABLE_NAMES_MAX];
	size_t n = table_blocks[TABLE_TOP].keys_n;

	fill_keys(&table_blocks[TABLE_TOP], root);
	for (size_t b = 0; b < TABLE_BLOCKS; b++) {
		const struct table_block *block = &table_blocks[b];
		cfg_flag_t flags = CFGF_MULTI;

		if (b == TABLE_TOP)
			continue;
		if (block->titled)
			flags |= CFGF_TITLE | CFGF_NO_TITLE_DUPES;
		fill_keys(block, keys[b]);
		root[n++] = (cfg_opt_t)CFG_SEC(block->name, keys[b], flags);
	}
	root[n] = (cfg_opt_t)CFG_END();
	return cfg_init(root, CFGF_NONE);
}

/* The node in which parsing broke off: the root or the last block of a name. */
static cfg_t *broken_node(cfg_t *root)
{
	if (root->comment)
		return root;
	for (size_t b = 0; b < TABLE_BLOCKS; b++) {
		const char *name = table_blocks[b].name;
		uint32_t n = b == TABLE_TOP ? 0 : tree_blocks(root, name);
		cfg_t *block = n ? tree_block(root, name, n - 1) : NULL;

		if (block && block->comment)
			return block;
	}
	return NULL;
}

cfg_t *tree_open(char *source, struct config_errors *errors)
{
	cfg_t *root = make_root();
	FILE *stream = fmemopen(source, strlen(source), "r");
	int result = CFG_PARSE_ERROR;
	cfg_t *broken;

	if (root && stream) {
		(void)cfg_set_error_function(root, note_error);
		result = cfg_parse_fp(root, stream);
	}
	if (stream)
		(void)fclose(stream);
	if (result == CFG_SUCCESS)
		return root;
	broken = root ? broken_node(root) : NULL;
	if (broken)
		errors_add(errors, tree_line(broken), "%s", broken->comment);
	else
		errors_add(errors, 0, "out of memory");
	if (root)
		tree_close(root);
	return NULL;
}

void tree_close(cfg_t *root)
{
	(void)cfg_free(root);
}

uint32_t tree_blocks(cfg_t *root, const char *name)
{
	return cfg_size(root, name);
}

cfg_t *tree_block(cfg_t *root, const char *name, uint32_t i)
{
	return cfg_getnsec(root, name, i);
}

const char *tree_title(cfg_t *block)
{
	const char *title = cfg_title(block);

	return title ? title : "";
}

unsigned int tree_line(cfg_t *block)
{
	return (unsigned int)block->line;
}

uint32_t tree_values(cfg_t *block, const char *key)
{
	return cfg_size(block, key);
}

struct tree_value tree_value(cfg_t *block, const char *key, uint32_t i)
{
	const char *noted = cfg_getnstr(block, key, i);
	char *end;
	unsigned long line;

	MUST(noted && *noted == MARK); /* N1 */
	line = strtoul(noted + 1, &end, 10);
	MUST(*end == MARK);
	return (struct tree_value){ (unsigned int)line, end + 1 };
}

unsigned int tree_repeated(cfg_t *block, const char *key)
{
	const char *comment = cfg_getopt(block, key)->comment; /* N2 */

	return comment ? (unsigned int)strtoul(comment, NULL, 10) : 0;
}
