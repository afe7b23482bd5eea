/*
 * Tells how the functions that the accelerator wraps behave, for tests/preload/run
 * to compare with and without it.
 *
 *	probe env             the environment, as getenv() and main() have it
 *	probe lookups FOLDER  what each function says of each path on stdin
 *	probe start SELF      start `SELF env` in each way there is
 *	probe threads FILE    look the same paths up from many threads and children
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int
env(char **envp)
{
	const char *names[] = { "LD_PRELOAD", "TARN_RING" };

	for (int i = 0; i < 2; i++)
		printf("%s=%s\n", names[i], getenv(names[i]));
	for (; *envp; envp++)
		if (strncmp(*envp, "_=", 2) != 0)
			puts(*envp);
	return environ == NULL;
}

static void
say(const char *what, long result)
{
	printf("  %s %ld %s\n", what, result < 0 ? -1 : result,
	    result < 0 ? strerrorname_np(errno) : "");
}

static void
say_fd(const char *what, int fd)
{
	struct stat st = { 0 };

	say(what, fd < 0 ? -1 : fstat(fd, &st));
	if (fd < 0)
		return;
	printf("  %o %d %d\n", (unsigned)st.st_mode, fcntl(fd, F_GETFD),
	    fcntl(fd, F_GETFL));
	close(fd);
}

static void
say_file(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);
	char line[80] = "";

	printf("  fopen %s %s\n", mode, f ? "" : strerrorname_np(errno));
	if (!f)
		return;
	printf("  %d %d %s\n", fcntl(fileno(f), F_GETFD),
	    fcntl(fileno(f), F_GETFL), fgets(line, sizeof(line), f));
	if (mode[1] != '+')
		printf("  %d\n", fputc('x', f));
	fclose(f);
}

static void
say_stat(const char *what, int result, const struct stat *st)
{
	say(what, result);
	if (result == 0)
		printf("  %lu %o %ld\n", S_ISREG(st->st_mode) ? st->st_ino : 0,
		    st->st_mode, st->st_size);
}

static void
say_paths(const char *path)
{
	char resolved[PATH_MAX + 1] = "unset";
	char *whole = realpath(path, NULL), *given;

	printf("  realpath %s\n", whole ? whole : strerrorname_np(errno));
	free(whole);
	given = realpath(path, resolved);
	printf("  in %s: %s\n", given ? "" : strerrorname_np(errno), resolved);
	whole = canonicalize_file_name(path);
	printf("  canonical %s\n", whole ? whole : strerrorname_np(errno));
	free(whole);
}

static void
say_links(const char *path)
{
	char to[64] = "";

	say("readlink", readlink(path, to, sizeof(to) - 1));
	say("readlink 3", readlink(path, to, 3));
	say("readlink 0", readlink(path, to, 0));
	say("readlinkat", readlinkat(AT_FDCWD, path, to, sizeof(to) - 1));
	printf("  %s\n", to);
}

static void
say_all(int dir, const char *path)
{
	int made = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	struct stat st;

	say("made", made);
	if (made >= 0 && unlink(path) == 0)
		close(made);
	say_paths(path);
	say_links(path);
	say_fd("open", open(path, O_RDONLY));
	say_fd("open path", open(path, O_PATH));
	say_fd("open folder", open(path, O_RDONLY | O_DIRECTORY));
	say_fd("open cloexec", open64(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
	say_fd("openat", openat(AT_FDCWD, path, O_RDONLY));
	say_fd("openat dir", openat64(dir, path, O_RDONLY));
	say_fd("open nofollow", open(path, O_RDONLY | O_NOFOLLOW));
	say_file(path, "r");
	say_file(path, "rb");
	say_file(path, "rbe");
	say_file(path, "r+");
	say_stat("stat", stat(path, &st), &st);
	say_stat("lstat", lstat(path, &st), &st);
	say_stat("fstatat", fstatat(AT_FDCWD, path, &st, 0), &st);
	say_stat(
	    "fstatat l", fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW), &st);
	say_stat("fstatat e", fstatat(dir, path, &st, AT_EMPTY_PATH), &st);
	say("access", access(path, F_OK));
	say("access rx", access(path, R_OK | X_OK));
	say("access bad", access(path, 99));
	say("faccessat", faccessat(AT_FDCWD, path, W_OK, 0));
	say("faccessat e", faccessat(dir, path, W_OK, AT_EACCESS));
}

static int
lookups(const char *folder)
{
	static char line[20000];
	int dir = open("/usr/include", O_RDONLY | O_DIRECTORY);
	char *volatile none = NULL;

	if (chdir(folder) < 0)
		return 1;
	printf("null %s\n", realpath(none, NULL));
	say("null", open(none, O_RDONLY));
	say("null", access(none, F_OK));
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		printf("'%.60s' %zu\n", line, strlen(line));
		say_all(dir, line);
		say_all(dir, line); /* again, known by now */
	}
	say("fstat", fstat(-1, &(struct stat){ 0 }));
	return 0;
}

enum way { EXECV, EXECVE, EXECVP, EXECVPE, EXECL, WAYS };

static void
run(enum way way, char *self, char *name)
{
	char *const argv[] = { self, (char *)"env", NULL };

	switch (way) {
	case EXECV: execv(self, argv); break;
	case EXECVE: execve(self, argv, environ); break;
	case EXECVP: execvp(name, argv); break;
	case EXECVPE: execvpe(name, argv, environ); break;
	case EXECL: execl(self, self, "env", NULL); break;
	case WAYS: break;
	}
	_exit(99);
}

static void
wait_for(const char *what, pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	printf("%s: %d\n", what, status);
	fflush(stdout);
}

static int
start(char *self)
{
	char *const argv[] = { self, (char *)"env", NULL };
	char *name = strrchr(self, '/') + 1;
	char missing[] = "no-such-program";
	int error;
	pid_t pid;

	setbuf(stdout, NULL);
	for (int way = 0; way < WAYS; way++) {
		if ((pid = fork()) == 0)
			run(way, self, name);
		wait_for("fork", pid);
		if ((pid = vfork()) == 0)
			run(way, self, name);
		wait_for("vfork", pid);
	}
	error = posix_spawn(&pid, self, NULL, NULL, argv, environ);
	wait_for("spawn", pid);
	printf("%d\n", error);
	error = posix_spawnp(&pid, name, NULL, NULL, argv, environ);
	wait_for("spawnp", pid);
	printf("%d\n", error);
	printf("missing %d\n",
	    posix_spawnp(&pid, missing, NULL, NULL, argv, environ));
	execvp(missing, argv);
	printf("missing %s\n", strerrorname_np(errno));
	execvp("script", argv); /* no #! line: the shell runs it */
	return 1;
}

static void *
thread(void *context)
{
	char path[PATH_MAX];
	struct stat st;

	for (int i = 0; i < 2000; i++) {
		snprintf(path, sizeof(path), "%s%d", (char *)context, i % 300);
		if (access(path, F_OK) == 0 || stat("/usr", &st) < 0)
			return path[0] ? context : NULL;
	}
	return NULL;
}

static int
threads(char *file)
{
	pthread_t id[8];
	void *bad = NULL;
	int status = 0;
	pid_t child = fork();

	for (int i = 0; i < 8; i++)
		pthread_create(&id[i], NULL, thread, file);
	for (int i = 0; i < 8; i++) {
		void *result;

		pthread_join(id[i], &result);
		bad = result ? result : bad;
	}
	if (child > 0)
		waitpid(child, &status, 0);
	return bad || status;
}

int
main(int argc, char **argv, char **envp)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "env") == 0)
		return env(envp);
	if (strcmp(what, "lookups") == 0)
		return lookups(argv[2]);
	if (strcmp(what, "start") == 0)
		return start(argv[2]);
	if (strcmp(what, "threads") == 0)
		return threads(argv[2]);
	return 2;
}
