/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--gpu any`: devices for options that name none, of the GPUs that `tinyvmm list` calls ready, in
 * its order. Which of two runs gets one, the leases decide: who comes second takes the next. Main
 * thread.
 */
#ifndef GPU_ANY_H
#define GPU_ANY_H

#include "core/util.h"
#include "options/options.h"
#include "vfio/host.h"

bool gpu_any_wanted(const struct options *options);

/*
 * In place of vfio_host_check, for all PCI devices of `options`, where some are any. Those get
 * their addresses, and functions of the same card that have to go with them become devices of their
 * own. Waits as vfio_host_check does, for as many as are wanted. -EBUSY (kind ERR_DEVICE), with the
 * reason of each GPU, when there are too few; the options are as before then.
 */
int MUST_CHECK gpu_any_check(struct vfio_host *host, struct options *options);

#endif
