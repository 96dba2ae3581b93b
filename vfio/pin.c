/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins guest RAM in the background. Runs on the thread "pin" and on its helpers; the functions of
 * pin.h on main. [Linux: Documentation/driver-api/vfio.rst; madvise(2), MADV_POPULATE_WRITE].
 */
#include "vfio/pin.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/cpu_set.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/thread.h"
#include "core/timings.h"
#include "vfio/iommu.h"

/* More threads than this do not zero memory any faster. */
#define HELPERS_MAX 64

/*
 * Fetched at once. The kernel holds the lock of our address space meanwhile, which others wait for
 * to map or unmap anything.
 */
#define FETCH_STEP (16 * MiB)

#define TELL_AFTER_S 1
#define TELL_AGAIN_S 5

/* What is mapped at once: whole, or the rest of a bank or of a part of one node. */
struct slice {
	struct mem_bank bank;
	const struct cpu_set *cpus; /* whose memory it is; NULL: anybody's */
	bool taken, fetched;        /* by a helper; guarded by the lock */
};

struct helper {
	struct vfio_pin *pin;
	pthread_t thread;
	const struct cpu_set *cpus; /* where it runs, NULL: where we may; their slices come first */
};

struct vfio_pin {
	struct vfio_iommu *iommu;
	const struct guest_mem *mem;
	int done_fd;
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	struct slice *slices;
	unsigned slice_count;

	pthread_mutex_t lock; /* guards the rest, but for what is the pin thread's */
	pthread_cond_t changed;
	int result;
	struct err_chain why;

	struct helper helpers[HELPERS_MAX]; /* the pin thread's */
	unsigned helper_count;
	double told_at; /* the pin thread's: when progress was told last; 0: never */
};

static double now_s(void)
{
	return (double)clock_ns() / (double)NS_PER_S;
}

/* --- helpers --- */

static void fetch(struct vfio_pin *pin, const struct mem_bank *slice)
{
	const uint64_t step = MAX(FETCH_STEP, pin->mem->page_size);

	for (uint64_t off = 0; off < slice->size && !atomic_load(&pin->stopping); off += step)
		mem_populate(pin->mem, slice->hva + off, MIN(step, slice->size - off));
}

/* The next slice for a helper: of its own node before others'. With the lock held; NULL: none. */
static struct slice *take_slice(struct vfio_pin *pin, const struct cpu_set *cpus)
{
	struct slice *any = NULL;

	for (unsigned i = 0; i < pin->slice_count; i++) {
		struct slice *slice = &pin->slices[i];

		if (slice->taken)
			continue;
		if (slice->cpus == cpus) {
			any = slice;
			break;
		}
		any = any ? any : slice;
	}
	if (any)
		any->taken = true;
	return any;
}

static void *helper_thread(void *arg)
{
	struct helper *helper = arg;
	struct vfio_pin *pin = helper->pin;
	struct slice *slice;

	thread_name("pin-fetch");
	/* Zeroing is done by the CPU that takes the page: best by one of the memory's own node. */
	if (helper->cpus && cpu_set_bind(helper->cpus) < 0)
		log_debug("CPUs %s cannot be used any more", cpu_set_text(helper->cpus).s);
	pthread_mutex_lock(&pin->lock);
	while (!atomic_load(&pin->stopping) && (slice = take_slice(pin, helper->cpus))) {
		pthread_mutex_unlock(&pin->lock);
		fetch(pin, &slice->bank);
		pthread_mutex_lock(&pin->lock);
		slice->fetched = true;
		pthread_cond_broadcast(&pin->changed);
	}
	pthread_mutex_unlock(&pin->lock);
	return NULL;
}

static void start_helper(struct vfio_pin *pin, const struct cpu_set *cpus)
{
	struct helper *helper = &pin->helpers[pin->helper_count];

	*helper = (struct helper){ .pin = pin, .cpus = cpus };
	if (thread_start(&helper->thread, 0, helper_thread, helper) == 0)
		pin->helper_count++;
}

/* The next group of slices with the same CPUs, after that which begins with `first`. */
static unsigned next_group(const struct vfio_pin *pin, unsigned first)
{
	for (unsigned i = first + 1; i < pin->slice_count; i++) {
		bool seen = false;

		for (unsigned k = 0; k < i && !seen; k++)
			seen = pin->slices[k].cpus == pin->slices[i].cpus;
		if (!seen)
			return i;
	}
	return pin->slice_count;
}

/*
 * One for each CPU of a node, of each node that has memory here; or for each that we may use but
 * the one of the pin thread. Fewer do as well.
 */
static void start_helpers(struct vfio_pin *pin)
{
	const unsigned most = MIN(pin->slice_count, HELPERS_MAX);
	struct cpu_set allowed;
	unsigned groups = 0;

	for (unsigned g = 0; g < pin->slice_count; g = next_group(pin, g))
		groups++;
	for (unsigned g = 0; g < pin->slice_count; g = next_group(pin, g)) {
		const struct cpu_set *cpus = pin->slices[g].cpus;
		long count = sysconf(_SC_NPROCESSORS_ONLN);

		if (cpus)
			count = cpu_set_count(cpus);
		else if (cpu_set_allowed(&allowed) == 0)
			count = cpu_set_count(&allowed);
		if (groups == 1)
			count--;
		count = MAX(MIN(count, (long)(most / groups)), 1);
		while (count-- && pin->helper_count < most)
			start_helper(pin, cpus);
	}
}

static void join_helpers(struct vfio_pin *pin)
{
	while (pin->helper_count)
		pthread_join(pin->helpers[--pin->helper_count].thread, NULL);
}

/* --- the pin thread --- */

/* False when the end has come instead. */
static bool wait_fetched(struct vfio_pin *pin, unsigned i)
{
	pthread_mutex_lock(&pin->lock);
	while (pin->helper_count && !pin->slices[i].fetched && !atomic_load(&pin->stopping))
		pthread_cond_wait(&pin->changed, &pin->lock);
	pthread_mutex_unlock(&pin->lock);
	return !atomic_load(&pin->stopping);
}

static void tell_progress(struct vfio_pin *pin, double start, uint64_t done)
{
	const uint64_t all = guest_mem_size(pin->mem);
	const char *unit = all % GiB ? "MiB" : "GiB";
	const double of = all % GiB ? MiB : GiB, now = now_s();
	const bool slow = now - start >= TELL_AFTER_S;

	if (done == all)
		log_msg(slow ? LOG_INFO : LOG_DEBUG,
			"pinned all %.3g %s of guest memory for the devices, in %.1f s",
			(double)all / of, unit, now - start);
	if (done == all || !slow || (pin->told_at && now - pin->told_at < TELL_AGAIN_S))
		return;
	log_info("pinned %.3g of %.3g %s of guest memory for the devices", (double)done / of,
		 (double)all / of, unit);
	pin->told_at = now;
}

/* Maps slice after slice; -ECANCELED when the end has come instead. */
static int map_all(struct vfio_pin *pin)
{
	const double start = now_s();
	uint64_t done = 0;

	for (unsigned i = 0; i < pin->slice_count; i++) {
		const struct mem_bank *slice = &pin->slices[i].bank;
		int r;

		if (!wait_fetched(pin, i))
			return -ECANCELED;
		r = vfio_iommu_map(pin->iommu, slice);
		if (r < 0)
			return r;
		done += slice->size;
		tell_progress(pin, start, done);
	}
	return 0;
}

static void *pin_thread(void *arg)
{
	struct vfio_pin *pin = arg;
	int r;

	thread_name("pin");
	timings_begin("pin memory");
	start_helpers(pin);
	r = map_all(pin);
	if (r < 0)
		atomic_store(&pin->stopping, true);
	join_helpers(pin);
	timings_end();
	pthread_mutex_lock(&pin->lock);
	pin->result = r;
	err_save(&pin->why);
	pthread_mutex_unlock(&pin->lock);
	if (r != -ECANCELED)
		sys_eventfd_signal(pin->done_fd);
	return NULL;
}

/* --- main --- */

/* Behind which address a slice that begins at `gpa` may not go on. */
static uint64_t slice_end(const struct vfio_pin *pin, uint64_t gpa, const struct mem_part *part)
{
	const uint64_t end = align_down(gpa, pin->iommu->slice_size) + pin->iommu->slice_size;

	return part ? MIN(end, part->gpa + part->size) : end;
}

static int cut_slices(struct vfio_pin *pin)
{
	const uint64_t size = pin->iommu->slice_size;
	unsigned count = pin->mem->part_count;

	for (unsigned b = 0; b < pin->mem->count; b++)
		count += (unsigned)(pin->mem->banks[b].size / size) + 2;
	pin->slices = calloc(count, sizeof(*pin->slices));
	if (!pin->slices)
		return -ENOMEM;
	for (unsigned b = 0; b < pin->mem->count; b++) {
		const struct mem_bank *bank = &pin->mem->banks[b];
		uint64_t off = 0;

		while (off < bank->size) {
			const uint64_t gpa = bank->gpa + off;
			const struct mem_part *part = mem_part_of(pin->mem, gpa);
			const uint64_t len = MIN(slice_end(pin, gpa, part) - gpa, bank->size - off);

			pin->slices[pin->slice_count++] = (struct slice){
				.bank = { .gpa = gpa, .size = len, .hva = bank->hva + off },
				.cpus = part ? part->cpus : NULL,
			};
			off += len;
		}
	}
	return 0;
}

static int start_thread(struct vfio_pin *pin)
{
	int r = thread_start(&pin->thread, 0, pin_thread, pin);

	pin->started = r == 0;
	return r;
}

int vfio_pin_start(struct vfio_iommu *iommu, const struct guest_mem *mem, int done_fd,
		   struct vfio_pin **ret_pin)
{
	struct vfio_pin *pin = calloc(1, sizeof(*pin));
	int r;

	if (!pin)
		return err_sys(ERR_LIMIT, -ENOMEM, "pin guest memory");
	pin->iommu = iommu;
	pin->mem = mem;
	pin->done_fd = done_fd;
	pthread_mutex_init(&pin->lock, NULL);
	pthread_cond_init(&pin->changed, NULL);
	r = cut_slices(pin);
	if (r == 0)
		r = start_thread(pin);
	if (r < 0) {
		vfio_pin_stop(pin);
		return err_sys(ERR_LIMIT, r, "pin guest memory");
	}
	*ret_pin = pin;
	return 0;
}

int vfio_pin_result(struct vfio_pin *pin)
{
	int r;

	pthread_mutex_lock(&pin->lock);
	r = pin->result;
	if (r < 0)
		err_restore(&pin->why);
	pthread_mutex_unlock(&pin->lock);
	return r;
}

void vfio_pin_stop(struct vfio_pin *pin)
{
	if (!pin)
		return;
	pthread_mutex_lock(&pin->lock);
	atomic_store(&pin->stopping, true);
	pthread_cond_broadcast(&pin->changed);
	pthread_mutex_unlock(&pin->lock);
	if (pin->started)
		pthread_join(pin->thread, NULL);
	pthread_cond_destroy(&pin->changed);
	pthread_mutex_destroy(&pin->lock);
	free(pin->slices);
	free(pin);
}
