/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: exactly what is said against each wrong one. */
#include "cmocka_all.h"

#include "options_line.h"

#define NOTHING                                                            \
	"nothing is given to run: no --disk, --kernel, --gpu or command; " \
	"tinyvmm --help has examples"

#define STRAY_HINT(word)                                                                    \
	"a disk is given as --disk FILE, and a command behind --: tinyvmm run ... -- " word \
	"; tinyvmm run --help lists the options"

#define DISK_HINT \
	"tinyvmm run --help disk names its properties; a comma in a file name is written ',,'"

#define ADDRESS_OF_GPU_HINT \
	"write it as 0000:01:00.0 (see 'tinyvmm list'), or any: one that is free"
#define ADDRESS_HINT "write it as address=192.168.7.2/24"
#define NET_HINT     "tinyvmm run --help net names the properties of each"

#define FORWARD_HINT                                                                      \
	"write it as forward=[ADDRESS:]HOSTPORT:GUESTPORT[/udp], as in forward=2222:22; " \
	"an ADDRESS is a number, an IPv6 one in brackets"
#define FORWARD_RANGE                                                  \
	" is a range of ports; give each port a forward= of its own: " \
	"forward=2222:22,forward=2223:23"

#define MAC_HINT "write it as mac=52:54:00:12:34:56; its first byte is even"

static const struct golden bad[] = {
	{ "--net passt",
	  "--net: 'passt' is not user, tap=NAME or none; tinyvmm run --help net describes them" },
	{ "--net none,foo", "--net none takes no properties" },
	{ "--net tap=", "--net: '' cannot be the name of an interface" },
	{ "--net tap=a/b", "--net: 'a/b' cannot be the name of an interface" },
	{ "--net tap=abcdefghijklmnop",
	  "--net: 'abcdefghijklmnop' cannot be the name of an interface" },
	{ "--net user --net none", "--net none excludes every other --net" },
	{ "--net none --net user", "--net none excludes every other --net" },
	{ "--net none --net none", "--net none excludes every other --net" },
	{ "--net user --net user", "--net user is given twice" },
	{ "--net tap=a --net user --net tap=a", "--net: tap=a is given twice" },
	{ "--net tap=a --net tap=b --net tap=c --net tap=d --net tap=e",
	  "--net: more than 4 devices" },
	{ "--net tap=a,mac=02:00:00:00:00:01 --net user,mac=02:00:00:00:00:01",
	  "--net: two devices have the same MAC address" },
	{ "--net user,mac=01:00:00:00:00:01",
	  "--net: '01:00:00:00:00:01' cannot be a device's MAC address; " MAC_HINT },
	{ "--net user,mac=00:00:00:00:00:00",
	  "--net: '00:00:00:00:00:00' cannot be a device's MAC address; " MAC_HINT },
	{ "--net user,mac=2:0:0:0:0:1",
	  "--net: '2:0:0:0:0:1' cannot be a device's MAC address; " MAC_HINT },
	{ "--net user,mac=02:00:00:00:00",
	  "--net: '02:00:00:00:00' cannot be a device's MAC address; " MAC_HINT },
	{ "--net user,mac=02:00:00:00:00:01:",
	  "--net: '02:00:00:00:00:01:' cannot be a device's MAC address; " MAC_HINT },
	{ "--net user,mac=02:00:00:00:00:01,mac=02:00:00:00:00:01", "--net: mac is given twice" },
	{ "--net user,queues=2", "--net user: 'queues=2' is not understood; " NET_HINT },
	{ "--net tap=a,forward=1:2", "--net tap: 'forward=1:2' is not understood; " NET_HINT },
	{ "--net tap=a,host-loopback", "--net tap: 'host-loopback' is not understood; " NET_HINT },
	{ "--net tap=a,queues=17", "--net tap=a: queues '17' is not a number from 1 to 16" },
	{ "--net tap=a,queues=0", "--net tap=a: queues '0' is not a number from 1 to 16" },
	{ "--net tap=a,queues=2,queues=2", "--net tap=a: queues is given twice" },
	{ "--net user,address=10.0.0.2/8 -- true",
	  "--net user: 'address=10.0.0.2/8' is not understood; " NET_HINT },
	{ "--net tap=a,address=10.0.0.2 -- true",
	  "--net tap=a: address '10.0.0.2' is not understood; " ADDRESS_HINT },
	{ "--net tap=a,address=10.0.0.2/33 -- true",
	  "--net tap=a: address '10.0.0.2/33' is not understood; " ADDRESS_HINT },
	{ "--net tap=a,address=10.0.0.2/0 -- true",
	  "--net tap=a: address '10.0.0.2/0' is not understood; " ADDRESS_HINT },
	{ "--net tap=a,address=fe80::1/64 -- true",
	  "--net tap=a: address 'fe80::1/64' is not understood; " ADDRESS_HINT },
	{ "--net tap=a,address=1000.1000.1000.1000/8 -- true",
	  "--net tap=a: address '1000.1000.1000.1000/8' is not understood; " ADDRESS_HINT },
	{ "--net tap=a,address=10.0.0.2/8,address=10.0.0.2/8 -- true",
	  "--net tap=a: address is given twice" },
	{ "--net tap=a,address=10.0.0.2/8,gateway=here -- true",
	  "--net tap=a: gateway 'here' is no IPv4 address" },
	{ "--net tap=a,address=10.0.0.2/8,dns=::1 -- true",
	  "--net tap=a: dns '::1' is no IPv4 address" },
	{ "--net tap=a,address=10.0.0.2/8,dns=1.1.1.1,dns=1.1.1.1 -- true",
	  "--net tap=a: dns is given twice" },
	{ "--net tap=a,gateway=10.0.0.1 -- true",
	  "--net tap=a: gateway is given without an address" },
	{ "--net tap=a,dns=10.0.0.1 -- true", "--net tap=a: dns is given without an address" },
	{ "--disk d --net tap=a,address=10.0.0.2/8",
	  "--net tap=...,address is given without a command; "
	  "it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--net user,forward=22", "--net user: forward '22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=0:22", "--net user: forward '0:22': ports are 1 to 65535" },
	{ "--net user,forward=22:65536", "--net user: forward '22:65536': ports are 1 to 65535" },
	{ "--net user,forward=70000:22/udp",
	  "--net user: forward '70000:22/udp': ports are 1 to 65535" },
	{ "--net user,forward=[::1]:22:99999999999999999999",
	  "--net user: forward '[::1]:22:99999999999999999999': ports are 1 to 65535" },
	{ "--net user,forward=2222-2230:22", "--net user: forward '2222-2230:22'" FORWARD_RANGE },
	{ "--net user,forward=127.0.0.1:2222-2230:22-30/udp",
	  "--net user: forward '127.0.0.1:2222-2230:22-30/udp'" FORWARD_RANGE },
	{ "--net user,forward=", "--net user: forward '' is not understood; " FORWARD_HINT },
	{ "--net user,forward=:22", "--net user: forward ':22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=a-b:22",
	  "--net user: forward 'a-b:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=22:", "--net user: forward '22:' is not understood; " FORWARD_HINT },
	{ "--net user,forward=22:22/sctp",
	  "--net user: forward '22:22/sctp' is not understood; " FORWARD_HINT },
	{ "--net user,forward=localhost:22:22",
	  "--net user: forward 'localhost:22:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=::1:22:22",
	  "--net user: forward '::1:22:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=[::1:22:22",
	  "--net user: forward '[::1:22:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=[::1]22:22",
	  "--net user: forward '[::1]22:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=22:22:22:22",
	  "--net user: forward '22:22:22:22' is not understood; " FORWARD_HINT },
	{ "--net user,forward=22:22,forward=127.0.0.1:22:23",
	  "--net user: port 22 of the host is forwarded twice" },
	{ "--gpu 01:00.0,clique=16",
	  "--gpu 0000:01:00.0: '16' is no clique; clique= takes a number from 0 to 15, or off" },
	{ "--gpu 01:00.0,clique=-1",
	  "--gpu 0000:01:00.0: '-1' is no clique; clique= takes a number from 0 to 15, or off" },
	{ "--gpu 01:00.0,clique=1,clique=off", "--gpu 0000:01:00.0: clique is given twice" },
	{ "--gpu 01:00.0,clique=off,clique=off", "--gpu 0000:01:00.0: clique is given twice" },
	{ "--gpu 01:00.0,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1f",
	  "--gpu 0000:01:00.0: 'BD8D9D2B-5a5f-4f5a-a211-f591514ba1f' is no VF token; it is a UUID; "
	  "uuidgen makes one" },
	{ "--gpu 01:00.0,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1fg",
	  "--gpu 0000:01:00.0: 'BD8D9D2B-5a5f-4f5a-a211-f591514ba1fg' is no VF token; it is a "
	  "UUID; "
	  "uuidgen makes one" },
	{ "--gpu /sys/bus/pci/devices/0000:01:00.0",
	  "--gpu: '/sys/bus/pci/devices/0000:01:00.0' is not the path of a mediated device; that "
	  "is "
	  "/sys/bus/mdev/devices/UUID; other devices are given by their address" },
	{ "--gpu /tmp/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	  "--gpu: '/tmp/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001' is not the path of a mediated "
	  "device; "
	  "that is /sys/bus/mdev/devices/UUID; other devices are given by their address" },
	{ "--gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --gpu "
	  "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
	  "--gpu: 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 is given twice" },
	{ "--p2p yes", "--p2p: 'yes' is none of on, off and auto" },
	{ "--hypervisor-vendor AcmeAcmeAcme1",
	  "--hypervisor-vendor: 'AcmeAcmeAcme1' cannot be told; it takes 1 to 12 visible ASCII "
	  "characters" },
	{ "--hypervisor-vendor Ac\xc3\xa9",
	  "--hypervisor-vendor: 'Ac\xc3\xa9' cannot be told; it takes 1 to 12 visible ASCII "
	  "characters" },
	{ "--gpu 01:00.0,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3 --iommu iommufd",
	  "--gpu 0000:01:00.0: a VF token cannot be given through iommufd; leave --iommu away, or "
	  "give --iommu type1" },
	{ "--iommu iommufd --gpu 01:00.0 "
	  "--gpu 01:00.1,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3",
	  "--gpu 0000:01:00.1: a VF token cannot be given through iommufd; leave --iommu away, or "
	  "give --iommu type1" },
	{ "--iommu vfio", "--iommu: 'vfio' is not auto, iommufd or type1" },
	{ "--iommu type1 --iommu type1", "--iommu is given twice" },
	{ "--hypervisor-vendor x --hide-hypervisor",
	  "--hide-hypervisor and --hypervisor-vendor exclude each other" },
	{ "--hide-hypervisor --hypervisor-vendor x",
	  "--hide-hypervisor and --hypervisor-vendor exclude each other" },
	{ "--disk d --name ../x",
	  "--name: '../x' is not a name: up to 40 letters, digits, '-', '_' and '.', the first of "
	  "them a letter or a digit" },
	{ "--disk d --name a --name b", "--name is given twice" },
	{ "--disk d --detach=yes", "--detach takes no value" },
	{ "ps x", "'x' belongs to no option; tinyvmm ps --help lists what it takes" },
	{ "stop", "nothing is given to stop; tinyvmm stop --help lists what it takes" },
	{ "stop --kill", "no guest is given; tinyvmm ps lists those that run" },
	{ "stop a --timeout soon",
	  "--timeout: 'soon' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "console a b", "more than one guest is given; tinyvmm ps lists those that run" },
	{ "logs a --kill", "--kill does not belong to the command logs" },
	{ "control a", "control takes a guest and what to do; write it as tinyvmm control NAME "
		       "ACTION" },
	{ "control a fly",
	  "control: 'fly' is not status, statistics, events, pause, resume, power-button, reset, "
	  "stop or kill" },
	{ "", "nothing is given to run; tinyvmm --help has examples" },
	{ "run", "nothing is given to run; tinyvmm --help has examples" },
	{ "a.img", "'a.img' belongs to no option; " STRAY_HINT("a.img") },
	{ "--cpus 2 01:00.0",
	  "'01:00.0' belongs to no option; a device is given as --gpu 01:00.0" },
	{ "--cpus 2 run", "'run' belongs to no option; the command comes first: tinyvmm run ..." },
	{ "-v list", "'list' belongs to no option; the command comes first: tinyvmm list ..." },
	{ "run list", "'list' belongs to no option; the command comes first: tinyvmm list ..." },
	{ "-q lits", "'lits' belongs to no option; did you mean the command list?" },
	{ "--cpus 2 lits", "'lits' belongs to no option; " STRAY_HINT("lits") },
	{ "run lits", "'lits' belongs to no option; " STRAY_HINT("lits") },
	{ "--rw out --disk d",
	  "--rw is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--user joe --disk d",
	  "--user is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--timeout 0s -- true",
	  "--timeout: '0s' is no time at all; leave it away, or write it as 30s, 5m or 2h" },
	{ "--timeout 5 -- true",
	  "--timeout: '5' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--env =x -- true", "--env: '=x' has no name" },
	{ "--initrd i -- true", "--initrd does not go with a command" },
	{ "--kernel k --firmware-log - -- true", "--firmware-log does not go with a command" },
	{ "--firmware f -- true", "--firmware does not go with a command" },
	{ "--", "no command is given behind --; write it as tinyvmm run ... -- COMMAND" },
	{ "run --disk d --",
	  "no command is given behind --; write it as tinyvmm run ... -- COMMAND" },
	{ "true", "'true' belongs to no option; " STRAY_HINT("true") },
	{ "run --gpu any pytest", "'pytest' belongs to no option; " STRAY_HINT("pytest") },
	{ "control", "nothing is given to control; tinyvmm control --help lists what it takes" },
	{ "--json r --junit r -- true", "--json and --junit name the same file" },
	{ "--json r --junit .//r -- true", "--json and --junit name the same file" },
	{ "help", "'help' belongs to no option; that is tinyvmm --help" },
	{ "doctor --gpu 01:00.0",
	  "--gpu does not belong to the command doctor; give the address without --gpu" },
	{ "bind --gpu=01:00.0",
	  "--gpu does not belong to the command bind; give the address without --gpu" },
	{ "list --gpu 01:00.0", "--gpu does not belong to the command list" },
	{ "--wait 0s", NOTHING },
	{ "--wait 5m --disk d",
	  "--wait is given without a device; it goes with --gpu BDF or --gpu any" },
	{ "--wait 5m -- true",
	  "--wait is given without a device; it goes with --gpu BDF or --gpu any" },
	{ "--iommu type1 --disk d",
	  "--iommu is given without a device; it goes with --gpu BDF or --gpu any" },
	{ "--p2p off --kernel k",
	  "--p2p is given without a device; it goes with --gpu BDF or --gpu any" },
	{ "--timings", NOTHING },
	{ "run -v", NOTHING },
	{ "--firmware-log -", NOTHING },

	{ "list --cpus 2", "--cpus does not belong to the command list" },
	{ "--json", "--json needs a value; write it as --json FILE" },
	{ "--json --disk d", "--json needs a value; write it as --json FILE" },
	{ "--json r --disk d",
	  "--json is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--junit r --disk d",
	  "--junit is given without a command; it goes with one: tinyvmm run ... -- COMMAND" },
	{ "--json - -- true", "--json: standard output is the command's; give it a file, or a "
			      "descriptor: --json /dev/fd/3 3>FILE" },
	{ "list --json=x", "--json takes no value" },
	{ "--pin 1,x", "--pin: '1,x' is no list of CPUs; write it as --pin 0-7 or --pin 2,4,6, in "
		       "the order of the vCPUs, or --pin auto" },
	{ "--pin 1,0-3", "--pin: CPU 1 is named twice" },
	{ "--pin 0-1024", "--pin: more than 1024 CPUs are named" },
	{ "--pin 8192", "--pin: '8192' is no list of CPUs; write it as --pin 0-7 or --pin 2,4,6, "
			"in the order of the vCPUs, or --pin auto" },
	{ "--numa on", "--numa: 'on' is not auto, off or a list of nodes; write nodes as --numa "
		       "0,1" },
	{ "doctor --pin auto", "--pin does not belong to the command doctor" },
	{ "--hugepages 4K", "--hugepages: '4K' is not auto, 2M, 1G or off" },
	{ "--hugepages 2M --hugepages 2M", "--hugepages is given twice" },
	{ "--timings=xml", "--timings: 'xml' is not json" },
	{ "--timings= --disk d", "--timings needs a value; write it as --timings[=json]" },
	{ "list --timings", "--timings does not belong to the command list" },
	{ "list 01:00.0",
	  "'01:00.0' belongs to no option; tinyvmm list --help lists what it takes" },
	{ "bind", "nothing is given to bind; tinyvmm bind --help lists what it takes" },
	{ "bind 01:00",
	  "'01:00' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "bind 01:00.0 0000:01:00.0", "0000:01:00.0 is given twice" },
	{ "release 01:00.0 --user joe", "--user does not belong to the command release" },
	{ "list --user joe", "--user does not belong to the command list" },
	{ "--wait 5", "--wait: '5' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait m", "--wait: 'm' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 5min",
	  "--wait: '5min' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 169h",
	  "--wait: '169h' is not a time of at most a week; write it as 30s, 5m or 2h" },
	{ "--wait 5000000000000000h",
	  "--wait: '5000000000000000h' is not a time of at most a week; write it as 30s, 5m or "
	  "2h" },
	{ "doctor gpu",
	  "'gpu' is not a PCI address; write it as 0000:01:00.0 (see 'tinyvmm list')" },
	{ "doctor 01:00.0 0000:01:00.0", "0000:01:00.0 is given twice" },
	{ "doctor 1:0.0 2:0.0 3:0.0 4:0.0 5:0.0 6:0.0 7:0.0 8:0.0 9:0.0 a:0.0 b:0.0 c:0.0 d:0.0 "
	  "e:0.0 f:0.0 10:0.0 11:0.0",
	  "more than 16 devices" },
	{ "doctor --all", "--all does not belong to the command doctor" },
	{ "lits", "'lits' belongs to no option; did you mean the command list?" },

	{ "--dsk a.img", "unknown option '--dsk'; did you mean --disk?" },
	{ "--dsk=a.img", "unknown option '--dsk'; did you mean --disk?" },
	{ "-disk a.img", "unknown option '-disk'; did you mean --disk?" },
	{ "--mem 4G", "unknown option '--mem'; did you mean --memory?" },
	{ "--cpu 4", "--cpu: '4' is not understood; the number of CPUs is --cpus 4" },
	{ "--gup 01:00.0", "unknown option '--gup'; did you mean --gpu?" },
	{ "--firmware_log -", "unknown option '--firmware_log'; did you mean --firmware-log?" },
	{ "--initrd i", "--initrd goes with --kernel; without it, the guest's boot loader has its "
			"own" },
	{ "--cmdline quiet --disk a",
	  "--cmdline goes with --kernel; without it, the guest's boot loader has its own" },
	{ "--firmware-log - --kernel k",
	  "--kernel starts a kernel without firmware; leave out --firmware-log, or name the "
	  "--firmware that is to start it" },
	{ "--kernel a --kernel b", "--kernel is given twice" },
	{ "--xyzzy x", "unknown option '--xyzzy'; tinyvmm run --help lists the options" },
	{ "-x", "unknown option '-x'; tinyvmm run --help lists the options" },
	{ "-", "unknown option '-'; tinyvmm run --help lists the options" },
	{ "--=x", "unknown option '--'; tinyvmm run --help lists the options" },
	{ "-vq", "unknown option '-vq'; tinyvmm run --help lists the options" },
	{ "--this-is-a-very-long-option-that-nobody-has-thought-of",
	  "unknown option '--this-is-a-very-long-option-that-nobody-has-thought-of'; tinyvmm run "
	  "--help lists the options" },

	{ "--disk a,discard=unmap", "--disk a: discard 'unmap' is not on or off" },
	{ "--disk a,cache=none", "--disk a: cache 'none' is not writeback, direct or unsafe" },
	{ "--disk a,cache=", "--disk a: cache '' is not writeback, direct or unsafe" },
	{ "--disk", "--disk needs a value; write it as --disk FILE[,PROPERTY]..." },
	{ "--disk=", "--disk needs a value; write it as --disk FILE[,PROPERTY]..." },
	{ "--gpu --disk a", "--gpu needs a value; write it as --gpu BDF[,PROPERTY=VALUE]..." },
	{ "--cpus",
	  "--cpus needs a value; write it as --cpus [N,][sockets=N,][cores=N,][threads=N]" },
	{ "--memory", "--memory needs a value; write it as --memory SIZE" },
	{ "--firmware", "--firmware needs a value; write it as --firmware CODE[,vars=FILE]" },
	{ "--firmware-log", "--firmware-log needs a value; write it as --firmware-log FILE|-" },
	{ "--verbose=1", "--verbose takes no value" },
	{ "--help=", "--help takes no value" },
	{ "run --help disc",
	  "--help: there is no page 'disc'; tinyvmm run --help names the pages" },
	{ "list --help disk",
	  "--help: there is no page 'disk'; tinyvmm run --help names the pages" },

	{ "--cpus 1 --cpus 1", "--cpus is given twice" },
	{ "--memory 1G --memory=2G", "--memory is given twice" },
	{ "--firmware a --firmware b", "--firmware is given twice" },
	{ "--firmware-log a --firmware-log a", "--firmware-log is given twice" },
	{ "-v --quiet", "--verbose and --quiet exclude each other" },
	{ "-q -v", "--verbose and --quiet exclude each other" },

	{ "--gpu x", "--gpu: 'x' is not a PCI address; " ADDRESS_OF_GPU_HINT },
	{ "--gpu ,rom=off", "--gpu: '' is not a PCI address; " ADDRESS_OF_GPU_HINT },
	{ "--gpu 01:00.0 --gpu 0000:01:00.0", "--gpu: 0000:01:00.0 is given twice" },
	{ "--gpu 01:00.0,rom", "--gpu 0000:01:00.0: 'rom' is not understood; it takes "
			       "rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,rom=", "--gpu 0000:01:00.0: 'rom=' is not understood; it takes "
				"rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,", "--gpu 0000:01:00.0: '' is not understood; it takes rom=FILE|off, "
			    "clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,vga=on", "--gpu 0000:01:00.0: 'vga=on' is not understood; it takes "
				  "rom=FILE|off, clique=N|off and vf-token=UUID" },
	{ "--gpu 01:00.0,rom=off,rom=a",
	  "--gpu 0000:01:00.0: rom is given twice; it takes rom=FILE or rom=off, not both" },
	{ "--gpu 01:00.0,rom=a,rom=off",
	  "--gpu 0000:01:00.0: rom is given twice; it takes rom=FILE or rom=off, not both" },
	{ "--gpu 1:0.0 --gpu 2:0.0 --gpu 3:0.0 --gpu 4:0.0 --gpu 5:0.0 --gpu 6:0.0 --gpu 7:0.0 "
	  "--gpu 8:0.0 --gpu 9:0.0 --gpu a:0.0 --gpu b:0.0 --gpu c:0.0 --gpu d:0.0 --gpu e:0.0 "
	  "--gpu f:0.0 --gpu 10:0.0 --gpu 11:0.0",
	  "--gpu: more than 16 devices" },

	{ "--disk ,ro", "--disk: the file name is missing; write it as --disk "
			"FILE[,PROPERTY]..." },
	{ "--disk a --disk a,ro", "--disk: a is given twice" },
	{ "--disk a,b.img", "--disk a: 'b.img' is not understood; " DISK_HINT },
	{ "--disk a,", "--disk a: '' is not understood; " DISK_HINT },
	{ "--disk a,ro=on", "--disk a: 'ro=on' is not understood; " DISK_HINT },
	{ "--disk a,queues=0", "--disk a: queues '0' is not a number from 1 to 64" },
	{ "--disk a,queues=65", "--disk a: queues '65' is not a number from 1 to 64" },
	{ "--disk a,queues=2,queues=2", "--disk a: queues is given twice" },
	{ "--disk a,serial=", "--disk a: '' cannot be a serial number; serial=TEXT takes 1 to 20 "
			      "visible ASCII characters" },
	{ "--disk a,serial=123456789012345678901",
	  "--disk a: '123456789012345678901' cannot be a serial number; serial=TEXT takes 1 to 20 "
	  "visible ASCII characters" },
	{ "--disk a,serial=\303\244", "--disk a: '\303\244' cannot be a serial number; serial=TEXT "
				      "takes 1 to 20 visible ASCII characters" },
	{ "--disk a,format=luks", "--disk a: there is no format 'luks'; format= takes raw, qcow2, "
				  "vmdk, vdi, vhdx or vpc" },
	{ "--disk a,format=raw,format=raw", "--disk a: format is given twice" },
	{ "--disk a,ro,snapshot", "--disk a: ro and snapshot exclude each other" },
	{ "--disk a.vdi,snapshot", "--disk a.vdi: snapshot is for raw and qcow2" },
	{ "--disk a.qcow2,serial=x",
	  "--disk a.qcow2: serial is for raw disks only; such an image is served by "
	  "qemu-storage-daemon, which gives all its disks the same" },
	{ "--disk a,serial=x,snapshot",
	  "--disk a: serial is for raw disks only; a snapshot is served by "
	  "qemu-storage-daemon, which gives all its disks the same" },
	{ "--disk a,serial=x,serial=y", "--disk a: serial is given twice" },
	{ "--disk a,serial=x --disk b,serial=x", "--disk b: a has the serial number 'x' already" },
	{ "--disk 1 --disk 2 --disk 3 --disk 4 --disk 5 --disk 6 --disk 7 --disk 8 --disk 9 --disk "
	  "10 --disk 11 --disk 12 --disk 13",
	  "--disk: more than 12 disks" },
	{ "--disk 1 --disk 2 --disk 3 --disk 4 --disk 5 --disk 6 --disk 7 --disk 8 --disk 9 --disk "
	  "10 --disk 11 --disk 12 --ssh-key id.pub",
	  "--disk: more than 11 disks, because --ssh-key makes one" },
	{ "--kernel k --cloud-init u",
	  "--cloud-init is given without a --disk; it is for a guest that starts from a disk with "
	  "cloud-init, as cloud images are" },
	{ "run --ssh-key k -- true", "--ssh-key does not go with a command" },
	{ "--disk a --ssh-key k --ssh-key l", "--ssh-key is given twice" },

	{ "--cpus 0", "--cpus 0: '0' is not understood; write it as N or "
		      "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 1025", "--cpus 1025: '1025' is not understood; write it as N or "
			 "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 12,cores=5", "--cpus 12,cores=5: 12 is not 1 sockets x 5 cores x 1 threads" },
	{ "--cpus 8,sockets=2,cores=2,threads=1",
	  "--cpus 8,sockets=2,cores=2,threads=1: 8 is not 2 sockets x 2 cores x 1 threads" },
	{ "--cpus sockets=2,cores=1000", "--cpus sockets=2,cores=1000: the most is 1024 in all" },
	{ "--cpus 8,cores=0", "--cpus 8,cores=0: 'cores=0' is not understood; write it as N or "
			      "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 8,8", "--cpus 8,8: '8' is not understood; write it as N or "
			"[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 8,dies=2", "--cpus 8,dies=2: 'dies=2' is not understood; write it as N or "
			     "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpu avx", "--cpu: 'avx' is not understood; write -NAME for a feature that the guest "
		       "shall not have, +NAME for one that it must have" },
	{ "--cpu -avx,", "--cpu: '' is not understood; write -NAME for a feature that the guest "
			 "shall not have, +NAME for one that it must have" },
	{ "--cpu +", "--cpu: '+' is not understood; write -NAME for a feature that the guest shall "
		     "not have, +NAME for one that it must have" },
	{ "--hyperv --hide-hypervisor", "--hide-hypervisor and --hyperv exclude each other" },
	{ "--cpus -1", "--cpus -1: '-1' is not understood; write it as N or "
		       "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 0x4", "--cpus 0x4: '0x4' is not understood; write it as N or "
			"[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 2x", "--cpus 2x: '2x' is not understood; write it as N or "
		       "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },
	{ "--cpus 18446744073709551617",
	  "--cpus 18446744073709551617: '18446744073709551617' is not understood; write it as N or "
	  "[N,]sockets=N,cores=N,threads=N, each once and from 1 to 1024" },

	{ "--memory 4", "--memory: '4' is not a size; write it as 512M or 16G; the units are K, M, "
			"G and T, powers of 1024" },
	{ "--memory G", "--memory: 'G' is not a size; write it as 512M or 16G; the units are K, M, "
			"G and T, powers of 1024" },
	{ "--memory 4GB", "--memory: '4GB' is not a size; write it as 512M or 16G; the units are "
			  "K, M, G and T, powers of 1024" },
	{ "--memory 1.5G", "--memory: '1.5G' is not a size; write it as 512M or 16G; the units are "
			   "K, M, G and T, powers of 1024" },
	{ "--memory -1G", "--memory: '-1G' is not a size; write it as 512M or 16G; the units are "
			  "K, M, G and T, powers of 1024" },
	{ "--memory 99999999999999999999G",
	  "--memory: '99999999999999999999G' is not a size; write it as 512M or 16G; the units are "
	  "K, M, G and T, powers of 1024" },
	{ "--memory 63M", "--memory: 63M is too little; the least is 64M" },
	{ "--memory 0G", "--memory: 0G is too little; the least is 64M" },
	{ "--memory 33T", "--memory: 33T is too much; the most is 32T" },
	{ "--memory 18446744073709551615T",
	  "--memory: 18446744073709551615T is too much; the most is 32T" },
	{ "--memory 1025M", "--memory: 1025M is not a multiple of 2M" },

	{ "--firmware ,vars=x",
	  "--firmware: the file name is missing; write it as --firmware CODE[,vars=FILE]" },
	{ "--firmware a,vars",
	  "--firmware a: 'vars' is not understood; it takes vars=FILE; a comma "
	  "in a file name is written ',,'" },
	{ "--firmware a,vars=", "--firmware a: 'vars=' is not understood; it takes vars=FILE; a "
				"comma in a file name is written ',,'" },
	{ "--firmware a,vars=b,vars=c", "--firmware a: vars is given twice" },
	{ "--firmware a,vars=a", "--firmware: a cannot be both CODE and vars" },
};

static void bad_command_lines_are_told_why(void **state)
{
	check_refused(bad, ARRAY_SIZE(bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_command_lines_are_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
