/* SPDX-License-Identifier: Apache-2.0 */
/* Another process that has a device; see other_run.h. */
#include "other_run.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"

pid_t other_run_start(struct vfio_host *host, const char *bdf, unsigned ms)
{
	struct pci_addr addr;
	int ready[2];
	char byte;
	pid_t pid;

	assert_true(pci_addr_scan(bdf, &addr));
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (vfio_host_check(host, &addr, 1) == 0 && write(ready[1], "x", 1) == 1)
			usleep(ms * 1000);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

void other_run_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
