/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks users up; see job_user.h. By the functions that other threads of a program do not disturb,
 * with as much room as an entry takes. Main thread.
 */
#include "command/job_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"

/* Of an entry, which may come from a directory: doubled until it fits. */
#define ROOM     1024u
#define ROOM_MAX (16u * 1024u * 1024u)

/* Of a user that no list knows. */
#define HOME_DEFAULT  "/"
#define SHELL_DEFAULT "/bin/sh"

/* (uid_t)-1 is none [setresuid(2)]. */
static bool scan_number(const char *text, unsigned *ret_number)
{
	const size_t digits = strspn(text, "0123456789");
	unsigned long number;

	errno = 0;
	number = strtoul(text, NULL, 10);
	if (!digits || text[digits] || errno || number >= (uid_t)-1)
		return false;
	*ret_number = (unsigned)number;
	return true;
}

enum question {
	USER_BY_NAME,
	USER_BY_NUMBER,
	GROUP_BY_NAME,
};

struct entry {
	union {
		struct passwd user;
		struct group group;
	};
	char *text; /* what it points to */
};

static int ask(enum question question, const char *name, uid_t uid, size_t room,
	       struct entry *entry, bool *ret_found)
{
	struct passwd *user = NULL;
	struct group *group = NULL;
	int r = 0;

	switch (question) {
	case USER_BY_NAME:
		r = getpwnam_r(name, &entry->user, entry->text, room, &user);
		break;
	case USER_BY_NUMBER:
		r = getpwuid_r(uid, &entry->user, entry->text, room, &user);
		break;
	case GROUP_BY_NAME:
		r = getgrnam_r(name, &entry->group, entry->text, room, &group);
		break;
	}
	*ret_found = user || group;
	return r;
}

/* 1: it is there; 0: it is not; a list that cannot be asked is an error. */
static int look_up(enum question question, const char *name, uid_t uid, struct entry *entry)
{
	bool found = false;
	int r = ERANGE;

	for (size_t room = ROOM; r == ERANGE && room <= ROOM_MAX; room *= 2) {
		char *text = realloc(entry->text, room);

		if (!text)
			return err_sys(ERR_LIMIT, -ENOMEM, "the list of users");
		entry->text = text;
		r = ask(question, name, uid, room, entry, &found);
	}
	if (found)
		return 1;
	/* What the libraries of lists say of one that they do not have [getpwnam(3)]. */
	if (r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM)
		return 0;
	return err_sys(ERR_LIMIT, -r, "the list of users");
}

static int put_texts(struct job_user *user, const char *name, const char *home, const char *shell)
{
	const int n = snprintf(user->name, sizeof(user->name), "%s", name);
	const int h = snprintf(user->home, sizeof(user->home), "%s", home);
	const int s = snprintf(user->shell, sizeof(user->shell), "%s", shell);

	if (n >= (int)sizeof(user->name) || h >= (int)sizeof(user->home) ||
	    s >= (int)sizeof(user->shell))
		return err_set(ERR_LIMIT, -ENAMETOOLONG, "the entry of user %u is too long",
			       user->uid);
	return 0;
}

static int too_many_groups(const char *name)
{
	return err_set(ERR_LIMIT, -E2BIG, "user %s is in more than %u groups", name,
		       JOB_GROUPS_MAX);
}

static int take_entry(const struct passwd *entry, struct job_user *user)
{
	int count = JOB_GROUPS_MAX;

	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &count) < 0)
		return too_many_groups(entry->pw_name);
	user->group_count = (unsigned)count;
	return put_texts(user, entry->pw_name, entry->pw_dir, entry->pw_shell);
}

/* As in a container that runs with any number: who we are is all that is known. */
static int take_own(struct job_user *user)
{
	const char *home = getenv("HOME");
	char name[16];
	int count;

	snprintf(name, sizeof(name), "%u", user->uid);
	count = getgroups(JOB_GROUPS_MAX, user->groups);
	if (count < 0)
		return too_many_groups(name);
	user->gid = getegid();
	user->group_count = (unsigned)count;
	return put_texts(user, name, home && home[0] == '/' ? home : HOME_DEFAULT, SHELL_DEFAULT);
}

static int take_number(struct job_user *user, bool has_group)
{
	char name[16];
	int r;

	if (user->uid == geteuid())
		return take_own(user);
	snprintf(name, sizeof(name), "%u", user->uid);
	if (has_group)
		return put_texts(user, name, HOME_DEFAULT, SHELL_DEFAULT);
	r = err_set(ERR_USAGE, -EINVAL,
		    "--user: no list of this host knows user %u, nor which group is the user's",
		    user->uid);
	err_hint("name a group, too: --user %u:GROUP", user->uid);
	return r;
}

/* A name, or else a number. */
static int find_who(const char *word, bool has_group, struct job_user *user)
{
	struct entry entry = { .text = NULL };
	int r = word[0] ? look_up(USER_BY_NAME, word, 0, &entry) : 0;
	bool number = !word[0];

	user->uid = geteuid();
	if (r == 0 && word[0])
		number = scan_number(word, &user->uid);
	if (r == 0 && number)
		r = look_up(USER_BY_NUMBER, NULL, user->uid, &entry);
	if (r > 0)
		r = take_entry(&entry.user, user);
	else if (r == 0 && number)
		r = take_number(user, has_group);
	else if (r == 0)
		r = err_set(ERR_USAGE, -EINVAL, "--user: there is no user '%s'", word);
	free(entry.text);
	return r;
}

static int take_group(const char *word, struct job_user *user)
{
	struct entry entry = { .text = NULL };
	int r = look_up(GROUP_BY_NAME, word, 0, &entry);

	if (r > 0)
		user->gid = entry.group.gr_gid;
	else if (r == 0 && !scan_number(word, &user->gid))
		r = err_set(ERR_USAGE, -EINVAL, "--user: there is no group '%s'", word);
	free(entry.text);
	if (r < 0)
		return r;
	user->groups[0] = user->gid;
	user->group_count = 1;
	return 0;
}

int job_user_find(const char *word, struct job_user *ret_user)
{
	const char *group = strchr(word, ':');
	char *who = group ? strndup(word, (size_t)(group - word)) : strdup(word);
	struct job_user user = { 0 };
	int r;

	if (!who)
		return err_sys(ERR_LIMIT, -ENOMEM, "--user");
	/* ":GROUP" would be us, with any group. */
	if (group && !who[0])
		r = err_set(ERR_USAGE, -EINVAL, "--user: '%s' names no user", word);
	else
		r = find_who(who, group, &user);
	free(who);
	if (r == 0 && group)
		r = take_group(group + 1, &user);
	if (r == 0)
		*ret_user = user;
	return r;
}
