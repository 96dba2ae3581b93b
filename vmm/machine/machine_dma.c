/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM for the DMA of passed-through devices: pinned in the background, so that the guest's
 * first instruction does not wait for it. Main thread.
 */
#include "core/err.h"
#include "core/sys.h"
#include "core/timings.h"
#include "machine/machine.h"
#include "vfio/iommu.h"
#include "vfio/pin.h"
#include "vfio/vfio_pci.h"

/* All is pinned, or cannot be. */
static void pinned_ready(struct loop_source *source)
{
	struct machine *machine = container_of(source, struct machine, pinned);

	sys_eventfd_drain(source->fd);
	if (vfio_pin_result(machine->pin) < 0) {
		err_save(&machine->failure);
		machine_end(machine, MACHINE_FAILED);
		return;
	}
	for (unsigned i = 0; i < machine->gpu_count; i++)
		vfio_pci_allow_dma(machine->gpus[i]);
	timings_mark(TIMINGS_MEMORY_PINNED);
	vcpus_release(&machine->vcpus);
}

int machine_init_dma(struct machine *machine)
{
	int r;

	machine->pinned = (struct loop_source){ -1, pinned_ready };
	if (!machine->iommu)
		return 0;
	r = vfio_iommu_check_ram(machine->iommu, &machine->mem);
	if (r < 0)
		return r;
	machine->pinned.fd = sys_eventfd();
	if (machine->pinned.fd < 0)
		return err_sys(ERR_LIMIT, machine->pinned.fd, "create an eventfd");
	return loop_add(&machine->loop, &machine->pinned);
}

int machine_start_dma(struct machine *machine)
{
	if (!machine->iommu)
		return 0;
	return vfio_pin_start(machine->iommu, &machine->mem, machine->pinned.fd, &machine->pin);
}

void machine_fini_dma(struct machine *machine)
{
	vfio_pin_stop(machine->pin);
	machine->pin = NULL;
	if (machine->pinned.fd >= 0)
		loop_remove(&machine->loop, &machine->pinned);
	close_fd(&machine->pinned.fd);
}
