/* SPDX-License-Identifier: Apache-2.0 */
/* The options of what a cloud image is told at its first start. Pure. Main thread. */
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"

int options_parse_cloud_init(struct options *options, const char *value)
{
	options->cloud_init = value;
	return 0;
}

int options_parse_ssh_key(struct options *options, const char *value)
{
	options->ssh_key = value;
	return 0;
}

/* It is told on a disk, and whoever reads it has started from one, which may be passed through. */
int options_check_seed(const struct options *options)
{
	const char *name = options->cloud_init ? "cloud-init" : "ssh-key";
	int r;

	if (!options_have_seed(options))
		return 0;
	if (options->command_argc)
		return err_set(ERR_USAGE, -EINVAL, "--%s does not go with a command", name);
	if (!options->disk_count && !options->gpu_count) {
		r = err_set(ERR_USAGE, -EINVAL, "--%s is given without a --disk", name);
		err_hint("it is for a guest that starts from a disk with cloud-init, "
			 "as cloud images are");
		return r;
	}
	if (options->disk_count == OPTIONS_DISKS_MAX)
		return err_set(ERR_USAGE, -EINVAL,
			       "--disk: more than %u disks, because --%s makes one",
			       OPTIONS_DISKS_MAX - 1, name);
	return 0;
}
