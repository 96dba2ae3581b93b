/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: how firmware asks the VMM what machine it runs on. Items by number, and named files, read
 * through a data port or by DMA. [QEMU docs/specs/fw_cfg: QEMU Firmware Configuration Device].
 *
 * Nothing is writable, and no request fails: what does not exist reads as zeroes, because firmware
 * handles no error (OVMF would wait forever).
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include <linux/qemu_fw_cfg.h> /* the numbers: FW_CFG_NB_CPUS... */

#include "core/device.h"

#define FW_CFG_PORTS 12 /* ports that it occupies */

struct fw_cfg;

/* At `port`..`port` + 11. -ENOMEM, or the error of bus_add when the ports are taken. */
int MUST_CHECK fw_cfg_create(const struct board *board, uint16_t port, struct fw_cfg **ret_fw);

/* The device that machine resets and destroys. A reset keeps all items. */
struct device *fw_cfg_device(struct fw_cfg *fw);

/*
 * Items and files are copied, and added before the machine starts. -ENOMEM; a number or name in use
 * is a bug. A name has at most FW_CFG_MAX_FILE_PATH - 1 characters, a file less than 4 GiB.
 */
int MUST_CHECK fw_cfg_add_bytes(struct fw_cfg *fw, uint16_t key, const void *data, size_t len);
int MUST_CHECK fw_cfg_add_u16(struct fw_cfg *fw, uint16_t key, uint16_t val);
int MUST_CHECK fw_cfg_add_u32(struct fw_cfg *fw, uint16_t key, uint32_t val);
int MUST_CHECK fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len);

/*
 * An item whose contents stay in a file of the host, and are read from there whenever the guest
 * wants them: a kernel, an initrd. `fd` and `what`, its name for messages, are borrowed for as long
 * as the device lives. A file that became shorter or cannot be read is the end of the run, because
 * the guest would take zeroes for a kernel.
 */
struct fw_cfg_piece {
	int fd;
	uint64_t off;
	uint32_t len;
	const char *what;
};
int MUST_CHECK fw_cfg_add_piece(struct fw_cfg *fw, uint16_t key, const struct fw_cfg_piece *piece);

/* New contents for a file that was added. Any thread. */
int MUST_CHECK fw_cfg_set_file(struct fw_cfg *fw, const char *name, const void *data, size_t len);

/*
 * `select` runs each time the guest selects file `name`, on its vCPU's thread and without the
 * device's lock: it may call fw_cfg_set_file, for this file and others, to tell what firmware has
 * done to the machine by now. Keep the lengths: the guest has read them before it selects the file.
 */
void fw_cfg_on_select(struct fw_cfg *fw, const char *name, void (*select)(void *opaque),
		      void *opaque);

#endif
