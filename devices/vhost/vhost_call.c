/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts of queues that somebody else serves; see vhost_call.h. */
#include "devices/vhost/vhost_call.h"

#include "core/err.h"
#include "core/sys.h"

static void relay_ready(struct loop_source *source)
{
	struct vhost_call *call = container_of(source, struct vhost_call, relay);

	/* Else it was for a driver that has reset the device meanwhile. */
	if (sys_eventfd_drain(source->fd))
		virtio_pci_interrupt(call->vdev, call->queue);
}

void vhost_call_init(struct vhost_call *call, struct virtio_pci *vdev, unsigned queue)
{
	*call = (struct vhost_call){
		.vdev = vdev,
		.queue = queue,
		.relay = { .fd = -1, .ready = relay_ready },
		.fd = -1,
	};
}

int vhost_call_open(struct vhost_call *call, struct loop *loop)
{
	int r = call->relay.fd = sys_eventfd();

	if (r < 0)
		return err_sys(ERR_LIMIT, r, "make an eventfd");
	r = loop_add(loop, &call->relay);
	if (r < 0)
		close_fd(&call->relay.fd); /* not the loop's: vhost_call_leave has nothing to do */
	return r;
}

void vhost_call_leave(struct vhost_call *call, struct loop *loop)
{
	if (call->relay.fd >= 0)
		loop_remove(loop, &call->relay);
}

void vhost_call_fini(struct vhost_call *call)
{
	close_fd(&call->relay.fd);
}

static int wanted(const struct vhost_call *call)
{
	const int fd = virtio_pci_call_fd(call->vdev, call->queue);

	return fd >= 0 ? fd : call->relay.fd;
}

int vhost_call_take(struct vhost_call *call)
{
	return call->fd = wanted(call);
}

bool vhost_call_moved(const struct vhost_call *call)
{
	return call->fd != wanted(call);
}

void vhost_call_drain(struct vhost_call *call)
{
	sys_eventfd_drain(call->relay.fd);
}
