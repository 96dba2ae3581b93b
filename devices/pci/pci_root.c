/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of the PCI tree: which function a configuration access reaches, by ports or by ECAM.
 * Accesses run on vCPUs, with the lock of the function that they reach.
 */
#include "devices/pci/pci_root.h"

#include <assert.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/pci/pci_bridge.h"

/* CF8 [PCI-3.0 Figure 3-2]. */
#define CONFIG_ADDRESS_ENABLE (1u << 31)
#define CONFIG_PORT_RESET     1u /* CF9, from CF8 */
#define CONFIG_PORT_DATA      4u /* CFC, from CF8 */
#define CONFIG_PORTS          8u

/* ECAM address bits [PCIe-5.0 Table 7-1]. */
#define ECAM_OFFSET_BITS 12
#define ECAM_BUS_SHIFT   20

struct pci_bus *pci_root_bus(struct pci_root *root, unsigned i)
{
	if (i > root->extra_count)
		return NULL;
	return i ? &root->extra[i - 1].bus : &root->bus;
}

unsigned pci_root_bus_nr(const struct pci_root *root, unsigned i)
{
	return i ? root->extra[i - 1].nr : 0;
}

struct pci_bus *pci_root_add_bus(struct pci_root *root)
{
	assert(root->extra_count < PCI_ROOT_EXTRA_MAX);
	return &root->extra[root->extra_count++].bus;
}

static unsigned bridges_on(const struct pci_bus *bus)
{
	unsigned count = 0;

	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++)
		count += bus->devs[devfn] && pci_bridge_of(bus->devs[devfn]);
	return count;
}

void pci_root_number(struct pci_root *root)
{
	unsigned nr = 1 + bridges_on(&root->bus);

	for (unsigned i = 0; i < root->extra_count; i++) {
		assert(nr <= UINT8_MAX);
		root->extra[i].nr = (uint8_t)nr;
		nr += 1 + bridges_on(&root->extra[i].bus);
	}
}

/* The bus that number `nr` reaches through a bridge on `bus`: those below have no bridges. */
static struct pci_bus *bus_below(struct pci_bus *bus, unsigned nr)
{
	for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++) {
		struct pci_dev *dev = bus->devs[devfn];
		struct pci_bridge *bridge = dev ? pci_bridge_of(dev) : NULL;
		uint8_t secondary;

		if (!bridge)
			continue;
		secondary = __atomic_load_n(&dev->config[PCI_SECONDARY_BUS], __ATOMIC_RELAXED);
		if (secondary && secondary == nr)
			return &bridge->bus;
	}
	return NULL;
}

/* A root bus before one below a bridge, should the guest give both the same number. */
static struct pci_bus *find_bus(struct pci_root *root, unsigned nr)
{
	struct pci_bus *found = NULL;

	for (unsigned i = 0; i <= root->extra_count; i++) {
		if (pci_root_bus_nr(root, i) == nr)
			return pci_root_bus(root, i);
	}
	for (unsigned i = 0; i <= root->extra_count && !found; i++)
		found = bus_below(pci_root_bus(root, i), nr);
	return found;
}

struct pci_dev *pci_root_find(struct pci_root *root, unsigned bus_nr, uint8_t devfn)
{
	struct pci_bus *bus = find_bus(root, bus_nr);

	return bus ? bus->devs[devfn] : NULL;
}

unsigned pci_root_last_bus(struct pci_root *root)
{
	unsigned last = 0;
	struct pci_bus *bus;

	for (unsigned i = 0; (bus = pci_root_bus(root, i)); i++) {
		last = MAX(last, pci_root_bus_nr(root, i));
		for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->devs); devfn++) {
			struct pci_dev *dev = bus->devs[devfn];

			if (dev && pci_bridge_of(dev))
				last = MAX(last, pci_function_read(dev, PCI_SUBORDINATE_BUS, 1));
		}
	}
	return last;
}

uint32_t pci_function_read(struct pci_dev *dev, unsigned off, unsigned len)
{
	uint32_t val;

	pthread_mutex_lock(&dev->lock);
	val = dev->ops->config_read ? dev->ops->config_read(dev, off, len)
				    : pci_config_read(dev, off, len);
	pthread_mutex_unlock(&dev->lock);
	return val;
}

void pci_function_write(struct pci_dev *dev, unsigned off, unsigned len, uint32_t val)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->ops->config_write)
		dev->ops->config_write(dev, off, len, val);
	else
		pci_config_write(dev, off, len, val);
	pthread_mutex_unlock(&dev->lock);
}

/* Accesses reach functions aligned and of at most a dword; others are split as a bridge would. */
static unsigned config_piece(unsigned off, unsigned len)
{
	if (len >= 4 && off % 4 == 0)
		return 4;
	return len >= 2 && off % 2 == 0 ? 2 : 1;
}

static uint64_t config_read(struct pci_dev *dev, unsigned off, unsigned len)
{
	uint64_t val = 0;

	if (config_piece(off, len) == len)
		return pci_function_read(dev, off, len);
	for (unsigned done = 0; done < len;) {
		unsigned piece = config_piece(off + done, len - done);

		val |= (uint64_t)pci_function_read(dev, off + done, piece) << (8 * done);
		done += piece;
	}
	return val;
}

static void config_write(struct pci_dev *dev, unsigned off, unsigned len, uint64_t val)
{
	if (config_piece(off, len) == len) {
		pci_function_write(dev, off, len, (uint32_t)val);
		return;
	}
	for (unsigned done = 0; done < len;) {
		unsigned piece = config_piece(off + done, len - done);

		pci_function_write(dev, off + done, piece,
				   (uint32_t)((val >> (8 * done)) & ones(piece)));
		done += piece;
	}
}

/* The function and offset that CF8 and an access to CFC..CFF select; NULL if none. */
static struct pci_dev *ports_target(struct pci_root *root, uint64_t off, unsigned *ret_reg)
{
	uint32_t address;

	pthread_mutex_lock(&root->lock);
	address = root->address;
	pthread_mutex_unlock(&root->lock);
	if (!(address & CONFIG_ADDRESS_ENABLE))
		return NULL;
	*ret_reg = (address & 0xfc) + (unsigned)(off - CONFIG_PORT_DATA);
	return pci_root_find(root, address >> 16 & 0xff, (uint8_t)(address >> 8));
}

static uint64_t ports_read(void *opaque, uint64_t off, unsigned len)
{
	struct pci_root *root = opaque;
	struct pci_dev *dev;
	uint64_t val = ones(len);
	unsigned reg = 0;

	if (off >= CONFIG_PORT_DATA) {
		dev = ports_target(root, off, &reg);
		return dev ? config_read(dev, reg, len) : val;
	}
	if (off == CONFIG_PORT_RESET && len == 1)
		return root->reset_port.read(root->reset_port.dev);
	if (off == 0 && len == 4) {
		pthread_mutex_lock(&root->lock);
		val = root->address;
		pthread_mutex_unlock(&root->lock);
	}
	return val;
}

static void ports_write(void *opaque, uint64_t off, unsigned len, uint64_t val)
{
	struct pci_root *root = opaque;
	struct pci_dev *dev;
	unsigned reg = 0;

	if (off >= CONFIG_PORT_DATA) {
		dev = ports_target(root, off, &reg);
		if (dev)
			config_write(dev, reg, len, val);
	} else if (off == CONFIG_PORT_RESET && len == 1) {
		root->reset_port.write(root->reset_port.dev, (uint8_t)val);
	} else if (off == 0 && len == 4) {
		pthread_mutex_lock(&root->lock);
		root->address = (uint32_t)val;
		pthread_mutex_unlock(&root->lock);
	}
}

static const struct bus_ops ports_ops = { ports_read, ports_write, "PCI configuration and reset" };

static struct pci_dev *ecam_target(struct pci_root *root, uint64_t off, unsigned *ret_reg)
{
	*ret_reg = off & (PCI_CONFIG_SIZE - 1);
	return pci_root_find(root, (unsigned)(off >> ECAM_BUS_SHIFT),
			     (uint8_t)(off >> ECAM_OFFSET_BITS));
}

/* A register access that would leave its function's 4 KiB reaches nothing. */
static uint64_t ecam_read(void *opaque, uint64_t off, unsigned len)
{
	unsigned reg;
	struct pci_dev *dev = ecam_target(opaque, off, &reg);

	return dev && range_fits(reg, len, PCI_CONFIG_SIZE) ? config_read(dev, reg, len)
							    : ones(len);
}

static void ecam_write(void *opaque, uint64_t off, unsigned len, uint64_t val)
{
	unsigned reg;
	struct pci_dev *dev = ecam_target(opaque, off, &reg);

	if (dev && range_fits(reg, len, PCI_CONFIG_SIZE))
		config_write(dev, reg, len, val);
}

static const struct bus_ops ecam_ops = { ecam_read, ecam_write, "PCI configuration" };

int pci_root_init(struct pci_root *root, const struct board *board, uint16_t base,
		  const struct pci_reset_port *reset_port)
{
	int r;

	*root = (struct pci_root){
		.board = board,
		.reset_port = *reset_port,
		.ports = { .base = base, .size = CONFIG_PORTS, .ops = &ports_ops, .dev = root },
		.ecam = { .ops = &ecam_ops, .dev = root },
	};
	pthread_mutex_init(&root->lock, NULL);
	r = bus_add(board->pio, &root->ports);
	return r < 0 ? err_sys(ERR_INTERNAL, r, "ports of PCI configuration space") : 0;
}

void pci_root_fini(struct pci_root *root)
{
	if (!root->board)
		return;
	bus_remove(root->board->mmio, &root->ecam);
	bus_remove(root->board->pio, &root->ports);
	pthread_mutex_destroy(&root->lock);
}

void pci_root_reset(struct pci_root *root)
{
	pthread_mutex_lock(&root->lock);
	root->address = 0;
	pthread_mutex_unlock(&root->lock);
	pci_root_set_ecam(root, false, 0, 0);
}

void pci_root_set_ecam(void *opaque, bool on, uint64_t base, uint64_t size)
{
	struct pci_root *root = opaque;
	struct bus *mmio = root->board->mmio;

	pthread_mutex_lock(&root->lock);
	bus_remove(mmio, &root->ecam);
	if (on) {
		root->ecam.base = base;
		root->ecam.size = size;
		if (bus_add(mmio, &root->ecam) < 0)
			log_guest("configuration space at 0x%llx collides with a device",
				  (unsigned long long)base);
	}
	pthread_mutex_unlock(&root->lock);
}

uint64_t pci_root_ecam_base(struct pci_root *root)
{
	uint64_t base;

	pthread_mutex_lock(&root->lock);
	base = root->ecam.added ? root->ecam.base : 0;
	pthread_mutex_unlock(&root->lock);
	return base;
}
