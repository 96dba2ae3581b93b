/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory is pinned while the guest runs: no device is a bus master before, and the thread
 * that pins maps all of it, ends early when it must, and hands over what went wrong.
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/cpu_set.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/pin.h"
#include "vfio/vfio_pci.h"
#include "vfio_guest.h"

#define DEADLINE_MS 10000
#define BANK_HIGH   (4 * GiB)
#define SLICE       (2 * MiB)

/* --- the device --- */

#define DRIVER_COMMAND (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

static void create_early(struct vfio_guest *f)
{
	(void)vm_take_hold(); /* of an earlier test */
	f->memory_later = true;
	vfio_guest_create(f);
	assert_false(vm_take_hold());
}

static void bus_mastering_waits_for_memory(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	vfio_guest_config_write(f, PCI_COMMAND, 2, DRIVER_COMMAND);
	/* The guest sees what it wrote, the device does not yet, and the vCPU waits. */
	assert_int_equal(vfio_guest_config_read(f, PCI_COMMAND, 2), DRIVER_COMMAND);
	assert_int_equal(fake_config(PCI_COMMAND, 2), DRIVER_COMMAND & ~PCI_COMMAND_MASTER);
	assert_true(vm_take_hold());
	vfio_pci_allow_dma(f->pci);
	assert_int_equal(fake_config(PCI_COMMAND, 2), DRIVER_COMMAND);
	/* From now on it is as ever. */
	vfio_guest_config_write(f, PCI_COMMAND, 2, 0);
	vfio_guest_config_write(f, PCI_COMMAND, 2, DRIVER_COMMAND);
	assert_int_equal(fake_config(PCI_COMMAND, 2), DRIVER_COMMAND);
	assert_false(vm_take_hold());
}

static void any_write_with_the_bit_waits(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	vfio_guest_config_write(f, PCI_COMMAND, 1, PCI_COMMAND_MASTER);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	assert_true(vm_take_hold());
	/* Of the other byte, by another vCPU: the bit is still on in what the guest sees. */
	vfio_guest_config_write(f, PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	assert_int_equal(fake_config(PCI_COMMAND, 2), PCI_COMMAND_INTX_DISABLE);
	assert_true(vm_take_hold());
	vfio_guest_config_write(f, PCI_COMMAND, 4, PCI_COMMAND_MASTER);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	assert_true(vm_take_hold());
}

static void other_writes_do_not_wait(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	vfio_guest_place_bars(f);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(fake_config(PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_false(vm_take_hold());
}

static void reset_before_memory_forgets_bus_mastering(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	vfio_guest_config_write(f, PCI_COMMAND, 2, DRIVER_COMMAND);
	vfio_guest_config_write(f, FAKE_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	vfio_pci_allow_dma(f->pci);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	vfio_guest_config_write(f, PCI_COMMAND, 2, DRIVER_COMMAND);
	assert_int_equal(fake_config(PCI_COMMAND, 2), DRIVER_COMMAND);
}

static void device_that_is_a_bus_master_by_itself_is_none_before_the_start(void **state)
{
	struct vfio_guest *f = *state;

	fake.device_flags = VFIO_DEVICE_FLAGS_PCI; /* no reset but the bus's, after it was opened */
	fake.affected_count = 1;
	fake.affected[0] = (struct vfio_pci_dependent_device){ .group_id = FAKE_GROUP, .bus = 1 };
	fake.command_after_reset = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	create_early(f);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	assert_int_equal(vfio_guest_config_read(f, PCI_COMMAND, 2), 0);
}

/* --- the thread --- */

static char log_text[1024];

void __wrap_log_msg(enum log_level level, const char *fmt, ...);
void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	size_t len = strlen(log_text);
	va_list ap;

	if (level > LOG_INFO)
		return;
	va_start(ap, fmt);
	vsnprintf(log_text + len, sizeof(log_text) - len, fmt, ap);
	va_end(ap);
}

static struct {
	struct vfio_pin *pin;
	int done_fd;
	sem_t mapping, go_on; /* posted when a mapping begins; waited for before it ends */
	unsigned absent;      /* pages that were not there when they were mapped */
} run;

/* A device, two banks, and slices of 2 MiB so that there are some. */
static void begin(struct vfio_guest *f)
{
	create_early(f);
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 2 * SLICE), 0);
	assert_int_equal(guest_mem_add(&f->m.mem, BANK_HIGH, 3 * SLICE), 0);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	f->iommu->slice_size = SLICE;
	log_text[0] = '\0';
	run.absent = 0;
	run.done_fd = sys_eventfd();
	assert_true(run.done_fd >= 0);
	sem_init(&run.mapping, 0, 0);
	sem_init(&run.go_on, 0, 0);
	assert_int_equal(vfio_pin_start(f->iommu, &f->m.mem, run.done_fd, &run.pin), 0);
}

static bool done(int ms)
{
	struct pollfd p = { .fd = run.done_fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void end(void)
{
	vfio_pin_stop(run.pin);
	close(run.done_fd);
	sem_destroy(&run.mapping);
	sem_destroy(&run.go_on);
}

static void wait_for(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_MS / 1000;
	assert_int_equal(sem_timedwait(sem, &until), 0);
}

static void all_of_each_bank_is_mapped_in_order(void **state)
{
	struct vfio_guest *f = *state;

	begin(f);
	assert_true(done(DEADLINE_MS));
	assert_int_equal(vfio_pin_result(run.pin), 0);
	end();
	assert_string_equal(fake.log, "dma+0x0/0x200000 dma+0x200000/0x200000 "
				      "dma+0x100000000/0x200000 dma+0x100200000/0x200000 "
				      "dma+0x100400000/0x200000");
	/* What is to be unmapped in the end is a bank each. */
	assert_int_equal(f->iommu->mapped_count, 2);
	assert_int_equal(f->iommu->mapped[0].iova, 0);
	assert_int_equal(f->iommu->mapped[0].size, 2 * SLICE);
	assert_int_equal(f->iommu->mapped[1].iova, BANK_HIGH);
	assert_int_equal(f->iommu->mapped[1].size, 3 * SLICE);
	assert_string_equal(log_text, "");
}

/* Each part is fetched by threads of its own, and no slice is of two. */
static void slices_end_where_parts_end(void **state)
{
	struct vfio_guest *f = *state;
	struct cpu_set cpus;

	create_early(f);
	assert_int_equal(cpu_set_allowed(&cpus), 0);
	f->m.mem.parts[0] = (struct mem_part){ 0, 2 * MiB, -1, false, &cpus };
	f->m.mem.parts[1] = (struct mem_part){ 2 * MiB, 2 * MiB, -1, false, NULL };
	f->m.mem.part_count = 2;
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 4 * MiB), 0);
	fake.maps_left = 2;
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), -ENOSPC);
	fake.maps_left = 3;
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	run.done_fd = sys_eventfd();
	assert_int_equal(vfio_pin_start(f->iommu, &f->m.mem, run.done_fd, &run.pin), 0);
	assert_true(done(DEADLINE_MS));
	vfio_pin_stop(run.pin);
	close(run.done_fd);
	assert_string_equal(fake.log, "dma+0x0/0x200000 dma+0x200000/0x200000");
	assert_int_equal(f->iommu->mapped_count, 1);
}

static void small_banks_are_one_mapping_each(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 2 * MiB), 0);
	assert_int_equal(guest_mem_add(&f->m.mem, BANK_HIGH, 4 * MiB), 0);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	run.done_fd = sys_eventfd();
	assert_int_equal(vfio_pin_start(f->iommu, &f->m.mem, run.done_fd, &run.pin), 0);
	assert_true(done(DEADLINE_MS));
	vfio_pin_stop(run.pin);
	close(run.done_fd);
	assert_string_equal(fake.log, "dma+0x0/0x200000 dma+0x100000000/0x400000");
}

/* Nothing is touched: banks are backed lazily. */
static void slices_grow_where_mappings_are_few(void **state)
{
	struct vfio_guest *f = *state;

	create_early(f);
	assert_int_equal(guest_mem_add(&f->m.mem, 0, 2 * GiB), 0);
	assert_int_equal(guest_mem_add(&f->m.mem, BANK_HIGH, 4 * GiB), 0);
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	assert_int_equal(f->iommu->slice_size, 256 * MiB);
	fake.maps_left = 6;
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	assert_int_equal(f->iommu->slice_size, 1 * GiB);
	fake.maps_left = 2;
	assert_int_equal(vfio_iommu_check_ram(f->iommu, &f->m.mem), 0);
	assert_int_equal(f->iommu->slice_size, 4 * GiB);
}

static void count_absent(const struct vfio_iommu_type1_dma_map *map)
{
	unsigned char in_core[SLICE / 4096];

	if (mincore((void *)(uintptr_t)map->vaddr, map->size, in_core) < 0)
		run.absent++;
	for (size_t i = 0; i < map->size / 4096; i++)
		run.absent += !(in_core[i] & 1);
}

static void pages_are_there_before_they_are_mapped(void **state)
{
	struct vfio_guest *f = *state;

	fake.on_map = count_absent;
	begin(f);
	assert_true(done(DEADLINE_MS));
	end();
	assert_int_equal(run.absent, 0);
}

static void wait_in_map(const struct vfio_iommu_type1_dma_map *map)
{
	sem_post(&run.mapping);
	wait_for(&run.go_on);
}

static void *post_later(void *arg)
{
	usleep(50000);
	sem_post(&run.go_on);
	return NULL;
}

static void stop_waits_for_one_mapping_and_no_more(void **state)
{
	struct vfio_guest *f = *state;
	pthread_t later;

	fake.on_map = wait_in_map;
	begin(f);
	wait_for(&run.mapping);
	assert_false(done(0));
	assert_int_equal(pthread_create(&later, NULL, post_later, NULL), 0);
	vfio_pin_stop(run.pin);
	run.pin = NULL;
	assert_false(done(0));
	pthread_join(later, NULL);
	assert_string_equal(fake.log, "dma+0x0/0x200000");
	/* It is unmapped in the end. */
	assert_int_equal(f->iommu->mapped_count, 1);
	assert_int_equal(f->iommu->mapped[0].size, SLICE);
	end();
}

static void device_can_be_reset_while_memory_is_mapped(void **state)
{
	struct vfio_guest *f = *state;

	fake.on_map = wait_in_map;
	begin(f);
	wait_for(&run.mapping);
	vfio_guest_config_write(f, PCI_COMMAND, 2, DRIVER_COMMAND);
	f->pci->device.ops->reset(&f->pci->device);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	for (unsigned i = 0; i < 5; i++)
		sem_post(&run.go_on);
	assert_true(done(DEADLINE_MS));
	assert_int_equal(vfio_pin_result(run.pin), 0);
	vfio_pci_allow_dma(f->pci);
	assert_int_equal(fake_config(PCI_COMMAND, 2), 0);
	end();
}

static void fail_the_third(const struct vfio_iommu_type1_dma_map *map)
{
	if (map->iova == BANK_HIGH)
		fake.map_error = -ENOMEM;
}

static void failed_mapping_is_handed_over(void **state)
{
	struct vfio_guest *f = *state;

	fake.on_map = fail_the_third;
	begin(f);
	assert_true(done(DEADLINE_MS));
	err_clear();
	assert_int_equal(vfio_pin_result(run.pin), -ENOMEM);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_text(), "0x100000000-0x1001fffff"));
	assert_non_null(strstr(err_hint_text(), "ulimit -l"));
	end();
	/* Nothing after it. */
	assert_string_equal(fake.log, "dma+0x0/0x200000 dma+0x200000/0x200000 "
				      "dma+0x100000000/0x200000");
}

static void map_slowly(const struct vfio_iommu_type1_dma_map *map)
{
	usleep(600000);
}

static void slow_pinning_tells_how_far_it_is(void **state)
{
	struct vfio_guest *f = *state;

	fake.on_map = map_slowly;
	begin(f);
	assert_true(done(DEADLINE_MS));
	end();
	assert_non_null(strstr(log_text, "pinned 4 of 10 MiB of guest memory for the devices"));
	assert_non_null(strstr(log_text, "pinned all 10 MiB of guest memory for the devices"));
	assert_null(strstr(log_text, "pinned 6 of"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bus_mastering_waits_for_memory),
		TEST(any_write_with_the_bit_waits),
		TEST(other_writes_do_not_wait),
		TEST(reset_before_memory_forgets_bus_mastering),
		TEST(device_that_is_a_bus_master_by_itself_is_none_before_the_start),
		TEST(all_of_each_bank_is_mapped_in_order),
		TEST(small_banks_are_one_mapping_each),
		TEST(slices_end_where_parts_end),
		TEST(slices_grow_where_mappings_are_few),
		TEST(pages_are_there_before_they_are_mapped),
		TEST(stop_waits_for_one_mapping_and_no_more),
		TEST(device_can_be_reset_while_memory_is_mapped),
		TEST(failed_mapping_is_handed_over),
		TEST(slow_pinning_tells_how_far_it_is),
	};

	return cmocka_run_group_tests_name("vfio_pci_dma", tests, NULL, NULL);
}
