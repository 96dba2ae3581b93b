/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trapped address ranges: a sorted array under a read-write lock. An exit takes the lock only to
 * look its range up, and where its thread was lately, as a rule, not at all; the handler runs
 * without it and may change the bus.
 */
#include "core/bus.h"

#include <assert.h>
#include <errno.h>

void bus_init(struct bus *bus)
{
	*bus = (struct bus){ 0 };
	pthread_rwlock_init(&bus->lock, NULL);
}

void bus_fini(struct bus *bus)
{
	pthread_rwlock_destroy(&bus->lock);
}

/* The index of the first range that ends above `addr`: the one that could contain it. */
static unsigned bus_lower_bound(const struct bus *bus, uint64_t addr)
{
	unsigned lo = 0, hi = bus->count;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct bus_range *r = bus->ranges[mid];

		if (r->base + (r->size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* What a thread remembers of a bus is of no use any more. With the lock held for writing. */
static void bus_forget(struct bus *bus)
{
	/* Of all buses, so that a bus that takes the place of another is not taken for it. */
	static atomic_ulong last;

	atomic_store_explicit(&bus->generation, atomic_fetch_add(&last, 1) + 1,
			      memory_order_release);
}

static int bus_add_locked(struct bus *bus, struct bus_range *range)
{
	const unsigned i = bus_lower_bound(bus, range->base);

	if (i < bus->count && bus->ranges[i]->base <= range->base + (range->size - 1))
		return -EEXIST;
	if (bus->count == BUS_RANGES_MAX)
		return -ENOSPC;
	memmove(&bus->ranges[i + 1], &bus->ranges[i], (bus->count - i) * sizeof(bus->ranges[0]));
	bus->ranges[i] = range;
	bus->count++;
	range->added = true;
	bus_forget(bus);
	return 0;
}

static int bus_add_range(struct bus *bus, struct bus_range *range, bool wait)
{
	struct bus_range **end;
	int r;

	assert(range->ops && range->ops->read && range->ops->write && !range->added &&
	       !range->waiting);
	if (!range->size || range->size - 1 > UINT64_MAX - range->base)
		return -EINVAL;

	pthread_rwlock_wrlock(&bus->lock);
	r = bus_add_locked(bus, range);
	if (r == -EEXIST && wait) {
		for (end = &bus->waiting; *end; end = &(*end)->next)
			;
		*end = range;
		range->next = NULL;
		range->waiting = true;
	}
	pthread_rwlock_unlock(&bus->lock);
	return r;
}

int bus_add(struct bus *bus, struct bus_range *range)
{
	return bus_add_range(bus, range, false);
}

int bus_add_or_wait(struct bus *bus, struct bus_range *range)
{
	return bus_add_range(bus, range, true);
}

/* After a range went: those that waited for its place. */
static void bus_add_waiting(struct bus *bus)
{
	struct bus_range **link = &bus->waiting;

	while (*link) {
		struct bus_range *range = *link;

		if (bus_add_locked(bus, range) < 0) {
			link = &range->next;
			continue;
		}
		range->waiting = false;
		*link = range->next;
	}
}

void bus_remove(struct bus *bus, struct bus_range *range)
{
	pthread_rwlock_wrlock(&bus->lock);
	if (range->added) {
		unsigned i = bus_lower_bound(bus, range->base);

		assert(i < bus->count && bus->ranges[i] == range);
		bus->count--;
		memmove(&bus->ranges[i], &bus->ranges[i + 1],
			(bus->count - i) * sizeof(bus->ranges[0]));
		range->added = false;
		bus_forget(bus);
		bus_add_waiting(bus);
	} else if (range->waiting) {
		struct bus_range **link = &bus->waiting;

		while (*link != range)
			link = &(*link)->next;
		*link = range->next;
		range->waiting = false;
	}
	pthread_rwlock_unlock(&bus->lock);
}

bool bus_has(struct bus *bus, const struct bus_range *range)
{
	bool added;

	pthread_rwlock_rdlock(&bus->lock);
	added = range->added;
	pthread_rwlock_unlock(&bus->lock);
	return added;
}

const char *bus_name(struct bus *bus, uint64_t addr, uint64_t len, uint64_t *ret_base)
{
	const char *name = NULL;
	unsigned i;

	pthread_rwlock_rdlock(&bus->lock);
	i = bus_lower_bound(bus, addr);
	if (i < bus->count && bus->ranges[i]->base < addr + len) {
		name = bus->ranges[i]->ops->name;
		*ret_base = bus->ranges[i]->base;
	}
	pthread_rwlock_unlock(&bus->lock);
	return name;
}

/* What an access needs of a range, copied out so that the lock can go. */
struct bus_hit {
	unsigned long generation; /* of its bus; 0: nothing */
	uint64_t base, size;
	const struct bus_ops *ops;
	void *dev;
};

/*
 * Where this thread was lately. A range that another vCPU has removed in between is not found
 * here, since its bus is of another generation by then.
 */
#define RECENT 8u
static _Thread_local struct bus_hit recent[RECENT];

/* A page's registers, or 16 ports, have a place of their own: neighbours are used in turn. */
static struct bus_hit *bus_recent(uint64_t addr)
{
	return &recent[(addr >> 12 ^ addr >> 4) % RECENT];
}

static bool bus_look_up(struct bus *bus, uint64_t addr, unsigned len, struct bus_hit *ret_hit)
{
	bool found = false;
	unsigned i;

	pthread_rwlock_rdlock(&bus->lock);
	i = bus_lower_bound(bus, addr);
	if (i < bus->count) {
		const struct bus_range *r = bus->ranges[i];

		if (r->base <= addr && range_fits(addr - r->base, len, r->size)) {
			*ret_hit = (struct bus_hit){ atomic_load_explicit(&bus->generation,
									  memory_order_relaxed),
						     r->base, r->size, r->ops, r->dev };
			found = true;
		}
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

/* The thread's own copy: a handler may use the bus itself, so it is only read before that. */
static const struct bus_hit *bus_find(struct bus *bus, uint64_t addr, unsigned len)
{
	struct bus_hit *hit = bus_recent(addr);

	if (hit->generation == atomic_load_explicit(&bus->generation, memory_order_acquire) &&
	    hit->base <= addr && range_fits(addr - hit->base, len, hit->size))
		return hit;
	return bus_look_up(bus, addr, len, hit) ? hit : NULL;
}

/*
 * The vCPU hands over what the guest did: KVM splits at pages, not at register sizes, so 3, 5, 6
 * and 7 bytes can come. Handlers see powers of two only.
 */
static unsigned bus_piece(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned len)
{
	const unsigned piece = bus_piece(len);
	const struct bus_hit *hit = bus_find(bus, addr, piece);
	uint64_t val = ones(piece);

	if (hit)
		val = hit->ops->read(hit->dev, addr - hit->base, piece) & ones(piece);
	if (piece < len)
		val |= bus_read(bus, addr + piece, len - piece) << (8 * piece);
	return val;
}

void bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t val)
{
	const unsigned piece = bus_piece(len);
	const struct bus_hit *hit = bus_find(bus, addr, piece);

	if (hit)
		hit->ops->write(hit->dev, addr - hit->base, piece, val & ones(piece));
	if (piece < len)
		bus_write(bus, addr + piece, len - piece, val >> (8 * piece));
}
