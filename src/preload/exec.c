/*
 * The functions that start programs. They put the library back into the
 * environment of a program that it can go into: one for this machine that the
 * usual loader starts, without set-id bits, and with no other library preloaded.
 * Any other program gets the environment as the caller gave it.
 *
 * A child of vfork() runs this in its parent's memory, so nothing is allocated.
 */
#include "preload/observe.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOADER "/lib64/ld-linux-x86-64.so.2"
#define MAX_ENV 2048 /* variables; a larger environment is passed as it is */

struct env {
	char *const *variables;
	char *room[MAX_ENV + 3];
};

union head {
	Elf64_Ehdr elf;
	char bytes[4096];
};

static bool
segment_names_loader(const union head *h, const Elf64_Phdr *p)
{
	return p->p_type == PT_INTERP && p->p_filesz == sizeof(LOADER) &&
	    p->p_offset <= sizeof(h->bytes) - sizeof(LOADER) &&
	    memcmp(h->bytes + p->p_offset, LOADER, sizeof(LOADER)) == 0;
}

static bool
head_fits(const union head *h, size_t size)
{
	static const unsigned char ident[] = { 0x7f, 'E', 'L', 'F', ELFCLASS64,
		ELFDATA2LSB, EV_CURRENT };
	Elf64_Phdr p;
	uint64_t at = h->elf.e_phoff;

	if (size < sizeof(h->elf) ||
	    memcmp(h->elf.e_ident, ident, sizeof(ident)) != 0 ||
	    h->elf.e_machine != EM_X86_64 || h->elf.e_phentsize != sizeof(p) ||
	    at > size)
		return false;
	for (int i = 0; i < h->elf.e_phnum; i++, at += sizeof(p)) {
		if (at + sizeof(p) > size)
			return false;
		memcpy(&p, h->bytes + at, sizeof(p));
		if (segment_names_loader(h, &p))
			return true;
	}
	return false;
}

static bool
program_fits(const char *path)
{
	union head h;
	struct stat st;
	long size = -1;
	long fd = observe_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    !(st.st_mode & (S_ISUID | S_ISGID)))
		size = syscall(SYS_pread64, fd, &h, sizeof(h), 0);
	syscall(SYS_close, fd);
	if (size < 0)
		return false;
	memset(h.bytes + size, 0, sizeof(h) - (size_t)size);
	return head_fits(&h, (size_t)size);
}

/* The value, or NULL. */
static const char *
env_value(char *const *env, const char *name)
{
	size_t size = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, size) == 0 && (*env)[size] == '=')
			return *env + size + 1;
	return NULL;
}

/* Sets the variables for the program at `path`, which is NULL if unknown. */
static char *const *
env_for(struct env *e, const char *path, char *const *given)
{
	int saved = errno;
	size_t n = 0;

	e->variables = given;
	if (!ring_active() || !given || !path)
		return given;
	while (given[n])
		n++;
	if (n <= MAX_ENV && !env_value(given, "LD_PRELOAD") &&
	    !env_value(given, RING_ENV) && program_fits(path)) {
		memcpy(e->room, given, n * sizeof(e->room[0]));
		e->room[n++] = observe_preload();
		e->room[n++] = observe_ring();
		e->room[n] = NULL;
		e->variables = e->room;
	}
	errno = saved;
	return e->variables;
}

/* Can a program in this folder of PATH be run? Its path goes to `to`. */
static bool
folder_has(const char *folder, size_t size, const char *file, char to[PATH_MAX])
{
	size_t rest = strlen(file);

	if (size + rest + 2 > LOOKUP_PATH)
		return false;
	memcpy(to, folder, size);
	to[size] = '/';
	memcpy(to + size + 1, file, rest + 1);
	return access(to, X_OK) == 0;
}

/*
 * The program that a search of PATH is going to find, NULL if it can't be told.
 * Only the environment hangs on it: libc makes the search that counts. A folder
 * that is not absolute ends it, since it may mean another one by then.
 */
static const char *
path_search(const char *file, char found[PATH_MAX])
{
	const char *path = env_value(environ, "PATH");

	if (!ring_active() || strchr(file, '/'))
		return file;
	for (; path && path[0] == '/'; path += *path == ':') {
		size_t size = strcspn(path, ":");

		if (folder_has(path, size, file, found))
			return found;
		path += size;
	}
	return NULL;
}

static const char *
searched(const char *file, char found[PATH_MAX])
{
	int saved = errno;
	const char *path = path_search(file, found);

	errno = saved;
	return path;
}

EXPORT int
execve(const char *path, char *const argv[], char *const envp[])
{
	struct env e;
	char *const *env = env_for(&e, path, envp);
	int result = NEXT(execve)(path, argv, env);

	if (env != envp && errno == E2BIG)
		result = NEXT(execve)(path, argv, envp);
	return result;
}

EXPORT int
execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int
execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct env e;
	char found[PATH_MAX];
	const char *path = searched(file, found);
	char *const *env = env_for(&e, path, envp);
	int result;

	/* The way there is known, and each try on it would stop us. */
	if (env != envp && path[0] == '/')
		(void)NEXT(execve)(path, argv, env);
	result = NEXT(execvpe)(file, argv, env);
	if (env != envp && errno == E2BIG)
		result = NEXT(execvpe)(file, argv, envp);
	return result;
}

EXPORT int
execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* What the actions do to the working directory is not known. */
EXPORT int
posix_spawn(pid_t *pid, const char *path,
    const posix_spawn_file_actions_t *file_actions,
    const posix_spawnattr_t *attrp, char *const argv[], char *const envp[])
{
	bool known = path[0] == '/' || !file_actions;
	struct env e;
	char *const *env = env_for(&e, known ? path : NULL, envp);
	int error =
	    NEXT(posix_spawn)(pid, path, file_actions, attrp, argv, env);

	if (env != envp && error == E2BIG)
		error = NEXT(posix_spawn)(
		    pid, path, file_actions, attrp, argv, envp);
	return error;
}

EXPORT int
posix_spawnp(pid_t *pid, const char *file,
    const posix_spawn_file_actions_t *file_actions,
    const posix_spawnattr_t *attrp, char *const argv[], char *const envp[])
{
	char found[PATH_MAX];
	const char *path = searched(file, found);
	struct env e;
	char *const *env =
	    env_for(&e, path && path[0] == '/' ? path : NULL, envp);
	int error =
	    NEXT(posix_spawnp)(pid, file, file_actions, attrp, argv, env);

	if (env != envp && error == E2BIG)
		error = NEXT(posix_spawnp)(
		    pid, file, file_actions, attrp, argv, envp);
	return error;
}
