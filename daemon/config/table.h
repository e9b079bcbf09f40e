#pragma once

/*
 * table: all blocks and keys of the configuration. One table drives the parser,
 * the typed struct, the sample file and the manual, so none of them can forget
 * a key. To add a key: a member in config.h and a line in table.c.
 */

#include "config/config.h"

enum table_type {
	TABLE_STRING,    /* const char *, not empty */
	TABLE_DOMAIN,    /* const char *, a domain name */
	TABLE_DOMAINS,   /* list; of struct config_route */
	TABLE_ADDRESSES, /* list; of struct config_listener */
	TABLE_HOP,       /* of struct config_route */
	TABLE_PREFIXES,  /* list; struct config_prefixes */
	TABLE_CPUS,      /* list; of struct config_lane */
	TABLE_NUMBER,    /* uint32_t */
	TABLE_SIZE,      /* uint64_t, bytes; K, M or G */
	TABLE_DURATION,  /* uint32_t, seconds; s, m, h or d */
	TABLE_BOOLEAN,   /* bool */
	TABLE_WORD,      /* enum: index into `words` */
};

struct table_key {
	const char *name;
	enum table_type type;
	bool required;
	bool shown;               /* in the sample, as if required */
	const char *fallback;     /* as an operator would write it, or NULL */
	const char *example;      /* in the sample; NULL: the fallback */
	uint64_t min, max;        /* of the three kinds of numbers */
	const char *const *words; /* ends with NULL */
	size_t offset;            /* in the block's struct */
	const char *help;         /* sentences for sample and manual */
};

struct table_block {
	const char *name; /* NULL: the keys outside of blocks */
	const char *help;
	const struct table_key *keys;
	size_t keys_n;
	size_t offset;             /* of the (first) struct in struct config */
	size_t stride;             /* to the next one */
	size_t count;              /* offset of the number of them; titled */
	size_t title;              /* offset in the struct; titled */
	size_t line;               /* offset in the struct; has_line */
	const char *title_example; /* in the sample; titled */
	const char *second;        /* another such block there, or NULL */
	uint32_t max;              /* blocks of this name */
	bool titled;
	bool required; /* at least one such block */
	bool has_line;
};

enum table_index {
	TABLE_TOP,
	TABLE_CERTIFICATE,
	TABLE_LISTENER,
	TABLE_LANE,
	TABLE_STEERING,
	TABLE_SHIELD,
	TABLE_AUTH,
	TABLE_SPOOL,
	TABLE_ROUTE,
	TABLE_LIMITS,
	TABLE_SHARES,
	TABLE_TIMEOUTS,
	TABLE_RETRY,
	TABLE_LOG,
	TABLE_BLOCKS
};

/* More than any block has keys. */
#define TABLE_NAMES_MAX 32

extern const struct table_block table_blocks[TABLE_BLOCKS];

static inline bool table_is_list(const struct table_key *key)
{
	return key->type == TABLE_ADDRESSES || key->type == TABLE_DOMAINS ||
	       key->type == TABLE_PREFIXES || key->type == TABLE_CPUS;
}
