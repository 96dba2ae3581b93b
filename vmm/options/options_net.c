/* SPDX-License-Identifier: Apache-2.0 */
/* Parses --net, and says what a guest has without it; see options_net.h. Main thread. */
#include "options/options_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options/options_value.h"

#define PORT_MAX   65535u
#define PREFIX_MAX 32u

/* Of a MAC address: its first byte's bits [IEEE 802 8.2]. */
#define MAC_GROUP 0x01

static bool parse_port(const char *text, size_t len, uint16_t *ret_port)
{
	uint64_t port;

	if (!options_value_digits(text, len, &port) || port < 1 || port > PORT_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* An address in front of its ":", which an IPv6 address has in brackets; moves behind the ":". */
static bool parse_address(const char **pos, char ret_address[INET6_ADDRSTRLEN])
{
	const bool brackets = **pos == '[';
	const char *begin = *pos + (brackets ? 1 : 0);
	const size_t len = strcspn(begin, brackets ? "]" : ":");
	const char *end = begin + len + (brackets && begin[len] ? 1 : 0);
	uint8_t binary[sizeof(struct in6_addr)];

	if (len >= INET6_ADDRSTRLEN || *end != ':')
		return false;
	memcpy(ret_address, begin, len);
	ret_address[len] = '\0';
	*pos = end + 1;
	return inet_pton(brackets ? AF_INET6 : AF_INET, ret_address, binary) == 1;
}

static bool parse_forward_text(const char *text, struct options_forward *forward)
{
	const char *slash = strchr(text, '/');
	const char *end = slash ? slash : text + strlen(text);
	const char *colon = strchr(text, ':');
	size_t host;

	if (slash && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0)
		return false;
	forward->udp = slash && strcmp(slash, "/udp") == 0;
	/* Two numbers, or three parts the first of which is an address. */
	if (*text == '[' || (colon && strchr(colon + 1, ':'))) {
		if (!parse_address(&text, forward->address))
			return false;
	}
	host = strcspn(text, ":");
	return text[host] == ':' && parse_port(text, host, &forward->host_port) &&
	       parse_port(text + host + 1, (size_t)(end - text) - host - 1, &forward->guest_port);
}

/* Digits, but no port. */
static bool is_wrong_number(const char *text, size_t len)
{
	uint16_t port;

	return len && strspn(text, "0123456789") >= len && !parse_port(text, len, &port);
}

/* What others take, a range of ports, and numbers that are none, have a word of their own. */
static int refuse_forward(const char *text)
{
	const size_t len = strcspn(text, "/");
	const char *guest = text + len, *host;
	int r;

	while (guest > text && guest[-1] != ':')
		guest--;
	host = guest - (guest > text);
	while (host > text && host[-1] != ':')
		host--;
	if (is_wrong_number(host, strcspn(host, ":")) ||
	    is_wrong_number(guest, (size_t)(text + len - guest)))
		return err_set(ERR_USAGE, -EINVAL, "--net user: forward '%s': ports are 1 to %u",
			       text, PORT_MAX);
	if (host + strspn(host, "0123456789:-") >= text + len && strchr(host, '-')) {
		r = err_set(ERR_USAGE, -EINVAL, "--net user: forward '%s' is a range of ports",
			    text);
		err_hint("give each port a forward= of its own: forward=2222:22,forward=2223:23");
		return r;
	}
	r = err_set(ERR_USAGE, -EINVAL, "--net user: forward '%s' is not understood", text);
	err_hint("write it as forward=[ADDRESS:]HOSTPORT:GUESTPORT[/udp], "
		 "as in forward=2222:22; an ADDRESS is a number, an IPv6 one in brackets");
	return r;
}

static int parse_forward(struct options_net *net, const char *text)
{
	struct options_forward *forward = &net->forwards[net->forward_count];

	if (net->forward_count == OPTIONS_FORWARDS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--net user: more than %d ports are forwarded",
			       OPTIONS_FORWARDS_MAX);
	if (!parse_forward_text(text, forward))
		return refuse_forward(text);
	/* Where passt keeps them, one port has one meaning, whatever the address. */
	for (const struct options_forward *f = net->forwards; f != forward; f++) {
		if (f->host_port == forward->host_port && f->udp == forward->udp)
			return err_set(ERR_USAGE, -EINVAL,
				       "--net user: port %u of the host is forwarded twice",
				       f->host_port);
	}
	net->forward_count++;
	return 0;
}

/* Six pairs of hexadecimal digits with colons between them. */
static bool parse_mac_text(const char *text, uint8_t ret_mac[OPTIONS_MAC_LEN])
{
	for (unsigned i = 0; i < OPTIONS_MAC_LEN; i++, text += 3) {
		const char digits[] = { text[0], text[0] ? text[1] : '\0', '\0' };

		if (strspn(digits, "0123456789abcdefABCDEF") != 2 ||
		    text[2] != (i + 1 < OPTIONS_MAC_LEN ? ':' : '\0'))
			return false;
		ret_mac[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return true;
}

static int parse_mac(struct options_net *net, const char *text)
{
	static const uint8_t none[OPTIONS_MAC_LEN];
	uint8_t mac[OPTIONS_MAC_LEN];
	int r;

	if (!parse_mac_text(text, mac) || mac[0] & MAC_GROUP ||
	    memcmp(mac, none, sizeof(mac)) == 0) {
		r = err_set(ERR_USAGE, -EINVAL, "--net: '%s' cannot be a device's MAC address",
			    text);
		err_hint("write it as mac=52:54:00:12:34:56; its first byte is even");
		return r;
	}
	if (memcmp(net->mac, none, sizeof(none)) != 0)
		return err_set(ERR_USAGE, -EINVAL, "--net: mac is given twice");
	memcpy(net->mac, mac, sizeof(mac));
	return 0;
}

static int parse_queues(struct options_net *net, const char *text)
{
	uint64_t queues;

	if (!options_value_digits(text, strlen(text), &queues) || queues < 1 ||
	    queues > OPTIONS_NET_QUEUES_MAX)
		return err_set(ERR_USAGE, -EINVAL,
			       "--net tap=%s: queues '%s' is not a number from 1 to %d", net->tap,
			       text, OPTIONS_NET_QUEUES_MAX);
	if (net->queues)
		return err_set(ERR_USAGE, -EINVAL, "--net tap=%s: queues is given twice", net->tap);
	net->queues = (unsigned)queues;
	return 0;
}

static bool is_ip(const char *text)
{
	struct in_addr binary;

	return inet_pton(AF_INET, text, &binary) == 1;
}

static int parse_ip(const struct options_net *net, const char *name, const char *text,
		    char ret_ip[INET_ADDRSTRLEN])
{
	if (!is_ip(text))
		return err_set(ERR_USAGE, -EINVAL, "--net tap=%s: %s '%s' is no IPv4 address",
			       net->tap, name, text);
	if (ret_ip[0])
		return err_set(ERR_USAGE, -EINVAL, "--net tap=%s: %s is given twice", net->tap,
			       name);
	strcpy(ret_ip, text);
	return 0;
}

static int parse_subnet(struct options_net *net, const char *text)
{
	const char *slash = strchr(text, '/');
	const size_t len = slash ? (size_t)(slash - text) : 0;
	char ip[INET_ADDRSTRLEN] = "";
	uint64_t prefix;
	int r;

	if (len && len < sizeof(ip))
		memcpy(ip, text, len);
	if (!is_ip(ip) || !options_value_digits(slash + 1, strlen(slash + 1), &prefix) ||
	    prefix < 1 || prefix > PREFIX_MAX) {
		r = err_set(ERR_USAGE, -EINVAL, "--net tap=%s: address '%s' is not understood",
			    net->tap, text);
		err_hint("write it as address=192.168.7.2/24");
		return r;
	}
	if (net->address[0])
		return err_set(ERR_USAGE, -EINVAL, "--net tap=%s: address is given twice",
			       net->tap);
	snprintf(net->address, sizeof(net->address), "%s/%u", ip, (unsigned)prefix);
	return 0;
}

static int parse_kind(struct options_net *net, const char *part)
{
	const char *tap = options_value_property(part, "tap");
	int r;

	if (strcmp(part, "user") == 0) {
		net->kind = OPTIONS_NET_USER;
		return 0;
	}
	if (tap) {
		net->kind = OPTIONS_NET_TAP;
		if (!*tap || strlen(tap) >= sizeof(net->tap) || strchr(tap, '/'))
			return err_set(ERR_USAGE, -EINVAL,
				       "--net: '%s' cannot be the name of an interface", tap);
		strcpy(net->tap, tap);
		return 0;
	}
	r = err_set(ERR_USAGE, -EINVAL, "--net: '%s' is not user, tap=NAME or none", part);
	err_hint("tinyvmm run --help net describes them");
	return r;
}

static int parse_property(struct options_net *net, const char *part)
{
	const char *text;
	int r;

	if ((text = options_value_property(part, "mac")))
		return parse_mac(net, text);
	if (net->kind == OPTIONS_NET_USER && (text = options_value_property(part, "forward")))
		return parse_forward(net, text);
	if (net->kind == OPTIONS_NET_USER && strcmp(part, "host-loopback") == 0) {
		net->host_loopback = true;
		return 0;
	}
	if (net->kind == OPTIONS_NET_TAP && (text = options_value_property(part, "queues")))
		return parse_queues(net, text);
	if (net->kind == OPTIONS_NET_TAP && (text = options_value_property(part, "address")))
		return parse_subnet(net, text);
	if (net->kind == OPTIONS_NET_TAP && (text = options_value_property(part, "gateway")))
		return parse_ip(net, "gateway", text, net->gateway);
	if (net->kind == OPTIONS_NET_TAP && (text = options_value_property(part, "dns")))
		return parse_ip(net, "dns", text, net->dns);
	r = err_set(ERR_USAGE, -EINVAL, "--net %s: '%s' is not understood",
		    net->kind == OPTIONS_NET_TAP ? "tap" : "user", part);
	err_hint("tinyvmm run --help net names the properties of each");
	return r;
}

static int check_others(const struct options *options, const struct options_net *net)
{
	static const uint8_t none[OPTIONS_MAC_LEN];

	for (const struct options_net *other = options->nets; other != net; other++) {
		if (net->kind == OPTIONS_NET_USER && other->kind == OPTIONS_NET_USER)
			return err_set(ERR_USAGE, -EINVAL, "--net user is given twice");
		if (net->kind == OPTIONS_NET_TAP && strcmp(net->tap, other->tap) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--net: tap=%s is given twice",
				       net->tap);
		if (memcmp(net->mac, none, sizeof(none)) != 0 &&
		    memcmp(net->mac, other->mac, sizeof(net->mac)) == 0)
			return err_set(ERR_USAGE, -EINVAL,
				       "--net: two devices have the same MAC address");
	}
	return 0;
}

int options_parse_net(struct options *options, const char *value)
{
	struct options_net *net = &options->nets[options->net_count];
	char part[PATH_MAX];
	int r;

	if (strncmp(value, "none,", strlen("none,")) == 0)
		return err_set(ERR_USAGE, -EINVAL, "--net none takes no properties");
	if (options->no_net || (strcmp(value, "none") == 0 && options->net_count))
		return err_set(ERR_USAGE, -EINVAL, "--net none excludes every other --net");
	if (strcmp(value, "none") == 0) {
		options->no_net = true;
		return 0;
	}
	if (options->net_count == OPTIONS_NETS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--net: more than %d devices", OPTIONS_NETS_MAX);
	(void)options_value_part(&value, part);
	r = parse_kind(net, part);
	while (r == 0 && options_value_part(&value, part))
		r = parse_property(net, part);
	if (r == 0 && !net->address[0] && (net->gateway[0] || net->dns[0]))
		r = err_set(ERR_USAGE, -EINVAL, "--net tap=%s: %s is given without an address",
			    net->tap, net->gateway[0] ? "gateway" : "dns");
	if (r == 0)
		r = check_others(options, net);
	if (r == 0)
		options->net_count++;
	return r;
}

/* Who installed a guest on a disk wants to reach it. */
void options_default_net(struct options *options)
{
	if (options->command != OPTIONS_RUN || options->net_count || options->no_net ||
	    !options->disk_count || options->command_argc)
		return;
	options->nets[options->net_count++] =
		(struct options_net){ .kind = OPTIONS_NET_USER, .by_default = true };
}
