#pragma once

/*
 * spread: turns the weights of a lane's workers into the table from which the
 * BPF programs choose. Pure.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * Fills `table` with the numbers of workers, each as often as its weight says
 * and as evenly mixed as can be; a weight of 0 gets none. When all are 0, all
 * are treated alike: somebody must take the connections.
 */
void spread_fill(const uint8_t *weights, uint32_t workers_n, uint8_t *table,
		 size_t table_n);
