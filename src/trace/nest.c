#include "trace/nest.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1) /* since 5.14 */
#endif

enum nest_mode
nest_ask(void)
{
	struct nest_greeting greeting = { 0 };
	int fd = open(NEST_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return NEST_NONE;
	(void)!recv(fd, &greeting, sizeof(greeting), MSG_DONTWAIT);
	close(fd);
	return NEST_WHOLE;
}

bool
nest_answer(int listener, uint64_t id)
{
	const struct nest_greeting greeting = { NEST_MAGIC, NEST_VERSION,
		NEST_WHOLE };
	struct seccomp_notif_addfd give = {
		.id = id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.newfd_flags = O_CLOEXEC,
	};
	int ends[2];
	bool given;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	give.srcfd = (uint32_t)ends[1];
	given = send(ends[0], &greeting, sizeof(greeting), MSG_NOSIGNAL) > 0 &&
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &give) >= 0;
	close(ends[0]);
	close(ends[1]);
	return given;
}
