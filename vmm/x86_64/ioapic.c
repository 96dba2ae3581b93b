/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC of guests with more than 255 vCPUs; see ioapic.h. */
#include "x86_64/ioapic.h"

#include "core/err.h"
#include "core/log.h"
#include "x86_64/layout.h"

/* Offsets in memory. */
#define IOREGSEL    0x00u
#define IOWIN       0x10u
#define IOEOI       0x40u
#define IOAPIC_SIZE 0x1000u

/* Registers behind IOWIN. */
#define IOAPICID      0x00u
#define IOAPICVER     0x01u
#define IOREDTBL      0x10u /* two a pin, the low half first */
#define ID_SHIFT      24
#define ID_MASK       0xfu
#define VERSION       0x20u
#define VERSION_SHIFT 16 /* of the number of the last pin */

/* A redirection table entry. */
#define ENTRY_VECTOR    0xffull
#define ENTRY_MODE      (7ull << 8)
#define ENTRY_LOGICAL   (1ull << 11)
#define ENTRY_STATUS    (1ull << 12) /* read-only: always idle */
#define ENTRY_REMOTE    (1ull << 14) /* read-only: delivered, and not done with */
#define ENTRY_LEVEL     (1ull << 15)
#define ENTRY_MASKED    (1ull << 16)
#define ENTRY_EXT(e)    ((e) >> 49 & 0x7f)
#define ENTRY_DEST(e)   ((e) >> 56)
#define ENTRY_READ_ONLY (ENTRY_STATUS | ENTRY_REMOTE)

/* [Intel-SDM 3A 11.11 Message Signalled Interrupts] */
#define MSI_BASE        0xfee00000ull
#define MSI_DEST_SHIFT  12
#define MSI_EXT_SHIFT   5
#define MSI_LOGICAL     (1u << 2)
#define MSI_DATA_ASSERT (1u << 14)
#define MSI_DATA_LEVEL  (1u << 15)

static uint64_t msi_address(uint64_t entry)
{
	return MSI_BASE | ENTRY_DEST(entry) << MSI_DEST_SHIFT | ENTRY_EXT(entry) << MSI_EXT_SHIFT |
	       (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0);
}

static uint32_t msi_data(uint64_t entry)
{
	return (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE)) | MSI_DATA_ASSERT |
	       (entry & ENTRY_LEVEL ? MSI_DATA_LEVEL : 0);
}

/* With the lock held. A level that nobody is done with yet comes when it is. */
static void deliver(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->entries[pin];

	if (*entry & (ENTRY_MASKED | ENTRY_REMOTE))
		return;
	if (*entry & ENTRY_LEVEL)
		*entry |= ENTRY_REMOTE;
	irq_signal(ioapic->irq, msi_address(*entry), msi_data(*entry));
}

static void deliver_level(struct ioapic *ioapic, unsigned pin)
{
	if ((ioapic->entries[pin] & ENTRY_LEVEL) && (ioapic->lines >> pin & 1))
		deliver(ioapic, pin);
}

static void ioapic_set_pin(void *opaque, unsigned pin, bool level)
{
	struct ioapic *ioapic = opaque;
	const uint32_t bit = 1u << pin;
	bool rises;

	pthread_mutex_lock(&ioapic->lock);
	rises = level && !(ioapic->lines & bit);
	ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
	if (rises)
		deliver(ioapic, pin);
	pthread_mutex_unlock(&ioapic->lock);
}

/* KVM has the entries as routes, to know of which vectors we want to hear the end. */
static void set_entry(struct ioapic *ioapic, unsigned pin, uint64_t entry)
{
	ioapic->entries[pin] = entry;
	if (!(entry & ENTRY_LEVEL))
		ioapic->entries[pin] &= ~ENTRY_REMOTE;
	if (irq_route_pin(ioapic->irq, pin, msi_address(entry), msi_data(entry)) < 0)
		log_error("IOAPIC pin %u: no route", pin);
	deliver_level(ioapic, pin);
}

static void write_register(struct ioapic *ioapic, uint32_t val)
{
	const unsigned index = ioapic->select - IOREDTBL, pin = index / 2;
	uint64_t entry;

	if (ioapic->select == IOAPICID)
		ioapic->id = val >> ID_SHIFT & ID_MASK;
	if (ioapic->select < IOREDTBL || pin >= IRQ_LINES)
		return;
	entry = ioapic->entries[pin];
	if (index % 2)
		entry = (entry & UINT32_MAX) | (uint64_t)val << 32;
	else
		entry = (entry & ~(uint64_t)UINT32_MAX) | (val & ~ENTRY_READ_ONLY) |
			(entry & ENTRY_READ_ONLY);
	set_entry(ioapic, pin, entry);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	const unsigned index = ioapic->select - IOREDTBL;

	switch (ioapic->select) {
	case IOAPICID:
		return (uint32_t)ioapic->id << ID_SHIFT;
	case IOAPICVER:
		return VERSION | (IRQ_LINES - 1) << VERSION_SHIFT;
	default:
		if (ioapic->select < IOREDTBL || index / 2 >= IRQ_LINES)
			return 0;
		return (uint32_t)(ioapic->entries[index / 2] >> (index % 2 ? 32 : 0));
	}
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned len)
{
	struct ioapic *ioapic = dev;
	uint32_t val = 0;

	pthread_mutex_lock(&ioapic->lock);
	if (off == IOREGSEL)
		val = ioapic->select;
	else if (off == IOWIN)
		val = read_register(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	return val & ones(len);
}

static void ioapic_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct ioapic *ioapic = dev;

	if (off == IOEOI) {
		ioapic_eoi(ioapic, (uint8_t)val);
		return;
	}
	pthread_mutex_lock(&ioapic->lock);
	if (off == IOREGSEL)
		ioapic->select = (uint8_t)val;
	else if (off == IOWIN && len == 4)
		write_register(ioapic, (uint32_t)val);
	pthread_mutex_unlock(&ioapic->lock);
}

static const struct bus_ops ioapic_ops = { ioapic_read, ioapic_write, "IOAPIC" };

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	pthread_mutex_lock(&ioapic->lock);
	for (unsigned pin = 0; pin < IRQ_LINES; pin++) {
		uint64_t *entry = &ioapic->entries[pin];

		if (!(*entry & ENTRY_REMOTE) || (*entry & ENTRY_VECTOR) != vector)
			continue;
		*entry &= ~ENTRY_REMOTE;
		deliver_level(ioapic, pin);
	}
	pthread_mutex_unlock(&ioapic->lock);
}

void ioapic_reset(struct ioapic *ioapic)
{
	pthread_mutex_lock(&ioapic->lock);
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned pin = 0; pin < IRQ_LINES; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
	pthread_mutex_unlock(&ioapic->lock);
}

int ioapic_init(struct ioapic *ioapic, struct irq *irq, int vm_fd, struct bus *mmio)
{
	int r;

	*ioapic = (struct ioapic){ .irq = irq };
	pthread_mutex_init(&ioapic->lock, NULL);
	ioapic_reset(ioapic);
	ioapic->range = (struct bus_range){
		.base = IOAPIC_BASE,
		.size = IOAPIC_SIZE,
		.ops = &ioapic_ops,
		.dev = ioapic,
	};
	r = irq_init_pins(irq, vm_fd, ioapic_set_pin, ioapic);
	if (r < 0)
		return r;
	r = bus_add(mmio, &ioapic->range);
	return r < 0 ? err_sys(ERR_INTERNAL, r, "the IOAPIC's registers") : 0;
}

void ioapic_fini(struct ioapic *ioapic)
{
	pthread_mutex_destroy(&ioapic->lock);
}
