/* SPDX-License-Identifier: Apache-2.0 */
/* Which status of ours stands beside those of a command; see run_status.h. Any thread. */
#include "run_status.h"

#include "core/err.h"

int run_status_beside(int status)
{
	switch (status) {
	case ERR_AER:
	case ERR_WANTED:
		return STATUS_DEVICE;
	case ERR_RESET:
		return STATUS_NOT_RESET;
	case ERR_GUEST:
		return STATUS_PANIC;
	default:
		return status > ERR_RESET ? status : STATUS_NO_RUN;
	}
}
