/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device behind a vhost-user back end; see vhost_user_dev.h. On the device's loop, but for
 * the operations that a vCPU calls with the device's lock held: those wait for it.
 * [QEMU: docs/interop/vhost-user.rst, Ring states]
 */
#include "devices/vhost/vhost_user_dev.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "core/child.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "devices/vhost/vhost_user_server.h"

#define STEP_FIRST_NS (20 * 1000l)
#define STEP_LAST_NS  (5 * 1000 * 1000l)

/* A process is gone a little later than its connection. */
#define END_LIMIT_MS 200u

#define LINE_MAX 256

/* --- waiting: in steps that grow, until a time by clock_ms --- */

struct patience {
	uint64_t end_ms;
	struct timespec step;
};

static struct patience patience(uint64_t end_ms)
{
	return (struct patience){ end_ms, { .tv_nsec = STEP_FIRST_NS } };
}

static bool wait_step(struct patience *p)
{
	if (clock_ms() >= p->end_ms)
		return false;
	nanosleep(&p->step, NULL);
	p->step.tv_nsec = MIN(p->step.tv_nsec * 2, STEP_LAST_NS);
	return true;
}

/*
 * What begins here, on behalf of a vCPU that waits, ends in so many milliseconds, however slow each
 * answer is.
 */
static void begin(struct vhost_user_dev *dev, unsigned limit_ms)
{
	dev->backend.vu.end_ms = clock_ms() + limit_ms;
}

/* --- the connection --- */

static void tell_complaints(struct vhost_user_dev *dev)
{
	struct child *child = dev->backend.child;
	char line[LINE_MAX];

	for (unsigned i = 0; child && i < CHILD_LINES_MAX; i++) {
		if (!child_complaint(child, line, sizeof(line)))
			break;
		log_limited(LOG_WARN, "%s: %s", dev->backend.vu.name, line);
	}
}

static void complaints_ready(struct loop_source *source)
{
	struct vhost_user_dev *dev = container_of(source, struct vhost_user_dev, complaints);
	struct pollfd p = { .fd = source->fd, .events = POLLIN };

	tell_complaints(dev);
	/* At the end of the process there is nothing more to come; else the loop calls again. */
	if (poll(&p, 1, 0) == 1 && p.revents == POLLHUP)
		loop_remove(dev->loop, source);
}

static bool connected(const struct vhost_user_dev *dev)
{
	return dev->backend.vu.fd >= 0;
}

static void disconnect(struct vhost_user_dev *dev)
{
	if (!connected(dev))
		return;
	loop_remove(dev->loop, &dev->link);
	vhost_user_close(&dev->backend.vu);
	for (unsigned i = 0; i < dev->vdev.queue_count; i++)
		dev->rings[i].started = false;
}

static void give_up(struct vhost_user_dev *dev)
{
	atomic_store(&dev->vdev.gone, true);
	virtio_pci_fail(&dev->vdev);
}

/* Talking to the back end failed, as the error chain says. */
static void lose(struct vhost_user_dev *dev)
{
	struct patience p = patience(clock_ms() + END_LIMIT_MS);
	struct child *child = dev->backend.child;
	const char *name = dev->backend.vu.name;

	disconnect(dev);
	while (child && !child_ended(child) && wait_step(&p))
		;
	tell_complaints(dev);
	if (child && child_ended(child)) {
		log_error("%s has ended (%s); the guest's device is gone for this run", name,
			  child_end_text(child).s);
		give_up(dev);
	} else if (dev->backend.server < 0) {
		log_error("%s; the guest's device is gone for this run", err_text());
		give_up(dev);
	} else {
		log_error("%s; the guest's device works again after a reset", err_text());
		virtio_pci_fail(&dev->vdev);
	}
	if (dev->vital)
		vm_request(dev->vdev.pci.board->vm, VM_REQUEST_SERVER_LOST);
}

/* It is never the back end that begins: it has come to an end, or lost its way. */
static void link_ready(struct loop_source *source)
{
	struct vhost_user_dev *dev = container_of(source, struct vhost_user_dev, link);
	char c;
	ssize_t n = recv(source->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	/* Told of what was there before, perhaps an answer that was waited for. */
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n == 1)
		err_set(ERR_HOST, -EPROTO, "%s sent a message that nobody asked for",
			dev->backend.vu.name);
	else
		err_set(ERR_HOST, -ECONNRESET, "%s closed the connection", dev->backend.vu.name);
	lose(dev);
}

static int watch_link(struct vhost_user_dev *dev)
{
	dev->link = (struct loop_source){ dev->backend.vu.fd, link_ready };
	return loop_add(dev->loop, &dev->link);
}

static int connect_again(struct vhost_user_dev *dev)
{
	struct vhost_user *vu = &dev->backend.vu;
	const uint64_t end = vu->end_ms, now = clock_ms();
	int r = vhost_user_connect(dev->backend.server);

	if (r < 0)
		return err_sys(ERR_HOST, r, "%s: connect again", vu->name);
	r = vhost_user_open(vu, r, vu->name, dev->needed, now < end ? (unsigned)(end - now) : 0);
	vu->timeout_ms = dev->timeout_ms;
	vu->end_ms = end;
	if (r == 0)
		r = vhost_user_set_mem(vu, dev->vdev.pci.board->mem);
	if (r == 0)
		r = watch_link(dev);
	return r;
}

/* After a loss, in the time of what is under way. If it answers, nothing of the old connection is
 * in flight any more. */
static void regain(struct vhost_user_dev *dev)
{
	if (connected(dev) || dev->closing || atomic_load(&dev->vdev.gone))
		return;
	if (connect_again(dev) == 0) {
		log_info("%s is connected again", dev->backend.vu.name);
		return;
	}
	/* It must not write to the guest's memory after the reset. */
	vhost_user_close(&dev->backend.vu);
	if (dev->backend.child)
		child_kill(dev->backend.child);
	log_error("%s; the guest's device is gone for this run", err_text());
	give_up(dev);
}

/* --- interrupts --- */

static void retarget_on_loop(void *arg)
{
	struct vhost_user_dev *dev = arg;

	begin(dev, dev->timeout_ms);
	for (unsigned i = 0; i < dev->vdev.queue_count; i++) {
		struct vhost_user_dev_ring *ring = &dev->rings[i];

		if (!ring->started || !vhost_call_moved(&ring->call))
			continue;
		if (vhost_user_set_call(&dev->backend.vu, i, vhost_call_take(&ring->call)) < 0)
			lose(dev);
	}
}

void vhost_user_dev_retarget(struct virtio_pci *vdev)
{
	struct vhost_user_dev *dev = vhost_user_dev_of(vdev);

	loop_call(dev->loop, retarget_on_loop, dev);
}

/* --- start and stop --- */

static int start_ring(struct vhost_user_dev *dev, unsigned queue)
{
	const struct virtio_queue *q = &dev->vdev.queues[queue];
	struct vhost_user_dev_ring *ring = &dev->rings[queue];
	const struct vhost_user_ring programmed = {
		.size = q->size,
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.kick_fd = q->doorbell.fd,
		.call_fd = vhost_call_take(&ring->call),
	};
	int r = vhost_user_start_ring(&dev->backend.vu, queue, &programmed);

	ring->started = r == 0;
	return r;
}

static void start_on_loop(void *arg)
{
	struct vhost_user_dev *dev = arg;
	int r;

	dev->stopping = false;
	begin(dev, dev->timeout_ms);
	regain(dev);
	if (!connected(dev)) {
		virtio_pci_fail(&dev->vdev);
		return;
	}
	/* What the class has to say comes first, and is said to each new connection. */
	r = dev->configure ? dev->configure(dev) : 0;
	if (r == 0)
		r = vhost_user_set_features(&dev->backend.vu, dev->vdev.driver_features);
	for (unsigned i = 0; i < dev->vdev.queue_count && r == 0; i++) {
		if (dev->vdev.queues[i].enabled)
			r = start_ring(dev, i);
	}
	if (r < 0)
		lose(dev);
}

void vhost_user_dev_start(struct virtio_pci *vdev)
{
	struct vhost_user_dev *dev = vhost_user_dev_of(vdev);

	loop_call(dev->loop, start_on_loop, dev);
}

/* Whether the device has used all that the driver made available, both in guest memory. */
static bool drained(const struct virtio_queue *q)
{
	return __atomic_load_n(&q->vq.avail->idx, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&q->vq.used->idx, __ATOMIC_ACQUIRE);
}

/*
 * A back end may answer the stop of a ring while requests of it are in flight (the storage daemon
 * does, and even breaks down when they end), so they have to end first. A guest that goes on adding
 * to the ring while it resets the device has only itself to blame.
 */
static int drain(struct vhost_user_dev *dev, unsigned queue)
{
	const struct virtio_queue *q = &dev->vdev.queues[queue];
	/* Of the rings that are stopped together one may take all the time that there is. */
	struct patience p = patience(dev->backend.vu.end_ms - dev->timeout_ms);
	struct pollfd link = { .fd = dev->backend.vu.fd, .events = POLLIN };

	/* What was added and not rung for yet counts, too. */
	sys_eventfd_signal(q->doorbell.fd);
	while (!drained(q)) {
		if (poll(&link, 1, 0) != 0)
			return err_set(ERR_HOST, -ECONNRESET, "%s closed the connection",
				       dev->backend.vu.name);
		if (!wait_step(&p))
			return err_set(ERR_HOST, -ETIMEDOUT,
				       "%s does not finish its requests in %u ms",
				       dev->backend.vu.name, dev->stop_limit_ms);
	}
	return 0;
}

void vhost_user_dev_stop(struct virtio_pci *vdev, unsigned queue)
{
	struct vhost_user_dev *dev = vhost_user_dev_of(vdev);
	struct vhost_user_dev_ring *ring = &dev->rings[queue];
	uint16_t base;

	/* The rings stop one after the other, and have their time together. */
	if (!dev->stopping)
		begin(dev, dev->stop_limit_ms + dev->timeout_ms);
	dev->stopping = true;
	if (ring->started) {
		int r = drain(dev, queue);

		if (r == 0)
			r = vhost_user_stop_ring(&dev->backend.vu, queue, &base);
		ring->started = false;
		if (r < 0)
			lose(dev);
	}
	regain(dev);
	/* What it interrupted for is not for the next driver. */
	vhost_call_drain(&ring->call);
}

/* --- life --- */

int vhost_user_dev_init(struct vhost_user_dev *dev, const struct board *board,
			const struct virtio_class *class, const struct virtio_setup *setup,
			uint64_t needed, struct vhost_user_backend *backend)
{
	int r;

	assert(setup->loop_count == 1 && class->retarget);
	dev->backend = *backend;
	*backend = (struct vhost_user_backend){ .vu.fd = -1, .server = -1 };
	dev->loop = setup->loops;
	dev->needed = needed;
	dev->timeout_ms = dev->backend.vu.timeout_ms;
	dev->stop_limit_ms = VHOST_USER_STOP_LIMIT_MS;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vhost_call_init(&dev->rings[i].call, &dev->vdev, i);
	r = virtio_pci_init(&dev->vdev, board, class, setup);
	if (r == 0)
		r = vhost_user_set_mem(&dev->backend.vu, board->mem);
	for (unsigned i = 0; i < setup->queues && r == 0; i++)
		r = vhost_call_open(&dev->rings[i].call, dev->loop);
	if (r == 0 && dev->backend.child) {
		dev->complaints =
			(struct loop_source){ dev->backend.child->complaints, complaints_ready };
		r = loop_add(dev->loop, &dev->complaints);
	}
	/* Last: from here on the loop has it. */
	return r < 0 ? r : watch_link(dev);
}

static void leave_loop(void *arg)
{
	struct vhost_user_dev *dev = arg;

	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vhost_call_leave(&dev->rings[i].call, dev->loop);
	if (dev->backend.child)
		loop_remove(dev->loop, &dev->complaints);
	if (connected(dev))
		loop_remove(dev->loop, &dev->link);
	dev->closing = true;
}

void vhost_user_dev_fini(struct vhost_user_dev *dev)
{
	if (!dev->loop)
		return;
	loop_call(dev->loop, leave_loop, dev);
	virtio_pci_fini(&dev->vdev);
	vhost_user_close(&dev->backend.vu);
	close_fd(&dev->backend.server);
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
		vhost_call_fini(&dev->rings[i].call);
	dev->loop = NULL;
}
