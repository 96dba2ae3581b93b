/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which GPUs of the host can reach each other, as its PCI tree in sysfs has them. Main thread.
 * [PCIe-5.0 6.12 Access Control Services, 7.7.8 ACS Extended Capability].
 *
 * With an IOMMU a request of one GPU to another goes up to the root complex, is translated, and
 * comes down again; a switch alone does not know the guest's addresses.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/clique.h"
#include "vfio/host_sysfs.h"

#define VENDOR_INTEL 0x8086u

/* Of AMD's first that counts, and of Hygon's after it. */
#define ZEN_FAMILY 0x17u

#define CPUINFO_START 512u

#define EXT_CAPS_MAX ((PCI_CONFIG_SIZE - PCI_CFG_SPACE_SIZE) / 8)

/* Where a device is: "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0". */
struct place {
	char path[PATH_MAX];
	size_t bridge_len; /* of the part up to the host bridge */
	size_t port_len;   /* and up to the root port */
};

static bool find_place(const char *root, struct pci_addr addr, struct place *ret_place)
{
	const char *p, *bridge = NULL;

	if (!realpath(host_sysfs_device(root, addr, "").s, ret_place->path))
		return false;
	/* The last one: a volume management device has another host bridge below it. */
	for (p = ret_place->path; (p = strstr(p, "/pci")); p++)
		bridge = p;
	if (!bridge)
		return false;
	p = bridge + 1 + strcspn(bridge + 1, "/");
	if (!*p)
		return false;
	ret_place->bridge_len = (size_t)(p - ret_place->path);
	p += 1 + strcspn(p + 1, "/");
	/* A device of the root complex itself is behind no port. */
	ret_place->port_len = *p ? (size_t)(p - ret_place->path) : 0;
	return ret_place->port_len != 0;
}

static bool is_gpu(const char *root, struct pci_addr addr)
{
	return host_sysfs_number(host_sysfs_device(root, addr, "vendor").s, 0) ==
		       PCI_VENDOR_NVIDIA &&
	       host_sysfs_number(host_sysfs_device(root, addr, "class").s, 0) >> 16 ==
		       PCI_CLASS_DISPLAY;
}

/* Egress control may forbid what routing allows; false also where root alone may look. */
static bool has_egress_control(const char *config)
{
	CLEANUP(closep) int fd = sys_open(config, O_RDONLY, 0);
	unsigned cap = PCI_CFG_SPACE_SIZE;
	uint8_t buf[4];

	for (unsigned i = 0; fd >= 0 && i < EXT_CAPS_MAX && cap >= PCI_CFG_SPACE_SIZE; i++) {
		uint32_t head;

		if (sys_pread_full(fd, buf, 4, cap) < 0)
			return false;
		head = (uint32_t)load_le(buf, 4);
		if (PCI_EXT_CAP_ID(head) == PCI_EXT_CAP_ID_ACS)
			return sys_pread_full(fd, buf, 2, cap + PCI_ACS_CTRL) == 0 &&
			       load_le(buf, 2) & PCI_ACS_EC;
		cap = PCI_EXT_CAP_NEXT(head);
	}
	return false;
}

/* Of all ports above the device. */
static bool is_restricted(const struct place *place)
{
	char dir[PATH_MAX], config[PATH_MAX + sizeof("/config")];

	strcpy(dir, place->path);
	for (;;) {
		*strrchr(dir, '/') = '\0';
		if (strlen(dir) <= place->bridge_len)
			return false;
		snprintf(config, sizeof(config), "%s/config", dir);
		if (has_egress_control(config))
			return true;
	}
}

/* The first processor is enough. */
static void read_cpuinfo(const char *root, char cpuinfo[CPUINFO_START + 1])
{
	CLEANUP(closep) int fd = sys_open(host_sysfs_path(root, "proc/cpuinfo").s, O_RDONLY, 0);
	ssize_t n = fd < 0 ? -1 : read(fd, cpuinfo, CPUINFO_START);

	cpuinfo[MAX(n, 0)] = '\0';
}

static unsigned cpu_family(const char *cpuinfo)
{
	const char *p = strstr(cpuinfo, "cpu family");

	p = p ? strchr(p, ':') : NULL;
	return p ? (unsigned)strtoul(p + 1, NULL, 10) : 0;
}

/*
 * Root complexes that forward requests from one root port to another of the same host bridge: those
 * that Linux trusts with it. [Linux: drivers/pci/p2pdma.c]
 */
static bool forwards_between_ports(const char *root, const struct place *place)
{
	static const uint16_t intel[] = {
		0x3c00, 0x3c01,                         /* Xeon E5 */
		0x2f00, 0x2f01,                         /* Xeon E5 v3, E7 v3 */
		0x2020, 0x2030, 0x2031, 0x2032, 0x2033, /* Skylake server */
		0x09a2,                                 /* Ice Lake server and later */
	};
	const char *name = place->path + place->bridge_len;
	char cpuinfo[CPUINFO_START + 1];
	struct host_sysfs_path first;
	unsigned domain, bus;
	uint64_t device;

	while (name > place->path && name[-1] != '/')
		name--;
	read_cpuinfo(root, cpuinfo);
	if (strstr(cpuinfo, "AuthenticAMD") || strstr(cpuinfo, "HygonGenuine"))
		return cpu_family(cpuinfo) >= ZEN_FAMILY;
	if (sscanf(name, "pci%x:%x", &domain, &bus) != 2)
		return false;
	first = host_sysfs_path(root, "sys/bus/pci/devices/%04x:%02x:00.0/vendor", domain, bus);
	if (host_sysfs_number(first.s, 0) != VENDOR_INTEL)
		return false;
	first = host_sysfs_path(root, "sys/bus/pci/devices/%04x:%02x:00.0/device", domain, bus);
	device = host_sysfs_number(first.s, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(intel); i++) {
		if (device == intel[i])
			return true;
	}
	return false;
}

static bool same_part(const struct place *a, size_t alen, const struct place *b, size_t blen)
{
	return alen == blen && strncmp(a->path, b->path, alen) == 0;
}

static bool can_reach(const char *root, const struct place *a, const struct place *b)
{
	if (is_restricted(a) || is_restricted(b))
		return false;
	if (same_part(a, a->port_len, b, b->port_len))
		return true;
	return same_part(a, a->bridge_len, b, b->bridge_len) && forwards_between_ports(root, a);
}

static bool can_members_reach(const char *root, const struct vfio_clique_member *a,
			      const struct vfio_clique_member *b)
{
	struct place pa, pb;

	return is_gpu(root, a->addr) && is_gpu(root, b->addr) && find_place(root, a->addr, &pa) &&
	       find_place(root, b->addr, &pb) && can_reach(root, &pa, &pb);
}

int vfio_clique_check(const char *root, struct pci_addr addr)
{
	if (is_gpu(root, addr))
		return 0;
	err_set(ERR_USAGE, -EINVAL, "--gpu %s: clique is for GPUs of NVIDIA",
		pci_addr_text(addr).s);
	err_hint("leave it away");
	return -EINVAL;
}

/* An ID that no other clique has, VFIO_CLIQUES if there is none. */
static unsigned free_id(const struct vfio_clique_member *members, unsigned count)
{
	uint32_t used = 0;
	unsigned id = 0;

	for (unsigned i = 0; i < count; i++) {
		if (members[i].clique.kind == VFIO_CLIQUE_ID)
			used |= 1u << members[i].clique.id;
	}
	while (id < VFIO_CLIQUES && used & 1u << id)
		id++;
	return id;
}

/* Puts the member and all later ones that it can reach in a clique, or in none. */
static void choose(const char *root, struct vfio_clique_member *members, unsigned count,
		   unsigned first)
{
	struct vfio_clique_member *m = &members[first];
	const unsigned id = free_id(members, count);

	m->clique.kind = VFIO_CLIQUE_NONE;
	for (unsigned i = first + 1; i < count && id < VFIO_CLIQUES; i++) {
		if (members[i].clique.kind != VFIO_CLIQUE_AUTO ||
		    !can_members_reach(root, m, &members[i]))
			continue;
		m->clique = members[i].clique = (struct vfio_clique){ VFIO_CLIQUE_ID, id };
		log_debug("%s and %s are in clique %u", pci_addr_text(m->addr).s,
			  pci_addr_text(members[i].addr).s, id);
	}
}

void vfio_clique_choose(const char *root, struct vfio_clique_member *members, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (members[i].clique.kind == VFIO_CLIQUE_AUTO)
			choose(root, members, count, i);
	}
}
