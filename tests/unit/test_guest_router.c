/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv6 of a guest by a router that announces only when it is asked. The kernel is the real one, in
 * a network namespace of its own; the links are TAP devices, at whose other end this test is the
 * router.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Before cmocka, which has a fail of its own. */
#include "guest/agent.h"

#include "cmocka_all.h"

/* The kernel looks for what is over about once a second. */
#define LIFETIME_S 3
#define LIMIT_MS   15000

struct tap {
	const char *name;
	const char *prefix; /* as /proc/net/if_inet6 begins with it */
	uint8_t subnet;
	int fd;
	unsigned asked; /* how often since the last look */
};

static struct tap kept = { "kept", "20010db800000001", 1, -1, 0 };
static struct tap left = { "left", "20010db800000002", 2, -1, 0 };

struct announcement {
	struct ether_header ether;
	struct ip6_hdr ip;
	struct nd_router_advert head;
	struct nd_opt_prefix_info prefix;
} __attribute__((packed));

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* [RFC 4443 2.3 Message Checksum Calculation] */
static uint16_t checksum(const struct announcement *a)
{
	const size_t len = sizeof(a->head) + sizeof(a->prefix);
	const uint8_t *data = (const uint8_t *)&a->head, *ip = (const uint8_t *)&a->ip.ip6_src;
	uint32_t sum = IPPROTO_ICMPV6 + (uint32_t)len;

	for (size_t i = 0; i < 32; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void announce(const struct tap *tap, uint32_t seconds)
{
	struct announcement a = {
		.ether = { { 0x33, 0x33, 0, 0, 0, 1 },
			   { 2, 0, 0, 0, 0, 1 },
			   htons(ETHERTYPE_IPV6) },
		.ip = { .ip6_flow = htonl(6u << 28),
			.ip6_plen = htons(sizeof(a.head) + sizeof(a.prefix)),
			.ip6_nxt = IPPROTO_ICMPV6,
			.ip6_hlim = 255 },
		.head = { .nd_ra_type = ND_ROUTER_ADVERT },
		.prefix = { .nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
			    .nd_opt_pi_len = sizeof(a.prefix) / 8,
			    .nd_opt_pi_prefix_len = 64,
			    .nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
			    .nd_opt_pi_valid_time = htonl(seconds),
			    .nd_opt_pi_preferred_time = htonl(seconds) },
	};

	a.head.nd_ra_router_lifetime = htons(65535);
	inet_pton(AF_INET6, "fe80::1", &a.ip.ip6_src);
	inet_pton(AF_INET6, "ff02::1", &a.ip.ip6_dst);
	inet_pton(AF_INET6, "2001:db8::", &a.prefix.nd_opt_pi_prefix);
	a.prefix.nd_opt_pi_prefix.s6_addr[7] = tap->subnet;
	a.head.nd_ra_cksum = checksum(&a);
	assert_int_equal(write(tap->fd, &a, sizeof(a)), sizeof(a));
}

/* What the guest says: only questions for a router count. */
static void read_frames(struct tap *tap)
{
	uint8_t frame[2048];
	const size_t type = sizeof(struct ether_header) + sizeof(struct ip6_hdr);
	ssize_t n;

	while ((n = read(tap->fd, frame, sizeof(frame))) > 0)
		tap->asked += (size_t)n > type && frame[12] == 0x86 && frame[13] == 0xdd &&
			      frame[20] == IPPROTO_ICMPV6 && frame[21] == 255 &&
			      frame[type] == ND_ROUTER_SOLICIT;
}

static void set(const char *name, const char *setting, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, setting);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
}

static bool open_tap(struct tap *tap)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(req.ifr_name, tap->name);
	return tap->fd >= 0 && ioctl(tap->fd, TUNSETIFF, &req) == 0;
}

static void bring_up(const struct tap *tap)
{
	const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_flags = IFF_UP };

	assert_true(fd >= 0);
	set(tap->name, "accept_dad", "0");
	set(tap->name, "accept_ra", "1");
	strcpy(req.ifr_name, tap->name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	close(fd);
}

static bool has_address(const struct tap *tap)
{
	FILE *list = fopen("/proc/net/if_inet6", "re");
	char line[128];
	bool found = false;

	assert_non_null(list);
	while (!found && fgets(line, sizeof(line), list))
		found = strncmp(line, tap->prefix, strlen(tap->prefix)) == 0;
	fclose(list);
	return found;
}

/* Of the agent, and of a router that answers the first link if it is told to. */
static void run_for(unsigned ms, bool answers)
{
	const uint64_t end = now_ms() + ms;

	for (uint64_t now = now_ms(); now < end; now = now_ms()) {
		struct pollfd p[] = { { .fd = router_file(), .events = POLLIN },
				      { .fd = kept.fd, .events = POLLIN },
				      { .fd = left.fd, .events = POLLIN } };
		const unsigned before = kept.asked;

		assert_true(poll(p, 3, (int)(end - now)) >= 0);
		if (p[0].revents)
			router_serve();
		read_frames(&kept);
		read_frames(&left);
		if (answers && kept.asked > before)
			announce(&kept, LIFETIME_S);
	}
}

static int setup(void **state)
{
	*state = NULL;
	if (unshare(CLONE_NEWNET) < 0 || !open_tap(&kept) || !open_tap(&left) ||
	    access("/proc/sys/net/ipv6", F_OK) < 0)
		return 0;
	*state = &kept;
	return 0;
}

static void address_lasts_as_long_as_the_router_answers(void **state)
{
	uint64_t start = now_ms();

	if (!*state)
		skip(); /* no root, no TAP devices or no IPv6 */
	router_watch(kept.name);
	bring_up(&kept);
	bring_up(&left);
	announce(&kept, LIFETIME_S);
	announce(&left, LIFETIME_S);
	while ((!has_address(&kept) || !has_address(&left)) && now_ms() - start < LIMIT_MS)
		run_for(20, false);
	assert_true(has_address(&kept) && has_address(&left));
	/* What the kernel asks by itself as the interface comes up is no question of ours. */
	kept.asked = 0;
	start = now_ms();
	while ((has_address(&left) || now_ms() - start < LIFETIME_S * 1500) &&
	       now_ms() - start < LIMIT_MS)
		run_for(100, true);
	assert_false(has_address(&left));
	assert_true(has_address(&kept));
	assert_in_range(kept.asked, 2, LIMIT_MS / (LIFETIME_S * 1000 / 2) + 1);

	/* One that does not answer is asked again, but not without a pause. */
	kept.asked = 0;
	announce(&kept, LIFETIME_S);
	run_for(3800, false);
	assert_in_range(kept.asked, 2, 3);
	/* What never ends needs no question. */
	announce(&kept, UINT32_MAX);
	run_for(100, false);
	kept.asked = 0;
	run_for(1500, false);
	assert_int_equal(kept.asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_lasts_as_long_as_the_router_answers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
