/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A passed-through device, whose host is a fake, under a guest that writes its configuration space,
 * its MSI-X table and its BARs, moves them and resets.
 */
#include "hostile_cpu.h"

#include <stdlib.h>

#include "vfio_guest.h"

#define STEPS_MAX 256u

enum { ACCESS, CONFIG_READ, CONFIG_WRITE, VECTOR, PLACE, RESET, BUS_RESET, STEPS };

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	uint8_t *p = seed;

	switch (nr) {
	case 0: /* MSI-X on, a vector set, unmasked and masked */
		fuzz_put(&p, 1, CONFIG_WRITE);
		fuzz_put(&p, 1, 1);
		fuzz_put(&p, 2, FAKE_MSIX + PCI_MSIX_FLAGS);
		fuzz_put(&p, 2, PCI_MSIX_FLAGS_ENABLE);
		for (unsigned i = 0; i < 3; i++) {
			fuzz_put(&p, 1, VECTOR);
			fuzz_put(&p, 1, 3);
			fuzz_put(&p, 1, i & 1);
		}
		break;
	case 1: /* MSI */
		for (unsigned off = 4; off < 16; off += 4) {
			fuzz_put(&p, 1, CONFIG_WRITE);
			fuzz_put(&p, 1, 2);
			fuzz_put(&p, 2, FAKE_MSI + off);
			fuzz_put(&p, 4, 0xfee00000);
		}
		fuzz_put(&p, 1, CONFIG_WRITE);
		fuzz_put(&p, 1, 1);
		fuzz_put(&p, 2, FAKE_MSI + PCI_MSI_FLAGS);
		fuzz_put(&p, 2, PCI_MSI_FLAGS_ENABLE | 1u << 4);
		break;
	case 2: /* the table itself, and ports */
		fuzz_put(&p, 1, ACCESS);
		hostile_seed_write(&p, 1, 12, 4, 0);
		fuzz_put(&p, 1, ACCESS);
		hostile_seed_write(&p, 1, 0, 8, 0xfee00000);
		fuzz_put(&p, 1, ACCESS);
		hostile_seed_read(&p, 2, 4, 4);
		break;
	case 3: /* a function's reset, D3, then the BARs again */
		fuzz_put(&p, 1, CONFIG_WRITE);
		fuzz_put(&p, 1, 1);
		fuzz_put(&p, 2, FAKE_EXP + PCI_EXP_DEVCTL);
		fuzz_put(&p, 2, PCI_EXP_DEVCTL_BCR_FLR);
		fuzz_put(&p, 1, CONFIG_WRITE);
		fuzz_put(&p, 1, 1);
		fuzz_put(&p, 2, FAKE_PM + PCI_PM_CTRL);
		fuzz_put(&p, 2, 3);
		fuzz_put(&p, 1, PLACE);
		fuzz_put(&p, 1, BUS_RESET);
		fuzz_put(&p, 1, RESET);
		break;
	}
	return (size_t)(p - seed);
}

static void step(struct vfio_guest *f, struct fuzz_input *in)
{
	const struct hostile_place places[] = {
		{ &f->m.mmio, VFIO_GUEST_BAR0, 64 * KiB },
		{ &f->m.mmio, VFIO_GUEST_BAR0 + FAKE_TABLE, 16 * PCI_MSIX_ENTRY_SIZE },
		{ &f->m.pio, VFIO_GUEST_BAR4, 128 },
		{ &f->m.mmio, VFIO_GUEST_BAR2, MiB },
	};
	unsigned len, off;

	switch (fuzz_below(in, STEPS)) {
	case ACCESS:
		hostile_cpu_access(places, ARRAY_SIZE(places), in);
		break;
	case CONFIG_READ:
		len = 1u << fuzz_below(in, 3);
		off = (unsigned)align_down(fuzz_take(in, 2) % PCI_CONFIG_SIZE, len);
		(void)vfio_guest_config_read(f, off, len);
		break;
	case CONFIG_WRITE:
		len = 1u << fuzz_below(in, 3);
		off = (unsigned)align_down(fuzz_take(in, 2) % PCI_CONFIG_SIZE, len);
		vfio_guest_config_write(f, off, len, (uint32_t)fuzz_take(in, len));
		break;
	case VECTOR:
		off = fuzz_below(in, 16);
		vfio_guest_set_vector(f, off, fuzz_take(in, 1) & 1);
		break;
	case PLACE:
		vfio_guest_place_bars(f);
		vfio_guest_config_write(f, PCI_COMMAND, 2,
					PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		break;
	case RESET:
		f->pci->device.ops->reset(&f->pci->device);
		break;
	default:
		pthread_mutex_lock(&f->pci->lock);
		f->pci->ops->bus_reset(f->pci);
		pthread_mutex_unlock(&f->pci->lock);
	}
	/* Nobody reads what the host was asked for. */
	fake_clear_log();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	void *state;
	struct vfio_guest *f;

	if (vfio_guest_setup(&state) < 0)
		abort();
	f = state;
	vfio_guest_start(f);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(f, &in);
	return vfio_guest_teardown(&state);
}
