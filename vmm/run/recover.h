/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that a killed run left behind. */
#ifndef RECOVER_H
#define RECOVER_H

/*
 * Gives them back, and says how many. The first thing that is done by whoever looks at devices; who
 * wants some of them leases those before.
 */
void recover_devices(void);

#endif
