/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network: the loopback interface always, and the interfaces that the job has addresses for.
 * Which interface a device has become is told by its MAC address. No program of the root file
 * system is needed for it. IPv6 is left to the kernel, which listens to routers; see router.c.
 * [Linux: netdevice(7), rtnetlink(7), resolv.conf(5)]
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/job.h"

#define INTERFACES "/sys/class/net"

/* [Linux: Documentation/networking/ip-sysctl.rst] */
#define SETTINGS "/proc/sys/net/ipv6/conf"

#define RESOLVER "/etc/resolv.conf"

/* Of an IPv4 address. */
#define PREFIX_MAX 32u

static int open_socket(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail_errno("the guest's network");
	return fd;
}

static struct ifreq request(const char *name)
{
	struct ifreq req = { 0 };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	return req;
}

static void bring_up(int fd, const char *name)
{
	struct ifreq req = request(name);

	if (ioctl(fd, SIOCGIFFLAGS, &req) == 0) {
		req.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &req) == 0)
			return;
	}
	fail_errno("bring the interface %s up", name);
}

/* Programs that talk to themselves need it. A kernel without a network has none. */
void network_loopback(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	bring_up(fd, "lo");
	close(fd);
}

static bool has_address(const char *name, const char *mac)
{
	char path[sizeof(INTERFACES) + NAME_MAX + sizeof("//address")], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), INTERFACES "/%s/address", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	return strcasecmp(text, mac) == 0;
}

static void find_interface(const char *mac, char ret_name[IF_NAMESIZE])
{
	DIR *dir = opendir(INTERFACES);
	struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		found = has_address(e->d_name, mac);
		if (found)
			snprintf(ret_name, IF_NAMESIZE, "%.*s", IF_NAMESIZE - 1, e->d_name);
	}
	if (dir)
		closedir(dir);
	if (!found)
		fail("the guest's kernel has found no network device %s", mac);
}

static void read_ip(const char *text, struct sockaddr *ret_address)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail("the job has a wrong address: %s", text);
	memcpy(ret_address, &address, sizeof(*ret_address));
}

static struct sockaddr mask_of(unsigned prefix)
{
	struct sockaddr_in mask = { .sin_family = AF_INET };
	struct sockaddr ret;

	mask.sin_addr.s_addr = htonl(prefix ? ~0u << (PREFIX_MAX - prefix) : 0);
	memcpy(&ret, &mask, sizeof(ret));
	return ret;
}

/* `text` is ADDRESS/PREFIX. */
static void set_address(int fd, const char *name, const char *text)
{
	struct ifreq req = request(name);
	char ip[INET_ADDRSTRLEN] = "";
	unsigned prefix;

	if (sscanf(text, "%15[0-9.]/%u", ip, &prefix) != 2 || prefix > PREFIX_MAX)
		fail("the job has a wrong address: %s", text);
	read_ip(ip, &req.ifr_addr);
	if (ioctl(fd, SIOCSIFADDR, &req) < 0)
		fail_errno("give %s the address %s", name, text);
	req.ifr_netmask = mask_of(prefix);
	if (ioctl(fd, SIOCSIFNETMASK, &req) < 0)
		fail_errno("give %s the address %s", name, text);
}

static void set_gateway(int fd, const char *name, const char *text)
{
	char device[IF_NAMESIZE];
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = device };

	snprintf(device, sizeof(device), "%s", name);
	read_ip("0.0.0.0", &route.rt_dst);
	read_ip("0.0.0.0", &route.rt_genmask);
	read_ip(text, &route.rt_gateway);
	if (ioctl(fd, SIOCADDRT, &route) < 0)
		fail_errno("the gateway %s of %s", text, name);
}

/*
 * Its IPv6 addresses can be used at once. Else the kernel asks for a second or two whether somebody
 * has them, and for a router only then. A kernel without IPv6 has no such file.
 */
static void trust_addresses(const char *name)
{
	char path[sizeof(SETTINGS) + IF_NAMESIZE + sizeof("//accept_dad")];
	int fd;

	snprintf(path, sizeof(path), SETTINGS "/%s/accept_dad", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

static void set_up(int fd, const struct job_net *net)
{
	char name[IF_NAMESIZE];

	find_interface(net->mac, name);
	if (net->sole) {
		trust_addresses(name);
		router_watch(name);
	}
	if (net->address)
		set_address(fd, name, net->address);
	bring_up(fd, name);
	if (net->gateway)
		set_gateway(fd, name, net->gateway);
}

void network_set_up(const struct job *job)
{
	int fd;

	if (!job->net_count)
		return;
	fd = open_socket();
	for (unsigned i = 0; i < job->net_count; i++)
		set_up(fd, &job->nets[i]);
	close(fd);
}

/*
 * The host's own file may be a link into /run, which is empty here, or name a server that only the
 * host reaches: it goes, in the layer of memory, and a file takes its place.
 */
void network_resolver(const struct job *job)
{
	FILE *f;

	if (!job->dns_count)
		return;
	if (mkdir("/etc", 0755) < 0 && errno != EEXIST)
		fail_errno("make the folder /etc");
	if (unlink(RESOLVER) < 0 && errno != ENOENT)
		fail_errno("replace %s", RESOLVER);
	f = fopen(RESOLVER, "we");
	if (!f)
		fail_errno("write %s", RESOLVER);
	for (unsigned i = 0; i < job->dns_count; i++)
		fprintf(f, "nameserver %s\n", job->dns[i]);
	if (fclose(f) != 0)
		fail_errno("write %s", RESOLVER);
}
