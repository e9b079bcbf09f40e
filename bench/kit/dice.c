#include "kit/dice.h"

#include <math.h>

uint64_t dice_u64(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

double dice_unit(struct dice *d)
{
	return (double)(dice_u64(d) >> 11) * 0x1p-53;
}

bool dice_share(struct dice *d, double share)
{
	return share > 0 && dice_unit(d) < share;
}

/* Box and Muller; the second number of the pair is not worth keeping. */
double dice_log_normal(struct dice *d, double median, double sigma)
{
	double radius = sqrt(-2 * log(1 - dice_unit(d)));
	double angle = 2 * M_PI * dice_unit(d);

	return median * exp(sigma * radius * cos(angle));
}
