/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtinyvmm: what `tinyvmm run` does, for a program that wants the machine inside of it. The words
 * of the command line say which machine; its devices are taken from the host's drivers, and given
 * back whatever happens. docs/library.md has an example, docs/options.md the words.
 *
 *	const char *const words[] = { "--gpu", "0000:01:00.0", "--disk", "guest.img" };
 *	struct tinyvmm *vm;
 *
 *	if (tinyvmm_open(4, words, &vm) < 0)
 *		errx(1, "%s", tinyvmm_error());
 *	puts(tinyvmm_run(vm)->reason);
 *	tinyvmm_close(vm);
 *
 * Threads. tinyvmm_run is the machine's whole life, on the thread that calls it; the others that a
 * machine needs are started in it, and have ended when it returns. tinyvmm_ask and
 * tinyvmm_statistics may be called by any thread from tinyvmm_open until tinyvmm_close, but not in
 * a signal's handler. All else about a machine is for one thread at a time.
 *
 * Failures. What can fail returns 0 or a negative errno. tinyvmm_error() says what it was, in the
 * words that the command prints; like errno, it is the calling thread's.
 *
 * What is the process's and not the machine's:
 * - One machine is open at a time. When it is closed, the next may be opened.
 * - Log lines and their level (--quiet, --verbose).
 * - While a guest runs, the last real-time signal that has no handler is used to interrupt threads
 *   of the library. No other is touched; in the thread of tinyvmm_run, SIGPIPE and SIGXFSZ are
 *   blocked until it returns. tinyvmm_take_signals() is for who wants more.
 * - Helpers are children of this process. They are waited for by their numbers: SIGCHLD must not be
 *   ignored, nor may others wait for all children. They end with the thread of tinyvmm_run.
 * - The limits of open files and of locked memory are raised, and stay so.
 * - The working directory, the umask, the locale and the environment are not changed; the first and
 *   the last must not change either while tinyvmm_run has not returned.
 * - All files are close-on-exec. A child by fork() of a process with a machine may exec or _exit.
 */
#ifndef TINYVMM_H
#define TINYVMM_H

#include <stdint.h>

#if defined(__GNUC__)
#define TINYVMM_API __attribute__((visibility("default")))
#else
#define TINYVMM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct tinyvmm;

/* "0.1.0", of the library that runs. */
TINYVMM_API const char *tinyvmm_version(void);

/*
 * A machine by the `count` words that would follow `tinyvmm run`; they are copied. Touches nothing.
 * -EINVAL: the words make no sense, or ask for help. -EBUSY: another machine is open.
 */
TINYVMM_API int tinyvmm_open(int count, const char *const words[], struct tinyvmm **ret_vm);

/* Not while tinyvmm_run has not returned. NULL: does nothing. */
TINYVMM_API void tinyvmm_close(struct tinyvmm *vm);

/* --- before tinyvmm_run --- */

/*
 * What the machine reads and writes in place of the process's standard streams: the console's
 * input and output, or the command's; and, on `error`, what the command writes there beside its
 * log. The descriptors stay the caller's, open until tinyvmm_run has returned. -1: none; what is
 * written is lost. A terminal is put into raw mode meanwhile, as the command does it.
 */
TINYVMM_API int tinyvmm_set_streams(struct tinyvmm *vm, int input, int output, int error);

enum tinyvmm_event {
	TINYVMM_EVENT_STARTED, /* the guest runs, its devices are its own */
	TINYVMM_EVENT_PAUSED,
	TINYVMM_EVENT_RESUMED,
	TINYVMM_EVENT_RESET,
	TINYVMM_EVENT_POWER_BUTTON, /* the guest has been told of it */
	TINYVMM_EVENT_ENDED,        /* the guest runs no more, the devices are still to come back */
};

/*
 * `told` is called in tinyvmm_run, on its thread, and holds it up: guests wait for that now and
 * then. tinyvmm_ask is allowed in it. More events may come with later versions.
 */
TINYVMM_API void tinyvmm_set_events(struct tinyvmm *vm,
				    void (*told)(void *opaque, enum tinyvmm_event event),
				    void *opaque);

/*
 * As the command does it, for a process that has nothing but the machine to do: SIGINT, SIGTERM and
 * SIGQUIT press the power button first and end the run when they come again, SIGHUP ends it at
 * once; a command gets them as they are; others do nothing. Before there are other threads, which
 * would get them instead. Until tinyvmm_close: there, what came too late to end the run does what it
 * does in the program.
 */
TINYVMM_API int tinyvmm_take_signals(struct tinyvmm *vm);

/* --- the machine's life --- */

/* Belongs to the machine. Later versions may add members at its end. */
struct tinyvmm_result {
	int status;          /* the exit status that the command would have: docs/exit-status.md */
	const char *verdict; /* one word: docs/library.md */
	const char *reason;  /* one sentence without its full stop, never empty */
	int value; /* of a command: its exit status, or the signal that ended it; else -1 */
};

/*
 * Checks the host, takes the devices, builds the machine, runs the guest until its end, and gives
 * the devices back. Once for each machine. Failures are in the result, and in the log when they
 * happen.
 */
TINYVMM_API const struct tinyvmm_result *tinyvmm_run(struct tinyvmm *vm);

enum tinyvmm_action {
	/*
	 * vCPUs stop; DMA of passed-through devices and the guest's clocks go on. To pause what is
	 * paused does nothing, nor does resuming what runs.
	 */
	TINYVMM_PAUSE,
	TINYVMM_RESUME,
	TINYVMM_POWER_BUTTON, /* -EAGAIN: the guest does not listen to it (yet) */
	TINYVMM_RESET,        /* soon after this returns */
	/* The power button, as soon and as often as it takes; for a command, SIGTERM. */
	TINYVMM_STOP,
	/* The end, soon. Also before the guest has started: then it does not. */
	TINYVMM_KILL,
};

/*
 * Any thread. -EAGAIN: the guest does not run yet; -ESHUTDOWN: it does no more. May wait for the
 * main loop, so not with a lock that `told` takes.
 */
TINYVMM_API int tinyvmm_ask(struct tinyvmm *vm, enum tinyvmm_action action);

struct tinyvmm_statistics {
	uint64_t uptime_ns, paused_ns; /* since the first instruction; how much of it in pauses */
	uint64_t resets;
	uint64_t cpu_ns, vcpu_cpu_ns; /* of the process; of that, of the vCPUs' threads */
	uint64_t resident;            /* bytes of memory of the process, the guest's included */
	uint64_t port_exits, memory_exits, other_exits; /* of the guest to this process */
};

/* Any thread, as tinyvmm_ask. */
TINYVMM_API int tinyvmm_statistics(struct tinyvmm *vm, struct tinyvmm_statistics *ret_statistics);

/*
 * What the run is called by `tinyvmm ps` and on its control socket, from the event that it has
 * started until tinyvmm_run returns; "" without --name and --detach. In `told`.
 *
 * --detach does not make a process: it makes standard input, output and error of this one those of
 * the machine, and with the start of the guest the last two its log (docs/control.md).
 */
TINYVMM_API const char *tinyvmm_name(const struct tinyvmm *vm);

/* --- words for people --- */

/* Of the last function that failed on this thread; valid until the next one that is called. */
TINYVMM_API const char *tinyvmm_error(void);
TINYVMM_API const char *tinyvmm_hint(void); /* what to do about it; "": nothing is known */

enum tinyvmm_level { TINYVMM_ERROR, TINYVMM_WARNING, TINYVMM_INFO, TINYVMM_DEBUG };

/*
 * Where log lines go, in place of standard error: on the thread that has one, at any moment, and
 * without an end of line. NULL: standard error. While no machine is open.
 */
TINYVMM_API void tinyvmm_set_log(void (*line)(void *opaque, enum tinyvmm_level level,
					      const char *text),
				 void *opaque);

#ifdef __cplusplus
}
#endif

#endif
