/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space by its two ways, ports and ECAM: root buses, root ports, and functions whose
 * BARs are moved about, over each other and over ECAM.
 */
#include "hostile_cpu.h"

#include <assert.h>
#include <stdlib.h>

#include "devices/chipset/q35_host.h"
#include "devices/pci/pci_assign.h"
#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_root.h"
#include "fake_vfio.h"

#define CF8       0xcf8u
#define ECAM      0xe0000000ull
#define ECAM_SIZE (256 * MiB)
#define PORTS     2u
#define FUNCTIONS 4u
#define STEPS_MAX 256u

/* Places of hostile_cpu.h. */
enum { DATA, CONFIG_HEAD, CONFIG_BEHIND, ALL_ECAM, PLACES };

struct function {
	struct pci_dev pci;
	struct bus_range ranges[PCI_BARS + 1];
};

static struct fake_machine m;
static struct pci_root root;
static struct pci_dev *host;
static struct pci_bridge *ports[PORTS];
static struct function functions[FUNCTIONS];

static uint64_t range_read(void *dev, uint64_t off, unsigned len)
{
	return off;
}

static void range_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static const struct bus_ops range_ops = { range_read, range_write, "a BAR" };

static void bar_map(struct pci_dev *dev, unsigned n)
{
	struct function *f = container_of(dev, struct function, pci);

	f->ranges[n] = (struct bus_range){ .base = dev->bars[n].addr,
					   .size = dev->bars[n].size,
					   .ops = &range_ops };
	(void)!bus_add_or_wait(dev->bars[n].kind == PCI_BAR_IO ? dev->board->pio : dev->board->mmio,
			       &f->ranges[n]);
}

static void bar_unmap(struct pci_dev *dev, unsigned n)
{
	struct function *f = container_of(dev, struct function, pci);

	bus_remove(dev->bars[n].kind == PCI_BAR_IO ? dev->board->pio : dev->board->mmio,
		   &f->ranges[n]);
}

static uint8_t reset_read(void *dev)
{
	return 0;
}

static void reset_write(void *dev, uint8_t val)
{
}

static void init_function(struct function *f, struct pci_bus *bus, uint8_t devfn)
{
	static const struct pci_dev_ops ops = { .bar_map = bar_map, .bar_unmap = bar_unmap };
	static const struct pci_ids ids = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0x030000, 1 };

	memset(f, 0, sizeof(*f));
	pci_dev_init(&f->pci, &m.board, &ops, &ids);
	pci_bar_init(&f->pci, 0, PCI_BAR_MEM32, 64 * KiB, false);
	pci_bar_init(&f->pci, 1, PCI_BAR_IO, 32, false);
	pci_bar_init(&f->pci, 2, PCI_BAR_MEM64, 256 * MiB, true);
	pci_bar_init(&f->pci, PCI_BAR_ROM, PCI_BAR_EXPROM, 128 * KiB, false);
	pci_add_cap(&f->pci, PCI_CAP_ID_VNDR, 16);
	pci_set_intx_pin(&f->pci, 1);
	pci_bus_add(bus, &f->pci, devfn);
}

static void init(void)
{
	static const struct pci_reset_port reset = { reset_read, reset_write, NULL };
	struct pci_bus *extra;
	int r;

	fake_vfio_init(&m);
	r = pci_root_init(&root, &m.board, CF8, &reset);
	assert(r == 0);
	r = q35_host_create(&m.board, pci_root_set_ecam, &root, &host);
	assert(r == 0);
	pci_bus_add(&root.bus, host, 0);
	extra = pci_root_add_bus(&root);
	for (unsigned i = 0; i < PORTS; i++) {
		r = pci_bridge_create(&m.board, (uint8_t)(i + 1), &ports[i]);
		assert(r == 0);
		pci_bus_add(i ? extra : &root.bus, &ports[i]->pci,
			    PCI_DEVFN(PCI_SLOT_FIRST_PORT + i, 0));
	}
	pci_root_number(&root);
	init_function(&functions[0], &root.bus, PCI_DEVFN(1, 0));
	init_function(&functions[1], &root.bus, PCI_DEVFN(1, 1));
	init_function(&functions[2], &ports[0]->bus, 0);
	init_function(&functions[3], &ports[1]->bus, 0);
}

static void fini(void)
{
	for (unsigned i = 0; i < FUNCTIONS; i++)
		pci_dev_fini(&functions[i].pci);
	for (unsigned i = 0; i < PORTS; i++)
		ports[i]->pci.device.ops->destroy(&ports[i]->pci.device);
	host->device.ops->destroy(&host->device);
	pci_root_fini(&root);
	fake_vfio_fini(&m);
}

/* A register by both ways; ECAM is where the input begins. */
size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	static const struct {
		unsigned devfn, reg;
		uint32_t val;
	} writes[] = {
		{ PCI_DEVFN(1, 0), PCI_BASE_ADDRESS_0, 0xc0000000 },
		{ PCI_DEVFN(1, 0), PCI_BASE_ADDRESS_2, UINT32_MAX },
		{ PCI_DEVFN(1, 1), PCI_BASE_ADDRESS_3, 0x40 },
		{ PCI_DEVFN(1, 0), PCI_COMMAND, 7 },
		{ PCI_DEVFN(PCI_SLOT_FIRST_PORT, 0), PCI_PRIMARY_BUS, 0x050100 },
		{ 0, Q35_PCIEXBAR, 0xb0000001 },
	};
	uint8_t *p = seed;

	if (nr == ARRAY_SIZE(writes))
		return 0;
	fuzz_put(&p, 1, nr);
	hostile_seed_write(&p, ALL_ECAM, writes[nr].devfn << 12 | writes[nr].reg, 4,
			   writes[nr].val);
	hostile_seed_write(&p, DATA, 0, 4, 1u << 31 | writes[nr].devfn << 8 | writes[nr].reg);
	hostile_seed_write(&p, DATA, 4, 4, writes[nr].val);
	hostile_seed_read(&p, DATA, 4, 4);
	hostile_seed_write(&p, CONFIG_HEAD, PCI_DEVFN(1, 0) << 12 | PCI_COMMAND, 2, 7);
	return (size_t)(p - seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pci_windows windows = { .io = { 0x1000, 0x10000 },
						    .mem32 = { 0x80000000, 0xe0000000 },
						    .mem64 = { 0x2000000000, 0x4000000000 } };
	const struct hostile_place places[PLACES] = {
		[DATA] = { &m.pio, CF8, 8 },
		[CONFIG_HEAD] = { &m.mmio, ECAM, 64 * KiB },
		[CONFIG_BEHIND] = { &m.mmio, ECAM + MiB, 4 * KiB },
		[ALL_ECAM] = { &m.mmio, ECAM, ECAM_SIZE },
	};
	struct fuzz_input in = { data, size };

	init();
	/* As a direct boot finds it, or as firmware does, but for ECAM. */
	if (fuzz_take(&in, 1) & 1 && pci_assign(&root, &windows) < 0)
		abort();
	pci_root_set_ecam(&root, true, ECAM, ECAM_SIZE);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		hostile_cpu_access(places, PLACES, &in);
	(void)pci_root_last_bus(&root);
	fini();
	return 0;
}
