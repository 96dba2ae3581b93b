/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses for everything on PCI; see pci_assign.h. */
#include "devices/pci/pci_assign.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/pci/pci_bridge.h"

/* What a bridge's windows are multiples of. [PCI-PCI-Bridge-1.2 3.2.5.6, 3.2.5.8] */
#define IO_GRANULARITY  (4 * KiB)
#define MEM_GRANULARITY MiB

/* All functions of bus 0, each with all of its BARs; and those below as many bridges. */
#define SLOT_FUNCTIONS 8u
#define NODES_MAX      (256u * (PCI_BARS + 1))

enum space { SPACE_IO, SPACE_MEM32, SPACE_MEM64, SPACES };

static const char *const space_names[SPACES] = { "I/O", "32-bit memory", "64-bit memory" };

/* Something that wants addresses: a BAR, or all of a bridge's in one space. */
struct node {
	struct pci_dev *dev;
	unsigned bar; /* BAR_WINDOW: the bridge's window */
	uint64_t size, align;
	uint64_t addr;
};
#define BAR_WINDOW (PCI_BAR_ROM + 1u)

struct list {
	struct node nodes[NODES_MAX];
	unsigned count;
};

static enum space bar_space(const struct pci_dev *dev, unsigned n)
{
	const struct pci_bar *bar = &dev->bars[n];

	switch (bar->kind) {
	case PCI_BAR_IO:
		return SPACE_IO;
	case PCI_BAR_MEM64:
		return bar->prefetch || !dev->bus->bridge ? SPACE_MEM64 : SPACE_MEM32;
	case PCI_BAR_NONE:
	case PCI_BAR_MEM32:
	case PCI_BAR_EXPROM:
		break;
	}
	return SPACE_MEM32;
}

static void add_node(struct list *list, struct node node)
{
	if (list->count < NODES_MAX)
		list->nodes[list->count++] = node;
}

static void add_bars(struct list *list, struct pci_dev *dev, enum space space)
{
	for (unsigned n = 0; n <= PCI_BAR_ROM; n++) {
		const struct pci_bar *bar = &dev->bars[n];

		if (bar->kind != PCI_BAR_NONE && bar_space(dev, n) == space)
			add_node(list, (struct node){ dev, n, bar->size, bar->size, 0 });
	}
}

/* The largest alignment first; what has the same stays in the order of the bus. */
static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	if (x->align != y->align)
		return x->align < y->align ? 1 : -1;
	if (x->dev->devfn != y->dev->devfn)
		return x->dev->devfn < y->dev->devfn ? -1 : 1;
	return x->bar < y->bar ? -1 : x->bar > y->bar;
}

/* Places all in a row from `base` on; where the last ends. */
static uint64_t place(struct list *list, uint64_t base)
{
	qsort(list->nodes, list->count, sizeof(list->nodes[0]), compare_nodes);
	for (unsigned i = 0; i < list->count; i++) {
		struct node *node = &list->nodes[i];

		node->addr = align_up(base, node->align);
		base = node->addr + node->size;
	}
	return base;
}

static void write_bar(struct pci_dev *dev, unsigned n, uint64_t addr)
{
	const unsigned reg = n == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * n;

	pci_function_write(dev, reg, 4, (uint32_t)addr);
	if (dev->bars[n].kind == PCI_BAR_MEM64)
		pci_function_write(dev, reg + 4, 4, (uint32_t)(addr >> 32));
}

/* The functions behind a bridge that want `space`. */
static void collect_below(struct list *list, struct pci_bridge *bridge, enum space space)
{
	list->count = 0;
	for (unsigned fn = 0; fn < ARRAY_SIZE(bridge->bus.devs); fn++) {
		if (bridge->bus.devs[fn])
			add_bars(list, bridge->bus.devs[fn], space);
	}
}

/* A bridge with nothing in a space has its window closed: the base above the limit. */
static void write_window(struct pci_dev *dev, enum space space, uint64_t base, uint64_t size)
{
	const uint64_t last = base + size - 1;

	switch (space) {
	case SPACE_IO:
		pci_function_write(dev, PCI_IO_BASE, 1, size ? base >> 8 & 0xf0 : 0xf0);
		pci_function_write(dev, PCI_IO_LIMIT, 1, size ? last >> 8 & 0xf0 : 0);
		break;
	case SPACE_MEM32:
		pci_function_write(dev, PCI_MEMORY_BASE, 2, size ? base >> 16 & 0xfff0 : 0xfff0);
		pci_function_write(dev, PCI_MEMORY_LIMIT, 2, size ? last >> 16 & 0xfff0 : 0);
		break;
	default:
		pci_function_write(dev, PCI_PREF_MEMORY_BASE, 2,
				   size ? base >> 16 & 0xfff0 : 0xfff0);
		pci_function_write(dev, PCI_PREF_MEMORY_LIMIT, 2, size ? last >> 16 & 0xfff0 : 0);
		pci_function_write(dev, PCI_PREF_BASE_UPPER32, 4, size ? base >> 32 : 0);
		pci_function_write(dev, PCI_PREF_LIMIT_UPPER32, 4, size ? last >> 32 : 0);
		break;
	}
}

static void add_window(struct list *list, struct list *below, struct pci_bridge *bridge,
		       enum space space)
{
	struct node node = { &bridge->pci, BAR_WINDOW, 0, 0, 0 };

	node.align = space == SPACE_IO ? IO_GRANULARITY : MEM_GRANULARITY;
	write_window(&bridge->pci, space, 0, 0);
	collect_below(below, bridge, space);
	if (below->count == 0)
		return;
	for (unsigned i = 0; i < below->count; i++)
		node.align = MAX(node.align, below->nodes[i].align);
	node.size = align_up(place(below, 0), space == SPACE_IO ? IO_GRANULARITY : MEM_GRANULARITY);
	add_node(list, node);
}

static void apply(const struct node *node, struct list *below, enum space space)
{
	if (node->bar != BAR_WINDOW) {
		write_bar(node->dev, node->bar, node->addr);
		return;
	}
	write_window(node->dev, space, node->addr, node->size);
	collect_below(below, pci_bridge_of(node->dev), space);
	place(below, node->addr);
	for (unsigned i = 0; i < below->count; i++)
		write_bar(below->nodes[i].dev, below->nodes[i].bar, below->nodes[i].addr);
}

static void add_bus(struct list *list, struct list *below, struct pci_bus *bus, enum space space)
{
	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++) {
		struct pci_dev *dev = bus->devs[devfn];
		struct pci_bridge *bridge = dev ? pci_bridge_of(dev) : NULL;

		if (!dev)
			continue;
		add_bars(list, dev, space);
		if (bridge)
			add_window(list, below, bridge, space);
	}
}

static int assign_space(struct pci_root *root, enum space space, struct pci_window window,
			struct list *list, struct list *below)
{
	struct pci_bus *bus;

	list->count = 0;
	for (unsigned i = 0; (bus = pci_root_bus(root, i)); i++)
		add_bus(list, below, bus, space);
	if (list->count && place(list, window.base) > window.end) {
		/* Drivers of today do without ports. */
		if (space == SPACE_IO) {
			log_limited(LOG_WARN,
				    "the I/O BARs of all devices do not fit in the guest's "
				    "ports: they stay off");
			return 0;
		}
		err_set(ERR_LIMIT, -ENOSPC, "the BARs of all devices do not fit in %llu MiB of %s",
			(unsigned long long)((window.end - window.base) / MiB), space_names[space]);
		err_hint("pass fewer devices through");
		return -ENOSPC;
	}
	for (unsigned i = 0; i < list->count; i++)
		apply(&list->nodes[i], below, space);
	return 0;
}

/* The line is the GSI, as far as its register can tell a number. */
static void enable_function(struct pci_dev *dev)
{
	uint32_t command = 0;

	if (dev->config[PCI_INTERRUPT_PIN])
		pci_function_write(dev, PCI_INTERRUPT_LINE, 1, dev->intx.gsi);
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (dev->bars[n].kind == PCI_BAR_IO)
			command |= PCI_COMMAND_IO;
		else if (dev->bars[n].kind != PCI_BAR_NONE)
			command |= PCI_COMMAND_MEMORY;
	}
	if (pci_bridge_of(dev))
		command |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	pci_function_write(dev, PCI_COMMAND, 2, command);
}

static void enable_bus(struct pci_bus *bus)
{
	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++) {
		struct pci_dev *dev = bus->devs[devfn];

		if (!dev)
			continue;
		enable_function(dev);
		if (pci_bridge_of(dev))
			enable_bus(&pci_bridge_of(dev)->bus);
	}
}

/* Below a root bus, one after the other. */
static void number_buses(struct pci_bus *bus, unsigned nr)
{
	unsigned next = nr + 1;

	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++) {
		struct pci_dev *dev = bus->devs[devfn];

		if (!dev || !pci_bridge_of(dev))
			continue;
		pci_function_write(dev, PCI_PRIMARY_BUS, 1, nr);
		pci_function_write(dev, PCI_SECONDARY_BUS, 1, next);
		pci_function_write(dev, PCI_SUBORDINATE_BUS, 1, next);
		next++;
	}
}

int pci_assign(struct pci_root *root, const struct pci_windows *windows)
{
	const struct pci_window *const all[SPACES] = { &windows->io, &windows->mem32,
						       &windows->mem64 };
	static struct list own, below; /* too large for a stack, and mostly never touched */
	struct pci_bus *bus;
	int r = 0;

	for (unsigned i = 0; (bus = pci_root_bus(root, i)); i++)
		number_buses(bus, pci_root_bus_nr(root, i));
	for (unsigned space = 0; space < SPACES && r == 0; space++)
		r = assign_space(root, space, *all[space], &own, &below);
	for (unsigned i = 0; r == 0 && (bus = pci_root_bus(root, i)); i++)
		enable_bus(bus);
	return r;
}
