/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA nodes of the host; see host_nodes.h. */
#include "placement/host_nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/sys.h"
#include "vfio/host_sysfs.h"

#define NODES "sys/devices/system/node"

/* What a distance is where sysfs does not tell. [ACPI-6.5 5.2.17 SLIT] */
#define DISTANCE_LOCAL  10u
#define DISTANCE_REMOTE 20u

/* A list of 64 nodes or of 8192 CPUs in the worst case that sysfs shows: one page. */
#define LIST_TEXT 4096

static bool read_list(const char *path, struct cpu_set *ret_set)
{
	char text[LIST_TEXT];

	return sys_read_text(path, text, sizeof(text)) == 0 && cpu_set_parse(text, ret_set);
}

bool host_nodes_several(const char *root)
{
	return host_sysfs_exists(host_sysfs_path(root, NODES "/node1").s);
}

/* A line of meminfo, with or without "Node 0 " in front, in bytes. */
static bool meminfo_line(const char *line, char name[32], uint64_t *ret_bytes)
{
	unsigned long long kib;
	unsigned node;

	if (sscanf(line, "Node %u %31[^:]: %llu kB", &node, name, &kib) != 3 &&
	    sscanf(line, "%31[^:]: %llu kB", name, &kib) != 2)
		return false;
	*ret_bytes = kib * KiB;
	return true;
}

/*
 * Files that the kernel has cached make room when a node's memory is asked for; a 64th of the node
 * stays the host's, for its own tables and watermarks.
 */
static uint64_t read_room(const char *path)
{
	static const char *const gives[] = { "MemFree", "Active(file)", "Inactive(file)",
					     "SReclaimable" };
	FILE *meminfo = fopen(path, "re");
	uint64_t total = 0, room = 0, bytes;
	char line[128], name[32];

	while (meminfo && fgets(line, sizeof(line), meminfo)) {
		if (!meminfo_line(line, name, &bytes))
			continue;
		if (strcmp(name, "MemTotal") == 0)
			total = bytes;
		for (unsigned i = 0; i < ARRAY_SIZE(gives); i++) {
			if (strcmp(name, gives[i]) == 0)
				room += bytes;
		}
	}
	if (meminfo)
		fclose(meminfo);
	return room > total / 64 ? room - total / 64 : 0;
}

static uint64_t room_of(const char *root, unsigned id, uint64_t page_size)
{
	const struct host_sysfs_path pool =
		host_sysfs_path(root, NODES "/node%u/hugepages/hugepages-%llukB/free_hugepages", id,
				(unsigned long long)(page_size / KiB));

	if (page_size)
		return host_sysfs_number(pool.s, 0) * page_size;
	return read_room(host_sysfs_path(root, NODES "/node%u/meminfo", id).s);
}

/* The nodes of the cpuset that we are in. */
static bool mems_allowed(const char *root, struct cpu_set *ret_set)
{
	FILE *status = fopen(host_sysfs_path(root, "proc/self/status").s, "re");
	static const char field[] = "Mems_allowed_list:\t";
	char line[LIST_TEXT];
	bool found = false;

	while (status && !found && fgets(line, sizeof(line), status)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, field, strlen(field)) == 0)
			found = cpu_set_parse(line + strlen(field), ret_set);
	}
	if (status)
		fclose(status);
	return found;
}

static void read_distances(const char *root, struct host_nodes *nodes, struct host_node *node)
{
	char text[LIST_TEXT], *p = text;

	for (unsigned i = 0; i < nodes->count; i++)
		node->distance[i] = &nodes->nodes[i] == node ? DISTANCE_LOCAL : DISTANCE_REMOTE;
	if (sys_read_text(host_sysfs_path(root, NODES "/node%u/distance", node->id).s, text,
			  sizeof(text)) < 0)
		return;
	for (unsigned i = 0; i < nodes->count; i++) {
		char *end;
		const unsigned long distance = strtoul(p, &end, 10);

		if (end == p)
			return;
		if (distance >= DISTANCE_LOCAL && distance <= UINT8_MAX)
			node->distance[i] = (uint8_t)distance;
		p = end;
	}
}

static void one_node(const char *root, struct host_nodes *nodes)
{
	nodes->count = 1;
	nodes->nodes[0].cpus = nodes->allowed;
	nodes->nodes[0].room = read_room(host_sysfs_path(root, "proc/meminfo").s);
	nodes->nodes[0].distance[0] = DISTANCE_LOCAL;
}

void host_nodes_read(const char *root, const struct cpu_set *allowed, uint64_t page_size,
		     struct host_nodes *ret_nodes)
{
	struct cpu_set online, mems;
	bool limited;

	memset(ret_nodes, 0, sizeof(*ret_nodes));
	ret_nodes->allowed = *allowed;
	/* A kernel without NUMA. */
	if (!read_list(host_sysfs_path(root, NODES "/online").s, &online) ||
	    cpu_set_count(&online) == 0) {
		one_node(root, ret_nodes);
		return;
	}
	limited = mems_allowed(root, &mems);
	for (int id = cpu_set_next(&online, 0); id >= 0 && ret_nodes->count < HOST_NODES_MAX;
	     id = cpu_set_next(&online, (unsigned)id + 1)) {
		struct host_node *node = &ret_nodes->nodes[ret_nodes->count++];

		node->id = (unsigned)id;
		if (read_list(host_sysfs_path(root, NODES "/node%d/cpulist", id).s, &node->cpus))
			cpu_set_keep(&node->cpus, allowed);
		if (!limited || cpu_set_has(&mems, (unsigned)id))
			node->room = room_of(root, (unsigned)id, page_size);
	}
	for (unsigned i = 0; i < ret_nodes->count; i++)
		read_distances(root, ret_nodes, &ret_nodes->nodes[i]);
}

int host_nodes_find(const struct host_nodes *nodes, int id)
{
	for (unsigned i = 0; i < nodes->count; i++) {
		if (id >= 0 && nodes->nodes[i].id == (unsigned)id)
			return (int)i;
	}
	return -1;
}

int host_nodes_of_cpu(const struct host_nodes *nodes, unsigned cpu)
{
	for (unsigned i = 0; i < nodes->count; i++) {
		if (cpu_set_has(&nodes->nodes[i].cpus, cpu))
			return (int)i;
	}
	return -1;
}

void host_nodes_core(const char *root, unsigned cpu, struct cpu_set *ret_threads)
{
	struct cpu_set threads = { 0 };

	/* The older name of core_cpus_list; all kernels have it. */
	if (!read_list(host_sysfs_path(root,
				       "sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
				       cpu)
			       .s,
		       &threads) ||
	    !cpu_set_has(&threads, cpu)) {
		memset(&threads, 0, sizeof(threads));
		cpu_set_add(&threads, cpu);
	}
	*ret_threads = threads;
}
