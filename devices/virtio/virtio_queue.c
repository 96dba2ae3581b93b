/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues of a virtio device: doorbells, when they are served, and what the driver is shown. On
 * the queue's loop; doorbells come and go on vCPUs with the device's lock held. [virtio-1.2 4.1.5.2
 * Available Buffer Notifications]
 */
#include "devices/virtio/virtio_queue.h"

#include <assert.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "devices/virtio/virtio_pci_config.h"

static void assert_on_loop(const struct loop *loop)
{
	assert(!loop->running || pthread_equal(loop->thread, pthread_self()));
}

void virtio_publish(struct virtio_queue *q)
{
	struct virtio_pci *vdev = q->vdev;

	assert_on_loop(q->loop);
	if (virtqueue_publish(&q->vq))
		virtio_pci_interrupt(vdev, (unsigned)(q - vdev->queues));
	if (q->vq.broken)
		virtio_pci_fail(vdev);
}

void virtio_pci_pushed(struct virtio_pci *vdev, unsigned queue)
{
	loop_defer(vdev->queues[queue].loop, &vdev->queues[queue].serve);
}

static void doorbell_rang(struct loop_source *source)
{
	struct virtio_queue *q = container_of(source, struct virtio_queue, doorbell);

	loop_defer(q->loop, &q->serve);
}

/*
 * The doorbell stays off while there is much to do: who finds several requests looks again by
 * itself when they have been started. Other queues of the loop have their turn in between.
 */
static void queue_serve(struct loop_work *work)
{
	struct virtio_queue *q = container_of(work, struct virtio_queue, serve);
	struct virtio_pci *vdev = q->vdev;
	uint16_t first;

	if (!q->running)
		return;
	/* What is done comes first: the guest goes on while the rest is started. */
	virtio_publish(q);
	virtqueue_doorbell_off(&q->vq);
	first = q->vq.avail_next;
	if (virtqueue_fetch(&q->vq))
		vdev->class->notify(vdev, (unsigned)(q - vdev->queues));
	virtio_publish(q);
	if ((uint16_t)(q->vq.avail_next - first) > 1 ||
	    (!q->quiet && virtqueue_doorbell_on(&q->vq)))
		loop_defer(q->loop, &q->serve);
}

static uint64_t doorbell_gpa(const struct virtio_pci *vdev, unsigned queue)
{
	return vdev->pci.bars[VIRTIO_BAR].addr + VIRTIO_PAGE_NOTIFY * VIRTIO_BAR_PAGE +
	       queue * VIRTIO_NOTIFY_MULTIPLIER;
}

/*
 * Without KVM's help the write is trapped and signals the same eventfd, only slower. KVM waits for
 * all vCPUs with each doorbell that comes or goes, some milliseconds at worst: so it is given none
 * that no driver has asked for, and none when firmware or a kernel moves the BAR of a device that
 * has no driver.
 */
void virtio_doorbells_add(struct virtio_pci *vdev)
{
	struct pci_dev *pci = &vdev->pci;

	if (!bus_has(pci->board->mmio, &vdev->range))
		return;
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		if (!q->enabled || q->fast)
			continue;
		q->fast =
			vm_doorbell_add(pci->board->vm, doorbell_gpa(vdev, i), q->doorbell.fd) == 0;
		if (!q->fast)
			log_guest("%s: no fast doorbell for queue %u", pci->device.name, i);
	}
}

void virtio_doorbells_remove(struct virtio_pci *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		if (q->fast)
			vm_doorbell_remove(vdev->pci.board->vm, doorbell_gpa(vdev, i),
					   q->doorbell.fd);
		q->fast = false;
	}
}

int virtio_doorbells_watch(struct virtio_pci *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct virtio_queue *q = &vdev->queues[i];
		int r;

		if (!q->enabled)
			continue;
		if (q->doorbell.fd < 0) {
			r = sys_eventfd();
			if (r < 0)
				return err_sys(ERR_LIMIT, r, "make a doorbell");
			q->doorbell.fd = r;
		}
		if (q->watched || vdev->class->retarget)
			continue;
		r = loop_add(q->loop, &q->doorbell);
		if (r < 0)
			return r;
		q->watched = true;
	}
	return 0;
}

/* --- life --- */

void virtio_queue_init(struct virtio_queue *q, struct virtio_pci *vdev)
{
	q->vdev = vdev;
	q->doorbell = (struct loop_source){ .fd = -1, .edge = true, .ready = doorbell_rang };
	q->serve.fn = queue_serve;
}

static void leave_loop(void *arg)
{
	struct virtio_queue *q = arg;

	loop_cancel(q->loop, &q->serve);
	if (q->watched)
		loop_remove(q->loop, &q->doorbell);
	q->watched = false;
}

void virtio_queue_leave(struct virtio_queue *q)
{
	if (q->loop)
		loop_call(q->loop, leave_loop, q);
}
