#pragma once

/*
 * server_command: which command may come when, and who carries it out. One
 * table says what is allowed in clear, what counts as idle, what takes no
 * argument.
 */

#include "smtp/server.h"

/* Answers one command line; its result is that of line_take. */
void server_command_line(struct smtp_server *s, struct smtp_io *io,
			 enum line_result result, struct span text);
