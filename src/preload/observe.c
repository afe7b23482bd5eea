/*
 * The accelerator: a library that is preloaded into compilers.
 *
 * It makes their lookups itself and writes them down (see trace/ring.h), which
 * saves a stop at the supervisor for each. What it guarantees: every lookup that
 * it does not let the supervisor see is in the log, finished after the kernel's
 * answer, with the path that the program named; a function answers as the C
 * library's would, errno included; it takes itself out of the environment that
 * the program sees, and puts itself back only for programs that it can go into.
 *
 * What it never does: change a file, make a call from the stub that changes
 * one, write to a descriptor, keep one, allocate in a function that the C library
 * keeps free of it, hold a lock, or load where another preloaded library is,
 * whose functions ours would pass by. When in doubt it calls the C library, where
 * the supervisor sees the call.
 *
 * Left alone, and so only slower: opendir() and whatever else libc opens from
 * within, execl() and its kin, fexecve(), system(), popen(); a thread that is
 * to be cancelled is so at the next call that is not ours.
 *
 * log.c writes the log, lookups.c and realpath.c have the functions that look,
 * exec.c those that start programs, next.c finds the ones behind ours.
 */
#include "preload/observe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KEPT 256 /* bytes of each variable; a longer one is not ours */

static char own_preload[KEPT], own_ring[KEPT]; /* "NAME=value" */

char *
observe_preload(void)
{
	return ring_active() ? own_preload : NULL;
}

char *
observe_ring(void)
{
	return ring_active() ? own_ring : NULL;
}

/* Where "NAME=" is in the environment, or where that ends. */
static char **
env_find(char **env, const char *name)
{
	size_t size = strlen(name);

	while (*env && (strncmp(*env, name, size) != 0 || (*env)[size] != '='))
		env++;
	return env;
}

static void
env_remove(char **at)
{
	for (; *at; at++)
		at[0] = at[1];
}

/* Take `own` out of a list that has colons or spaces between its words. */
static void
list_remove(char *list, const char *own)
{
	size_t size = strlen(own);
	char *to = list;

	while (*list) {
		size_t word = strcspn(list, ": ");
		size_t whole = word + (list[word] != '\0');

		if (word != size || memcmp(list, own, size) != 0) {
			memmove(to, list, whole);
			to += whole;
		}
		list += whole;
	}
	*to = '\0';
}

static bool
keep(char *to, const char *from)
{
	size_t size = strlen(from) + 1;

	if (size > KEPT)
		return false;
	memcpy(to, from, size);
	return true;
}

/* True if no other library is preloaded. */
static bool
preload_hide(char **env)
{
	char **at = env_find(env, "LD_PRELOAD");
	const char *own = next_own_path();
	char *value;

	if (!*at || strlen(own) + sizeof("LD_PRELOAD=") > KEPT)
		return false;
	memcpy(own_preload, "LD_PRELOAD=", sizeof("LD_PRELOAD=") - 1);
	memcpy(own_preload + sizeof("LD_PRELOAD=") - 1, own, strlen(own) + 1);
	value = *at + sizeof("LD_PRELOAD=") - 1;
	list_remove(value, own);
	if (value[strspn(value, ": ")])
		return false;
	env_remove(at);
	return true;
}

__attribute__((constructor)) static void
observe_start(int argc, char **argv, char **env)
{
	char **at = env_find(env, RING_ENV);
	const char *variable = *at;
	int saved = errno;
	bool alone;

	if (!variable)
		return;
	env_remove(at);
	alone = preload_hide(env);
	if (alone && keep(own_ring, variable))
		ring_attach(variable + sizeof(RING_ENV));
	errno = saved;
}
