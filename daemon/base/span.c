#include "base/span.h"

bool span_to_u64(struct span s, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!s.len || s.len > 20)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (unsigned)(s.p[i] - '0'),
					   &value))
			return false;
	}
	*ret_value = value;
	return true;
}
