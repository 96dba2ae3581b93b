/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is there whole or not at all, or goes to what the caller has open. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "run/record_file.h"

static char dir[64], path[128];
static struct record_file file;

static int setup(void **state)
{
	strcpy(dir, "/tmp/tinyvmm-record-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/record", dir);
	err_clear();
	return 0;
}

static int teardown(void **state)
{
	record_file_close(&file);
	unlink(path);
	/* Nothing else is left. */
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void assert_contains(const char *name, const char *expected)
{
	CLEANUP(closep) int fd = open(name, O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void file_is_not_there_until_it_is_whole(void **state)
{
	struct stat st;

	assert_int_equal(record_file_open(&file, path, NULL, 0), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(record_file_write(&file, "whole\n", 6), 0);
	assert_contains(path, "whole\n");
	umask(022);
	assert_int_equal(record_file_write(&file, "again\n", 6), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
}

static void file_of_an_earlier_run_is_gone_at_the_start(void **state)
{
	put("old");
	assert_int_equal(record_file_open(&file, path, NULL, 0), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void folder_is_that_of_the_start(void **state)
{
	char old[PATH_MAX];

	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(record_file_open(&file, "record", NULL, 0), 0);
	assert_int_equal(chdir(old), 0);
	assert_int_equal(record_file_write(&file, "here", 4), 0);
	assert_contains(path, "here");
}

static void place_that_cannot_be_written_is_an_error_at_the_start(void **state)
{
	char text[160];

	snprintf(text, sizeof(text), "%s/none/record", dir);
	assert_int_equal(record_file_open(&file, text, NULL, 0), -ENOENT);
	assert_string_equal(err_hint_text(), "make its folder first");
	assert_int_equal(err_kind(), ERR_FILE);
	assert_non_null(strstr(err_text(), "/none/record': No such file"));
	assert_true(record_file_open(&file, dir, NULL, 0) < 0);
	snprintf(text, sizeof(text), "%s/", path);
	assert_true(record_file_open(&file, text, NULL, 0) < 0);
	assert_true(record_file_open(&file, "/dev/fd/1000", NULL, 0) < 0);
}

static void descriptor_is_written_where_it_stands(void **state)
{
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char text[32];

	assert_int_equal(write(fd, "before ", 7), 7);
	snprintf(text, sizeof(text), "/dev/fd/%d", fd);
	assert_int_equal(record_file_open(&file, text, NULL, 0), 0);
	assert_int_equal(record_file_write(&file, "after", 5), 0);
	assert_contains(path, "before after");
}

static void pipe_gets_all_and_a_closed_one_is_an_error(void **state)
{
	static char large[1024];
	char text[32], got[sizeof(large)];
	int fds[2];

	memset(large, 'x', sizeof(large));
	assert_int_equal(pipe(fds), 0);
	snprintf(text, sizeof(text), "/dev/fd/%d", fds[1]);
	assert_int_equal(record_file_open(&file, text, NULL, 0), 0);
	assert_int_equal(record_file_write(&file, large, sizeof(large)), 0);
	assert_int_equal(read(fds[0], got, sizeof(got)), sizeof(got));
	close(fds[0]);
	assert_int_equal(record_file_write(&file, "x", 1), -EPIPE);
	close(fds[1]);
}

static void fifo_without_a_reader_is_an_error_and_no_wait(void **state)
{
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(record_file_open(&file, path, NULL, 0), -ENXIO);
}

static void link_keeps_what_it_points_at(void **state)
{
	char target[128];
	struct stat st;

	snprintf(target, sizeof(target), "%s/target", dir);
	assert_int_equal(symlink("target", path), 0);
	assert_int_equal(record_file_open(&file, path, NULL, 0), 0);
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_contains(target, "text");
	unlink(target);
}

static void link_of_another_user_is_not_followed(void **state)
{
	char target[128];

	if (geteuid() != 0)
		skip();
	snprintf(target, sizeof(target), "%s/target", dir);
	assert_int_equal(symlink("target", path), 0);
	assert_int_equal(lchown(path, 1, 1), 0);
	assert_int_equal(record_file_open(&file, path, NULL, 0), -ELOOP);
	assert_int_equal(access(target, F_OK), -1);
}

static atomic_bool ends;

/* The least mask that it ever saw: one that another thread's files would be made with. */
static void *watch_mask(void *arg)
{
	unsigned *least = arg;

	do {
		unsigned mask = ~0u;
		char line[128];
		FILE *f = fopen("/proc/self/status", "re");

		while (f && fgets(line, sizeof(line), f) && sscanf(line, "Umask: %o", &mask) != 1)
			;
		if (f)
			fclose(f);
		*least = MIN(*least, mask);
	} while (!atomic_load(&ends));
	return NULL;
}

static void mask_of_other_threads_stays(void **state)
{
	unsigned least = 077;
	pthread_t thread;

	umask(077);
	atomic_store(&ends, false);
	assert_int_equal(pthread_create(&thread, NULL, watch_mask, &least), 0);
	for (unsigned i = 0; i < 5000; i++) {
		assert_int_equal(record_file_open(&file, path, NULL, 0), 0);
		assert_int_equal(record_file_write(&file, "x", 1), 0);
	}
	atomic_store(&ends, true);
	pthread_join(thread, NULL);
	umask(022);
	assert_int_equal(least, 077);
}

static void nothing(int sig)
{
}

static void signal_does_not_end_the_wait_for_a_reader(void **state)
{
	const struct sigaction action = { .sa_handler = nothing };
	const struct itimerval soon = { .it_value = { .tv_usec = 50000 } };
	static char full[1 << 20];
	char text[32];
	int fds[2];
	pid_t reader;

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(pipe(fds), 0);
	snprintf(text, sizeof(text), "/dev/fd/%d", fds[1]);
	assert_int_equal(record_file_open(&file, text, NULL, 0), 0);
	reader = fork();
	if (reader == 0) {
		close(fds[1]);
		record_file_close(&file);
		usleep(200000);
		while (read(fds[0], full, sizeof(full)) > 0)
			;
		_exit(0);
	}
	close(fds[0]);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(record_file_write(&file, full, sizeof(full)), 0);
	close(fds[1]);
	record_file_close(&file);
	waitpid(reader, NULL, 0);
}

/* --- a folder of the guest --- */

/* `dir`/shared, with a folder in it, is the guest's; `dir`/mine is not. */
static char shared[96], mine[96];
static const char *const folders[] = { shared };

static int setup_shared(void **state)
{
	char sub[128];

	if (setup(state) < 0)
		return -1;
	snprintf(shared, sizeof(shared), "%s/shared", dir);
	snprintf(mine, sizeof(mine), "%s/mine", dir);
	snprintf(sub, sizeof(sub), "%s/sub", shared);
	snprintf(path, sizeof(path), "%s/sub/record", shared);
	return mkdir(shared, 0700) < 0 || mkdir(mine, 0700) < 0 || mkdir(sub, 0700) < 0 ? -1 : 0;
}

static int teardown_shared(void **state)
{
	char command[128];

	record_file_close(&file);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	return 0;
}

/* What is in `dir` of the name, with the mode's type; 0: nothing. */
static mode_t type_of(const char *name)
{
	char text[192];
	struct stat st;

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return lstat(text, &st) < 0 ? 0 : st.st_mode & S_IFMT;
}

static void link_at(const char *target, const char *name)
{
	char text[192];

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	assert_int_equal(symlink(target, text), 0);
}

static int open_in_shared(const char *name)
{
	static char text[192];

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	record_file_close(&file);
	return record_file_open(&file, text, folders, 1);
}

static void file_may_be_in_a_folder_of_the_guest(void **state)
{
	put("old");
	assert_int_equal(record_file_open(&file, path, folders, 1), 0);
	assert_int_equal(access(path, F_OK), -1);
	put("what the guest says of itself");
	assert_int_equal(record_file_write(&file, "whole", 5), 0);
	assert_contains(path, "whole");
}

/* Left there by an earlier guest, or put there by this one while it runs. */
static void link_in_the_place_of_the_file_is_replaced(void **state)
{
	link_at("../../mine/target", "shared/sub/record");
	assert_int_equal(record_file_open(&file, path, folders, 1), 0);
	assert_int_equal(type_of("shared/sub/record"), 0);
	link_at("../../mine/target", "shared/sub/record");
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(type_of("shared/sub/record"), S_IFREG);
	assert_int_equal(type_of("mine/target"), 0);
}

static void link_on_the_way_is_not_followed(void **state)
{
	char text[160];

	link_at("../mine", "shared/out");
	assert_int_equal(open_in_shared("shared/out/record"), -ELOOP);
	assert_non_null(strstr(err_hint_text(), "no link is followed"));
	/* Nor by the way of one of ours. */
	link_at("shared/out/record", "latest");
	assert_int_equal(open_in_shared("latest"), -ELOOP);
	link_at("shared/out", "way");
	assert_int_equal(open_in_shared("way/record"), -ELOOP);

	assert_int_equal(record_file_open(&file, path, folders, 1), 0);
	snprintf(text, sizeof(text), "%s/shared/sub", dir);
	assert_int_equal(rmdir(text), 0);
	link_at("../mine", "shared/sub");
	assert_int_equal(record_file_write(&file, "text", 4), -ELOOP);
	assert_int_equal(type_of("mine/record"), 0);
}

/* A guest can move the folder in which ".." is asked for. */
static void way_up_leads_out_of_a_folder_of_the_guest_from_its_top_only(void **state)
{
	assert_int_equal(open_in_shared("shared/sub/../record"), -ELOOP);
	assert_int_equal(open_in_shared("shared/sub/../../record"), -ELOOP);
	assert_int_equal(open_in_shared("shared/./../mine//record"), 0);
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(type_of("mine/record"), S_IFREG);
}

static void pipe_of_the_guest_is_not_opened(void **state)
{
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(record_file_open(&file, path, folders, 1), 0);
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(type_of("shared/sub/record"), S_IFREG);
}

static void folder_in_the_place_of_the_file_is_an_error(void **state)
{
	assert_int_equal(open_in_shared("shared/sub"), -EISDIR);
	assert_int_equal(record_file_open(&file, path, folders, 1), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(record_file_write(&file, "text", 4), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	/* And nothing is left beside it. */
	snprintf(path, sizeof(path), "%s/sub", shared);
	assert_int_equal(rmdir(path), 0);
}

static void link_of_ours_may_lead_into_a_folder_of_the_guest(void **state)
{
	link_at("shared/sub/record", "latest");
	assert_int_equal(open_in_shared("latest"), 0);
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(type_of("latest"), S_IFLNK);
	assert_contains(path, "text");
}

/* As in /tmp: whoever can write to the folder could lead us anywhere. */
static void link_that_anybody_could_put_there_is_not_followed(void **state)
{
	char text[160];

	if (geteuid() != 0)
		skip();
	link_at("mine", "way");
	snprintf(text, sizeof(text), "%s/way", dir);
	assert_int_equal(lchown(text, 1, 1), 0);
	assert_int_equal(open_in_shared("way/record"), 0);
	assert_int_equal(chmod(dir, 01777), 0);
	assert_int_equal(open_in_shared("way/record"), -ELOOP);
	assert_int_equal(lchown(text, 0, 0), 0);
	assert_int_equal(open_in_shared("way/record"), 0);
}

static void links_that_lead_in_circles_end(void **state)
{
	link_at("b/x", "a");
	link_at("a/x", "b");
	assert_int_equal(open_in_shared("a/record"), -ELOOP);
	link_at("self", "self");
	assert_int_equal(open_in_shared("self"), -ELOOP);
}

/* Our own mounts from here on; false: this user may make none. */
static bool make_mounts_ours(void)
{
	char map[32];
	const uid_t uid = geteuid();
	int fd;

	if (uid != 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			return false;
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		close(fd);
	}
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool may_mount(void)
{
	static bool asked, may;

	if (!asked)
		may = make_mounts_ours();
	asked = true;
	return may;
}

static void bind_mount(const char *what, const char *at)
{
	char from[192], to[192];

	snprintf(from, sizeof(from), "%s/%s", dir, what);
	snprintf(to, sizeof(to), "%s/%s", dir, at);
	assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
	assert_int_equal(mount(from, to, NULL, MS_BIND, NULL), 0);
}

static void unmount(const char *at)
{
	char text[192];

	snprintf(text, sizeof(text), "%s/%s", dir, at);
	assert_int_equal(umount2(text, MNT_DETACH), 0);
}

static void folder_of_the_guest_is_one_wherever_it_is_mounted(void **state)
{
	if (!may_mount())
		skip();
	bind_mount("shared/sub", "a blank");
	link_at("../../mine", "shared/sub/out");
	assert_int_equal(open_in_shared("a blank/out/record"), -ELOOP);
	link_at("../../mine/target", "shared/sub/record");
	assert_int_equal(open_in_shared("a blank/record"), 0);
	assert_int_equal(type_of("shared/sub/record"), 0);
	/* Its neighbours are ours. */
	link_at("mine", "way");
	assert_int_equal(open_in_shared("a blank/../way/record"), 0);
	/* All of it, and more, at another place. */
	bind_mount(".", "again");
	assert_int_equal(open_in_shared("again/shared/sub/out/record"), -ELOOP);
	assert_int_equal(open_in_shared("again/way/record"), 0);
	unmount("again");
	unmount("a blank");
}

static void folder_that_is_mounted_below_one_of_the_guest_is_one(void **state)
{
	char text[192];

	if (!may_mount())
		skip();
	snprintf(text, sizeof(text), "%s/mine/deep", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	link_at("../../other", "mine/deep/out");
	link_at("../other", "mine/out");
	snprintf(text, sizeof(text), "%s/other", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	assert_int_equal(open_in_shared("mine/deep/out/record"), 0);
	bind_mount("mine/deep", "shared/sub");
	assert_int_equal(open_in_shared("mine/deep/out/record"), -ELOOP);
	assert_int_equal(open_in_shared("mine/out/record"), 0);
	unmount("shared/sub");
}

/* The guest may have put a link there while it could. */
static void folder_that_was_mounted_below_one_of_the_guest_stays_one(void **state)
{
	char text[192];

	if (!may_mount())
		skip();
	snprintf(text, sizeof(text), "%s/other", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(text, sizeof(text), "%s/mine/deep", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(text, sizeof(text), "%s/mine/deep/in", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	bind_mount("mine/deep", "shared/sub");
	assert_int_equal(open_in_shared("mine/deep/in/record"), 0);
	assert_int_equal(rmdir(text), 0);
	link_at("../../other", "mine/deep/in");
	unmount("shared/sub");
	assert_int_equal(record_file_write(&file, "text", 4), -ELOOP);
	assert_int_equal(type_of("other/record"), 0);
}

/* It says what it is open for, not where that is. */
static void descriptor_of_another_process_is_opened(void **state)
{
	char text[64];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	snprintf(text, sizeof(text), "/proc/%d/fd/%d", (int)getpid(), fds[1]);
	assert_int_equal(record_file_open(&file, text, folders, 1), 0);
	assert_int_equal(record_file_write(&file, "text", 4), 0);
	assert_int_equal(read(fds[0], text, sizeof(text)), 4);
	close(fds[0]);
	close(fds[1]);
}

static void none_is_none(void **state)
{
	assert_int_equal(record_file_open(&file, NULL, NULL, 0), 0);
	assert_int_equal(record_file_write(&file, "x", 1), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define S(name) cmocka_unit_test_setup_teardown(name, setup_shared, teardown_shared)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(file_is_not_there_until_it_is_whole),
		T(file_of_an_earlier_run_is_gone_at_the_start),
		T(folder_is_that_of_the_start),
		T(place_that_cannot_be_written_is_an_error_at_the_start),
		T(descriptor_is_written_where_it_stands),
		T(pipe_gets_all_and_a_closed_one_is_an_error),
		T(fifo_without_a_reader_is_an_error_and_no_wait),
		T(link_keeps_what_it_points_at),
		T(link_of_another_user_is_not_followed),
		T(mask_of_other_threads_stays),
		T(signal_does_not_end_the_wait_for_a_reader),
		S(file_may_be_in_a_folder_of_the_guest),
		S(link_in_the_place_of_the_file_is_replaced),
		S(link_on_the_way_is_not_followed),
		S(way_up_leads_out_of_a_folder_of_the_guest_from_its_top_only),
		S(pipe_of_the_guest_is_not_opened),
		S(folder_in_the_place_of_the_file_is_an_error),
		S(folder_of_the_guest_is_one_wherever_it_is_mounted),
		S(folder_that_is_mounted_below_one_of_the_guest_is_one),
		S(folder_that_was_mounted_below_one_of_the_guest_stays_one),
		S(link_of_ours_may_lead_into_a_folder_of_the_guest),
		S(link_that_anybody_could_put_there_is_not_followed),
		S(links_that_lead_in_circles_end),
		S(descriptor_of_another_process_is_opened),
		T(none_is_none),
	};

	/* As in a run. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
