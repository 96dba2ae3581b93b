/* SPDX-License-Identifier: Apache-2.0 */
/* See recover.h. Any thread. */
#include "run/recover.h"

#include "core/log.h"
#include "vfio/host.h"

void recover_devices(void)
{
	unsigned count = 0;

	(void)vfio_host_recover("", &count);
	if (count)
		log_info("gave back %u device%s that a killed run had left behind", count,
			 count == 1 ? "" : "s");
}
