/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the emulated host: sends one admin command without data to an NVMe controller, as root.
 * nvme-admin /dev/nvme0 OPCODE CDW10 CDW11; status 0 and the command's result, if it succeeded.
 * [Linux: include/uapi/linux/nvme_ioctl.h].
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(int argc, char *argv[])
{
	struct nvme_admin_cmd cmd = { 0 };
	int fd, r;

	if (argc != 5) {
		fputs("usage: nvme-admin DEVICE OPCODE CDW10 CDW11\n", stderr);
		return 2;
	}
	cmd.opcode = (__u8)strtoul(argv[2], NULL, 0);
	cmd.cdw10 = (__u32)strtoul(argv[3], NULL, 0);
	cmd.cdw11 = (__u32)strtoul(argv[4], NULL, 0);
	fd = open(argv[1], O_RDONLY);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	r = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);
	if (r < 0)
		perror("NVME_IOCTL_ADMIN_CMD");
	else if (r > 0)
		fprintf(stderr, "NVMe status 0x%x\n", (unsigned)r);
	printf("%u\n", cmd.result);
	return r ? 1 : 0;
}
