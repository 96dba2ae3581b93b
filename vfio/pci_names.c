/* SPDX-License-Identifier: Apache-2.0 */
/* Names of PCI devices; see pci_names.h. Main thread. */
#include "vfio/pci_names.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "core/text.h"
#include "vfio/host_sysfs.h"

#define FILE_SIZE_MAX (16 * MiB) /* it has 1.5 today */

/* Behind the name of a vendor come its devices, each line indented once. */
#define VENDOR_FORMAT "\n%04x  "
#define DEVICE_FORMAT "\n\t%04x  "

void pci_names_init(struct pci_names *names, const char *root)
{
	static const char *const paths[] = {
		"usr/share/hwdata/pci.ids", /* Fedora, Arch, openSUSE, newer Debian */
		"usr/share/misc/pci.ids",   /* Debian, Ubuntu */
		"usr/share/pci.ids",
	};
	size_t len;
	void *data;

	*names = (struct pci_names){ 0 };
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		if (sys_read_file(host_sysfs_path(root, "%s", paths[i]).s, FILE_SIZE_MAX, &data,
				  &len) == 0) {
			names->text = data;
			return;
		}
	}
}

void pci_names_fini(struct pci_names *names)
{
	free(names->text);
	names->text = NULL;
}

/* The name behind `key` in the text up to `end` (NULL: all), its length in *ret_len; or NULL. */
static const char *find(const char *text, const char *end, const char *key, size_t *ret_len)
{
	const char *p = strstr(text, key);

	if (!p || (end && p >= end))
		return NULL;
	p += strlen(key);
	*ret_len = strcspn(p, "\r\n");
	return p;
}

/* Where the lines of the vendor at `pos` end: the next line that is not indented nor a comment. */
static const char *vendor_end(const char *pos)
{
	const char *p = pos;

	while ((p = strchr(p, '\n'))) {
		if (p[1] != '\t' && p[1] != '#')
			return p;
		p++;
	}
	return NULL;
}

/* The vendor as people say it: "AMD/ATI" of "Advanced Micro Devices, Inc. [AMD/ATI]". */
static const char *short_vendor(const char *name, size_t *len)
{
	static const char *const endings[] = { " Corporation", " Corp.", ", Inc.", " Inc.",
					       " Co., Ltd.",   ", Ltd.", " Ltd.",  " Limited" };
	const char *bracket = memchr(name, '[', *len);

	const size_t before = bracket ? (size_t)(bracket - name) : 0;

	if (before && *len > before + 2 && name[*len - 1] == ']') {
		*len -= before + 2;
		return bracket + 1;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(endings); i++) {
		const size_t n = strlen(endings[i]);

		if (*len > n && memcmp(name + *len - n, endings[i], n) == 0)
			*len -= n;
	}
	return name;
}

void pci_names_find(const struct pci_names *names, unsigned vendor, unsigned device,
		    char buf[PCI_NAME_SIZE])
{
	const char *vendor_name = NULL, *device_name = NULL;
	size_t vendor_len = 0, device_len = 0;
	char key[16];

	snprintf(key, sizeof(key), VENDOR_FORMAT, vendor & 0xffff);
	if (names->text)
		vendor_name = find(names->text, NULL, key, &vendor_len);
	if (vendor_name) {
		snprintf(key, sizeof(key), DEVICE_FORMAT, device & 0xffff);
		device_name = find(vendor_name, vendor_end(vendor_name), key, &device_len);
		vendor_name = short_vendor(vendor_name, &vendor_len);
	}
	if (device_name)
		snprintf(buf, PCI_NAME_SIZE, "%.*s %.*s", (int)vendor_len, vendor_name,
			 (int)device_len, device_name);
	else if (vendor_name)
		snprintf(buf, PCI_NAME_SIZE, "%.*s %04x", (int)vendor_len, vendor_name,
			 device & 0xffff);
	else
		snprintf(buf, PCI_NAME_SIZE, "%04x:%04x", vendor & 0xffff, device & 0xffff);
	text_clean(buf);
}
