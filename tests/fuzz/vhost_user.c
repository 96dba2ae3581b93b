/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that serves a device may answer: the front-end of vhost-user against a stream that
 * is the input.
 */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/sys.h"
#include "devices/vhost/vhost_user.h"
#include "vhost_backend.h"

#define REPLY      (1u << 2 | 1u)
#define TIMEOUT_MS 1000u
#define CONFIG     60u

static void put_reply(uint8_t **p, uint32_t request, const void *payload, uint32_t len)
{
	fuzz_put(p, 4, request);
	fuzz_put(p, 4, REPLY);
	fuzz_put(p, 4, len);
	memcpy(*p, payload, len);
	*p += len;
}

static void put_number(uint8_t **p, uint32_t request, uint64_t v)
{
	uint8_t payload[8];

	store_le(payload, sizeof(payload), v);
	put_reply(p, request, payload, sizeof(payload));
}

/* A back end with each answer there is, or one without acknowledgements. */
size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	const bool acknowledges = nr == 0;
	uint8_t config[12 + CONFIG] = { 0 };
	uint8_t *p = seed;

	if (nr == 2)
		return 0;
	put_number(&p, GET_FEATURES, VHOST_BACKEND_FEATURES);
	put_number(&p, GET_PROTOCOL_FEATURES,
		   1u << VHOST_USER_PROTOCOL_F_MQ | 1u << VHOST_USER_PROTOCOL_F_CONFIG |
			   (acknowledges ? 1u << VHOST_USER_PROTOCOL_F_REPLY_ACK : 0));
	put_number(&p, GET_QUEUE_NUM, 2);
	store_le(config + 4, 4, CONFIG);
	put_reply(&p, GET_CONFIG, config, sizeof(config));
	for (uint32_t request = SET_MEM_TABLE; acknowledges && request <= SET_VRING_ENABLE;
	     request++)
		put_number(&p, request, 0);
	put_number(&p, GET_VRING_BASE, 0);
	return (size_t)(p - seed);
}

static void talk(struct vhost_user *vu, const struct guest_mem *mem)
{
	struct vhost_user_ring ring = {
		.size = 16, .desc = 0x1000, .avail = 0x2000, .used = 0x3000
	};
	uint8_t config[CONFIG];
	uint16_t base = 0;
	int r;

	r = vhost_user_get_config(vu, config, sizeof(config));
	if (r == 0)
		r = vhost_user_set_config(vu, 32, config, 1);
	if (r == 0)
		r = vhost_user_set_mem(vu, mem);
	if (r == 0)
		r = vhost_user_set_features(vu, vu->features);
	ring.kick_fd = sys_eventfd();
	ring.call_fd = sys_eventfd();
	if (r == 0)
		r = vhost_user_start_ring(vu, 0, &ring);
	if (r == 0)
		r = vhost_user_stop_ring(vu, 0, &base);
	close_fd(&ring.kick_fd);
	close_fd(&ring.call_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_mem mem;
	struct vhost_user vu = { .fd = -1 };
	int ends[2];

	if (!mem.count) {
		guest_mem_init(&mem);
		mem.shared = true;
		if (guest_mem_add(&mem, 0, 2 * MiB) < 0)
			abort();
	}
	err_clear();
	/* All that it ever says is there, and then the end: nobody waits. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    send(ends[1], data, size, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
	shutdown(ends[1], SHUT_WR);
	if (vhost_user_open(&vu, ends[0], "fuzz", 1ull << VHOST_USER_PROTOCOL_F_CONFIG,
			    TIMEOUT_MS) == 0)
		talk(&vu, &mem);
	vhost_user_close(&vu);
	close(ends[1]);
	return 0;
}
