/* Looking into a process that waits for our answer. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "trace/internal.h"

#define PAGE 4096u

static bool
read_memory_file(pid_t pid, uint64_t address, void *to, size_t size)
{
	char name[32];
	ssize_t got;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = pread(fd, to, size, (off_t)address);
	close(fd);
	return got == (ssize_t)size;
}

/* Containers may refuse the call, and not the file. */
bool
process_bytes(pid_t pid, uint64_t address, void *to, size_t size)
{
	static bool refused;
	struct iovec here = { to, size };
	struct iovec there = { (void *)(uintptr_t)address, size };

	if (!refused &&
	    process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size)
		return true;
	if (!refused && errno != EPERM && errno != ENOSYS)
		return false;
	refused = read_memory_file(pid, address, to, size);
	return refused;
}

/* The text that was read last: while one call waits, it is asked for twice. */
static struct {
	pid_t pid;
	uint64_t address;
	size_t size;
	char text[PATH_MAX];
} last;

void
process_forget(void)
{
	last.pid = 0;
}

/* A page at a time, since the next may not be there. */
static bool
read_text(pid_t pid, uint64_t address, char *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t want = PAGE - (address + done) % PAGE;

		if (done == 0 && want > 256)
			want = 256; /* most paths are shorter */
		if (want > size - done)
			want = size - done;
		if (!process_bytes(pid, address + done, to + done, want))
			return false;
		if (memchr(to + done, '\0', want))
			return true;
		done += want;
	}
	return false;
}

bool
process_text(pid_t pid, uint64_t address, char *to, size_t size)
{
	if (last.pid != pid || last.address != address) {
		last.pid = 0;
		if (!read_text(pid, address, last.text, sizeof(last.text)))
			return false;
		last.pid = pid;
		last.address = address;
		last.size = strlen(last.text) + 1;
	}
	if (last.size > size)
		return false;
	memcpy(to, last.text, last.size);
	return true;
}

bool
process_link(pid_t pid, const char *what, char *to, size_t size)
{
	char name[64];
	ssize_t got;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, what);
	got = readlink(name, to, size - 1);
	if (got < 0 || (size_t)got >= size - 1)
		return false;
	to[got] = '\0';
	return true;
}

/* Drop "//" and "/./", and a slash at the end; ".." stays, since what is in
 * front of it may be a link. */
void
path_tidy(char *path)
{
	char *to = path;
	const char *from = path;

	while (*from) {
		if (from[0] == '/' && from[1] == '/')
			from++;
		else if (from[0] == '/' && from[1] == '.' &&
		    (from[2] == '/' || from[2] == '\0'))
			from += 2;
		else
			*to++ = *from++;
	}
	if (to > path + 1 && to[-1] == '/')
		to--;
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* The folder is a real path, so that leading ".." can be taken off with it. */
bool
process_join(char *folder, size_t size, const char *name)
{
	size_t len = strlen(folder), more;

	while (strncmp(name, "../", 3) == 0 || strcmp(name, "..") == 0 ||
	    strncmp(name, "./", 2) == 0) {
		bool up = name[1] == '.';

		name += up ? 2 : 1;
		while (*name == '/')
			name++;
		while (up && len > 0 && folder[--len] != '/')
			;
	}
	more = strlen(name);
	if (len + more + 2 > size)
		return false;
	folder[len] = '/';
	memcpy(folder + len + 1, name, more + 1);
	return true;
}

bool
process_path(pid_t pid, int folder, uint64_t address, char *to, size_t size)
{
	char name[PATH_MAX], what[32];

	if (!process_text(pid, address, name, sizeof(name)))
		return false;
	if (name[0] == '/') {
		memcpy(to, name, strlen(name) + 1);
		path_tidy(to);
		return true;
	}
	if (folder == AT_FDCWD)
		memcpy(what, "cwd", 4);
	else
		snprintf(what, sizeof(what), "fd/%d", folder);
	if (!process_link(pid, what, to, size))
		return false;
	if (to[0] != '/')
		return false; /* a pipe, or deleted */
	if (name[0] && !process_join(to, size, name))
		return false;
	path_tidy(to);
	return true;
}

pid_t
process_parent(pid_t pid)
{
	auto_buf text = BUF_INIT;
	auto_free char *path = xasprintf("/proc/%d/stat", (int)pid);
	struct error err;
	const char *end;

	if (buf_read_file(&text, path, &err) < 0)
		return 0;
	end = strrchr(text.data, ')'); /* behind the name: " S PPID" */
	return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}
