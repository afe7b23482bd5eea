/*
 * Run commands in turn and say what each run took: spawn ROUNDS (-- WORD...)...
 *
 * Every round runs every command once, a different one first each time, so that
 * whatever else the machine does meets all alike. @N@ in a word becomes the number
 * of the round. A line for each run: the command's number, microseconds, peak
 * memory in KiB (its own or of a descendant that it waited for), wait status.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define COMMANDS 8

extern char **environ;

static double
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static char *
fill_in(const char *word, int round)
{
	const char *at = strstr(word, "@N@");
	char *filled = NULL;

	if (!at)
		return strdup(word);
	if (asprintf(
	        &filled, "%.*s%d%s", (int)(at - word), word, round, at + 3) < 0)
		exit(2);
	return filled;
}

static char **
fill_words(char **words, int round)
{
	size_t count = 0;
	char **filled;

	while (words[count])
		count++;
	filled = calloc(count + 1, sizeof(*filled));
	if (!filled)
		exit(2);
	for (size_t i = 0; i < count; i++)
		filled[i] = fill_in(words[i], round);
	return filled;
}

static void
run(int number, char **words, int round, posix_spawn_file_actions_t *actions)
{
	char **filled = fill_words(words, round);
	struct rusage used;
	double begin = now_us();
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, filled[0], actions, NULL, filled, environ) !=
	        0 ||
	    wait4(pid, &status, 0, &used) < 0) {
		fprintf(stderr, "spawn: cannot run '%s'\n", filled[0]);
		exit(2);
	}
	printf("%d %.1f %ld %d\n", number, now_us() - begin, used.ru_maxrss,
	    status);
	for (char **word = filled; *word; word++)
		free(*word);
	free(filled);
}

/* Where each begins; the marker of the next one ends it. */
static int
find_commands(char **argv, char **commands[])
{
	int count = 0;

	for (; *argv; argv++) {
		if (strcmp(*argv, "--") != 0)
			continue;
		if (count == COMMANDS)
			return -1;
		*argv = NULL;
		commands[count++] = argv + 1;
	}
	return count;
}

int
main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	char **commands[COMMANDS];
	int rounds = argc > 2 ? atoi(argv[1]) : 0;
	int count = rounds > 0 ? find_commands(argv + 2, commands) : 0;

	if (count <= 0) {
		fputs("usage: spawn ROUNDS (-- WORD...)...\n", stderr);
		return 2;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < count; i++) {
			int number = (round + i) % count;

			run(number, commands[number], round, &actions);
		}
	}
	return 0;
}
