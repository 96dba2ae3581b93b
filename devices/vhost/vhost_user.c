/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to a vhost-user back end and their replies; see vhost_user.h.
 * [QEMU: docs/interop/vhost-user.rst, Message Specification, Front-end message types]
 */
#include "devices/vhost/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <linux/vhost_types.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"
#include "devices/vhost/vhost_user_stream.h"

#define VHOST_USER_VERSION         0x1u
#define VHOST_USER_FLAG_REPLY      (1u << 2)
#define VHOST_USER_FLAG_NEED_REPLY (1u << 3)

/* A bit of the device's features that no driver sees. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30u
#define VHOST_USER_MEM_REGIONS_MAX     VHOST_USER_STREAM_FILES_MAX

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
};

struct vhost_user_region {
	uint64_t gpa, size, user_addr, offset;
};

struct vhost_user_config {
	uint32_t offset, size, flags;
	uint8_t data[VHOST_USER_CONFIG_MAX];
};

#define VHOST_USER_CONFIG_HEAD offsetof(struct vhost_user_config, data)

struct vhost_user_msg {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct __attribute__((packed)) {
			uint32_t count, padding;
			struct vhost_user_region regions[VHOST_USER_MEM_REGIONS_MAX];
		} mem;
		struct vhost_vring_addr addr;
		struct vhost_user_config config;
	} __attribute__((packed)) payload;
} __attribute__((packed));

#define VHOST_USER_HEAD offsetof(struct vhost_user_msg, payload)

static_assert(VHOST_USER_HEAD == 12 && VHOST_USER_CONFIG_HEAD == 12, "as the protocol has them");
static_assert(GUEST_MEM_BANKS_MAX <= VHOST_USER_MEM_REGIONS_MAX, "RAM fits into one message");

/* --- messages --- */

static int fail(const struct vhost_user *vu, int code, const struct vhost_user_msg *msg)
{
	switch (code) {
	case -ETIMEDOUT:
		return err_set(ERR_HOST, code, "%s does not answer message %u in time", vu->name,
			       msg->request);
	case -ECONNRESET:
	case -EPIPE:
		return err_set(ERR_HOST, -ECONNRESET, "%s closed the connection", vu->name);
	default:
		return err_sys(ERR_HOST, code, "%s: message %u", vu->name, msg->request);
	}
}

static int protocol_error(const struct vhost_user *vu, uint32_t request, const char *what)
{
	return err_set(ERR_HOST, -EPROTO, "%s broke the vhost-user protocol: %s message %u",
		       vu->name, what, request);
}

static bool uses(const struct vhost_user *vu, unsigned protocol_feature)
{
	return vu->protocol & 1ull << protocol_feature;
}

/* Sends `msg` and, if it has one, receives the reply in its place: of `reply` bytes, 0: none. */
static int exchange(const struct vhost_user *vu, struct vhost_user_msg *msg, const int fds[],
		    unsigned count, unsigned reply)
{
	const uint64_t end = vu->end_ms ? vu->end_ms : clock_ms() + vu->timeout_ms;
	const uint32_t request = msg->request;
	const bool ack = !reply && uses(vu, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	struct vhost_user_msg answer;
	int r;

	msg->flags = VHOST_USER_VERSION | (ack ? VHOST_USER_FLAG_NEED_REPLY : 0);
	r = vhost_user_stream_send(vu->fd, msg, VHOST_USER_HEAD + msg->size, fds, count, end);
	if (r < 0)
		return fail(vu, r, msg);
	if (!reply && !ack)
		return 0;
	if (ack)
		reply = sizeof(msg->payload.u64);
	r = vhost_user_stream_recv(vu->fd, &answer, VHOST_USER_HEAD, end);
	if (r < 0)
		return fail(vu, r, msg);
	if (answer.request != request || !(answer.flags & VHOST_USER_FLAG_REPLY))
		return protocol_error(vu, request, "no reply to");
	if (request == VHOST_USER_GET_CONFIG && answer.size == 0)
		return err_set(ERR_HOST, -EIO, "%s does not tell the device's configuration",
			       vu->name);
	if (answer.size != reply)
		return protocol_error(vu, request, "wrong size of the reply to");
	r = vhost_user_stream_recv(vu->fd, &answer.payload, reply, end);
	if (r < 0)
		return fail(vu, r, msg);
	if (ack && answer.payload.u64)
		return err_set(ERR_HOST, -EIO, "%s refused message %u", vu->name, request);
	*msg = answer;
	return 0;
}

static int get_u64(const struct vhost_user *vu, enum vhost_user_request request, uint64_t *ret)
{
	struct vhost_user_msg msg = { .request = request };
	int r = exchange(vu, &msg, NULL, 0, sizeof(msg.payload.u64));

	if (r == 0)
		*ret = msg.payload.u64;
	return r;
}

static int set_u64(const struct vhost_user *vu, enum vhost_user_request request, uint64_t val,
		   const int *fd)
{
	struct vhost_user_msg msg = {
		.request = request,
		.size = sizeof(msg.payload.u64),
		.payload.u64 = val,
	};

	return exchange(vu, &msg, fd, fd ? 1 : 0, 0);
}

static int set_state(const struct vhost_user *vu, enum vhost_user_request request, unsigned index,
		     unsigned num)
{
	struct vhost_user_msg msg = {
		.request = request,
		.size = sizeof(msg.payload.state),
		.payload.state = { index, num },
	};

	return exchange(vu, &msg, NULL, 0, 0);
}

/* --- life --- */

static int negotiate(struct vhost_user *vu, uint64_t needed)
{
	const uint64_t optional =
		1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK;
	struct vhost_user_msg owner = { .request = VHOST_USER_SET_OWNER };
	uint64_t offered = 0, queues = 1;
	int r = get_u64(vu, VHOST_USER_GET_FEATURES, &vu->features);

	if (r == 0)
		r = exchange(vu, &owner, NULL, 0, 0);
	if (r == 0 && vu->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES)
		r = get_u64(vu, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
	if (r < 0)
		return r;
	if (needed & ~offered)
		return err_set(ERR_HOST, -EPROTO, "%s lacks protocol features 0x%llx", vu->name,
			       (unsigned long long)(needed & ~offered));
	if (vu->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES) {
		const uint64_t protocol = offered & (needed | optional);

		/* With the next message they hold. */
		r = set_u64(vu, VHOST_USER_SET_PROTOCOL_FEATURES, protocol, NULL);
		vu->protocol = protocol;
	}
	if (r == 0 && uses(vu, VHOST_USER_PROTOCOL_F_MQ))
		r = get_u64(vu, VHOST_USER_GET_QUEUE_NUM, &queues);
	vu->queues = (unsigned)MIN(queues, UINT16_MAX);
	return r;
}

int vhost_user_open(struct vhost_user *vu, int fd, const char *name, uint64_t needed,
		    unsigned timeout_ms)
{
	int r;

	*vu = (struct vhost_user){
		.name = name,
		.fd = fd,
		.timeout_ms = timeout_ms,
		.end_ms = clock_ms() + timeout_ms,
	};
	r = negotiate(vu, needed);
	vu->end_ms = 0;
	if (r < 0)
		vhost_user_close(vu);
	return r;
}

void vhost_user_close(struct vhost_user *vu)
{
	close_fd(&vu->fd);
}

int vhost_user_get_config(struct vhost_user *vu, void *buf, unsigned len)
{
	struct vhost_user_msg msg = {
		.request = VHOST_USER_GET_CONFIG,
		.size = (uint32_t)VHOST_USER_CONFIG_HEAD + len,
		.payload.config = { .size = len },
	};
	int r;

	assert(uses(vu, VHOST_USER_PROTOCOL_F_CONFIG) && len <= VHOST_USER_CONFIG_MAX);
	r = exchange(vu, &msg, NULL, 0, (unsigned)VHOST_USER_CONFIG_HEAD + len);
	if (r < 0)
		return r;
	if (msg.payload.config.offset != 0 || msg.payload.config.size != len)
		return protocol_error(vu, VHOST_USER_GET_CONFIG, "wrong content of the reply to");
	memcpy(buf, msg.payload.config.data, len);
	return 0;
}

int vhost_user_set_config(struct vhost_user *vu, unsigned off, const void *buf, unsigned len)
{
	struct vhost_user_msg msg = {
		.request = VHOST_USER_SET_CONFIG,
		.size = (uint32_t)VHOST_USER_CONFIG_HEAD + len,
		.payload.config = { .offset = off, .size = len },
	};

	assert(uses(vu, VHOST_USER_PROTOCOL_F_CONFIG) && len <= VHOST_USER_CONFIG_MAX);
	memcpy(msg.payload.config.data, buf, len);
	return exchange(vu, &msg, NULL, 0, 0);
}

/*
 * The back end is told the rings' places in "user addresses", and where our RAM is among them. Any
 * numbers do that belong together: guest-physical ones, so that it learns nothing of our own.
 */
int vhost_user_set_mem(struct vhost_user *vu, const struct guest_mem *mem)
{
	struct vhost_user_msg msg = { .request = VHOST_USER_SET_MEM_TABLE };
	int fds[GUEST_MEM_BANKS_MAX];

	for (unsigned i = 0; i < mem->count; i++) {
		const struct mem_bank *bank = &mem->banks[i];

		assert(bank->fd >= 0);
		fds[i] = bank->fd;
		msg.payload.mem.regions[i] = (struct vhost_user_region){
			.gpa = bank->gpa,
			.size = bank->size,
			.user_addr = bank->gpa,
		};
	}
	msg.payload.mem.count = mem->count;
	msg.size = (uint32_t)(sizeof(msg.payload.mem) - sizeof(msg.payload.mem.regions) +
			      mem->count * sizeof(msg.payload.mem.regions[0]));
	return exchange(vu, &msg, fds, mem->count, 0);
}

int vhost_user_set_features(struct vhost_user *vu, uint64_t features)
{
	/* With the bit that is the protocol's, rings begin disabled. */
	features |= vu->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES;
	return set_u64(vu, VHOST_USER_SET_FEATURES, features, NULL);
}

int vhost_user_set_call(struct vhost_user *vu, unsigned index, int fd)
{
	return set_u64(vu, VHOST_USER_SET_VRING_CALL, index, &fd);
}

int vhost_user_start_ring(struct vhost_user *vu, unsigned index, const struct vhost_user_ring *ring)
{
	struct vhost_user_msg addr = {
		.request = VHOST_USER_SET_VRING_ADDR,
		.size = sizeof(addr.payload.addr),
		.payload.addr = {
			.index = index,
			.desc_user_addr = ring->desc,
			.used_user_addr = ring->used,
			.avail_user_addr = ring->avail,
		},
	};
	int r = set_state(vu, VHOST_USER_SET_VRING_NUM, index, ring->size);

	if (r == 0)
		r = set_state(vu, VHOST_USER_SET_VRING_BASE, index, 0);
	if (r == 0)
		r = exchange(vu, &addr, NULL, 0, 0);
	if (r == 0)
		r = vhost_user_set_call(vu, index, ring->call_fd);
	if (r == 0)
		r = set_u64(vu, VHOST_USER_SET_VRING_KICK, index, &ring->kick_fd);
	if (r == 0 && vu->features & 1ull << VHOST_USER_F_PROTOCOL_FEATURES)
		r = set_state(vu, VHOST_USER_SET_VRING_ENABLE, index, 1);
	return r;
}

int vhost_user_stop_ring(struct vhost_user *vu, unsigned index, uint16_t *ret_base)
{
	struct vhost_user_msg msg = {
		.request = VHOST_USER_GET_VRING_BASE,
		.size = sizeof(msg.payload.state),
		.payload.state = { .index = index },
	};
	int r = exchange(vu, &msg, NULL, 0, sizeof(msg.payload.state));

	if (r < 0)
		return r;
	if (msg.payload.state.index != index || msg.payload.state.num > UINT16_MAX)
		return protocol_error(vu, VHOST_USER_GET_VRING_BASE,
				      "wrong content of the reply to");
	*ret_base = (uint16_t)msg.payload.state.num;
	return 0;
}
