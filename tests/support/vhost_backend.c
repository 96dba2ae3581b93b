/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory behind vhost-user, for tests; see vhost_backend.h.
 * [QEMU: docs/interop/vhost-user.rst]
 */
#include "vhost_backend.h"

#include <linux/vhost_types.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "core/sys.h"
#include "devices/virtio/iov.h"

#define FLAG_VERSION    1u
#define FLAG_REPLY      4u
#define FLAG_NEED_REPLY 8u

struct message {
	uint32_t request, flags, size;
	uint8_t payload[1024];
};

#define HEAD 12u

#define MUST(condition)                                                             \
	do {                                                                        \
		if (!(condition)) {                                                 \
			fprintf(stderr, "vhost_backend: not so: %s\n", #condition); \
			abort();                                                    \
		}                                                                   \
	} while (0)

static uint64_t load(const struct message *m, unsigned off, unsigned len)
{
	MUST(off + len <= m->size);
	return load_le(m->payload + off, len);
}

/* --- the disk --- */

static void complete(struct vhost_backend *b, unsigned i, const struct virtqueue_chain *chain,
		     struct iovec *iov)
{
	struct iovec *out = iov, *in = iov + chain->readable;
	unsigned out_count = chain->readable, in_count = chain->writable;
	struct virtqueue *vq = &b->rings[i].vq;
	struct virtio_blk_outhdr hdr;
	uint32_t written = 1;
	uint64_t off;
	uint8_t *status;

	MUST(in_count && in[in_count - 1].iov_len == 1);
	status = in[--in_count].iov_base;
	MUST(iov_read(out, out_count, &hdr, sizeof(hdr)) == sizeof(hdr));
	iov_advance(&out, &out_count, sizeof(hdr));
	off = hdr.sector * 512;
	*status = VIRTIO_BLK_S_OK;
	if (hdr.type == VIRTIO_BLK_T_FLUSH)
		atomic_fetch_add(&b->flushes, 1);
	else if (hdr.type == VIRTIO_BLK_T_IN && off + iov_length(in, in_count) <= sizeof(b->disk))
		written +=
			(uint32_t)iov_write(in, in_count, b->disk + off, iov_length(in, in_count));
	else if (hdr.type == VIRTIO_BLK_T_OUT &&
		 off + iov_length(out, out_count) <= sizeof(b->disk))
		iov_read(out, out_count, b->disk + off, iov_length(out, out_count));
	else
		*status = VIRTIO_BLK_S_IOERR;
	virtqueue_push(vq, chain->head, written);
	atomic_fetch_add(&b->served, 1);
	if (virtqueue_publish(vq))
		sys_eventfd_signal(b->rings[i].call_fd);
}

static void release(struct vhost_backend *b)
{
	if (atomic_load(&b->hold))
		return;
	for (unsigned h = 0; h < b->held_count; h++)
		complete(b, b->held[h].ring, &b->held[h].chain, b->held[h].iov);
	b->held_count = 0;
}

static void kicked(struct vhost_backend *b, unsigned i)
{
	struct vhost_backend_ring *ring = &b->rings[i];
	struct virtqueue_chain chain;
	struct iovec iov[64];

	sys_eventfd_drain(ring->kick_fd);
	atomic_fetch_add(&b->kicks, 1);
	do {
		virtqueue_doorbell_off(&ring->vq);
		(void)virtqueue_fetch(&ring->vq);
		MUST(ring->vq.size <= ARRAY_SIZE(iov));
		while (virtqueue_pop(&ring->vq, iov, &chain)) {
			if (!atomic_load(&b->hold)) {
				complete(b, i, &chain, iov);
				continue;
			}
			MUST(b->held_count < ARRAY_SIZE(b->held));
			b->held[b->held_count].ring = i;
			b->held[b->held_count].chain = chain;
			memcpy(b->held[b->held_count].iov, iov, sizeof(iov));
			b->held_count++;
		}
	} while (virtqueue_doorbell_on(&ring->vq));
}

/* --- messages --- */

static struct vhost_backend_ring *ring_of(struct vhost_backend *b, const struct message *m)
{
	uint64_t index = load(m, 0, 4) & 0xff;

	MUST(index < VHOST_BACKEND_QUEUES);
	return &b->rings[index];
}

static void set_mem(struct vhost_backend *b, const struct message *m, const int fds[],
		    unsigned count)
{
	MUST(load(m, 0, 4) == count && count && m->size == 8 + 32 * count && !b->mem.count);
	for (unsigned i = 0; i < count; i++) {
		const unsigned at = 8 + 32 * i;
		struct mem_bank *bank = &b->mem.banks[i];

		MUST(load(m, at + 24, 8) == 0);
		bank->gpa = load(m, at + 16, 8); /* rings come in user addresses */
		MUST(bank->gpa == load(m, at, 8));
		bank->size = load(m, at + 8, 8);
		bank->fd = fds[i];
		bank->hva = mmap(NULL, bank->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		MUST(bank->hva != MAP_FAILED);
	}
	b->mem.count = count;
}

static void set_addr(struct vhost_backend *b, const struct message *m)
{
	struct vhost_backend_ring *ring = ring_of(b, m);

	MUST(m->size == 40 && ring->size && !ring->running);
	MUST(virtqueue_init(&ring->vq, "backend", &b->mem, ring->size, load(m, 8, 8),
			    load(m, 24, 8), load(m, 16, 8)) == 0);
	virtqueue_set_features(&ring->vq, b->driver_features);
}

static void set_fd(int *fd, const int fds[], unsigned count)
{
	MUST(count == 1);
	close_fd(fd);
	*fd = fds[0];
}

static const struct virtio_blk_config disk_config = { .capacity = VHOST_BACKEND_SECTORS };

/* The reply's payload takes the request's place; its length, 0: none. */
static uint32_t handle(struct vhost_backend *b, struct message *m, const int fds[], unsigned count)
{
	struct vhost_backend_ring *ring;

	switch (m->request) {
	case GET_FEATURES:
		store_le(m->payload, 8, b->features);
		return 8;
	case GET_PROTOCOL_FEATURES:
		store_le(m->payload, 8, b->protocol);
		return 8;
	case GET_QUEUE_NUM:
		store_le(m->payload, 8, VHOST_BACKEND_QUEUES);
		return 8;
	case SET_OWNER:
		MUST(m->size == 0);
		return 0;
	case SET_PROTOCOL_FEATURES:
		MUST(!(load(m, 0, 8) & ~b->protocol));
		return 0;
	case SET_FEATURES:
		MUST(!(load(m, 0, 8) & ~b->features));
		b->driver_features = load(m, 0, 8);
		return 0;
	case SET_MEM_TABLE:
		set_mem(b, m, fds, count);
		return 0;
	case SET_VRING_NUM:
		ring_of(b, m)->size = (unsigned)load(m, 4, 4);
		return 0;
	case SET_VRING_BASE:
		MUST(load(m, 4, 4) == 0);
		return 0;
	case SET_VRING_ADDR:
		set_addr(b, m);
		return 0;
	case SET_VRING_CALL:
		set_fd(&ring_of(b, m)->call_fd, fds, count);
		return 0;
	case SET_VRING_KICK:
		ring = ring_of(b, m);
		set_fd(&ring->kick_fd, fds, count);
		ring->running = true;
		ring->enabled = !(b->features & 1ull << 30);
		return 0;
	case SET_VRING_ENABLE:
		ring_of(b, m)->enabled = load(m, 4, 4);
		return 0;
	case GET_VRING_BASE:
		ring = ring_of(b, m);
		/* As real ones: what is held when it comes is lost. */
		MUST(ring->running);
		ring->running = ring->enabled = false;
		close_fd(&ring->kick_fd);
		close_fd(&ring->call_fd);
		store_le(m->payload + 4, 4, ring->vq.avail_next);
		return 8;
	case GET_CONFIG:
		MUST(load(m, 0, 4) == 0 && m->size == 12 + load(m, 4, 4));
		memcpy(m->payload + 12, &disk_config, MIN(sizeof(disk_config), load(m, 4, 4)));
		return m->size;
	case SET_CONFIG:
		MUST(load(m, 0, 4) == offsetof(struct virtio_blk_config, wce) && m->size == 13);
		b->wce = m->payload[12];
		return 0;
	default:
		MUST(!"a known request");
		return 0;
	}
}

static void reply(struct vhost_backend *b, struct message *m)
{
	const uint32_t request = m->request;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { m, HEAD + m->size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	bool faulty = atomic_load(&b->fault_at) == request;

	usleep(1000 * atomic_load(&b->slow_ms));
	m->flags = FLAG_VERSION | FLAG_REPLY;
	switch (faulty ? b->fault : VHOST_FAULT_NONE) {
	case VHOST_FAULT_SILENCE:
		return;
	case VHOST_FAULT_HALF:
		iov.iov_len = HEAD / 2;
		break;
	case VHOST_FAULT_OTHER:
		m->request++;
		break;
	case VHOST_FAULT_NO_FLAG:
		m->flags = FLAG_VERSION;
		break;
	case VHOST_FAULT_SHORT:
		m->size -= 4;
		iov.iov_len -= 4;
		break;
	case VHOST_FAULT_HUGE:
		m->size = UINT32_MAX - 3;
		break;
	case VHOST_FAULT_WRONG:
		m->payload[0] ^= 1;
		break;
	case VHOST_FAULT_REFUSE:
		store_le(m->payload, 8, 1);
		break;
	case VHOST_FAULT_FILES:
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &b->wake_fd, sizeof(int));
		break;
	case VHOST_FAULT_NONE:
	case VHOST_FAULT_DIE:
		break;
	}
	/* The front-end may be gone. */
	if (sendmsg(b->own_fd, &msg, MSG_NOSIGNAL) < 0)
		return;
}

/* False at the end of the connection. */
static bool message(struct vhost_backend *b)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * GUEST_MEM_BANKS_MAX)];
	} control;
	struct message m = { 0 };
	struct iovec iov = { &m, HEAD };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int fds[GUEST_MEM_BANKS_MAX] = { 0 };
	unsigned count = 0;
	bool need_reply;
	uint32_t len;

	if (recvmsg(b->own_fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) <= 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	}
	MUST((m.flags & 3) == FLAG_VERSION && m.size <= sizeof(m.payload));
	if (m.size && recv(b->own_fd, m.payload, m.size, MSG_WAITALL) != (ssize_t)m.size)
		return false;
	MUST(m.request < VHOST_BACKEND_REQUESTS);
	atomic_fetch_add(&b->seen[m.request], 1);
	if (b->fault == VHOST_FAULT_DIE && atomic_load(&b->fault_at) == m.request) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		return false;
	}
	need_reply = m.flags & FLAG_NEED_REPLY;
	len = handle(b, &m, fds, count);
	if (len) {
		m.size = len;
		reply(b, &m);
	} else if (need_reply) {
		m.size = 8;
		store_le(m.payload, 8, 0);
		reply(b, &m);
	}
	return true;
}

static void *serve(void *arg)
{
	struct vhost_backend *b = arg;
	bool connected = true;

	if (b->listen_fd) {
		b->own_fd = accept(b->listen_fd, NULL, NULL);
		MUST(b->own_fd >= 0);
	}
	while (connected && !atomic_load(&b->stopping)) {
		struct pollfd p[2 + VHOST_BACKEND_QUEUES] = {
			{ .fd = b->own_fd, .events = POLLIN },
			{ .fd = b->wake_fd, .events = POLLIN },
		};

		for (unsigned i = 0; i < VHOST_BACKEND_QUEUES; i++)
			p[2 + i] = (struct pollfd){ b->rings[i].enabled ? b->rings[i].kick_fd : -1,
						    POLLIN, 0 };
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents) {
			sys_eventfd_drain(b->wake_fd);
			release(b);
		}
		for (unsigned i = 0; i < VHOST_BACKEND_QUEUES; i++) {
			if (p[2 + i].revents & POLLIN)
				kicked(b, i);
		}
		if (p[0].revents)
			connected = message(b);
	}
	close_fd(&b->own_fd);
	return NULL;
}

void vhost_backend_start(struct vhost_backend *b)
{
	int fds[2] = { -1, -1 };

	MUST(b->listen_fd || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	b->fd = fds[0];
	b->own_fd = fds[1];
	b->wake_fd = sys_eventfd();
	for (unsigned i = 0; i < VHOST_BACKEND_QUEUES; i++)
		b->rings[i].kick_fd = b->rings[i].call_fd = -1;
	if (!b->features)
		b->features = VHOST_BACKEND_FEATURES;
	if (!b->protocol)
		b->protocol = 1ull << 0 | 1ull << 3 | 1ull << 9 | 1ull << 15;
	MUST(pthread_create(&b->thread, NULL, serve, b) == 0);
}

void vhost_backend_wake(struct vhost_backend *b)
{
	sys_eventfd_signal(b->wake_fd);
}

void vhost_backend_die(struct vhost_backend *b)
{
	atomic_store(&b->stopping, true);
	vhost_backend_wake(b);
}

void vhost_backend_stop(struct vhost_backend *b)
{
	vhost_backend_die(b);
	pthread_join(b->thread, NULL);
	close_fd(&b->own_fd);
	close_fd(&b->wake_fd);
	for (unsigned i = 0; i < VHOST_BACKEND_QUEUES; i++) {
		close_fd(&b->rings[i].kick_fd);
		close_fd(&b->rings[i].call_fd);
	}
	guest_mem_fini(&b->mem);
}
