/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the address of a PCI function; see pci_addr.h. */
#include "vfio/pci_addr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "core/err.h"

#define DOMAIN_DIGITS 8
#define BUS_DIGITS    2
#define SLOT_DIGITS   2
#define SLOT_MAX      0x1f
#define FN_MAX        7

/* Takes 1 to `max_digits` hexadecimal digits off *pos. */
static bool take_hex(const char **pos, unsigned max_digits, uint32_t *ret_val)
{
	uint32_t val = 0;
	unsigned n;

	for (n = 0; n < max_digits && isxdigit((unsigned char)**pos); n++) {
		const char c = (char)tolower((unsigned char)*(*pos)++);

		val = val << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_val = val;
	return n != 0;
}

static bool take_char(const char **pos, char c)
{
	if (**pos != c)
		return false;
	(*pos)++;
	return true;
}

/* What follows the domain: "01:00.0". */
static bool take_bus_slot_fn(const char *pos, struct pci_addr *addr)
{
	uint32_t bus, slot, fn;

	if (!take_hex(&pos, BUS_DIGITS, &bus) || !take_char(&pos, ':') ||
	    !take_hex(&pos, SLOT_DIGITS, &slot) || !take_char(&pos, '.') ||
	    !take_hex(&pos, 1, &fn) || *pos != '\0' || slot > SLOT_MAX || fn > FN_MAX)
		return false;
	addr->bus = (uint8_t)bus;
	addr->slot = (uint8_t)slot;
	addr->fn = (uint8_t)fn;
	return true;
}

bool pci_addr_scan(const char *text, struct pci_addr *ret_addr)
{
	struct pci_addr addr = { 0 };
	const char *pos = text;

	if (!take_bus_slot_fn(text, &addr) &&
	    (!take_hex(&pos, DOMAIN_DIGITS, &addr.domain) || !take_char(&pos, ':') ||
	     !take_bus_slot_fn(pos, &addr)))
		return false;
	*ret_addr = addr;
	return true;
}

int pci_addr_parse(const char *text, struct pci_addr *ret_addr)
{
	int r;

	if (pci_addr_scan(text, ret_addr))
		return 0;
	r = err_set(ERR_USAGE, -EINVAL, "'%s' is not a PCI address", text);
	err_hint("write it as 0000:01:00.0 (see 'tinyvmm list')");
	return r;
}

struct pci_addr_text pci_addr_text(struct pci_addr addr)
{
	struct pci_addr_text text;

	snprintf(text.s, sizeof(text.s), "%04x:%02x:%02x.%x", addr.domain, addr.bus,
		 addr.slot & SLOT_MAX, addr.fn & FN_MAX);
	return text;
}

int pci_addr_compare(struct pci_addr a, struct pci_addr b)
{
	const uint64_t ka = (uint64_t)a.domain << 24 | a.bus << 16 | a.slot << 8 | a.fn;
	const uint64_t kb = (uint64_t)b.domain << 24 | b.bus << 16 | b.slot << 8 | b.fn;

	return ka < kb ? -1 : ka > kb;
}
