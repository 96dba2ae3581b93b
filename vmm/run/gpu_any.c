/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses GPUs; see gpu_any.h. Main thread. */
#include "run/gpu_any.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "vfio/host_info.h"
#include "vfio/host_lease.h"
#include "vfio/host_ready.h"
#include "vfio/host_sysfs.h"

/* As for a device with a name: who only tries has one for no longer. */
#define MOMENT_MS 300u

/* To look at all GPUs and at who has them takes some milliseconds. */
#define SOON_MS 50u
#define POLL_MS 500u

struct candidate {
	struct pci_addr addr;
	struct host_ready ready;
	bool usable;
	bool lost; /* another run was quicker, a moment ago */
};

struct choice {
	struct vfio_host *host;
	struct options *options;
	bool any[OPTIONS_GPUS_MAX]; /* of the options */
	unsigned gpu_count, wanted; /* of the options, before */
	struct candidate *candidates;
	unsigned count;
};

bool gpu_any_wanted(const struct options *options)
{
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (options->gpus[i].any)
			return true;
	}
	return false;
}

static bool is_given(const struct options *options, struct pci_addr addr)
{
	for (unsigned i = 0; i < options->gpu_count; i++) {
		const struct options_gpu *gpu = &options->gpus[i];

		if (!gpu->any && !gpu->mdev[0] && pci_addr_compare(gpu->addr, addr) == 0)
			return true;
	}
	return false;
}

/* --- the candidates --- */

static bool was_lost(const struct candidate *old, unsigned count, struct pci_addr addr)
{
	for (unsigned i = 0; i < count; i++) {
		if (old[i].lost && pci_addr_compare(old[i].addr, addr) == 0)
			return true;
	}
	return false;
}

static void look_at(const char *root, struct candidate *candidate)
{
	struct host_ready *ready = &candidate->ready;
	struct host_info info;

	host_info_read(root, candidate->addr, &info);
	host_ready_check(root, &info, ready);
	candidate->usable = ready->ready;
	/* It can be had by its name: whoever writes that knows that the screen goes dark. */
	if (ready->ready && info.boot_display && info.driver[0] &&
	    !host_sysfs_is_vfio(info.driver)) {
		strcpy(ready->reason, "the host's boot display");
		candidate->usable = false;
	}
}

static int look(struct choice *choice)
{
	struct candidate *old = choice->candidates, *now;
	const char *root = choice->host->root;
	struct pci_addr *addrs;
	unsigned count, found = 0;

	if (host_info_list(root, &addrs, &count) < 0)
		return 0; /* a host without PCI */
	now = calloc(MAX(count, 1u), sizeof(*now));
	if (!now) {
		free(addrs);
		return err_sys(ERR_LIMIT, -ENOMEM, "--gpu any");
	}
	for (unsigned i = 0; i < count; i++) {
		if (!host_sysfs_is_gpu(root, addrs[i]) || is_given(choice->options, addrs[i]))
			continue;
		now[found].addr = addrs[i];
		look_at(root, &now[found]);
		now[found].lost = was_lost(old, choice->count, addrs[i]);
		found++;
	}
	free(addrs);
	free(old);
	choice->candidates = now;
	choice->count = found;
	return 0;
}

/* --- the options --- */

static void undo(struct choice *choice)
{
	struct options *options = choice->options;

	while (options->gpu_count > choice->gpu_count)
		options->gpus[--options->gpu_count] = (struct options_gpu){ 0 };
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (choice->any[i]) {
			options->gpus[i].addr = (struct pci_addr){ 0 };
			options->gpus[i].any = true;
		}
	}
}

static bool add_companions(struct options *options, const struct host_ready *ready)
{
	for (unsigned i = 0; i < ready->with_count; i++) {
		if (is_given(options, ready->with[i]))
			continue;
		if (options->gpu_count == OPTIONS_GPUS_MAX)
			return false;
		options->gpus[options->gpu_count++].addr = ready->with[i];
	}
	return true;
}

/* The first that can be had; true if there were enough. Each comes with what has to go with it. */
static bool choose(struct choice *choice)
{
	struct options *options = choice->options;
	unsigned next = 0, found = 0;

	for (unsigned i = 0; i < choice->gpu_count; i++) {
		const struct candidate *candidate = NULL;

		if (!choice->any[i])
			continue;
		while (next < choice->count && !candidate) {
			const struct candidate *c = &choice->candidates[next++];

			if (c->usable && !c->lost && !is_given(options, c->addr))
				candidate = c;
		}
		if (!candidate)
			break;
		options->gpus[i].addr = candidate->addr;
		options->gpus[i].any = false;
		if (!add_companions(options, &candidate->ready))
			break;
		found++;
	}
	return found == choice->wanted;
}

/* --- the check --- */

static bool has(const struct candidate *candidate, struct pci_addr addr)
{
	bool found = pci_addr_compare(candidate->addr, addr) == 0;

	for (unsigned i = 0; i < candidate->ready.with_count; i++)
		found |= pci_addr_compare(candidate->ready.with[i], addr) == 0;
	return found;
}

/* True if one of the candidates was taken by another run, so that the next may do. */
static bool mark_lost(struct choice *choice, struct pci_addr addr)
{
	bool marked = false;

	for (unsigned i = 0; i < choice->count; i++) {
		struct candidate *candidate = &choice->candidates[i];

		if (!candidate->lost && has(candidate, addr))
			marked = candidate->lost = true;
	}
	return marked;
}

static void forget_lost(struct choice *choice)
{
	for (unsigned i = 0; i < choice->count; i++)
		choice->candidates[i].lost = false;
}

/* All at once or none, without a wait. */
static int try(struct choice *choice)
{
	const struct options *options = choice->options;
	struct pci_addr addrs[OPTIONS_GPUS_MAX];
	unsigned count = 0;
	int r;

	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (!options->gpus[i].mdev[0])
			addrs[count++] = options->gpus[i].addr;
	}
	choice->host->at_once = true;
	r = vfio_host_check(choice->host, addrs, count);
	choice->host->at_once = false;
	return r;
}

static void tell(const struct choice *choice)
{
	for (unsigned i = 0; i < choice->gpu_count; i++) {
		if (choice->any[i])
			log_info("--gpu any: %s", options_gpu_name(&choice->options->gpus[i]).s);
	}
}

/* Those that somebody has, and who may be done with them some time. */
static unsigned count_hopes(const struct choice *choice)
{
	unsigned hopes = 0;

	for (unsigned i = 0; i < choice->count; i++)
		hopes += choice->candidates[i].usable || choice->candidates[i].ready.in_use;
	return hopes;
}

static int too_few(const struct choice *choice)
{
	unsigned usable = 0;
	char list[800] = "";
	size_t len = 0;
	int r;

	if (!choice->count) {
		r = err_set(ERR_DEVICE, -ENODEV, "--gpu any: there is no%s GPU here",
			    choice->gpu_count > choice->wanted ? " other" : "");
		err_hint("'tinyvmm list --all' lists the PCI devices");
		return r;
	}
	for (unsigned i = 0; i < choice->count; i++) {
		const struct candidate *c = &choice->candidates[i];
		const char *reason = c->lost ? "in use by tinyvmm" : c->ready.reason;

		usable += c->usable && !c->lost;
		if ((!c->usable || c->lost) && len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s: %s",
						len ? ", " : "", pci_addr_text(c->addr).s, reason);
	}
	if (usable)
		r = err_set(ERR_DEVICE, -EBUSY, "--gpu any: only %u of %u GPUs can be had: %s",
			    usable, choice->wanted, list[0] ? list : "there are no more");
	else
		r = err_set(ERR_DEVICE, -EBUSY, "--gpu any: no GPU can be had: %s", list);
	if (count_hopes(choice) >= choice->wanted)
		err_hint("%s", choice->host->wait_ms ? "a longer --wait may get one"
						     : "--wait TIME waits for one");
	else
		err_hint("'tinyvmm doctor' says more, and what to do about it");
	return r;
}

/* Until all are had, or it is of no use to wait any longer. */
static int take(struct choice *choice)
{
	const uint64_t start = clock_ms();
	const uint64_t limit = MAX(MOMENT_MS, choice->host->wait_ms);
	bool told = false;

	for (;;) {
		uint64_t waited;
		int r = look(choice);

		if (r < 0)
			return r;
		if (choose(choice)) {
			r = try(choice);
			if (r == 0) {
				tell(choice);
				return 0;
			}
			undo(choice);
			if (!choice->host->was_busy)
				return r;
			if (mark_lost(choice, choice->host->busy))
				continue;
		} else {
			undo(choice);
			r = too_few(choice);
		}
		waited = clock_ms() - start;
		if (waited >= limit || count_hopes(choice) < choice->wanted)
			return r;
		if (waited >= MOMENT_MS && !told) {
			log_info("waiting for a GPU: %s", err_text());
			told = true;
		}
		forget_lost(choice);
		if (host_lease_pause(choice->host, waited < MOMENT_MS ? SOON_MS : POLL_MS))
			return err_set(ERR_INTERNAL, -EINTR, "the wait for a GPU was ended");
	}
}

int gpu_any_check(struct vfio_host *host, struct options *options)
{
	struct choice choice = { host, options, .gpu_count = options->gpu_count };
	int r;

	for (unsigned i = 0; i < options->gpu_count; i++) {
		choice.any[i] = options->gpus[i].any;
		choice.wanted += choice.any[i];
	}
	r = take(&choice);
	free(choice.candidates);
	return r;
}
