/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm bind` and `tinyvmm release`: devices change their driver once, by root if need be, and
 * not with every run. Main thread.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "core/err.h"
#include "core/log.h"
#include "options/options.h"
#include "vfio/host.h"

/* A name, or else a number. */
static int find_user(const char *name, uid_t *ret_uid)
{
	struct passwd *user;
	unsigned long uid;
	char *end;

	user = getpwnam(name);
	if (user) {
		*ret_uid = user->pw_uid;
		return 0;
	}
	errno = 0; /* getpwnam may say ENOENT */
	uid = strtoul(name, &end, 10);
	if (errno || end == name || *end || uid >= (uid_t)-1)
		return err_set(ERR_USAGE, -EINVAL, "--user: there is no user '%s'", name);
	*ret_uid = (uid_t)uid;
	return 0;
}

static int list_devices(const struct options *options, struct pci_addr addrs[OPTIONS_GPUS_MAX])
{
	for (unsigned i = 0; i < options->gpu_count; i++)
		addrs[i] = options->gpus[i].addr;
	if (options->gpu_count)
		return 0;
	err_set(ERR_USAGE, -EINVAL, "no device is given");
	err_hint("write it as 0000:01:00.0 (see 'tinyvmm list')");
	return -EINVAL;
}

static void init_host(struct vfio_host *host, const struct options *options, int signal_fd)
{
	vfio_host_init(host, "");
	host->wait_ms = options->wait_ms;
	host->signal_fd = signal_fd;
	host->plain = true;
	host->brief = true;
}

int cmd_bind(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	struct pci_addr addrs[OPTIONS_GPUS_MAX];
	struct vfio_host host;
	uid_t owner;
	int status, r;

	if (list_devices(options, addrs) < 0 || command_open_signals(&signal_fd) < 0)
		return command_failed();
	if (options->user[0] && find_user(options->user, &owner) < 0)
		return command_failed();
	init_host(&host, options, signal_fd);
	r = vfio_host_check(&host, addrs, options->gpu_count);
	status = r < 0 ? command_ended(r, signal_fd) : 0;
	/* The leases keep our own out of it. */
	command_recover();
	if (status == 0 && vfio_host_bind(&host, options->user[0] ? &owner : NULL) < 0)
		status = command_failed();
	for (unsigned i = 0; i < host.count && status == 0 && options->user[0]; i++)
		log_info("%s: user %s may use it (/dev/vfio/%u)",
			 pci_addr_text(host.devices[i].addr).s, options->user,
			 host.devices[i].group);
	vfio_host_fini(&host);
	return status;
}

int cmd_release(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	struct pci_addr addrs[OPTIONS_GPUS_MAX];
	struct vfio_host host;
	int status = 0, r;

	if (list_devices(options, addrs) < 0 || command_open_signals(&signal_fd) < 0)
		return command_failed();
	command_recover();
	init_host(&host, options, signal_fd);
	r = vfio_host_lease(&host, addrs, options->gpu_count);
	if (r == 0)
		r = vfio_host_release(&host);
	if (r < 0)
		status = command_ended(r, signal_fd);
	/* It said why. */
	if (vfio_host_give_back(&host) < 0 && status == 0)
		status = ERR_DEVICE;
	vfio_host_fini(&host);
	return status;
}
