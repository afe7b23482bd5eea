/*
 * The supervisor: starts the command under the filter, answers its calls, passes
 * on what it prints, and stays until the last process of it has ended.
 *
 *	fork; the child installs the filter and sends us the listener, or waits
 *	until we follow it by ptrace; it runs the command, whose first exec is
 *	the first call that we see
 *	until the command has ended: answer calls, pass output on
 *	until the rest have ended: the same, but not for long: what outlives the
 *	command goes on with a copy of us, and nothing is recorded
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "trace/internal.h"
#include "trace/library.h"
#include "trace/nest.h"
#include "trace/nested.h"
#include "trace/ring_read.h"
#include "trace/stand_in.h"
#include "trace/stops.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#define GRACE_MS 100      /* for what the command left to end */
#define DRAIN_MS 6        /* between looks at the accelerator's log */
#define BLIND_MS 10       /* between looks where no signal reaches us */
#define CHUNK (64 * 1024) /* of output at a time */

struct stream {
	int from;    /* what the command prints into, our end; -1: at its end */
	int to;      /* where it goes */
	int child;   /* the command's end */
	bool broken; /* whoever reads `to` is gone */
	bool terminal;
	struct capture *capture;
};

struct supervisor {
	struct trace *trace;
	pid_t pid;
	int listener, signals, channel;
	void (*old_child)(int), (*old_pipe)(int); /* what SIGCHLD and SIGPIPE
	                                            * were for us */
	struct stream stream[2];
	char *ring; /* shared with the accelerator, or NULL */
	struct ring_reader log;
	int ring_fd;
	char ring_path[64]; /* as the accelerator opens it */
	char *library;
	sigset_t old_mask;
	struct seccomp_notif *notif;
	struct seccomp_notif_resp *answer;
	struct nested_list nested; /* actions inside of ours */
	bool proven;               /* the listener's first call could go on */
	bool stops;                /* some are followed by ptrace */
	int stand_in;              /* for stand_in_leave(), or -1 */
	pid_t stand_by;            /* the copy of us that does the rest */
	bool hurry;                /* somebody may still wait for us */
	bool ended;
	bool met;   /* the listener is here, or there is none */
	bool asked; /* a caller waits for the answer to `notif` */
	bool blind; /* there is no memory to remember anything in */
};

/* ---- the accelerator's log ---- */

static void
take_entry(void *arg, const struct ring_entry *entry)
{
	struct supervisor *s = arg;
	struct question q = events_question(entry);

	q.trace = s->trace;
	events_logged(&q, entry->op, entry->path);
}

static void
drain_ring(struct supervisor *s)
{
	if (s->blind)
		return;
	if (!ring_drain(&s->log, take_entry, s))
		trace_refuse(s->trace, "the accelerator's log is damaged");
	nested_drain(&s->nested);
}

/* A compiler that the project made itself may be built in ways that bear no
 * library in front of their own: with a sanitizer, say. */
static bool
is_home_made(const struct trace *trace)
{
	const char *const folders[] = { trace->root, trace->cwd };

	for (size_t i = 0; i < 2; i++) {
		size_t size = strlen(folders[i]);

		if (size > 1 &&
		    strncmp(trace->program, folders[i], size) == 0 &&
		    trace->program[size] == '/')
			return true;
	}
	return false;
}

static void
open_ring(struct supervisor *s)
{
	struct error err = { 0 };
	void *map;

	s->library = library_path(s->trace->tarn_dir, &err);
	if (!s->library || is_home_made(s->trace) ||
	    !library_fits(s->trace->program))
		return;
	s->ring_fd = memfd_create("tarn", MFD_CLOEXEC);
	if (s->ring_fd < 0 || ftruncate(s->ring_fd, RING_SIZE) < 0)
		return;
	map = mmap(
	    NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->ring_fd, 0);
	if (map == MAP_FAILED)
		return;
	snprintf(s->ring_path, sizeof(s->ring_path), "/proc/%d/fd/%d",
	    (int)getpid(), s->ring_fd);
	s->ring = map;
	if (!s->trace->nest) /* else the outer one reads it */
		ring_init(&s->log, map);
}

/* ---- calls ---- */

/* A call that is no business of the command: the accelerator's for itself. */
static bool
is_own_call(const struct supervisor *s, const char *path)
{
	return (s->ring &&
	           (strcmp(path, s->ring_path) == 0 ||
	               strcmp(path, s->library) == 0)) ||
	    nested_is_own_path(&s->nested, path);
}

/* The path of an open(), which is all that such calls are; or "". */
static void
opened_path(pid_t pid, const struct seccomp_data *data, char *path, size_t size)
{
	path[0] = '\0';
	if ((data->nr == SYS_openat || data->nr == SYS_open) &&
	    !process_text(pid, data->args[data->nr == SYS_openat], path, size))
		path[0] = '\0';
}

/* Nothing but its death keeps a caller from its answer. */
static bool
let_it_go_on(struct supervisor *s)
{
	s->asked = false;
	memset(s->answer, 0, sizeof(*s->answer));
	s->answer->id = s->notif->id;
	s->answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	while (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_SEND, s->answer) < 0) {
		if (errno != EINTR && errno != EAGAIN && errno != EIO)
			return false;
	}
	return true;
}

static void
handle_for(void *arg, struct trace *trace)
{
	struct question *q = arg;

	q->trace = trace;
	events_handle(q);
}

static void
refuse_unreadable(void *arg, struct trace *trace)
{
	trace_refuse(trace, "a process of it could not be looked into");
}

/* Which actions it belongs to, and what they make of it. */
static struct nested_call
call_of(pid_t pid, const struct seccomp_data *data)
{
	const struct call_spec *spec = filter_find(data->nr);
	uint8_t call = spec ? spec->call : CALL_REFUSED;

	return (struct nested_call){ .pid = pid,
		.own =
		    call != CALL_READ && call != CALL_WRITE && call != CALL_DUP,
		.leaves = call == CALL_EXEC };
}

enum seen {
	SEEN,
	SEEN_NEST,  /* an inner tarn-exec looks for us */
	SEEN_BLIND, /* its process could not be looked into */
};

/* What a call says. Its caller waits meanwhile. */
static enum seen
look_at_call(struct supervisor *s, pid_t pid, const struct seccomp_data *data)
{
	struct question q = { .pid = pid, .data = data, .alive = true };
	struct nested_call call = call_of(pid, data);
	char path[PATH_MAX];

	if (s->blind)
		return SEEN;
	process_forget();
	drain_ring(s);
	opened_path(pid, data, path, sizeof(path));
	if (strcmp(path, NEST_PATH) == 0)
		return SEEN_NEST;
	if (!is_own_call(s, path))
		nested_call(&s->nested, &call, handle_for, &q);
	return q.alive ? SEEN : SEEN_BLIND;
}

static void
refuse_blind(struct supervisor *s, pid_t pid, const struct seccomp_data *data)
{
	struct nested_call call = call_of(pid, data);

	nested_call(&s->nested, &call, refuse_unreadable, NULL);
}

/* It does not work, or no longer. Whoever waits in it is told ENOSYS. */
static void
lose_listener(struct supervisor *s, int error)
{
	close(s->listener);
	s->listener = -1;
	if (s->proven)
		trace_refuse(
		    s->trace, "the listener was lost: %s", strerror(error));
	else
		s->trace->denied = error;
}

static void
answer_call(struct supervisor *s)
{
	enum seen seen;

	memset(s->notif, 0, sizeof(*s->notif));
	if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_RECV, s->notif) < 0) {
		if (errno != ENOENT && errno != EINTR && errno != EIO)
			lose_listener(s, errno);
		return; /* its caller was killed meanwhile, or waits */
	}
	s->asked = true;
	seen = look_at_call(s, (pid_t)s->notif->pid, &s->notif->data);
	if (seen == SEEN_NEST) {
		s->asked = !nested_greet(&s->nested, s->listener, s->notif->id,
		    (pid_t)s->notif->pid);
		if (!s->asked)
			return;
		trace_refuse(s->trace, "it ran tarn-exec, which can't be told");
	}
	if (!let_it_go_on(s)) {
		/* Killed: whatever it said, it did not come to pass. Else the
		 * kernel is too old for calls that go on. */
		if (errno != ENOENT)
			lose_listener(s, errno);
		return;
	}
	s->proven = true;
	if (seen == SEEN_BLIND)
		refuse_blind(s, (pid_t)s->notif->pid, &s->notif->data);
}

/* The same with ptrace. */
static int
take_stop(void *arg, pid_t pid, const struct seccomp_data *data)
{
	struct supervisor *s = arg;

	switch (look_at_call(s, pid, data)) {
	case SEEN_NEST: return NEST_ERROR;
	case SEEN_BLIND: refuse_blind(s, pid, data); break;
	default: break;
	}
	return 0;
}

/* ---- starting ---- */

static void
send_listener(int channel, int listener, int error)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &error, sizeof(error) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	struct cmsghdr *head;

	if (listener >= 0) {
		message.msg_control = room;
		message.msg_controllen = sizeof(room);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &listener, sizeof(int));
	}
	(void)!sendmsg(channel, &message, MSG_NOSIGNAL);
}

static int
receive_listener(int channel, int *error)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { error, sizeof(*error) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *head;
	ssize_t got;
	int fd;

	*error = EPIPE;
	do
		got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == EIO));
	if (got <= 0)
		return -1;
	head = CMSG_FIRSTHDR(&message);
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(int));
	return fd;
}

/* Where the command prints: a pipe, or a terminal if it had one. */
static int
open_stream(struct stream *stream, int to, struct capture *capture)
{
	struct termios settings;
	struct winsize window;
	int ends[2];

	*stream = (struct stream){ .from = -1,
		.to = to,
		.child = -1,
		.terminal = isatty(to),
		.capture = capture };
	if (stream->terminal) {
		if (openpty(&ends[0], &ends[1], NULL, NULL, NULL) < 0)
			return -1;
		if (tcgetattr(ends[1], &settings) == 0) {
			cfmakeraw(&settings);
			tcsetattr(ends[1], TCSANOW, &settings);
		}
		if (ioctl(to, TIOCGWINSZ, &window) == 0)
			ioctl(ends[1], TIOCSWINSZ, &window);
		fcntl(ends[0], F_SETFD, FD_CLOEXEC);
		fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	} else if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	stream->from = ends[0];
	stream->child = ends[1];
	return 0;
}

/* What is closed on exec only keeps a place. */
static bool
is_open(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 ? errno != EBADF : !(flags & FD_CLOEXEC);
}

static int
open_streams(struct supervisor *s)
{
	struct trace *trace = s->trace;

	for (int i = 0; i < 2; i++)
		s->stream[i] = (struct stream){ .from = -1, .child = -1 };
	if (is_open(1) && open_stream(&s->stream[0], 1, &trace->out) < 0)
		return -1;
	if (!trace->one_stream && is_open(2))
		return open_stream(&s->stream[1], 2, &trace->err);
	return 0;
}

static char **
accelerated_environment(const struct supervisor *s)
{
	char *const *old = s->trace->environment;
	const char *preloaded = NULL;
	size_t count = 0, kept = 0;
	char **env;

	while (old[count])
		count++;
	env = xrealloc(NULL, count + 3, sizeof(*env));
	for (size_t i = 0; i < count; i++) {
		if (strncmp(old[i], "LD_PRELOAD=", 11) == 0)
			preloaded = old[i] + 11;
		else
			env[kept++] = old[i];
	}
	env[kept++] = preloaded && *preloaded
	    ? xasprintf("LD_PRELOAD=%s:%s", s->library, preloaded)
	    : xasprintf("LD_PRELOAD=%s", s->library);
	env[kept++] =
	    xasprintf(RING_ENV "=/proc/%d/fd/%d", (int)getppid(), s->ring_fd);
	env[kept] = NULL;
	return env;
}

/* As execvp() has it: a text without "#!" is for the shell. */
static void
run(const struct trace *trace, char *const *env)
{
	size_t count = 0;
	auto_free char **words = NULL;

	execve(trace->program, trace->argv, env);
	if (errno != ENOEXEC)
		return;
	while (trace->argv[count])
		count++;
	words = xrealloc(NULL, count + 2, sizeof(*words));
	words[0] = (char *)(uintptr_t) "sh";
	words[1] = (char *)(uintptr_t)trace->program;
	for (size_t i = 1; i <= count; i++)
		words[i + 1] = trace->argv[i];
	execve("/bin/sh", words, env);
}

/*
 * Whoever kills us means the command, too. Nor may it go on without us, when its
 * calls fail. The end at which we would have taken the listener goes first: as long
 * as it is open, a listener that is on its way counts as watched.
 */
static void
die_with(pid_t parent, int end)
{
	close(end);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(128 + SIGKILL);
}

static void
ask_listener(struct supervisor *s, int channel)
{
	int listener =
	    filter_install(ASK_LISTENER, s->ring != NULL, &s->trace->strays);

	send_listener(channel, listener, listener < 0 ? errno : 0);
	if (listener < 0)
		_exit(126);
	close(listener);
}

/* A filter that was there before may have the last word, so it is put to the
 * test. */
static void
ask_tracer(struct supervisor *s, int channel)
{
	bool filtered = prctl(PR_GET_SECCOMP) != 0;
	char go;
	int error;

	if (read(channel, &go, 1) == 1 &&
	    filter_install(ASK_TRACER, s->ring != NULL, &s->trace->strays) >=
	        0 &&
	    (!filtered || filter_prove() == 0))
		return;
	error = errno;
	(void)!write(channel, &error, sizeof(error));
	_exit(126);
}

static void
be_observed(struct supervisor *s, int channel)
{
	if (s->trace->by_ptrace)
		ask_tracer(s, channel);
	else
		ask_listener(s, channel);
}

static void
become_command(struct supervisor *s, pid_t parent, const int channel[2])
{
	struct trace *trace = s->trace;
	char *const *env = trace->environment;
	int error;

	die_with(parent, channel[0]);
	for (int i = 0; i < 2; i++) {
		if (s->stream[i].child >= 0)
			dup2(s->stream[i].child, i + 1);
	}
	if (trace->one_stream && s->stream[0].child >= 0)
		dup2(s->stream[0].child, 2);
	if (trace->input >= 0)
		dup2(trace->input, 0);
	signal(SIGCHLD, s->old_child);
	signal(SIGPIPE, s->old_pipe);
	signal(SIGXFSZ, trace->file_size_signal);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	if (s->ring)
		env = accelerated_environment(s);
	if (trace->observe && !trace->nest)
		be_observed(s, channel[1]);
	run(trace, env);
	error = errno;
	(void)!write(channel[1], &error, sizeof(error));
	_exit(error == ENOENT ? 127 : 126);
}

static void
close_child_ends(struct supervisor *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->stream[i].child >= 0)
			close(s->stream[i].child);
		s->stream[i].child = -1;
	}
}

static void
tune_listener(int listener)
{
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
	    SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

/* The supervisor around us watches the command, if it is to be watched. */
static void
join_outer(struct supervisor *s)
{
	struct trace *trace = s->trace;
	Tarn__NestRequest *request = &trace->nest->request;
	struct error err;

	request->kind = trace->observe ? NEST_WATCH : NEST_PASS;
	request->cwd = nest_bytes(trace->cwd);
	request->tarn_dir = nest_bytes(trace->tarn_dir);
	request->events = nest_bytes(trace->events ? trace->events : "");
	request->jobserver =
	    nest_bytes(trace->jobserver ? trace->jobserver : "");
	request->accelerate = trace->accelerate;
	if (trace->stranger)
		request->asked |= NEST_STRANGER;
	request->library = nest_bytes(s->ring ? s->library : "");
	request->ring = nest_bytes(s->ring_path);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (nest_ask(trace->nest, s->ring ? s->ring_fd : -1, NULL, &err) < 0)
		trace_refuse(trace, "%s", err.text);
	trace->observer = trace->observe ? "nested" : "unobserved";
}

/* What the outer one saw of the command. */
static void
ask_outer(struct trace *trace)
{
	auto_buf seen = BUF_INIT;
	struct error err;

	if (!trace->observe)
		return;
	nest_forget(trace->nest);
	trace->nest->request.kind = NEST_END;
	if (nest_ask(trace->nest, -1, &seen, &err) < 0 ||
	    nest_trace_decode(trace, seen.data, seen.len, &err) < 0)
		trace_refuse(trace, "%s", err.text);
}

/* What it could not do, as it told us before it ended; 0 if it did not. */
static int
told_error(const struct supervisor *s)
{
	int error = 0;

	return recv(s->channel, &error, sizeof(error), MSG_DONTWAIT) ==
	        (ssize_t)sizeof(error)
	    ? error
	    : 0;
}

static void
start_listening(struct supervisor *s)
{
	int error = 0;

	s->listener = receive_listener(s->channel, &error);
	if (s->listener >= 0) {
		tune_listener(s->listener);
		s->trace->observer = s->ring ? "accelerated" : "observed";
		return;
	}
	s->trace->denied = error ? error : EPIPE;
	close(s->channel); /* and with it a listener that is on its way */
	s->channel = -1;
	(void)waitpid(s->pid, &s->trace->status, 0);
}

static void
start_following(struct supervisor *s)
{
	s->trace->observer = "traced";
	if (!stops_follow(s->pid)) {
		s->trace->denied = errno;
		close(s->channel);
		s->channel = -1; /* it waits for a word of ours there */
		(void)waitpid(s->pid, &s->trace->status, 0);
		return;
	}
	(void)!write(s->channel, "", 1);
	s->stops = stops_until_exec(s->pid, &s->trace->status, take_stop, s);
	if (s->stops)
		return;
	s->trace->denied = told_error(s);
	if (s->trace->denied == 0)
		s->trace->denied = EPERM;
}

static void
start_observing(struct supervisor *s)
{
	s->met = true;
	if (s->trace->by_ptrace)
		start_following(s);
	else
		start_listening(s);
}

static int
start(struct supervisor *s, struct error *err)
{
	pid_t us = getpid();
	int channel[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		return error_errno(err, "cannot make a socket pair");
	if (open_streams(s) < 0)
		return error_errno(err, "cannot make a pipe");
	if (s->trace->nest)
		join_outer(s);
	s->pid = fork();
	if (s->pid < 0)
		return error_errno(err, "cannot fork");
	if (s->pid == 0)
		become_command(s, us, channel);
	close(channel[1]);
	close_child_ends(s);
	s->channel = channel[0];
	return 0;
}

/* ---- output ---- */

static void
note_order(struct trace *trace, size_t size, uint32_t which)
{
	uint32_t *last =
	    trace->order_count ? &trace->order[trace->order_count - 1] : NULL;

	if (last && (*last & 1) == which &&
	    (*last >> 1) + size < UINT32_MAX / 2) {
		*last += (uint32_t)size << 1;
		return;
	}
	if (!trace->order || trace->order_count == trace->order_cap) {
		trace->order_cap = trace->order_cap ? 2 * trace->order_cap : 16;
		trace->order = xrealloc(
		    trace->order, trace->order_cap, sizeof(*trace->order));
	}
	trace->order[trace->order_count++] = (uint32_t)size << 1 | which;
}

static void
end_stream(struct stream *stream)
{
	close(stream->from);
	stream->from = -1;
}

static void
remember(struct supervisor *s, int which, const char *data, size_t size)
{
	struct error err = { 0 };

	note_order(s->trace, size, (uint32_t)which);
	if (capture_add(s->stream[which].capture, s->trace->tarn_dir, data,
	        size, &err) < 0)
		trace_refuse(s->trace, "%s", err.text);
}

static void
pass_on(struct supervisor *s, int which)
{
	struct stream *stream = &s->stream[which];
	char data[CHUNK];
	ssize_t got = read(stream->from, data, sizeof(data));

	if (got < 0 &&
	    (errno == EAGAIN || errno == EINTR ||
	        (errno == EIO && !stream->terminal)))
		return;
	if (got <= 0) { /* a terminal ends with EIO */
		end_stream(stream);
		return;
	}
	if (file_write_all(stream->to, data, (size_t)got) < 0) {
		/* As the command would see it: its next write fails. */
		stream->broken = true;
		trace_refuse(s->trace,
		    "what it printed could not be passed "
		    "on: %s",
		    strerror(errno));
		end_stream(stream);
	} else if (!s->blind) /* last: there may be no memory to do it in */
		remember(s, which, data, (size_t)got);
}

/* ---- the loop ---- */

static void
note_end(struct supervisor *s, int status)
{
	s->trace->status = status;
	s->ended = true;
	s->trace->exec_error = told_error(s);
}

static void
take_stops(struct supervisor *s)
{
	enum stops_state state;
	int status;
	pid_t pid;

	do {
		state = stops_take(&pid, &status, take_stop, s);
		if (state == STOPS_ENDED && pid == s->pid)
			note_end(s, status);
		if (state == STOPS_ENDED && pid == s->stand_by)
			stand_in_leave(s->stand_in, status);
	} while (state == STOPS_ENDED);
	s->stops = state != STOPS_OVER;
	s->hurry = state == STOPS_MORE;
}

static void
reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	if (s->stops) {
		take_stops(s);
		return;
	}
	do
		pid = waitpid(s->pid, &status, WNOHANG);
	while (pid < 0 && errno != ECHILD);
	if (pid == s->pid)
		note_end(s, status);
}

/* A key on the terminal reaches the command by itself; what was sent to us alone
 * is for it. */
static void
forward_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(s);
	if (info.ssi_signo == SIGCHLD || info.ssi_code == SI_KERNEL || s->ended)
		return;
	kill(s->pid, (int)info.ssi_signo);
}

enum { ON_LISTENER, ON_OUT, ON_ERR, ON_SIGNALS, ON_NESTED };

static void
watch(const struct supervisor *s, struct pollfd *fds)
{
	const int fd[ON_NESTED] = { s->listener, s->stream[0].from,
		s->stream[1].from, s->signals };

	for (int i = 0; i < ON_NESTED; i++)
		fds[i] = (struct pollfd){ .fd = fd[i], .events = POLLIN };
	nested_watch(&s->nested, fds + ON_NESTED);
}

static void
handle_calls(struct supervisor *s, short revents)
{
	if (revents & POLLIN)
		answer_call(s);
	else if (revents & (POLLHUP | POLLERR)) {
		close(s->listener);
		s->listener = -1; /* the last of them has ended */
	}
}

/* Requests before calls: who waits for an answer makes no call meanwhile. */
static void
handle_all(struct supervisor *s, const struct pollfd *fds, size_t nested)
{
	for (size_t i = nested; i-- > 0;) {
		if (fds[ON_NESTED + i].revents)
			nested_serve(&s->nested, i);
	}
	handle_calls(s, fds[ON_LISTENER].revents);
	if (fds[ON_OUT].revents)
		pass_on(s, 0);
	if (fds[ON_ERR].revents)
		pass_on(s, 1);
	if (fds[ON_SIGNALS].revents)
		forward_signal(s);
}

/* Wait for what comes next and see to it. False if nothing came in time. */
static bool
step(struct supervisor *s, int timeout)
{
	size_t nested = s->nested.count;
	auto_free struct pollfd *more = nested > 4
	    ? xrealloc(NULL, ON_NESTED + nested, sizeof(*more))
	    : NULL;
	struct pollfd few[ON_NESTED + 4], *fds = more ? more : few;
	int ready;

	if (s->signals < 0) { /* nobody tells when the command has ended */
		timeout =
		    timeout >= 0 && timeout < BLIND_MS ? timeout : BLIND_MS;
		if (!s->ended)
			reap(s);
	}
	watch(s, fds);
	ready = poll(fds, ON_NESTED + nested, s->hurry ? 0 : timeout);
	if (s->hurry)
		take_stops(s);
	else if (ready == 0)
		return false;
	if (ready > 0)
		handle_all(s, fds, nested);
	return true;
}

static bool
all_over(const struct supervisor *s)
{
	return s->listener < 0 && !s->stops && s->stream[0].from < 0 &&
	    s->stream[1].from < 0;
}

/* Inside of another's action no listener says when the last one has ended; but then
 * all that are left become children of ours. */
static bool
children_gone(const struct supervisor *s)
{
	if (!s->trace->nest)
		return true;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* Let nobody wait for us at the end of a pipe that has nothing more to come. */
static void
let_go(const struct supervisor *s, int null)
{
	dup2(null, 0);
	for (int i = 0; i < 2; i++) {
		if (s->stream[i].from < 0)
			dup2(null, i + 1);
	}
}

static void
close_strays(const struct strays *strays)
{
	for (int i = 0; i < strays->count; i++)
		close(strays->fd[i]);
}

/*
 * A copy of us sees to what outlives the command, which we can't wait for. Who
 * traces can't hand that on: then it is the copy that goes on with the rest.
 */
static void
leave_behind(struct supervisor *s)
{
	int null;
	pid_t copy;

	trace_refuse(s->trace, "a process of it outlived it");
	copy = fork();
	if (copy < 0 || (copy > 0) != s->stops) {
		s->stops = false;
		return;
	}
	s->stand_by = copy;
	prctl(PR_SET_NAME, "tarn-observer");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	close_strays(&s->trace->strays);
	while (!all_over(s)) {
		let_go(s, null);
		(void)step(s, -1);
	}
	_exit(0);
}

static void
supervise(struct supervisor *s)
{
	int64_t end;

	/* What is logged meanwhile is looked at meanwhile, on another processor,
	 * so that little is left to do when the command has ended. */
	while (!s->ended) {
		if (!step(s, s->ring ? DRAIN_MS : -1))
			drain_ring(s);
	}
	end = now_us() + GRACE_MS * 1000;
	while (!all_over(s) || !children_gone(s)) {
		int64_t left = end - now_us();

		if (left <= 0 || !step(s, (int)(left / 1000 + 1)))
			break;
	}
	if (!all_over(s) || !children_gone(s))
		leave_behind(s);
	drain_ring(s);
	nested_finish(&s->nested);
	if (s->trace->nest && !s->blind)
		ask_outer(s->trace);
	if (s->log.unfinished_count > 0)
		trace_refuse(s->trace,
		    "a process of it was killed half way "
		    "through a call");
}

static void
take_signals(struct supervisor *s)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
		SIGUSR2, SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		sigaddset(&set, ours[i]);
	s->old_child =
	    signal(SIGCHLD, SIG_DFL); /* ignored, it would not come */
	s->old_pipe = signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
finish(struct supervisor *s)
{
	const int fds[] = { s->listener, s->signals, s->channel, s->ring_fd,
		s->stand_in, s->stream[0].from, s->stream[1].from };

	signal(SIGCHLD, s->old_child);
	if (s->trace->denied) /* all is to be as before for the next try */
		signal(SIGPIPE, s->old_pipe);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (s->ring)
		munmap(s->ring, RING_SIZE);
	nested_release(&s->nested);
	if (s->trace->nest)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	free(s->library);
	free(s->notif);
	free(s->answer);
}

/* Without memory, before the command is there: as it was for us, it is for it. */
static struct supervisor *early;
static void (*exhausted_outside)(void);

static void
give_up_early(void)
{
	signal(SIGCHLD, early->old_child);
	signal(SIGPIPE, early->old_pipe);
	sigprocmask(SIG_SETMASK, &early->old_mask, NULL);
	if (exhausted_outside)
		exhausted_outside();
}

static sigjmp_buf exhausted;

static void
go_on_blind(void)
{
	siglongjmp(exhausted, 1);
}

static void
become_blind(struct supervisor *s)
{
	s->blind = true;
	trace_refuse(s->trace, "there was no memory to observe it");
	nested_release(&s->nested);
	if (s->asked)
		(void)let_it_go_on(s);
}

/* The command runs, and has to go on when we have no memory left for it. What was
 * lost on the way there is lost. */
static void
see_it_through(struct supervisor *s)
{
	if (sigsetjmp(exhausted, 0) == 0) {
		/* Who is traced and stopped could not be let go. */
		mem_exhausted = s->trace->by_ptrace ? NULL : go_on_blind;
		if (s->trace->observe && !s->trace->nest)
			events_started(s->trace, s->trace->program);
	} else
		become_blind(s);
	if (!s->met && s->trace->observe && !s->trace->nest)
		start_observing(s);
	if (s->trace->denied == 0)
		supervise(s);
}

int
trace_run(struct trace *trace, struct error *err)
{
	struct supervisor s = { .trace = trace,
		.nested = { .trace = trace },
		.listener = -1,
		.signals = -1,
		.channel = -1,
		.stand_in = -1,
		.ring_fd = -1 };
	int64_t begin = now_us();
	struct timespec clock;
	int status;

	clock_gettime(CLOCK_REALTIME_COARSE, &clock);
	trace->began_ns = clock.tv_sec * 1000000000ll + clock.tv_nsec;
	capture_init(&trace->out);
	capture_init(&trace->err);
	trace->observer = "unobserved";
	s.notif =
	    xmalloc(sizeof(*s.notif) + 256); /* a newer kernel's is longer */
	s.answer = xmalloc(sizeof(*s.answer) + 256);
	take_signals(&s);
	if (trace->observe && trace->by_ptrace) {
		s.stand_in = stand_in(s.signals);
		trace->denied = s.stand_in < 0 ? EAGAIN : 0;
	}
	if (trace->observe && trace->accelerate)
		open_ring(&s);
	early = &s;
	exhausted_outside = mem_exhausted;
	mem_exhausted = give_up_early;
	status = trace->denied ? 0 : start(&s, err);
	if (status == 0 && trace->denied == 0)
		see_it_through(&s);
	mem_exhausted = exhausted_outside;
	trace->wall_us = (uint64_t)(now_us() - begin);
	finish(&s);
	return status;
}
