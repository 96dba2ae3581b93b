/* SPDX-License-Identifier: Apache-2.0 */
/* What values of options are made of: parts between commas, properties, numbers. Pure. */
#include "options/options_value.h"

#include <ctype.h>
#include <errno.h>

#include "core/err.h"

bool options_value_part(const char **pos, char part[PATH_MAX])
{
	const char *p = *pos;
	size_t len = 0;

	if (!p)
		return false;
	while (*p && (*p != ',' || p[1] == ',')) {
		part[len++] = *p;
		p += *p == ',' ? 2 : 1;
	}
	part[len] = '\0';
	*pos = *p ? p + 1 : NULL;
	return true;
}

const char *options_value_property(const char *part, const char *key)
{
	const size_t len = strlen(key);

	return strncmp(part, key, len) == 0 && part[len] == '=' ? part + len + 1 : NULL;
}

bool options_value_digits(const char *text, size_t len, uint64_t *ret_val)
{
	uint64_t val = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) || __builtin_mul_overflow(val, 10, &val) ||
		    __builtin_add_overflow(val, (uint64_t)(text[i] - '0'), &val))
			return false;
	}
	*ret_val = val;
	return true;
}

bool options_value_visible(const char *text, size_t max)
{
	const size_t len = strlen(text);
	bool good = len >= 1 && len <= max;

	for (size_t i = 0; good && i < len; i++)
		good = isascii((unsigned char)text[i]) && isgraph((unsigned char)text[i]);
	return good;
}

int options_value_time(const char *option, const char *value, unsigned *ret_ms)
{
	static const struct {
		const char *name;
		unsigned ms;
	} units[] = { { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 } };
	const size_t digits = strspn(value, "0123456789");
	uint64_t count = 0, ms = 0;
	bool good = options_value_digits(value, digits, &count);
	unsigned unit = 0;
	int r;

	while (unit < ARRAY_SIZE(units) && strcmp(value + digits, units[unit].name) != 0)
		unit++;
	good = good && unit < ARRAY_SIZE(units) &&
	       !__builtin_mul_overflow(count, units[unit].ms, &ms) && ms <= OPTIONS_WAIT_MAX;
	if (!good) {
		r = err_set(ERR_USAGE, -EINVAL, "%s: '%s' is not a time of at most a week",
			    option, value);
		err_hint("write it as 30s, 5m or 2h");
		return r;
	}
	*ret_ms = (unsigned)ms;
	return 0;
}
