/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv6 for longer than a router's announcement is good for. The kernel asks for one when an
 * interface comes up, and relies on the router to repeat it; passt before 2024 answers, and says
 * nothing by itself, so that the guest would lose its address after an hour. Where half of what was
 * announced is over and nothing new has come, we ask again. [RFC 4861 4.1, 4.2 Router Solicitation
 * and Advertisement Message Format, 4.6.2 Prefix Information]
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"

/* The hosts of a link believe no other [RFC 4861 6.1.1]. */
#define HOPS 255

/* Asked after this part of the shortest lifetime, and then as often as that until it is answered.
 */
#define FIRST_PART   2u
#define NEXT_PART    8u
#define PAUSE_MIN_MS 1000u

#define MS_PER_S  1000u
#define NS_PER_MS 1000000l

struct link {
	unsigned index;
	uint32_t lifetime; /* seconds; 0: nothing has been announced that would end */
};

static struct {
	int file, socket, timer;
	struct link links[JOB_NETS_MAX];
	unsigned link_count;
} router = { .file = -1, .socket = -1, .timer = -1 };

static uint32_t shortest_lifetime(void)
{
	uint32_t shortest = 0;

	for (unsigned i = 0; i < router.link_count; i++) {
		const uint32_t lifetime = router.links[i].lifetime;

		if (lifetime && (!shortest || lifetime < shortest))
			shortest = lifetime;
	}
	return shortest;
}

/* None: the timer stands still. */
static void set_timer(unsigned part)
{
	uint64_t ms = (uint64_t)shortest_lifetime() * MS_PER_S / part;
	struct itimerspec when;

	if (ms && ms < PAUSE_MIN_MS)
		ms = PAUSE_MIN_MS;
	when = (struct itimerspec){
		.it_value = { (time_t)(ms / MS_PER_S), (long)(ms % MS_PER_S) * NS_PER_MS },
	};
	timerfd_settime(router.timer, 0, &when, NULL);
}

static void ask(const struct link *link)
{
	const struct nd_router_solicit question = { .nd_rs_type = ND_ROUTER_SOLICIT };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = link->index };

	inet_pton(AF_INET6, "ff02::2", &to.sin6_addr); /* all routers of the link */
	/* One that is lost is sent again. */
	(void)!sendto(router.socket, &question, sizeof(question), 0, (struct sockaddr *)&to,
		      sizeof(to));
}

/* What lasts for ever (all ones), or is taken back (0), needs no new word. */
static void count_lifetime(uint32_t seconds, uint32_t *shortest)
{
	if (seconds && seconds != UINT32_MAX && (!*shortest || seconds < *shortest))
		*shortest = seconds;
}

static uint32_t announced(const uint8_t *data, size_t len)
{
	struct nd_router_advert head;
	struct nd_opt_prefix_info prefix;
	uint32_t shortest = 0;
	size_t size;

	if (len < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	count_lifetime(ntohs(head.nd_ra_router_lifetime), &shortest);
	/* Options have a type, their length in units of 8 bytes, and what that is of. */
	for (size_t at = sizeof(head); len - at >= 8; at += size) {
		size = 8u * data[at + 1];
		if (!size || size > len - at)
			break;
		if (data[at] != ND_OPT_PREFIX_INFORMATION || size < sizeof(prefix))
			continue;
		memcpy(&prefix, data + at, sizeof(prefix));
		count_lifetime(ntohl(prefix.nd_opt_pi_valid_time), &shortest);
		count_lifetime(ntohl(prefix.nd_opt_pi_preferred_time), &shortest);
	}
	return shortest;
}

static void hear(void)
{
	uint8_t data[2048];
	struct sockaddr_in6 from = { 0 };
	socklen_t size = sizeof(from);
	const ssize_t n =
		recvfrom(router.socket, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

	for (unsigned i = 0; n > 0 && i < router.link_count; i++) {
		struct link *link = &router.links[i];

		if (link->index != from.sin6_scope_id)
			continue;
		link->lifetime = announced(data, (size_t)n);
		set_timer(FIRST_PART);
	}
}

static bool watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return fd >= 0 && epoll_ctl(router.file, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_socket(void)
{
	const int hops = HOPS;
	struct icmp6_filter filter;

	router.socket = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
	if (router.socket < 0)
		return false;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
	return setsockopt(router.socket, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) ==
		       0 &&
	       setsockopt(router.socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) ==
		       0;
}

static void close_all(void)
{
	int *const fds[] = { &router.file, &router.socket, &router.timer };

	for (unsigned i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* A kernel without IPv6 has nothing to keep. */
void router_watch(const char *interface)
{
	if (router.file < 0 && router.link_count == 0) {
		router.file = epoll_create1(EPOLL_CLOEXEC);
		router.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (!open_socket() || !watch(router.socket) || !watch(router.timer))
			close_all();
	}
	if (router.link_count < JOB_NETS_MAX)
		router.links[router.link_count++].index = if_nametoindex(interface);
}

int router_file(void)
{
	return router.file;
}

void router_serve(void)
{
	uint64_t expired;

	if (router.file < 0)
		return;
	if (read(router.timer, &expired, sizeof(expired)) == sizeof(expired)) {
		for (unsigned i = 0; i < router.link_count; i++) {
			if (router.links[i].lifetime)
				ask(&router.links[i]);
		}
		set_timer(NEXT_PART);
	}
	hear();
}
