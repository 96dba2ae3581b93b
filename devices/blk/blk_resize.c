/* SPDX-License-Identifier: Apache-2.0 */
/* The timer that looks at a disk's size; runs on a loop of the disk. */
#include "devices/blk/blk_resize.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/err.h"
#include "devices/blk/blk_file.h"

#define PERIOD_S 1

static void look(struct loop_source *source)
{
	struct blk_resize *resize = container_of(source, struct blk_resize, timer);
	uint64_t expirations, size;
	off_t end;

	/* Always there: nobody else reads it. */
	if (read(source->fd, &expirations, sizeof(expirations)) < 0)
		return;
	/* Of a device too, where stat tells no size. All I/O has offsets of its own. */
	end = lseek(resize->file->fd, 0, SEEK_END);
	if (end < 0)
		return;
	size = blk_file_usable(resize->file, (uint64_t)end);
	if (size == resize->size)
		return;
	resize->size = size;
	resize->resized(resize, size);
}

int blk_resize_start(struct blk_resize *resize, struct loop *loop, const struct blk_file *file,
		     void (*resized)(struct blk_resize *resize, uint64_t size))
{
	const struct itimerspec period = { { PERIOD_S, 0 }, { PERIOD_S, 0 } };
	int r;

	*resize = (struct blk_resize){ .file = file, .size = file->size, .resized = resized };
	resize->timer.ready = look;
	resize->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (resize->timer.fd < 0)
		return err_sys(ERR_LIMIT, -errno, "make a timer");
	r = timerfd_settime(resize->timer.fd, 0, &period, NULL) < 0
		    ? err_sys(ERR_LIMIT, -errno, "set a timer")
		    : loop_add(loop, &resize->timer);
	if (r < 0) {
		close_fd(&resize->timer.fd);
		return r;
	}
	resize->loop = loop;
	return 0;
}

static void leave_loop(void *arg)
{
	struct blk_resize *resize = arg;

	loop_remove(resize->loop, &resize->timer);
}

void blk_resize_stop(struct blk_resize *resize)
{
	if (!resize->loop)
		return;
	loop_call(resize->loop, leave_loop, resize);
	close_fd(&resize->timer.fd);
	resize->loop = NULL;
}
