#include "config/config_print.h"

#include "base/must.h"
#include "config/table.h"
#include "config/value.h"

#define COLUMNS 79
#define TAB     8

/* Sample */

/* Breaks text into comment lines; `indent` is the number of tabs before. */
static void print_comment(FILE *out, int indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column && column + 1 + word > COLUMNS) {
			(void)fputc('\n', out);
			column = 0;
		}
		if (!column) {
			(void)fputs(indent ? "\t#" : "#", out);
			column = (size_t)indent * TAB + 1;
		}
		(void)fprintf(out, " %.*s", (int)word, text);
		column += 1 + word;
		text += word;
		text += strspn(text, " ");
	}
	(void)fputc('\n', out);
}

static bool is_quoted(const struct table_key *key)
{
	return key->type == TABLE_STRING || key->type == TABLE_DOMAIN ||
	       key->type == TABLE_HOP || key->type == TABLE_WORD;
}

static void print_sample_key(FILE *out, int indent, const struct table_key *key)
{
	const char *quote = is_quoted(key) ? "\"" : "";
	const char *value = key->example ? key->example : key->fallback;

	MUST(value);
	print_comment(out, indent, key->help);
	(void)fprintf(out, "%s%s%s = %s%s%s\n", indent ? "\t" : "",
		      key->required || key->shown ? "" : "#", key->name, quote,
		      value, quote);
}

static void print_sample_block(FILE *out, const struct table_block *block,
			       const char *title)
{
	int indent = block->name ? 1 : 0;

	(void)fputc('\n', out);
	if (block->name) {
		print_comment(out, 0, block->help);
		if (title)
			(void)fprintf(out, "%s \"%s\" {\n", block->name, title);
		else
			(void)fprintf(out, "%s {\n", block->name);
	}
	for (size_t k = 0; k < block->keys_n; k++)
		print_sample_key(out, indent, &block->keys[k]);
	if (block->name)
		(void)fputs("}\n", out);
	if (block->second)
		(void)fprintf(out, "\n%s", block->second);
}

void config_print_sample(FILE *out)
{
	print_comment(out, 0,
		      "Configuration of sluiced: see sluice.conf(5). Lines "
		      "that begin with # and a name show a key's default, or "
		      "an example where it has none.");
	for (size_t b = 0; b < TABLE_BLOCKS; b++)
		print_sample_block(out, &table_blocks[b],
				   table_blocks[b].title_example);
}

/* Manual */

static const char manual_head[] =
	".Dd January 1, 2026\n"
	".Dt SLUICE.CONF 5\n"
	".Os\n"
	".Sh NAME\n"
	".Nm sluice.conf\n"
	".Nd configuration of the Sluice mail submission gateway\n"
	".Sh DESCRIPTION\n"
	"The file consists of keys with values and of blocks that group keys.\n"
	"Some blocks have a title and may be given several times.\n"
	".Bd -literal -offset indent\n"
	"hostname = \"mx.example.org\"\n"
	"listener \"submissions\" {\n"
	"\taddress = { \"0.0.0.0:465\", \"[::]:465\" }\n"
	"\ttls = \"implicit\"\n"
	"}\n"
	".Ed\n"
	".Pp\n"
	"A string stands between double quotes, which may be left out when it\n"
	"contains no blank, no\n"
	".Ql //\n"
	"and none of\n"
	".Ql \"{}()=+,#\" .\n"
	"In quotes, a backslash goes before a double quote or a backslash.\n"
	"A list is written between braces, its values separated by commas.\n"
	"Comments begin with\n"
	".Ql #\n"
	"or\n"
	".Ql //\n"
	"and end with the line, or stand between\n"
	".Ql /*\n"
	"and\n"
	".Ql */ .\n"
	"A key or block is given once; what is unknown is an error.\n"
	"Neither environment variables nor other files are read in.\n"
	"File names are taken as they are written.\n"
	".Pp\n"
	".Ic sluiced --check -c\n"
	".Ar FILE\n"
	"names the mistakes in a file with their lines.\n"
	".Pp\n"
	"Sizes are in bytes and may end in\n"
	".Cm K , M\n"
	"or\n"
	".Cm G\n"
	"(powers of 1024), durations are in seconds and may end in\n"
	".Cm s , m , h\n"
	"or\n"
	".Cm d .\n";

static const char manual_tail[] =
	".Sh RELOADING\n"
	"On\n"
	".Dv SIGHUP\n"
	"the file is read again; one with mistakes changes nothing.\n"
	"The keys\n"
	".Cm workers , user , pid_file , control\n"
	"and the spool's\n"
	".Cm directory ,\n"
	"which lanes there are, their\n"
	".Cm workers\n"
	"and listeners, the block\n"
	".Cm steering ,\n"
	"and whether there is a shield, need a restart.\n"
	".Sh SEE ALSO\n"
	".Xr sluicectl 8 ,\n"
	".Xr sluiced 8\n";

static const char *const type_texts[] = {
	[TABLE_STRING] = "string",
	[TABLE_DOMAIN] = "domain name",
	[TABLE_DOMAINS] = "list of domain names",
	[TABLE_ADDRESSES] = "list of addresses",
	[TABLE_HOP] = "next hop",
	[TABLE_PREFIXES] = "list of addresses and prefixes",
	[TABLE_CPUS] = "list of numbers",
	[TABLE_NUMBER] = "number",
	[TABLE_SIZE] = "size",
	[TABLE_DURATION] = "duration",
	[TABLE_BOOLEAN] = "boolean",
	[TABLE_WORD] = "word",
};

static void put_words(struct buf *out, const char *const *words)
{
	for (size_t i = 0; words[i]; i++) {
		if (i)
			buf_put_str(out, words[i + 1] ? ", " : " or ");
		buf_put_str(out, words[i]);
	}
}

static void put_range(struct buf *out, const struct table_key *key,
		      void (*put)(struct buf *, uint64_t))
{
	buf_put_str(out, ", ");
	put(out, key->min);
	buf_put_str(out, " to ");
	put(out, key->max);
}

/* What a value may be, except for strings. */
static void put_choice(struct buf *out, const struct table_key *key)
{
	if (key->type == TABLE_NUMBER)
		put_range(out, key, buf_put_u64);
	else if (key->type == TABLE_SIZE)
		put_range(out, key, value_put_size);
	else if (key->type == TABLE_DURATION)
		put_range(out, key, value_put_duration);
	else if (key->type == TABLE_BOOLEAN)
		buf_put_str(out, ", true or false");
	if (key->words) {
		buf_put_str(out, ", ");
		put_words(out, key->words);
	}
}

static void print_manual_key(FILE *out, const struct table_key *key)
{
	uint8_t storage[512];
	struct buf kind;

	buf_init(&kind, storage, sizeof(storage));
	buf_put_str(&kind, type_texts[key->type]);
	put_choice(&kind, key);
	if (key->required)
		buf_put_str(&kind, "; required");
	else if (key->fallback)
		buf_printf(&kind, "; default %s", key->fallback);
	MUST(!kind.overflowed);
	(void)fprintf(out, ".It Cm %s No (%.*s)\n%s\n", key->name,
		      (int)buf_len(&kind), (const char *)storage, key->help);
}

static void print_manual_block(FILE *out, const struct table_block *block)
{
	if (!block->name)
		(void)fputs(".Ss Keys outside of blocks\n", out);
	else if (block->titled)
		(void)fprintf(out, ".Ss %s \\(dqTITLE\\(dq\n", block->name);
	else
		(void)fprintf(out, ".Ss %s\n", block->name);
	(void)fprintf(out, "%s\n.Bl -tag -width Ds\n", block->help);
	for (size_t k = 0; k < block->keys_n; k++)
		print_manual_key(out, &block->keys[k]);
	(void)fputs(".El\n", out);
}

void config_print_manual(FILE *out)
{
	(void)fputs(manual_head, out);
	for (size_t b = 0; b < TABLE_BLOCKS; b++)
		print_manual_block(out, &table_blocks[b]);
	(void)fputs(manual_tail, out);
}
