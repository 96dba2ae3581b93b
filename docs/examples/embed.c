/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a machine inside: runs a guest for a limited time, and tells what happens to it.
 *
 *	cc embed.c $(pkg-config --cflags --libs tinyvmm) -pthread -o embed
 *	./embed 60 --disk guest.img
 *
 * When the time is up the guest is asked to power off, and a while later it is ended.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tinyvmm.h>

#define PATIENCE_S 10

struct limit {
	struct tinyvmm *vm;
	unsigned seconds;
	sem_t ended;
};

/* Whether the guest ended within so many seconds. */
static int ends_within(struct limit *limit, unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	return sem_timedwait(&limit->ended, &until) == 0;
}

static void *watch(void *arg)
{
	struct limit *limit = arg;

	if (ends_within(limit, limit->seconds))
		return NULL;
	fputs("embed: the time is up\n", stderr);
	if (tinyvmm_ask(limit->vm, TINYVMM_STOP) == 0 && ends_within(limit, PATIENCE_S))
		return NULL;
	if (tinyvmm_ask(limit->vm, TINYVMM_KILL) < 0)
		fprintf(stderr, "embed: %s\n", tinyvmm_error());
	return NULL;
}

static void told(void *opaque, enum tinyvmm_event event)
{
	static const char *const names[] = { "started", "paused",       "resumed",
					     "reset",   "power button", "ended" };

	(void)opaque;
	if ((unsigned)event < sizeof(names) / sizeof(names[0]))
		fprintf(stderr, "embed: %s\n", names[event]);
}

/* The machine's thread: this one. */
static int run(struct tinyvmm *vm, unsigned seconds)
{
	struct limit limit = { .vm = vm, .seconds = seconds };
	const struct tinyvmm_result *result;
	pthread_t watcher;

	tinyvmm_set_events(vm, told, NULL);
	sem_init(&limit.ended, 0, 0);
	if (pthread_create(&watcher, NULL, watch, &limit) != 0)
		return EXIT_FAILURE;
	result = tinyvmm_run(vm);
	sem_post(&limit.ended);
	pthread_join(watcher, NULL);
	sem_destroy(&limit.ended);
	fprintf(stderr, "embed: %s: %s\n", result->verdict, result->reason);
	return result->status;
}

int main(int argc, char *argv[])
{
	struct tinyvmm *vm;
	int status;

	if (argc < 3) {
		fprintf(stderr,
			"Usage: %s SECONDS OPTION...\nOptions are those of tinyvmm run, %s.\n",
			argv[0], tinyvmm_version());
		return EXIT_FAILURE;
	}
	if (tinyvmm_open(argc - 2, (const char *const *)argv + 2, &vm) < 0) {
		fprintf(stderr, "embed: %s%s%s\n", tinyvmm_error(), *tinyvmm_hint() ? "; " : "",
			tinyvmm_hint());
		return EXIT_FAILURE;
	}
	status = run(vm, (unsigned)strtoul(argv[1], NULL, 10));
	tinyvmm_close(vm);
	return status;
}
