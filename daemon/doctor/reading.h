#pragma once

/*
 * reading: the files of /proc, /sys, /boot and /lib/modules that the doctor
 * reads, below a root that tests can move, and the few ways to look into such
 * text. It never writes.
 */

#include "base/span.h"

struct reading {
	struct span text; /* empty when it could not be read */
	char *storage;
};

/*
 * Reads a whole file of at most 16 MiB; `root` is "" or a directory. Negative
 * errno: then `text` is empty, and reading_close may be called all the same.
 */
int reading_open(struct reading *s, const char *root, const char *path);
void reading_close(struct reading *s);

/*
 * The first line of a file without its end and without blanks around it, cut
 * to what fits into `ret`. False, and "", when it cannot be read.
 */
bool reading_line(const char *root, const char *path, char *ret, size_t size);

/* Takes the next line, without its end, off `rest`. False: none is left. */
bool reading_next_line(struct span *rest, struct span *ret);

/* Takes the next word, up to a blank, off `rest`. False: none is left. */
bool reading_next_word(struct span *rest, struct span *ret);

/* Does a line of `text` begin with the word `word`? */
bool reading_has_entry(struct span text, const char *word);

/*
 * True when `text`, modules.dep or modules.builtin, lists the module of that
 * file name ("tls" for kernel/net/tls/tls.ko.xz).
 */
bool reading_has_module(struct span text, const char *module);
