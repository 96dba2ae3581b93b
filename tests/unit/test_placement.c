/* SPDX-License-Identifier: Apache-2.0 */
/* Where machines lie on hosts of one, two and four nodes. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "fake_sysfs.h"
#include "placement/host_nodes.h"
#include "placement/placement.h"

struct fixture {
	struct fake_sysfs fs;
	struct cpu_set allowed;
	struct placement_request req;
	struct placement p;
	uint16_t pin[16];
	int device_nodes[4];
};

static void add_node(struct fixture *f, unsigned id, const char *cpus, unsigned free_gib,
		     const char *distance)
{
	char path[96];

	snprintf(path, sizeof(path), "sys/devices/system/node/node%u/cpulist", id);
	fake_sysfs_file(&f->fs, path, "%s\n", cpus);
	snprintf(path, sizeof(path), "sys/devices/system/node/node%u/distance", id);
	fake_sysfs_file(&f->fs, path, "%s\n", distance);
	snprintf(path, sizeof(path), "sys/devices/system/node/node%u/meminfo", id);
	/* Half of it is in cached files. */
	fake_sysfs_file(&f->fs, path,
			"Node %u MemTotal:       %llu kB\nNode %u MemFree:        %llu kB\n"
			"Node %u Active(file):   %llu kB\nNode %u Inactive(anon): 99999999 kB\n",
			id, 64 * GiB / KiB, id, (free_gib + 1) * GiB / KiB / 2, id,
			(free_gib + 1) * GiB / KiB / 2, id);
}

/* Threads of a core are `step` apart, as on most PCs. */
static void add_cores(struct fixture *f, unsigned cpus, unsigned step)
{
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		char path[96];

		snprintf(path, sizeof(path),
			 "sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
		fake_sysfs_file(&f->fs, path, "%u,%u\n", cpu % step, cpu % step + step);
	}
}

/* 16 CPUs, 8 cores, two nodes: 0-3,8-11 and 4-7,12-15. */
static int two_nodes(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_sysfs_init(&f->fs);
	fake_sysfs_file(&f->fs, "sys/devices/system/node/online", "0-1\n");
	add_node(f, 0, "0-3,8-11", 30, "10 21");
	add_node(f, 1, "4-7,12-15", 40, "21 10");
	add_cores(f, 16, 8);
	assert_true(cpu_set_parse("0-15", &f->allowed));
	f->req = (struct placement_request){
		.vcpus = 4,
		.threads = 1,
		.memory = 8 * GiB,
		.pin_cpus = f->pin,
		.device_nodes = f->device_nodes,
	};
	*state = f;
	return 0;
}

static int free_fixture(void **state)
{
	struct fixture *f = *state;

	fake_sysfs_fini(&f->fs);
	free(f);
	return 0;
}

static void decide(struct fixture *f)
{
	if (placement_decide(f->fs.root, &f->req, &f->allowed, &f->p) < 0)
		fail_msg("%s", err_text());
}

static void assert_fails(struct fixture *f, const char *text)
{
	assert_int_equal(placement_decide(f->fs.root, &f->req, &f->allowed, &f->p), -EINVAL);
	assert_int_equal(err_kind(), ERR_USAGE);
	assert_string_equal(err_text(), text);
}

static void pin(struct fixture *f, unsigned count, ...)
{
	va_list args;

	va_start(args, count);
	for (unsigned i = 0; i < count; i++)
		f->pin[i] = (uint16_t)va_arg(args, int);
	va_end(args);
	f->req.pin = PIN_LIST;
	f->req.pin_count = count;
}

/* "4,5,6,7" */
static void assert_cpus(const struct fixture *f, const char *want)
{
	char text[128] = "";

	for (unsigned v = 0; v < f->p.vcpu_count; v++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", v ? "," : "",
			 f->p.vcpus[v].cpu);
	assert_string_equal(text, want);
}

static void nodes_are_read_as_the_host_shows_them(void **state)
{
	struct fixture *f = *state;
	struct host_nodes *nodes = calloc(1, sizeof(*nodes));

	assert_true(host_nodes_several(f->fs.root));
	cpu_set_remove(&f->allowed, 9);
	host_nodes_read(f->fs.root, &f->allowed, 0, nodes);
	assert_int_equal(nodes->count, 2);
	assert_string_equal(cpu_set_text(&nodes->nodes[0].cpus).s, "0-3,8,10-11");
	assert_int_equal(nodes->nodes[0].room, 30 * GiB);
	assert_int_equal(nodes->nodes[1].distance[0], 21);
	assert_int_equal(nodes->nodes[1].distance[1], 10);
	assert_int_equal(host_nodes_of_cpu(nodes, 12), 1);
	assert_int_equal(host_nodes_of_cpu(nodes, 9), -1);
	assert_int_equal(host_nodes_find(nodes, 1), 1);
	assert_int_equal(host_nodes_find(nodes, -1), -1);

	/* Reserved pages count instead; a cpuset may leave a node out. */
	fake_sysfs_file(&f->fs,
			"sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages",
			"512\n");
	host_nodes_read(f->fs.root, &f->allowed, 2 * MiB, nodes);
	assert_int_equal(nodes->nodes[0].room, 0);
	assert_int_equal(nodes->nodes[1].room, GiB);
	fake_sysfs_file(&f->fs, "proc/self/status", "Name:\tx\nMems_allowed_list:\t0\n");
	host_nodes_read(f->fs.root, &f->allowed, 0, nodes);
	assert_int_equal(nodes->nodes[0].room, 30 * GiB);
	assert_int_equal(nodes->nodes[1].room, 0);
	free(nodes);
}

static void a_kernel_without_nodes_has_one(void **state)
{
	struct fixture *f = *state;
	struct host_nodes *nodes = calloc(1, sizeof(*nodes));

	fake_sysfs_unlink(&f->fs, "sys/devices/system/node/online");
	fake_sysfs_file(&f->fs, "proc/meminfo", "MemTotal: 1024 kB\nMemFree: 512 kB\n");
	host_nodes_read(f->fs.root, &f->allowed, 0, nodes);
	assert_int_equal(nodes->count, 1);
	assert_int_equal(nodes->nodes[0].room, 496 * KiB);
	assert_memory_equal(&nodes->nodes[0].cpus, &f->allowed, sizeof(f->allowed));
	free(nodes);
}

static void without_reason_all_is_left_to_the_kernel(void **state)
{
	struct fixture *f = *state;

	decide(f);
	assert_int_equal(f->p.node_count, 0);
	assert_cpus(f, "-1,-1,-1,-1");
	assert_false(f->p.vcpus[0].bound);
	assert_false(f->p.others_bound);
	assert_int_equal(f->p.socket, 4);
}

static void memory_comes_from_the_node_of_the_device(void **state)
{
	struct fixture *f = *state;

	f->device_nodes[0] = 1;
	f->req.device_count = 1;
	f->req.fetched = true;
	decide(f);
	assert_int_equal(f->p.node_count, 1);
	assert_int_equal(f->p.nodes[0].host, 1);
	assert_int_equal(f->p.nodes[0].memory, 8 * GiB);
	assert_true(f->p.nodes[0].strict);
	assert_cpus(f, "-1,-1,-1,-1");
	assert_int_equal(placement_guest_node(&f->p, 1), -1); /* the guest has no nodes */
}

static void devices_on_two_nodes_make_two_guest_nodes(void **state)
{
	struct fixture *f = *state;

	f->device_nodes[0] = 1;
	f->device_nodes[1] = 0;
	f->device_nodes[2] = -1;
	f->req.device_count = 3;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[0].host, 0);
	assert_int_equal(f->p.nodes[0].memory, 4 * GiB);
	assert_int_equal(f->p.nodes[1].memory, 4 * GiB);
	assert_int_equal(f->p.nodes[0].distance[1], 21);
	assert_int_equal(f->p.vcpus[1].node, 0);
	assert_int_equal(f->p.vcpus[2].node, 1);
	assert_true(f->p.vcpus[2].bound);
	assert_int_equal(f->p.socket, 2);
	assert_int_equal(placement_guest_node(&f->p, 1), 1);
	assert_int_equal(placement_guest_node(&f->p, -1), -1);

	f->req.numa = NUMA_OFF;
	decide(f);
	assert_int_equal(f->p.node_count, 0);
	assert_false(f->p.vcpus[2].bound);
	assert_int_equal(f->p.socket, 4);
}

static void memory_larger_than_a_node_spans_nodes(void **state)
{
	struct fixture *f = *state;

	f->req.memory = 60 * GiB;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[0].memory, 30 * GiB);
	assert_int_equal(f->p.nodes[1].memory, 30 * GiB);
	assert_false(f->p.nodes[0].strict); /* no device: not fetched now */
	f->req.memory = 68 * GiB;
	f->req.fetched = true;
	decide(f);
	assert_int_equal(f->p.nodes[0].memory, 30 * GiB);
	assert_int_equal(f->p.nodes[1].memory, 38 * GiB);
	assert_true(f->p.nodes[1].strict);
	/* More than there is. */
	f->req.memory = 80 * GiB;
	decide(f);
	assert_int_equal(f->p.nodes[0].memory + f->p.nodes[1].memory, 80 * GiB);
	assert_false(f->p.nodes[0].strict && f->p.nodes[1].strict);
}

static void a_list_is_in_the_order_of_the_vcpus(void **state)
{
	struct fixture *f = *state;

	pin(f, 4, 6, 4, 12, 5);
	decide(f);
	assert_cpus(f, "6,4,12,5");
	assert_int_equal(f->p.node_count, 1);
	assert_int_equal(f->p.nodes[0].host, 1);
	/* Cores that no vCPU has: 7 and its sibling. */
	assert_true(f->p.others_bound);
	assert_string_equal(cpu_set_text(&f->p.others).s, "7,15");
}

static void what_a_list_has_beyond_the_vcpus_is_for_other_threads(void **state)
{
	struct fixture *f = *state;

	pin(f, 6, 0, 1, 2, 3, 5, 13);
	decide(f);
	assert_cpus(f, "0,1,2,3");
	assert_string_equal(cpu_set_text(&f->p.others).s, "5,13");
	assert_int_equal(f->p.node_count, 1); /* of the vCPUs alone */
	assert_int_equal(f->p.nodes[0].host, 0);
}

static void a_list_on_two_nodes_makes_two_guest_nodes(void **state)
{
	struct fixture *f = *state;

	f->req.vcpus = 6;
	pin(f, 6, 0, 1, 2, 3, 4, 5);
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[0].vcpus, 4);
	assert_int_equal(f->p.nodes[0].memory, 6 * GiB); /* 5.33 each, in whole GiB */
	assert_int_equal(f->p.nodes[1].memory, 2 * GiB);
	assert_int_equal(f->p.socket, 2);
	assert_string_equal(cpu_set_text(&f->p.others).s, "6-7,14-15");

	pin(f, 6, 0, 4, 1, 5, 2, 6);
	decide(f);
	assert_int_equal(f->p.vcpus[1].node, 1);
	assert_int_equal(f->p.socket, 1);
}

static void lists_that_cannot_be_are_refused(void **state)
{
	struct fixture *f = *state;

	pin(f, 4, 0, 1, 16, 99);
	assert_fails(f, "--pin: CPUs 16,99 cannot be used here");
	assert_string_equal(err_hint_text(), "this process may use 0-15");
	pin(f, 3, 0, 1, 2);
	assert_fails(f, "--pin: 3 CPUs cannot run 4 vCPUs");
	assert_string_equal(err_hint_text(), "name a CPU for each, or give --cpus 3");
	pin(f, 4, 0, 1, 2, 4);
	f->req.numa = NUMA_LIST;
	assert_true(cpu_set_parse("0", &f->req.numa_nodes));
	assert_fails(f, "--pin: CPU 4 is on node 1, which --numa leaves out");
	f->req.pin = PIN_OFF;
	assert_true(cpu_set_parse("0,2", &f->req.numa_nodes));
	assert_fails(f, "--numa: this host has no node 2");
	f->req.numa = NUMA_AUTO;
	f->req.pin = PIN_AUTO;
	f->req.vcpus = 17;
	assert_fails(f, "--pin auto: 16 CPUs cannot run 17 vCPUs");
}

static void auto_takes_whole_cores_and_leaves_the_first(void **state)
{
	struct fixture *f = *state;

	f->req.pin = PIN_AUTO;
	f->req.vcpus = 3;
	decide(f);
	assert_int_equal(f->p.nodes[0].host, 1); /* the node with most room */
	assert_cpus(f, "5,6,7");
	assert_string_equal(cpu_set_text(&f->p.others).s, "4,12");
	/* Second threads before the first core. */
	f->req.vcpus = 5;
	decide(f);
	assert_cpus(f, "5,6,7,13,14");
	f->req.vcpus = 8;
	decide(f);
	assert_cpus(f, "5,6,7,13,14,15,4,12");
	/* Nothing is left there: the other node's. */
	assert_string_equal(cpu_set_text(&f->p.others).s, "0-3,8-11");
}

static void auto_puts_the_threads_of_a_guest_core_on_one_core(void **state)
{
	struct fixture *f = *state;

	f->req.pin = PIN_AUTO;
	f->req.threads = 2;
	decide(f);
	assert_cpus(f, "5,13,6,14");
	/* Nor is a core on two nodes. */
	f->req.vcpus = 6;
	f->req.numa = NUMA_LIST;
	assert_true(cpu_set_parse("0,1", &f->req.numa_nodes));
	decide(f);
	assert_int_equal(f->p.nodes[0].vcpus, 4);
	assert_int_equal(f->p.nodes[1].vcpus, 2);
	assert_int_equal(f->p.socket, 2);
}

static void auto_is_at_the_device_and_goes_on_to_the_next_node(void **state)
{
	struct fixture *f = *state;

	f->req.pin = PIN_AUTO;
	f->device_nodes[0] = 0;
	f->req.device_count = 1;
	decide(f);
	assert_int_equal(f->p.node_count, 1);
	assert_cpus(f, "1,2,3,9");
	f->req.vcpus = 10;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[0].vcpus, 5);
	assert_cpus(f, "1,2,3,9,10,5,6,7,13,14");
	assert_string_equal(cpu_set_text(&f->p.others).s, "0,4,8,12");
	f->req.numa = NUMA_OFF;
	decide(f);
	assert_int_equal(f->p.node_count, 0);
	assert_int_equal(f->p.socket, 10);
}

static void with_all_cpus_taken_other_threads_run_everywhere(void **state)
{
	struct fixture *f = *state;

	f->req.pin = PIN_AUTO;
	f->req.vcpus = 16;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_false(f->p.others_bound);
}

static void only_allowed_cpus_are_used(void **state)
{
	struct fixture *f = *state;

	assert_true(cpu_set_parse("1,2,3,4", &f->allowed));
	f->req.pin = PIN_AUTO;
	f->req.vcpus = 2;
	decide(f);
	assert_cpus(f, "2,3");
	assert_string_equal(cpu_set_text(&f->p.others).s, "1");
}

static void named_nodes_share_evenly_and_bind(void **state)
{
	struct fixture *f = *state;

	f->req.numa = NUMA_LIST;
	assert_true(cpu_set_parse("0", &f->req.numa_nodes));
	decide(f);
	assert_int_equal(f->p.node_count, 1);
	assert_int_equal(f->p.nodes[0].host, 0);
	assert_true(f->p.vcpus[3].bound);
	assert_true(cpu_set_parse("0-1", &f->req.numa_nodes));
	f->req.memory = 512 * MiB;
	f->req.vcpus = 3;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[1].memory, 256 * MiB);
	assert_int_equal(f->p.nodes[0].vcpus, 2);
	assert_int_equal(f->p.socket, 1);
}

static void a_node_without_cpus_gives_memory(void **state)
{
	struct fixture *f = *state;

	add_node(f, 1, "", 40, "21 10");
	f->req.memory = 40 * GiB;
	f->req.fetched = true;
	f->device_nodes[0] = 0;
	f->req.device_count = 1;
	decide(f);
	assert_int_equal(f->p.node_count, 2);
	assert_int_equal(f->p.nodes[0].vcpus, 4);
	assert_int_equal(f->p.nodes[0].memory, 30 * GiB);
	assert_int_equal(f->p.nodes[1].vcpus, 0);
	assert_int_equal(f->p.nodes[1].memory, 10 * GiB);
	assert_int_equal(f->p.socket, 4);
}

static void gib_pages_are_not_cut(void **state)
{
	struct fixture *f = *state;

	f->req.page_size = GiB;
	f->req.memory = 3 * GiB;
	f->req.numa = NUMA_LIST;
	assert_true(cpu_set_parse("0-1", &f->req.numa_nodes));
	fake_sysfs_file(&f->fs,
			"sys/devices/system/node/node0/hugepages/hugepages-1048576kB/"
			"free_hugepages",
			"8\n");
	fake_sysfs_file(&f->fs,
			"sys/devices/system/node/node1/hugepages/hugepages-1048576kB/"
			"free_hugepages",
			"1\n");
	decide(f);
	assert_int_equal(f->p.nodes[0].memory, 2 * GiB);
	assert_int_equal(f->p.nodes[1].memory, GiB);
}

static void a_host_with_one_node_has_pinned_cpus_only(void **state)
{
	struct fixture *f = *state;

	fake_sysfs_file(&f->fs, "sys/devices/system/node/online", "0\n");
	add_node(f, 0, "0-15", 30, "10");
	f->req.pin = PIN_AUTO;
	decide(f);
	assert_int_equal(f->p.node_count, 0);
	assert_cpus(f, "1,2,3,4");
	assert_string_equal(cpu_set_text(&f->p.others).s, "0,5-8,13-15");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_nodes, free_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nodes_are_read_as_the_host_shows_them),
		TEST(a_kernel_without_nodes_has_one),
		TEST(without_reason_all_is_left_to_the_kernel),
		TEST(memory_comes_from_the_node_of_the_device),
		TEST(devices_on_two_nodes_make_two_guest_nodes),
		TEST(memory_larger_than_a_node_spans_nodes),
		TEST(a_list_is_in_the_order_of_the_vcpus),
		TEST(what_a_list_has_beyond_the_vcpus_is_for_other_threads),
		TEST(a_list_on_two_nodes_makes_two_guest_nodes),
		TEST(lists_that_cannot_be_are_refused),
		TEST(auto_takes_whole_cores_and_leaves_the_first),
		TEST(auto_puts_the_threads_of_a_guest_core_on_one_core),
		TEST(auto_is_at_the_device_and_goes_on_to_the_next_node),
		TEST(with_all_cpus_taken_other_threads_run_everywhere),
		TEST(only_allowed_cpus_are_used),
		TEST(named_nodes_share_evenly_and_bind),
		TEST(a_node_without_cpus_gives_memory),
		TEST(gib_pages_are_not_cut),
		TEST(a_host_with_one_node_has_pinned_cpus_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
