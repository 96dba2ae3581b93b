/* SPDX-License-Identifier: Apache-2.0 */
/* passt's command line, its start and its end; see net_daemon.h. [passt(1)] */
#include "daemons/net_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "core/child.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/loop.h"
#include "options/options_net.h"

#define DAEMON "passt"

#define START_LIMIT_MS 20000u
#define STEP_US        500u
#define STOP_LIMIT_MS  5000u
#define END_LIMIT_MS   500u

/* What it says so long before its end is why. */
#define LAST_WORDS_MS 1000u

#define ARGS_MAX     (24 + 2 * OPTIONS_FORWARDS_MAX)
#define SPEC_MAX     (INET6_ADDRSTRLEN + 16)
#define LINE_MAX_LEN 256

/*
 * So much of what is on its way to the other end may wait in a socket, as far as the host allows:
 * passt throws away what does not fit. What we send stays well below what it can read at once.
 */
#define STREAM_TO_US   (4 * (int)MiB)
#define STREAM_TO_THEM (512 * (int)KiB)

/* What a forwarded port listens at where no address is named: only this host reaches the guest. */
#define ADDRESS_DEFAULT "127.0.0.1"

struct net_daemon {
	struct child child;
	int stream;
	struct loop *loop; /* that watches the next; NULL: none */
	struct loop_source complaints;
	char last[LINE_MAX_LEN]; /* the loop's: what it said last, and when */
	uint64_t last_ms;
};

struct command {
	const char *argv[ARGS_MAX + 1];
	unsigned count;
	char fd[16], mtu[16];
	char specs[OPTIONS_FORWARDS_MAX][SPEC_MAX];
};

static void add(struct command *cmd, const char *option, const char *value)
{
	cmd->argv[cmd->count++] = option;
	if (value)
		cmd->argv[cmd->count++] = value;
}

static void make_command(struct command *cmd, const struct options_net *net, bool told)
{
	bool udp = false;

	*cmd = (struct command){ .argv = { DAEMON }, .count = 1 };
	snprintf(cmd->fd, sizeof(cmd->fd), "%d", CHILD_FIRST_FD);
	snprintf(cmd->mtu, sizeof(cmd->mtu), "%u", NET_DAEMON_MTU);
	add(cmd, "--foreground", NULL);
	add(cmd, "--quiet", NULL);
	add(cmd, "--fd", cmd->fd);
	add(cmd, "--mtu", cmd->mtu);
	if (told) {
		add(cmd, "--address", NET_DAEMON_ADDRESS);
		add(cmd, "--netmask", NET_DAEMON_PREFIX);
		add(cmd, "--gateway", NET_DAEMON_GATEWAY);
		add(cmd, "--dns-forward", NET_DAEMON_DNS);
	}
	/* Else the gateway's address is that of the host's own services, which trust who is here.
	 */
	if (!net->host_loopback)
		add(cmd, "--no-map-gw", NULL);
	for (unsigned i = 0; i < net->forward_count; i++) {
		const struct options_forward *f = &net->forwards[i];

		snprintf(cmd->specs[i], sizeof(cmd->specs[i]), "%s/%u:%u",
			 f->address[0] ? f->address : ADDRESS_DEFAULT, f->host_port, f->guest_port);
		add(cmd, f->udp ? "--udp-ports" : "--tcp-ports", cmd->specs[i]);
		udp |= f->udp;
	}
	/* Where none is named, it takes those of TCP for UDP too. */
	if (!udp)
		add(cmd, "--udp-ports", "none");
}

/* The next line that says something: where no system logger runs, it complains of that too. */
static bool next_line(struct net_daemon *daemon, char line[LINE_MAX_LEN])
{
	static const char no_logger[] = "Failed to send ";

	for (unsigned i = 0; i < CHILD_LINES_MAX; i++) {
		if (!child_complaint(&daemon->child, line, LINE_MAX_LEN))
			return false;
		if (line[0] && strncmp(line, no_logger, sizeof(no_logger) - 1) != 0)
			return true;
	}
	return false;
}

/* What it says though nothing is wrong. */
static void log_lines(struct net_daemon *daemon)
{
	char line[LINE_MAX_LEN];

	for (unsigned i = 0; i < CHILD_LINES_MAX && next_line(daemon, line); i++)
		log_debug(DAEMON ": %s", line);
}

/* What it said last; false if nothing. */
static bool last_line(struct net_daemon *daemon, char ret_line[LINE_MAX_LEN])
{
	char line[LINE_MAX_LEN];
	bool any = false;

	for (unsigned i = 0; i < CHILD_LINES_MAX && next_line(daemon, line); i++) {
		if (any)
			log_debug(DAEMON ": %s", ret_line);
		strcpy(ret_line, line);
		any = true;
	}
	return any;
}

/* Of one whose stream is closed: it ends as soon as it has complained. */
static bool wait_for_end(struct net_daemon *daemon)
{
	const struct timespec step = { .tv_nsec = STEP_US * 1000l };

	for (unsigned us = 0; us < END_LIMIT_MS * 1000 && !child_ended(&daemon->child);
	     us += STEP_US)
		nanosleep(&step, NULL);
	return child_ended(&daemon->child);
}

/* Why it ended before it read anything. */
static int explain(struct net_daemon *daemon, const struct command *cmd,
		   const struct options_net *net)
{
	char line[LINE_MAX_LEN];
	int r;

	if (!last_line(daemon, line))
		return err_set(ERR_HOST, -EIO, "--net user: " DAEMON " ended with %s",
			       child_end_text(&daemon->child).s);
	for (unsigned i = 0; i < net->forward_count; i++) {
		const struct options_forward *f = &net->forwards[i];

		if (!strstr(line, cmd->specs[i]))
			continue;
		r = err_set(ERR_HOST, -EADDRINUSE,
			    "--net user: %s port %u of the host cannot be forwarded: " DAEMON
			    ": %s",
			    f->udp ? "UDP" : "TCP", f->host_port, line);
		if (f->host_port < IPPORT_RESERVED && geteuid() != 0)
			err_hint("ports below 1024 are root's, and yours from "
				 "net.ipv4.ip_unprivileged_port_start on");
		else
			err_hint("is it in use? ss -%clnp 'sport = %u' names the program%s%s%s",
				 f->udp ? 'u' : 't', f->host_port, f->address[0] ? "; or is " : "",
				 f->address, f->address[0] ? " no address of this host?" : "");
		return r;
	}
	r = err_set(ERR_HOST, -EIO, "--net user: " DAEMON ": %s", line);
	if (strstr(line, "External interface"))
		err_hint("has the host a default route (ip route)? --net none does without");
	return r;
}

/*
 * A frame of a protocol that nobody speaks, which passt reads when it is ready, and learns from
 * whose address the guest's are.
 */
static int send_first(struct net_daemon *daemon, const uint8_t mac[])
{
	struct {
		uint32_t len;
		struct ether_header header;
		uint8_t padding[ETHER_MIN_LEN - ETHER_CRC_LEN - sizeof(struct ether_header)];
	} __attribute__((packed)) frame = {
		.len = htonl(sizeof(frame) - sizeof(frame.len)),
		.header = { .ether_type = htons(0x88b5) }, /* [IEEE 802 9.2.3]: for experiments */
	};

	memset(frame.header.ether_dhost, 0xff, sizeof(frame.header.ether_dhost));
	memcpy(frame.header.ether_shost, mac, sizeof(frame.header.ether_shost));
	return send(daemon->stream, &frame, sizeof(frame), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* What nobody will read counts as read, too. */
static bool is_closed(int stream)
{
	char c;
	const ssize_t n = recv(stream, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* It listens at its ports before it reads. -ECONNRESET if it ended, -ETIMEDOUT. */
static int wait_until_read(struct net_daemon *daemon)
{
	const struct timespec step = { .tv_nsec = STEP_US * 1000l };

	for (unsigned us = 0; us < START_LIMIT_MS * 1000; us += STEP_US) {
		int unread = 0;

		if (child_ended(&daemon->child))
			return -ECONNRESET;
		if (ioctl(daemon->stream, SIOCOUTQ, &unread) < 0)
			return -errno;
		if (!unread)
			return is_closed(daemon->stream) ? -ECONNRESET : 0;
		nanosleep(&step, NULL);
	}
	return -ETIMEDOUT;
}

static void set_room(int fd, int bytes)
{
	/* Above what is allowed to everyone only for root. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int launch(struct net_daemon *daemon, const struct command *cmd)
{
	int ends[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(ERR_LIMIT, -errno, "--net user: make a socket");
	set_room(ends[0], STREAM_TO_THEM);
	set_room(ends[1], STREAM_TO_US);
	daemon->stream = ends[0];
	r = child_start(&daemon->child, cmd->argv, &ends[1], 1, 0);
	close(ends[1]);
	if (r == -ENOENT) {
		err_set(ERR_HOST, r, "--net user needs " DAEMON ", which is not installed");
		err_hint("it is the package " DAEMON " of most distributions; "
			 "--net none does without");
	} else if (r < 0) {
		err_sys(ERR_HOST, r, "--net user: start " DAEMON);
	}
	return r;
}

static int start(struct net_daemon *daemon, const struct options_net *net, const uint8_t mac[],
		 bool told)
{
	struct command *cmd = malloc(sizeof(*cmd));
	int r;

	if (!cmd)
		return err_sys(ERR_LIMIT, -ENOMEM, "--net user");
	make_command(cmd, net, told);
	r = launch(daemon, cmd);
	if (r == 0) {
		r = send_first(daemon, mac);
		if (r == 0)
			r = wait_until_read(daemon);
		if (r == -EPIPE || r == -ECONNRESET) {
			if (!wait_for_end(daemon))
				(void)child_stop(&daemon->child, STOP_LIMIT_MS);
			r = explain(daemon, cmd, net);
		} else if (r < 0) {
			err_sys(ERR_HOST, r, "--net user: wait for " DAEMON);
		}
	}
	free(cmd);
	return r;
}

int net_daemon_start(const struct options_net *net, const uint8_t mac[], bool told,
		     struct net_daemon **ret_daemon)
{
	struct net_daemon *daemon = calloc(1, sizeof(*daemon));
	struct err_chain why;
	int r;

	if (!daemon)
		return err_sys(ERR_LIMIT, -ENOMEM, "--net user");
	daemon->stream = -1;
	r = start(daemon, net, mac, told);
	if (r < 0) {
		err_save(&why);
		net_daemon_stop(daemon);
		err_restore(&why);
		return r;
	}
	log_lines(daemon);
	*ret_daemon = daemon;
	return 0;
}

int net_daemon_take_stream(struct net_daemon *daemon)
{
	const int fd = daemon->stream;

	daemon->stream = -1;
	return fd;
}

static void complaints_ready(struct loop_source *source)
{
	struct net_daemon *daemon = container_of(source, struct net_daemon, complaints);
	struct pollfd p = { .fd = source->fd, .events = POLLIN };

	if (last_line(daemon, daemon->last)) {
		daemon->last_ms = clock_ms();
		log_debug(DAEMON ": %s", daemon->last);
	}
	/* When it has ended there is nothing more to come; else the loop calls again. */
	if (poll(&p, 1, 0) == 1 && p.revents == POLLHUP)
		loop_remove(daemon->loop, source);
}

int net_daemon_watch(struct net_daemon *daemon, struct loop *loop)
{
	daemon->loop = loop;
	daemon->complaints = (struct loop_source){
		.fd = daemon->child.complaints,
		.ready = complaints_ready,
	};
	return loop_add(loop, &daemon->complaints);
}

void net_daemon_lost(struct net_daemon *daemon)
{
	const uint64_t lost_ms = clock_ms();
	char line[LINE_MAX_LEN];

	if (!wait_for_end(daemon)) {
		log_error("the guest's network is gone: " DAEMON " has lost the thread");
		return;
	}
	if (last_line(daemon, line))
		log_error("the guest's network is gone: " DAEMON ": %s", line);
	else if (daemon->last[0] && lost_ms - daemon->last_ms < LAST_WORDS_MS)
		log_error("the guest's network is gone: " DAEMON ": %s", daemon->last);
	else
		log_error("the guest's network is gone: " DAEMON " ended with %s",
			  child_end_text(&daemon->child).s);
}

void net_daemon_stop(struct net_daemon *daemon)
{
	if (!daemon)
		return;
	/* It ends with its stream; the signal is for one that hangs. */
	close_fd(&daemon->stream);
	if (child_stop(&daemon->child, STOP_LIMIT_MS) < 0)
		log_error(DAEMON " does not end; it was killed");
	log_lines(daemon);
	child_fini(&daemon->child);
	free(daemon);
}
