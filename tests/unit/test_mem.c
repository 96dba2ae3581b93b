/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM banks: what mem_ptr gives out and refuses. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "core/err.h"
#include "core/mem.h"

#define LOW_SIZE  (4 * MiB)
#define HIGH_BASE (4 * GiB)
#define HIGH_SIZE (2 * MiB)

static int two_banks(void **state)
{
	static struct guest_mem mem;

	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, 0, LOW_SIZE), 0);
	assert_int_equal(guest_mem_add(&mem, HIGH_BASE, HIGH_SIZE), 0);
	*state = &mem;
	return 0;
}

static int no_banks(void **state)
{
	guest_mem_fini(*state);
	return 0;
}

static void range_inside_a_bank(void **state)
{
	struct guest_mem *mem = *state;

	assert_ptr_equal(mem_ptr(mem, 0, LOW_SIZE), mem->banks[0].hva);
	assert_ptr_equal(mem_ptr(mem, HIGH_BASE + 5, 1), mem->banks[1].hva + 5);
	assert_non_null(mem_ptr(mem, LOW_SIZE - 1, 1));
}

static void range_across_an_end_is_refused(void **state)
{
	struct guest_mem *mem = *state;

	assert_null(mem_ptr(mem, LOW_SIZE - 1, 2));
	assert_null(mem_ptr(mem, LOW_SIZE, 1));
	assert_null(mem_ptr(mem, HIGH_BASE - 1, 2));
	assert_null(mem_ptr(mem, HIGH_BASE + HIGH_SIZE, 1));
}

static void length_that_wraps_is_refused(void **state)
{
	struct guest_mem *mem = *state;

	assert_null(mem_ptr(mem, 16, UINT64_MAX));
	assert_null(mem_ptr(mem, UINT64_MAX, 2));
	assert_null(mem_ptr(mem, HIGH_BASE, UINT64_MAX - HIGH_BASE + 1));
}

static void copies_in_and_out(void **state)
{
	struct guest_mem *mem = *state;
	uint32_t in = 0x12345678, out = 0;

	assert_true(mem_write(mem, HIGH_BASE + 3, &in, sizeof(in)));
	assert_true(mem_read(mem, HIGH_BASE + 3, &out, sizeof(out)));
	assert_int_equal(out, in);
	assert_false(mem_write(mem, LOW_SIZE - 2, &in, sizeof(in)));
	assert_false(mem_read(mem, LOW_SIZE - 2, &out, sizeof(out)));
}

static void host_address_is_congruent_for_huge_pages(void **state)
{
	struct guest_mem *mem = *state;

	for (unsigned i = 0; i < mem->count; i++)
		assert_int_equal((uintptr_t)mem->banks[i].hva % (2 * MiB),
				 mem->banks[i].gpa % (2 * MiB));
}

/* Kernels before 5.14 do not know how to fetch pages without a write. */
static bool old_kernel;
int __real_madvise(void *p, size_t len, int advice);
int __wrap_madvise(void *p, size_t len, int advice);
int __wrap_madvise(void *p, size_t len, int advice)
{
	if (old_kernel && advice > MADV_DONTDUMP && advice != MADV_DODUMP) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(p, len, advice);
}

static unsigned pages_present(uint8_t *p, size_t len)
{
	unsigned char in_core[HIGH_SIZE / 4096];
	unsigned count = 0;

	assert_int_equal(mincore(p, len, in_core), 0);
	for (size_t i = 0; i < len / 4096; i++)
		count += in_core[i] & 1;
	return count;
}

static void populates(struct guest_mem *mem)
{
	uint8_t *p = mem->banks[1].hva;

	/* What an earlier test left. */
	assert_int_equal(madvise(p, HIGH_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(madvise(p, HIGH_SIZE, MADV_NOHUGEPAGE), 0);
	p[5 * 4096] = 0xa5;
	assert_int_equal(pages_present(p, HIGH_SIZE), 1);
	mem_populate(mem, p, HIGH_SIZE / 2);
	assert_int_equal(pages_present(p, HIGH_SIZE / 2), HIGH_SIZE / 2 / 4096);
	assert_int_equal(pages_present(p + HIGH_SIZE / 2, HIGH_SIZE / 2), 0);
	assert_int_equal(p[5 * 4096], 0xa5);
	assert_int_equal(p[6 * 4096], 0);
}

static void populating_fetches_pages_and_keeps_what_is_in_use(void **state)
{
	populates(*state);
}

static void populating_works_on_older_kernels(void **state)
{
	old_kernel = true;
	populates(*state);
	old_kernel = false;
}

/* Reserved pages, as if there were any. */
static bool have_reserved;
static unsigned reserved_maps;
void *__real_mmap64(void *p, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *p, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *p, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!(flags & MAP_HUGETLB))
		return __real_mmap64(p, len, prot, flags, fd, off);
	assert_true(flags & MAP_SHARED);
	assert_true(flags & MAP_FIXED);
	assert_int_equal(flags & (MAP_HUGE_2MB | MAP_HUGE_1GB), MAP_HUGE_2MB);
	if (!have_reserved) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	reserved_maps++;
	flags &= ~(MAP_HUGETLB | MAP_HUGE_2MB | MAP_HUGE_1GB);
	return __real_mmap64(p, len, prot, flags, fd, off);
}

static void reserved_pages_are_mapped_shared_and_aligned(void **state)
{
	struct guest_mem mem;

	have_reserved = true;
	guest_mem_init(&mem);
	mem.page_size = 2 * MiB;
	assert_int_equal(guest_mem_add(&mem, 0, LOW_SIZE), 0);
	assert_int_equal(guest_mem_add(&mem, HIGH_BASE, HIGH_SIZE), 0);
	assert_int_equal(reserved_maps, 2);
	assert_int_equal((uintptr_t)mem.banks[0].hva % (2 * MiB), 0);
	mem.banks[1].hva[HIGH_SIZE - 1] = 1;
	guest_mem_fini(&mem);
}

static void reserved_pages_that_are_gone_are_an_error(void **state)
{
	struct guest_mem mem;

	have_reserved = false;
	guest_mem_init(&mem);
	mem.page_size = 2 * MiB;
	assert_int_equal(guest_mem_add(&mem, 0, LOW_SIZE), -ENOMEM);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_int_equal(mem.count, 0);
	guest_mem_fini(&mem);
}

static int policy_at(const uint8_t *p)
{
	int mode = -1;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, p, MPOL_F_ADDR) < 0 ? -errno : mode;
}

static void parts_are_bound_to_their_nodes(void **state)
{
	static const struct mem_part parts[] = {
		{ 0, 2 * MiB, 0, true, NULL },
		{ 2 * MiB, HIGH_BASE, 0, false, NULL }, /* over the end of the bank */
		{ HIGH_BASE + 2 * MiB, 2 * MiB, -1, false, NULL },
	};
	struct guest_mem mem;

	guest_mem_init(&mem);
	if (policy_at((uint8_t *)&mem) == -ENOSYS) {
		print_message("this kernel has no NUMA\n");
		skip();
	}
	memcpy(mem.parts, parts, sizeof(parts));
	mem.part_count = ARRAY_SIZE(parts);
	assert_int_equal(guest_mem_add(&mem, 0, LOW_SIZE), 0);
	assert_int_equal(guest_mem_add(&mem, HIGH_BASE, 4 * MiB), 0);
	assert_int_equal(policy_at(mem.banks[0].hva), MPOL_BIND);
	assert_int_equal(policy_at(mem.banks[0].hva + 2 * MiB - 1), MPOL_BIND);
	assert_int_equal(policy_at(mem.banks[0].hva + 2 * MiB), MPOL_PREFERRED);
	assert_int_equal(policy_at(mem.banks[1].hva), MPOL_PREFERRED);
	assert_int_equal(policy_at(mem.banks[1].hva + 2 * MiB), MPOL_DEFAULT);
	assert_ptr_equal(mem_part_of(&mem, 2 * MiB), &mem.parts[1]);
	assert_ptr_equal(mem_part_of(&mem, HIGH_BASE + 4 * MiB - 1), &mem.parts[2]);
	assert_null(mem_part_of(&mem, HIGH_BASE + 4 * MiB));
	guest_mem_fini(&mem);
}

/* What the other process of the file does to it is ours too; what would pull it away fails. */
static void shared_memory_is_one_with_its_file(void **state)
{
	struct guest_mem mem;
	uint8_t *other;
	int fd;

	guest_mem_init(&mem);
	mem.shared = true;
	assert_int_equal(guest_mem_add(&mem, 0, LOW_SIZE), 0);
	assert_int_equal(guest_mem_add(&mem, HIGH_BASE, HIGH_SIZE), 0);
	fd = mem.banks[1].fd;
	assert_true(fd >= 0 && fd != mem.banks[0].fd);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	other = mmap(NULL, HIGH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(other[HIGH_SIZE - 1], 0);
	mem.banks[1].hva[HIGH_SIZE - 1] = 0xa5;
	assert_int_equal(other[HIGH_SIZE - 1], 0xa5);
	other[4096] = 0x5a;
	assert_int_equal(mem.banks[1].hva[4096], 0x5a);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 2 * HIGH_SIZE), -1);
	mem_populate(&mem, mem.banks[1].hva, HIGH_SIZE);
	assert_int_equal(other[HIGH_SIZE - 1], 0xa5);
	munmap(other, HIGH_SIZE);
	guest_mem_fini(&mem);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void memory_of_one_process_has_no_file(void **state)
{
	struct guest_mem *mem = *state;

	assert_int_equal(mem->banks[0].fd, -1);
}

static void limit_of_addresses_is_named(void **state)
{
	struct guest_mem mem;
	struct rlimit before, low;

	guest_mem_init(&mem);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	low = (struct rlimit){ 640 * GiB, before.rlim_max };
	assert_int_equal(prlimit(0, RLIMIT_AS, &low, NULL), 0);
	assert_int_equal(guest_mem_add(&mem, 0, 1024 * GiB), -ENOMEM);
	assert_int_equal(prlimit(0, RLIMIT_AS, &before, NULL), 0);
	assert_non_null(strstr(err_hint_text(), "655360 MiB of addresses"));
	assert_int_equal(mem.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_inside_a_bank),
		cmocka_unit_test(range_across_an_end_is_refused),
		cmocka_unit_test(length_that_wraps_is_refused),
		cmocka_unit_test(copies_in_and_out),
		cmocka_unit_test(host_address_is_congruent_for_huge_pages),
		cmocka_unit_test(populating_fetches_pages_and_keeps_what_is_in_use),
		cmocka_unit_test(populating_works_on_older_kernels),
		cmocka_unit_test(reserved_pages_are_mapped_shared_and_aligned),
		cmocka_unit_test(reserved_pages_that_are_gone_are_an_error),
		cmocka_unit_test(parts_are_bound_to_their_nodes),
		cmocka_unit_test(shared_memory_is_one_with_its_file),
		cmocka_unit_test(memory_of_one_process_has_no_file),
		cmocka_unit_test(limit_of_addresses_is_named),
	};

	return cmocka_run_group_tests_name("mem", tests, two_banks, no_banks);
}
