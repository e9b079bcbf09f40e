#include "config/read.h"

#include "base/must.h"
#include "config/errors.h"
#include "config/table.h"
#include "config/tree.h"
#include "config/value.h"

/* The enums of the configuration are stored through a uint32_t. */
_Static_assert(sizeof(enum config_tls_mode) == sizeof(uint32_t) &&
		       sizeof(enum config_hop_tls) == sizeof(uint32_t) &&
		       sizeof(enum log_level) == sizeof(uint32_t) &&
		       sizeof(enum log_format) == sizeof(uint32_t),
	       "an enum takes 32 bits");

/* One key of one block, on its way from the tree into its struct. */
struct reader {
	struct config *config;
	struct config_errors *errors;
	const struct table_key *key;
	uint8_t *target; /* the block's struct */
};

static const char *keep(struct config *config, struct span s)
{
	struct buf *strings = &config->strings;
	const char *kept = (const char *)strings->p + strings->end;

	buf_put(strings, s);
	buf_put_byte(strings, '\0');
	MUST(!strings->overflowed);
	return kept;
}

static void store_string(const struct reader *r, const char *value)
{
	memcpy(r->target + r->key->offset, &value, sizeof(value));
}

static void store_u32(const struct reader *r, uint32_t value)
{
	memcpy(r->target + r->key->offset, &value, sizeof(value));
}

static void store_u64(const struct reader *r, uint64_t value)
{
	memcpy(r->target + r->key->offset, &value, sizeof(value));
}

static void store_bool(const struct reader *r, bool value)
{
	memcpy(r->target + r->key->offset, &value, sizeof(value));
}

/* The block's struct, of the type that the table promises for this key. */
static struct config_listener *listener_of(const struct reader *r)
{
	return (struct config_listener *)r->target;
}

static struct config_route *route_of(const struct reader *r)
{
	return (struct config_route *)r->target;
}

static void wrong(const struct reader *r, struct tree_value v,
		  const char *expected)
{
	errors_add(r->errors, v.line, "`%s`: `%s` is not %s", r->key->name,
		   v.text, expected);
}

static void out_of_range(const struct reader *r, struct tree_value v)
{
	void (*put)(struct buf *, uint64_t) = buf_put_u64;
	uint8_t storage[64];
	struct buf range;

	if (r->key->type == TABLE_SIZE)
		put = value_put_size;
	else if (r->key->type == TABLE_DURATION)
		put = value_put_duration;
	buf_init(&range, storage, sizeof(storage));
	put(&range, r->key->min);
	buf_put_str(&range, " to ");
	put(&range, r->key->max);
	buf_put_byte(&range, '\0');
	MUST(!range.overflowed);
	errors_add(r->errors, v.line, "`%s`: %s is out of range, %s",
		   r->key->name, v.text, (const char *)storage);
}

static bool in_range(const struct reader *r, struct tree_value v, uint64_t n)
{
	if (n >= r->key->min && n <= r->key->max)
		return true;
	out_of_range(r, v);
	return false;
}

static void read_number(const struct reader *r, struct tree_value v)
{
	uint64_t n;

	if (!span_to_u64(span_str(v.text), &n))
		wrong(r, v, "a number");
	else if (in_range(r, v, n))
		store_u32(r, (uint32_t)n);
}

static void read_size(const struct reader *r, struct tree_value v)
{
	uint64_t n;

	if (!value_size(v.text, &n))
		wrong(r, v, "a size: a number with K, M, G or nothing");
	else if (in_range(r, v, n))
		store_u64(r, n);
}

static void read_duration(const struct reader *r, struct tree_value v)
{
	uint64_t n;

	if (!value_duration(v.text, &n))
		wrong(r, v, "a duration: a number with s, m, h or d");
	else if (in_range(r, v, n))
		store_u32(r, (uint32_t)n);
}

static void read_boolean(const struct reader *r, struct tree_value v)
{
	bool value;

	if (value_boolean(v.text, &value))
		store_bool(r, value);
	else
		wrong(r, v, "true or false");
}

static void read_word(const struct reader *r, struct tree_value v)
{
	const char *const *words = r->key->words;
	uint8_t storage[128];
	struct buf list;
	uint32_t index;

	if (value_word(v.text, words, &index)) {
		store_u32(r, index);
		return;
	}
	buf_init(&list, storage, sizeof(storage));
	for (size_t i = 0; words[i]; i++) {
		if (i)
			buf_put_str(&list, words[i + 1] ? ", " : " or ");
		buf_put_str(&list, words[i]);
	}
	buf_put_byte(&list, '\0');
	MUST(!list.overflowed);
	wrong(r, v, (const char *)storage);
}

static void read_string(const struct reader *r, struct tree_value v)
{
	if (*v.text)
		store_string(r, keep(r->config, span_str(v.text)));
	else
		errors_add(r->errors, v.line, "`%s` is empty", r->key->name);
}

static void read_domain(const struct reader *r, struct tree_value v)
{
	if (value_domain(span_str(v.text)))
		read_string(r, v);
	else
		wrong(r, v, "a domain name");
}

static void read_domains(const struct reader *r, struct tree_value v)
{
	struct config_route *route = route_of(r);

	if (!value_domain(span_str(v.text)))
		wrong(r, v, "a domain name");
	else if (route->domains_n == CONFIG_DOMAINS_MAX)
		errors_add(r->errors, v.line, "`%s`: more than %u",
			   r->key->name, CONFIG_DOMAINS_MAX);
	else
		route->domains[route->domains_n++] =
			keep(r->config, span_str(v.text));
}

static void read_address(const struct reader *r, struct tree_value v)
{
	struct config_listener *listener = listener_of(r);
	struct config_address address = { 0 };

	if (!value_address(v.text, &address)) {
		wrong(r, v, value_address_wanted(v.text));
	} else if (listener->addresses_n == CONFIG_ADDRESSES_MAX) {
		errors_add(r->errors, v.line, "`%s`: more than %u",
			   r->key->name, CONFIG_ADDRESSES_MAX);
	} else {
		address.text = keep(r->config, span_str(v.text));
		listener->addresses[listener->addresses_n++] = address;
	}
}

static void read_hop(const struct reader *r, struct tree_value v)
{
	struct config_route *route = route_of(r);
	struct value_hop hop;

	if (!value_hop(v.text, &hop)) {
		wrong(r, v,
		      "maildir:PATH, smtp://HOST:PORT, smtps://HOST:PORT "
		      "or discard");
		return;
	}
	route->next_hop = keep(r->config, span_str(v.text));
	route->kind = hop.kind;
	route->port = hop.port;
	if (hop.path.len)
		route->path = keep(r->config, hop.path);
	if (hop.host.len)
		route->host = keep(r->config, hop.host);
}

static struct config_lane *lane_of(const struct reader *r)
{
	return (struct config_lane *)r->target;
}

static void read_prefix(const struct reader *r, struct tree_value v)
{
	struct config_prefixes *list =
		(struct config_prefixes *)(r->target + r->key->offset);
	struct prefix p;

	if (!prefix_parse(span_str(v.text), &p))
		wrong(r, v,
		      "an address or a prefix like \"192.0.2.0/24\" or "
		      "\"2001:db8::/32\", without bits beyond its length");
	else if (list->n == CONFIG_SOURCES_MAX)
		errors_add(r->errors, v.line, "`%s`: more than %u",
			   r->key->name, CONFIG_SOURCES_MAX);
	else
		list->list[list->n++] = p;
}

static void read_cpu(const struct reader *r, struct tree_value v)
{
	struct config_lane *lane = lane_of(r);
	uint64_t n;

	if (!span_to_u64(span_str(v.text), &n))
		wrong(r, v, "a number");
	else if (lane->cpus_n == CONFIG_CPUS_MAX)
		errors_add(r->errors, v.line, "`%s`: more than %u",
			   r->key->name, CONFIG_CPUS_MAX);
	else if (in_range(r, v, n))
		lane->cpus[lane->cpus_n++] = (uint16_t)n;
}

static void read_value(const struct reader *r, struct tree_value v)
{
	switch (r->key->type) {
	case TABLE_STRING: read_string(r, v); break;
	case TABLE_DOMAIN: read_domain(r, v); break;
	case TABLE_DOMAINS: read_domains(r, v); break;
	case TABLE_ADDRESSES: read_address(r, v); break;
	case TABLE_HOP: read_hop(r, v); break;
	case TABLE_PREFIXES: read_prefix(r, v); break;
	case TABLE_CPUS: read_cpu(r, v); break;
	case TABLE_NUMBER: read_number(r, v); break;
	case TABLE_SIZE: read_size(r, v); break;
	case TABLE_DURATION: read_duration(r, v); break;
	case TABLE_BOOLEAN: read_boolean(r, v); break;
	case TABLE_WORD: read_word(r, v); break;
	}
}

static void put_block_name(struct buf *out, const struct table_block *block,
			   const char *title)
{
	if (!block->name)
		return;
	buf_put_str(out, block->name);
	if (block->titled)
		buf_printf(out, " \"%s\"", title);
	buf_put_str(out, ": ");
}

static void report_missing(const struct reader *r,
			   const struct table_block *block, struct cfg_t *node)
{
	uint8_t storage[256];
	struct buf name;

	buf_init(&name, storage, sizeof(storage) - 1);
	put_block_name(&name, block, tree_title(node));
	storage[name.end] = '\0';
	errors_add(r->errors, tree_line(node), "%s`%s` is missing",
		   (const char *)storage, r->key->name);
}

/* `node` is NULL for a block that is absent: all keys get their defaults. */
static void read_key(const struct reader *r, const struct table_block *block,
		     struct cfg_t *node)
{
	const char *name = r->key->name;
	uint32_t n = node ? tree_values(node, name) : 0;
	unsigned int again = node ? tree_repeated(node, name) : 0;

	if (again)
		errors_add(r->errors, again, "`%s` is given twice", name);
	for (uint32_t i = 0; i < n; i++)
		read_value(r, tree_value(node, name, i));
	if (n)
		return;
	if (r->key->fallback)
		read_value(r, (struct tree_value){ .text = r->key->fallback });
	else if (r->key->required && node)
		report_missing(r, block, node);
}

static void read_block(struct reader *r, const struct table_block *block,
		       struct cfg_t *node, uint32_t i)
{
	r->target = (uint8_t *)r->config + block->offset + i * block->stride;
	if (block->has_line && node) {
		unsigned int line = tree_line(node);

		memcpy(r->target + block->line, &line, sizeof(line));
	}
	if (block->titled) {
		const char *title = keep(r->config, span_str(tree_title(node)));

		memcpy(r->target + block->title, &title, sizeof(title));
	}
	for (size_t k = 0; k < block->keys_n; k++) {
		r->key = &block->keys[k];
		read_key(r, block, node);
	}
}

/* The first block of that name that is one too many. */
static void report_surplus(const struct reader *r,
			   const struct table_block *block, struct cfg_t *root)
{
	struct cfg_t *extra = tree_block(root, block->name, block->max);

	if (block->max == 1)
		errors_add(r->errors, tree_line(extra),
			   "block `%s` is given twice", block->name);
	else
		errors_add(r->errors, tree_line(extra),
			   "more than %u blocks `%s`", block->max, block->name);
}

static void read_blocks(struct reader *r, const struct table_block *block,
			struct cfg_t *root)
{
	uint32_t n = tree_blocks(root, block->name);

	if (!n && block->required)
		errors_add(r->errors, tree_line(root), "block `%s` is missing",
			   block->name);
	if (n > block->max) {
		report_surplus(r, block, root);
		n = block->max;
	}
	for (uint32_t i = 0; i < n; i++)
		read_block(r, block, tree_block(root, block->name, i), i);
	if (block->titled)
		memcpy((uint8_t *)r->config + block->count, &n, sizeof(n));
	else if (!n)
		read_block(r, block, NULL, 0);
}

void read_tree(struct cfg_t *root, struct config *config,
	       struct config_errors *errors)
{
	struct reader r = { .config = config, .errors = errors };

	for (size_t b = 0; b < TABLE_BLOCKS; b++) {
		const struct table_block *block = &table_blocks[b];

		if (b == TABLE_TOP)
			read_block(&r, block, root, 0);
		else
			read_blocks(&r, block, root);
	}
}
