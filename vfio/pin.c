/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins guest RAM in the background. Runs on the thread "pin" and on its helpers; the functions of
 * pin.h on main. [Linux: Documentation/driver-api/vfio.rst; madvise(2), MADV_POPULATE_WRITE].
 */
#include "vfio/pin.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

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

struct vfio_pin {
	struct vfio_iommu *iommu;
	const struct guest_mem *mem;
	int done_fd;
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	struct mem_bank *slices;
	unsigned slice_count;

	pthread_mutex_t lock; /* guards the rest, but for what is the pin thread's */
	pthread_cond_t changed;
	unsigned next; /* slice that no helper has taken yet */
	bool *fetched; /* of each slice */
	int result;
	struct err_chain why;

	pthread_t helpers[HELPERS_MAX]; /* the pin thread's */
	unsigned helper_count;
	double told_at; /* the pin thread's: when progress was told last; 0: never */
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- helpers --- */

static void fetch(struct vfio_pin *pin, const struct mem_bank *slice)
{
	const uint64_t step = MAX(FETCH_STEP, pin->mem->page_size);

	for (uint64_t off = 0; off < slice->size && !atomic_load(&pin->stopping); off += step)
		mem_populate(pin->mem, slice->hva + off, MIN(step, slice->size - off));
}

static void *helper_thread(void *arg)
{
	struct vfio_pin *pin = arg;

	thread_name("pin-fetch");
	pthread_mutex_lock(&pin->lock);
	while (pin->next < pin->slice_count && !atomic_load(&pin->stopping)) {
		const unsigned i = pin->next++;

		pthread_mutex_unlock(&pin->lock);
		fetch(pin, &pin->slices[i]);
		pthread_mutex_lock(&pin->lock);
		pin->fetched[i] = true;
		pthread_cond_broadcast(&pin->changed);
	}
	pthread_mutex_unlock(&pin->lock);
	return NULL;
}

/* One for each CPU that we may use but the one of the pin thread. Fewer do as well. */
static void start_helpers(struct vfio_pin *pin)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted;
	cpu_set_t cpus;

	/* Fails where there are more CPUs than the set has room for. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		count = CPU_COUNT(&cpus);
	wanted = (unsigned)MAX(count - 1, 1);
	wanted = MIN(wanted, MIN(pin->slice_count, HELPERS_MAX));
	while (pin->helper_count < wanted) {
		pthread_t *helper = &pin->helpers[pin->helper_count];

		if (thread_start(helper, 0, helper_thread, pin) < 0)
			break;
		pin->helper_count++;
	}
}

static void join_helpers(struct vfio_pin *pin)
{
	while (pin->helper_count)
		pthread_join(pin->helpers[--pin->helper_count], NULL);
}

/* --- the pin thread --- */

/* False when the end has come instead. */
static bool wait_fetched(struct vfio_pin *pin, unsigned i)
{
	pthread_mutex_lock(&pin->lock);
	while (pin->helper_count && !pin->fetched[i] && !atomic_load(&pin->stopping))
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
		const struct mem_bank *slice = &pin->slices[i];
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

static int cut_slices(struct vfio_pin *pin)
{
	const uint64_t size = pin->iommu->slice_size;
	unsigned count = 0;

	for (unsigned b = 0; b < pin->mem->count; b++)
		count += (unsigned)(pin->mem->banks[b].size / size) + 2;
	pin->slices = calloc(count, sizeof(*pin->slices));
	pin->fetched = calloc(count, sizeof(*pin->fetched));
	if (!pin->slices || !pin->fetched)
		return -ENOMEM;
	for (unsigned b = 0; b < pin->mem->count; b++) {
		const struct mem_bank *bank = &pin->mem->banks[b];
		uint64_t off = 0;

		while (off < bank->size) {
			const uint64_t gpa = bank->gpa + off;
			const uint64_t end = align_down(gpa, size) + size;
			const uint64_t len = MIN(end - gpa, bank->size - off);

			pin->slices[pin->slice_count++] =
				(struct mem_bank){ gpa, len, bank->hva + off };
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
	free(pin->fetched);
	free(pin->slices);
	free(pin);
}
