#include "config/errors.h"

#include <stdarg.h>
#include <stdio.h>

/* Longer texts are cut: they quote the operator's file, which may be absurd. */
#define TEXT_MAX 512

void errors_add(struct config_errors *errors, unsigned int line,
		const char *format, ...)
{
	struct buf *out = errors->text;
	uint32_t end = out->end;
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	errors->n++;
	buf_put_str(out, errors->file);
	buf_printf(out, ":%u: ", line);
	buf_put_str(out, text);
	buf_put_byte(out, '\n');
	if (out->overflowed)
		out->end = end; /* whole lines only */
}
