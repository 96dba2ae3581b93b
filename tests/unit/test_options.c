/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what each one means. What is said against wrong ones: test_options_refused. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options_line.h"

static const struct golden good[] = {
	{ "--disk a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "run --disk a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "--disk run", "disk 'run'; 2 cpus, 4096M" },
	{ "--disk=a.img", "disk 'a.img'; 2 cpus, 4096M" },
	{ "--disk=--a.img", "disk '--a.img'; 2 cpus, 4096M" },
	{ "--disk=a=b.img", "disk 'a=b.img'; 2 cpus, 4096M" },
	{ "--disk -", "disk '-'; 2 cpus, 4096M" },
	{ "--disk a.img,ro,serial=WD-1", "disk 'a.img' ro serial WD-1; 2 cpus, 4096M" },
	{ "--disk a.img,cache=direct,ro --disk b,cache=unsafe --disk c,cache=writeback",
	  "disk 'a.img' ro direct; disk 'b' unsafe; disk 'c'; 2 cpus, 4096M" },
	{ "--disk a.img,discard=off --disk b,discard=on",
	  "disk 'a.img' keeps its space; disk 'b'; 2 cpus, 4096M" },
	{ "--disk a.img --net none", "disk 'a.img'; no network; 2 cpus, 4096M" },
	{ "--kernel k --net none", "2 cpus, 4096M; kernel 'k' ''" },
	{ "--disk a.img --net user,forward=2222:22",
	  "disk 'a.img'; user '' tcp 2222 to 22; 2 cpus, 4096M" },
	{ "--kernel k --net "
	  "user,forward=10.1.2.3:80:8080/tcp,forward=[fe80::1]:53:53/udp,forward=53:54",
	  "user '10.1.2.3' tcp 80 to 8080 'fe80::1' udp 53 to 53 '' tcp 53 to 54; 2 cpus, 4096M; "
	  "kernel 'k' ''" },
	{ "--kernel k --net user,host-loopback,mac=52:54:00:aB:cD:ef --net tap=tap0,queues=16",
	  "user mac 525400abcdef host; tap 'tap0' 16 queues; 2 cpus, 4096M; kernel 'k' ''" },
	{ "--net tap=tap0,address=192.168.7.2/24 -- true",
	  "tap 'tap0' 192.168.7.2/24 by '' names ''; 2 cpus, 4096M; runs true" },
	{ "--net tap=a,dns=9.9.9.9,gateway=10.0.0.1,address=10.255.255.254/8,queues=1 -- true",
	  "tap 'a' 1 queues 10.255.255.254/8 by '10.0.0.1' names '9.9.9.9'; 2 cpus, 4096M; "
	  "runs true" },
	{ "--disk a --net user -- true", "disk 'a'; user; 2 cpus, 4096M; runs true" },
	{ "--disk a.img,queues=64", "disk 'a.img' 64 queues; 2 cpus, 4096M" },
	{ "--disk a.qcow2", "disk 'a.qcow2'; 2 cpus, 4096M" },
	{ "--disk a.img,format=qcow2,ro", "disk 'a.img' ro format qcow2; 2 cpus, 4096M" },
	{ "--disk a.img,snapshot", "disk 'a.img' snapshot; 2 cpus, 4096M" },
	{ "--disk a --ssh-key id.pub --cloud-init=user-data",
	  "disk 'a'; cloud-init 'user-data'; key 'id.pub'; 2 cpus, 4096M" },
	{ "--gpu 1:0.0 --cloud-init=x", "gpu 0000:01:00.0; cloud-init 'x'; 2 cpus, 4096M" },
	{ "--disk a.qcow2,snapshot,format=raw",
	  "disk 'a.qcow2' snapshot format raw; 2 cpus, 4096M" },
	{ "--disk a.qcow2,format=raw,serial=x",
	  "disk 'a.qcow2' serial x format raw; 2 cpus, 4096M" },
	{ "--disk a.img,serial=x,ro,ro", "disk 'a.img' ro serial x; 2 cpus, 4096M" },
	{ "--disk a.img,serial=12345678901234567890",
	  "disk 'a.img' serial 12345678901234567890; 2 cpus, 4096M" },
	{ "--disk a,,b,,,,c.img", "disk 'a,b,,c.img'; 2 cpus, 4096M" },
	{ "--disk a.img,,,ro", "disk 'a.img,' ro; 2 cpus, 4096M" },
	{ "--disk ,,", "disk ','; 2 cpus, 4096M" },
	{ "--disk a.img,serial=a,,b", "disk 'a.img' serial a,b; 2 cpus, 4096M" },
	{ "--disk a --disk b,ro --disk c", "disk 'a'; disk 'b' ro; disk 'c'; 2 cpus, 4096M" },

	{ "--gpu 01:00.0", "gpu 0000:01:00.0; 2 cpus, 4096M" },
	{ "--gpu 0000:AF:00.1,rom=off", "gpu 0000:af:00.1 no rom; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=vbios.rom", "gpu 0000:01:00.0 rom vbios.rom; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=./off", "gpu 0000:01:00.0 rom ./off; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,rom=a,,b=c", "gpu 0000:01:00.0 rom a,b=c; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --gpu 01:00.1", "gpu 0000:01:00.0; gpu 0000:01:00.1; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --iommu auto", "gpu 0000:01:00.0; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,vf-token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3 --iommu type1",
	  "gpu 0000:01:00.0 token bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3; type1; 2 cpus, 4096M" },
	{ "--gpu 01:00.0 --iommu type1", "gpu 0000:01:00.0; type1; 2 cpus, 4096M" },
	{ "--iommu iommufd --gpu 01:00.0 --disk d",
	  "gpu 0000:01:00.0; iommufd; disk 'd'; 2 cpus, 4096M" },
	{ "--iommu auto --disk d", "disk 'd'; 2 cpus, 4096M" },

	{ "--gpu 01:00.0,clique=0", "gpu 0000:01:00.0 clique 0; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,clique=15,rom=off", "gpu 0000:01:00.0 no rom clique 15; 2 cpus, 4096M" },
	{ "--gpu 01:00.0,clique=off", "gpu 0000:01:00.0 no clique; 2 cpus, 4096M" },
	{ "--gpu 01:00.1,vf-token=BD8D9D2B-5a5f-4f5a-a211-f591514ba1f3",
	  "gpu 0000:01:00.1 token BD8D9D2B-5a5f-4f5a-a211-f591514ba1f3; 2 cpus, 4096M" },
	{ "--gpu /sys/bus/mdev/devices/83B8F4F2-509f-382f-3c1e-e6bfe0fa1001",
	  "gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001; 2 cpus, 4096M" },
	{ "--gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001,rom=off",
	  "gpu 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 no rom; 2 cpus, 4096M" },
	{ "--p2p on --gpu 01:00.0", "gpu 0000:01:00.0; p2p on; 2 cpus, 4096M" },
	{ "--p2p off --gpu 01:00.0", "gpu 0000:01:00.0; p2p off; 2 cpus, 4096M" },
	{ "--p2p auto --disk d", "disk 'd'; 2 cpus, 4096M" },

	{ "--kernel a,b", "2 cpus, 4096M; kernel 'a,b' ''" },
	{ "--cmdline=ro --initrd i --kernel k", "2 cpus, 4096M; kernel 'k' 'ro' initrd 'i'" },

	{ "--cpus 1 --disk d", "disk 'd'; 1 cpus, 4096M" },
	{ "--cpus 1024 --disk d", "disk 'd'; 1024 cpus, 4096M" },
	{ "--cpu -avx512f,+aes --disk d", "disk 'd'; 2 cpus, 4096M; cpu -avx512f,+aes" },
	{ "--hyperv --dedicated --hypervisor-vendor Acme --disk d",
	  "disk 'd'; 2 cpus, 4096M; dedicated; hyperv; vendor 'Acme'" },
	{ "--cpus cores=3 --disk d", "disk 'd'; 3 cpus, 4096M" },
	{ "--cpus 12,threads=2 --disk d", "disk 'd'; 12 cpus = 1 x 6 x 2, 4096M" },
	{ "--cpus 12,sockets=2 --disk d", "disk 'd'; 12 cpus = 2 x 6 x 1, 4096M" },
	{ "--cpus 12,cores=3 --disk d", "disk 'd'; 12 cpus = 4 x 3 x 1, 4096M" },
	{ "--cpus 12,cores=3,sockets=2 --disk d", "disk 'd'; 12 cpus = 2 x 3 x 2, 4096M" },
	{ "--cpus threads=2,sockets=2,cores=3,12 --disk d",
	  "disk 'd'; 12 cpus = 2 x 3 x 2, 4096M" },
	{ "--cpus sockets=2,threads=2 --disk d", "disk 'd'; 4 cpus = 2 x 1 x 2, 4096M" },
	{ "--cpus 08 --disk d", "disk 'd'; 8 cpus, 4096M" },
	{ "--hide-hypervisor --disk d", "disk 'd'; 2 cpus, 4096M; hidden" },
	{ "--hypervisor-vendor AcmeAcmeAcme --disk d",
	  "disk 'd'; 2 cpus, 4096M; vendor 'AcmeAcmeAcme'" },
	{ "--memory 64M --disk d", "disk 'd'; 2 cpus, 64M" },
	{ "--memory 65536K --disk d", "disk 'd'; 2 cpus, 64M" },
	{ "--memory 16G --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 16g --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 16GiB --disk d", "disk 'd'; 2 cpus, 16384M" },
	{ "--memory 512mib --disk d", "disk 'd'; 2 cpus, 512M" },
	{ "--memory 1T --disk d", "disk 'd'; 2 cpus, 1048576M" },
	{ "--memory 32T --disk d", "disk 'd'; 2 cpus, 33554432M" },

	{ "--firmware OVMF.fd", "2 cpus, 4096M; code 'OVMF.fd'" },
	{ "--firmware a,,b.fd,vars=c,,d.fd", "2 cpus, 4096M; code 'a,b.fd' vars 'c,d.fd'" },
	{ "--pin 0-3,9,8 --disk d", "disk 'd'; 2 cpus, 4096M; pin 0 1 2 3 9 8" },
	{ "--pin auto --disk d", "disk 'd'; 2 cpus, 4096M; pin auto" },
	{ "--numa auto --disk d", "disk 'd'; 2 cpus, 4096M" },
	{ "--numa off --disk d", "disk 'd'; 2 cpus, 4096M; numa off" },
	{ "--numa=2,0-1 --disk d", "disk 'd'; 2 cpus, 4096M; numa 0-2" },
	{ "--hugepages auto --disk d", "disk 'd'; 2 cpus, 4096M" },
	{ "--hugepages 2M --disk d", "disk 'd'; 2 cpus, 4096M; pages 2M" },
	{ "--hugepages=1G --disk d", "disk 'd'; 2 cpus, 4096M; pages 1G" },
	{ "--hugepages off --disk d", "disk 'd'; 2 cpus, 4096M; pages off" },
	{ "--timings --disk d", "disk 'd'; 2 cpus, 4096M; timings" },
	{ "--timings=json --disk d", "disk 'd'; 2 cpus, 4096M; timings json" },
	{ "--timings --timings=json -q --disk d", "disk 'd'; 2 cpus, 4096M; timings json; quiet" },
	{ "--firmware-log - --disk d", "disk 'd'; 2 cpus, 4096M; log '-'" },
	{ "--firmware-log=a,b --disk d", "disk 'd'; 2 cpus, 4096M; log 'a,b'" },
	{ "-v --disk d", "disk 'd'; 2 cpus, 4096M; verbose" },
	{ "--verbose -v --disk d", "disk 'd'; 2 cpus, 4096M; verbose" },
	{ "-q --disk d", "disk 'd'; 2 cpus, 4096M; quiet" },
	{ "--quiet --disk d", "disk 'd'; 2 cpus, 4096M; quiet" },
	{ "-h", "help" },
	{ "--help", "help" },
	{ "run --help", "help" },
	{ "--help --nonsense", "help" },
	{ "run --help disk", "help" },
	{ "--help boot nonsense", "help" },
	{ "--help list", "help" },
	{ "--cpus 3 -V x", "version" },
	{ "list", "list" },
	{ "list -a --json", "list all json" },
	{ "list --all", "list all" },
	{ "list --help", "help" },
	{ "--wait 30s --gpu any", "gpu any; wait 30000 ms; 2 cpus, 4096M" },
	{ "--wait 5m --gpu any", "gpu any; wait 300000 ms; 2 cpus, 4096M" },
	{ "--wait 168h --gpu any", "gpu any; wait 604800000 ms; 2 cpus, 4096M" },
	{ "--name a-1 --disk d", "disk 'd'; 2 cpus, 4096M; name a-1" },
	{ "-d --disk d -- x -d", "disk 'd'; 2 cpus, 4096M; detach; runs x -d" },
	{ "ps", "ps" },
	{ "ps --json", "ps; json" },
	{ "stop a b --timeout 5m --kill", "stop a b; kill; timeout 300000 ms" },
	{ "console a", "console a" },
	{ "logs -f a", "logs a; follow" },
	{ "control a power-button", "control a power-button" },
	{ "bind 01:00.0", "bind 0000:01:00.0" },
	{ "bind 01:00.0 --user joe 0000:01:00.1 --wait 2h",
	  "bind 0000:01:00.0 0000:01:00.1 wait 7200000 ms user joe" },
	{ "release -- 01:00.0", "release 0000:01:00.0" },
	{ "-- true", "2 cpus, 4096M; runs true" },
	{ "run --gpu 01:00.0 -- pytest --gpu tests -- x",
	  "gpu 0000:01:00.0; 2 cpus, 4096M; runs pytest --gpu tests -- x" },
	{ "run --rw out --rw /tmp --env A --env=B=c --user joe --root / --timeout 10m -- make test",
	  "2 cpus, 4096M; rw 'out'; rw '/tmp'; env 'A'; env 'B=c'; user joe; root '/'; timeout "
	  "600000 ms; runs make test" },
	{ "--json r.json --junit=r.xml -- true",
	  "2 cpus, 4096M; record 'r.json'; junit 'r.xml'; runs true" },
	{ "--gpu any --gpu 01:00.0 --gpu any,clique=off -- true",
	  "gpu any; gpu 0000:01:00.0; gpu any no clique; 2 cpus, 4096M; runs true" },
	{ "doctor", "doctor, 4096M" },
	{ "doctor 01:00.0 --json --memory 16G 0000:01:00.1",
	  "doctor, 16384M json 0000:01:00.0 0000:01:00.1" },
	{ "doctor --help", "help" },
	{ "--version", "version" },
	{ "--gpu 0000:41:00.0,rom=off --gpu 41:00.1 --disk /dev/nvme0n1p3,serial=root --disk x,ro "
	  "--cpus=16 --memory 64G --firmware CODE.fd,vars=VARS.fd --firmware-log fw.log -v",
	  "gpu 0000:41:00.0 no rom; gpu 0000:41:00.1; disk '/dev/nvme0n1p3' serial root; disk 'x' "
	  "ro; 16 cpus, 65536M; code 'CODE.fd' vars 'VARS.fd'; log 'fw.log'; verbose" },
};

static struct options options;

static void good_command_lines_mean_what_they_say(void **state)
{
	check_understood(good, ARRAY_SIZE(good));
}

static void value_too_long_for_a_path_is_refused(void **state)
{
	static const char *const names[] = { "gpu",    "disk",     "cpus",
					     "memory", "firmware", "firmware-log" };
	char words[2 * PATH_MAX], line[OPTIONS_LINE_MAX], expected[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(words, sizeof(words), "--%s %0*d", names[i], PATH_MAX, 1);
		snprintf(expected, sizeof(expected),
			 "--%s: the value is longer than 4095 characters", names[i]);
		assert_int_equal(options_line(words, &options, line), -EINVAL);
		assert_string_equal(line, expected);
	}
	snprintf(words, sizeof(words), "--disk %0*d", PATH_MAX - 1, 1);
	assert_int_equal(options_line(words, &options, line), 0);
	assert_int_equal(strlen(options.disks[0].file), PATH_MAX - 1);
}

static void command_is_known_on_a_wrong_command_line(void **state)
{
	static const struct {
		char *argv[6];
		bool have;
	} cases[] = {
		{ { "tinyvmm" }, false },
		{ { "tinyvmm", "run", "--nonsense", "--", "true" }, true },
		{ { "tinyvmm", "--nonsense", "--" }, true },
		{ { "tinyvmm", "run", "--disk", "--", "true" }, true },
		{ { "tinyvmm", "run", "--nonsense", "true" }, false },
		{ { "tinyvmm", "run", "--disk=--", "--nonsense" }, false },
		{ { "tinyvmm", "list", "--", "true" }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int argc = 0;

		while (cases[i].argv[argc])
			argc++;
		assert_int_equal(options_have_command(argc, cases[i].argv), cases[i].have);
	}
}

static void wrong_command_line_has_its_record_and_its_command(void **state)
{
	char *argv[] = { "tinyvmm", "--json",  "r.json", "--nonsense", "--junit=r.xml",
			 "--json",  "--junit", "--rw",   "out",        "--rw=b",
			 "--rw",    "--",      "true",   "--json",     "x",
			 NULL };

	options = (struct options){ 0 };
	options_salvage(ARRAY_SIZE(argv) - 1, argv, &options);
	assert_string_equal(options.record, "r.json");
	assert_string_equal(options.junit, "r.xml");
	assert_int_equal(options.share_count, 2);
	assert_string_equal(options.shares[0], "out");
	assert_string_equal(options.shares[1], "b");
	assert_int_equal(options.command_argc, 3);
	assert_string_equal(options.command_argv[0], "true");
	options = (struct options){ 0 };
	options_salvage(2, argv, &options);
	assert_null(options.record);
	assert_int_equal(options.command_argc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_command_lines_mean_what_they_say),
		cmocka_unit_test(command_is_known_on_a_wrong_command_line),
		cmocka_unit_test(wrong_command_line_has_its_record_and_its_command),
		cmocka_unit_test(value_too_long_for_a_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
