#include "trace/nested.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "trace/ring.h"
#include "trace/ring_read.h"

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1) /* since 5.14 */
#endif

#define DEPTH 16          /* of actions in actions */
#define FRESH_NS 10000000 /* no process number comes back so soon */
#define NESTED_MAX 4096   /* at a time */

enum state {
	QUIET,    /* it has not said yet what it wants */
	PASSING,  /* its children are just a part of ours */
	WATCHING, /* and of its own */
};

struct nested {
	pid_t owner;
	int socket;
	enum state state;
	struct trace trace; /* while WATCHING */
	char *cwd, *tarn_dir, *events, *jobserver, *library, *ring_path;
	struct ring_reader ring;
};

/* ---- who asks ---- */

/* The inner ones around a process, the innermost first. */
struct around {
	pid_t pid;
	int64_t at; /* when it was looked up */
	bool known; /* false: its ancestors could not be followed */
	size_t count;
	struct nested *item[DEPTH];
};

static struct around recent[16];

static void
forget_recent(void)
{
	memset(recent, 0, sizeof(recent));
}

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static struct nested *
owned_by(const struct nested_list *list, pid_t pid)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->item[i]->owner == pid)
			return list->item[i];
	}
	return NULL;
}

/* A parent that ends meanwhile leaves its children to another: look again then. */
static bool
climb(const struct nested_list *list, struct around *around)
{
	pid_t pid = around->pid, us = getpid();

	around->count = 0;
	for (int depth = 0; pid > 1 && pid != us && depth < 1000; depth++) {
		struct nested *nested = owned_by(list, pid);

		if (nested && around->count < DEPTH)
			around->item[around->count++] = nested;
		pid = process_parent(pid);
	}
	return pid == us || pid == 1;
}

static const struct around *
look_around(const struct nested_list *list, pid_t pid)
{
	struct around *around =
	    &recent[(size_t)pid % (sizeof(recent) / sizeof(*recent))];
	int64_t now = now_ns();

	if (around->pid == pid && now - around->at < FRESH_NS)
		return around;
	around->pid = pid;
	around->at = now;
	around->known = false;
	for (int tries = 0; tries < 3 && !around->known; tries++)
		around->known = climb(list, around);
	return around;
}

static void
refuse_all(struct nested_list *list, const char *why)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->item[i]->state == WATCHING)
			trace_refuse(&list->item[i]->trace, "%s", why);
	}
}

/* ---- what it does belongs to whom ---- */

/* To the actions around, from item[from] on, and to ours. */
static void
tell(struct nested_list *list, const struct around *around, size_t from,
    nested_fn *fn, void *arg)
{
	for (size_t i = from; i < around->count; i++) {
		if (around->item[i]->state == QUIET)
			return;
		if (around->item[i]->state == WATCHING)
			fn(arg, &around->item[i]->trace);
	}
	fn(arg, list->trace);
}

static void forget(struct nested_list *list, struct nested *nested);

void
nested_call(struct nested_list *list, const struct nested_call *call,
    nested_fn *fn, void *arg)
{
	struct around around;
	bool own;

	if (list->count == 0) {
		fn(arg, list->trace);
		return;
	}
	around = *look_around(list, call->pid);
	if (!around.known)
		refuse_all(list, "a process of it could not be placed");
	own = around.count > 0 && around.item[0]->owner == call->pid;
	if (own && call->own && !call->leaves)
		return;
	tell(list, &around, own, fn, arg);
	if (own && call->leaves)
		forget(list, around.item[0]);
}

bool
nested_is_own_path(const struct nested_list *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct nested *nested = list->item[i];

		if (nested->ring.ring &&
		    (strcmp(path, nested->ring_path) == 0 ||
		        strcmp(path, nested->library) == 0))
			return true;
	}
	return false;
}

/* ---- inner accelerators ---- */

struct entry_for {
	struct question *q;
	const struct ring_entry *entry;
};

static void
take_entry_for(void *arg, struct trace *trace)
{
	const struct entry_for *one = arg;

	one->q->trace = trace;
	events_logged(one->q, one->entry->op, one->entry->path);
}

struct ring_of {
	struct nested_list *list;
	struct nested *nested;
};

static void
take_entry(void *arg, const struct ring_entry *entry)
{
	struct ring_of *of = arg;
	struct around around;
	struct question q = events_question(entry);
	struct entry_for one = { &q, entry };

	around = *look_around(of->list, of->nested->owner);
	if (!around.known)
		refuse_all(of->list, "a process of it could not be placed");
	tell(of->list, &around, 0, take_entry_for, &one);
}

static void
refuse_one(void *arg, struct trace *trace)
{
	trace_refuse(trace, "%s", (const char *)arg);
}

static void
drain_one(struct nested_list *list, struct nested *nested)
{
	static char damaged[] = "the accelerator's log is damaged";
	struct ring_of of = { list, nested };
	struct around around;

	if (!nested->ring.ring || ring_drain(&nested->ring, take_entry, &of))
		return;
	around = *look_around(list, nested->owner);
	tell(list, &around, 0, refuse_one, damaged);
}

void
nested_drain(struct nested_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		drain_one(list, list->item[i]);
}

/* It is over: what is half written was said by a process that was killed. */
static void
close_ring(struct nested_list *list, struct nested *nested)
{
	static char killed[] =
	    "a process of it was killed half way through a call";
	const struct around *around;

	if (!nested->ring.ring)
		return;
	drain_one(list, nested);
	if (nested->ring.unfinished_count > 0) {
		around = look_around(list, nested->owner);
		tell(list, around, 0, refuse_one, killed);
	}
	munmap(nested->ring.ring, RING_SIZE);
	nested->ring.ring = NULL;
}

static void
open_ring(struct nested *nested, int fd)
{
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != RING_SIZE)
		return;
	map = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		ring_init(&nested->ring, map);
}

/* ---- coming and going ---- */

static void
end_watch(struct nested *nested)
{
	char **const texts[] = { &nested->cwd, &nested->tarn_dir,
		&nested->events, &nested->jobserver, &nested->library,
		&nested->ring_path };

	if (nested->state == WATCHING)
		trace_release(&nested->trace);
	nested->state = PASSING;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		free(take(*texts[i]));
}

static void
forget(struct nested_list *list, struct nested *nested)
{
	size_t i = 0;

	while (list->item[i] != nested)
		i++;
	close_ring(list, nested);
	end_watch(nested);
	close(nested->socket);
	free(nested);
	list->item[i] = list->item[--list->count];
	forget_recent();
}

void
nested_release(struct nested_list *list)
{
	while (list->count > 0)
		forget(list, list->item[list->count - 1]);
	free(list->item);
	*list = (struct nested_list){ .trace = list->trace };
}

void
nested_add(struct nested_list *list, pid_t owner, int socket)
{
	struct nested *old = owned_by(list, owner);
	struct nested *nested = xmalloc(sizeof(*nested));

	if (old) /* its number came back */
		forget(list, old);
	*nested = (struct nested){ .owner = owner, .socket = socket };
	list->item = xrealloc(list->item, list->count + 1, sizeof(*list->item));
	list->item[list->count++] = nested;
	forget_recent();
}

bool
nested_greet(struct nested_list *list, int listener, uint64_t id, pid_t pid)
{
	struct nest_greeting greeting = { .magic = NEST_MAGIC,
		.version = NEST_VERSION,
		.mode = list->count < NESTED_MAX ? NEST_OPEN : NEST_WHOLE,
		.strays = list->trace->strays };
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
	close(ends[1]);
	if (given && greeting.mode == NEST_OPEN)
		nested_add(list, pid, ends[0]);
	else
		close(ends[0]);
	return given;
}

/* ---- requests ---- */

struct report {
	const Tarn__NestRequest *request;
};

/* What the inner one looked at, and will restore, as the command's doing. */
static void
take_report(void *arg, struct trace *trace)
{
	const Tarn__NestRequest *request = ((struct report *)arg)->request;
	auto_free char *refusal = nest_text(&request->refusal);

	if (!refusal || *refusal)
		trace_refuse(trace, "%s", refusal ? refusal : "");
	trace->asked_cwd |= (request->asked & NEST_ASKED_CWD) != 0;
	trace->asked_uname |= (request->asked & NEST_ASKED_UNAME) != 0;
	trace->asked_cpu |= (request->asked & NEST_ASKED_CPU) != 0;
	trace->asked_environment |=
	    (request->asked & NEST_ASKED_ENVIRONMENT) != 0;
	trace->stranger |= (request->asked & NEST_STRANGER) != 0;
	for (size_t i = 0; i < request->n_seen; i++) {
		auto_free char *path = nest_text(&request->seen[i]->path);

		if (path && path[0] == '/')
			events_reported(trace, path, request->seen[i]->facets);
		else
			trace_refuse(trace, "an inner tarn-exec told nonsense");
	}
	for (size_t i = 0; i < request->n_made; i++) {
		const Tarn__NestMade *made = request->made[i];
		auto_free char *path = nest_text(&made->path);

		if (path && path[0] == '/')
			events_made(trace, path, (int)made->type, made->flags);
		else
			trace_refuse(trace, "an inner tarn-exec told nonsense");
	}
}

static void
start_watch(struct nested_list *list, struct nested *nested,
    const Tarn__NestRequest *request, int ring)
{
	end_watch(nested);
	nested->cwd = nest_text(&request->cwd);
	nested->tarn_dir = nest_text(&request->tarn_dir);
	nested->events = nest_text(&request->events);
	nested->jobserver = nest_text(&request->jobserver);
	nested->library = nest_text(&request->library);
	nested->ring_path = nest_text(&request->ring);
	if (!nested->cwd || !nested->tarn_dir || !nested->events ||
	    !nested->jobserver || !nested->library || !nested->ring_path)
		return;
	nested->trace = (struct trace){
		.owner = nested->owner,
		.cwd = nested->cwd,
		.root = nested->cwd,
		.tarn_dir = nested->tarn_dir,
		.events = *nested->events ? nested->events : NULL,
		.jobserver = *nested->jobserver ? nested->jobserver : NULL,
		.table = list->trace->table,
		.observe = true,
		/* Whose filter it is decides which calls can't be seen. */
		.accelerate = request->accelerate || list->trace->accelerate,
		.stranger = (request->asked & NEST_STRANGER) != 0,
		.input = -1,
		.strays = list->trace->strays,
	};
	capture_init(&nested->trace.out);
	capture_init(&nested->trace.err);
	nested->state = WATCHING;
	open_ring(nested, ring);
}

static int
answer(struct nested *nested, uint32_t kind)
{
	auto_buf data = BUF_INIT;

	if (kind == NEST_END && nested->state == WATCHING) {
		nest_trace_encode(&nested->trace, &data);
		end_watch(nested);
	}
	return nest_send(nested->socket, data.data, data.len, -1);
}

/* Around the inner one, which is around[0]. */
static void
report(struct nested_list *list, struct nested *nested,
    const Tarn__NestRequest *request)
{
	struct report report = { request };
	struct around around = *look_around(list, nested->owner);

	if (!around.known)
		refuse_all(list, "a process of it could not be placed");
	if (request->kind != NEST_END)
		tell(list, &around, 1, take_report, &report);
}

static bool
handle(struct nested_list *list, struct nested *nested,
    const Tarn__NestRequest *request, int ring)
{
	nested_drain(list);
	report(list, nested, request);
	switch (request->kind) {
	case NEST_HIT: break;
	case NEST_PASS: nested->state = PASSING; break;
	case NEST_WATCH: start_watch(list, nested, request, ring); break;
	case NEST_END: close_ring(list, nested); break;
	default: return false;
	}
	return answer(nested, request->kind) == 0;
}

/* Who is killed says nothing more of what its command did, or would have. */
static void
note_loss(struct nested_list *list, struct nested *nested)
{
	static char lost[] = "a tarn-exec in it was killed";
	struct around around = *look_around(list, nested->owner);

	if (nested->state == WATCHING)
		tell(list, &around, 0, refuse_one, lost);
}

/* One request; false if there are no more. */
static bool
serve(struct nested_list *list, struct nested *nested)
{
	Tarn__NestRequest *request = NULL;
	auto_buf data = BUF_INIT;
	int ring = -1;
	bool more = false;

	if (nest_receive(nested->socket, &data, &ring) > 0)
		request = tarn__nest_request__unpack(
		    NULL, data.len, (const uint8_t *)data.data);
	if (request) {
		more = handle(list, nested, request, ring);
		tarn__nest_request__free_unpacked(request, NULL);
	}
	if (ring >= 0)
		close(ring);
	if (!more) {
		note_loss(list, nested);
		forget(list, nested);
	}
	return more;
}

void
nested_watch(const struct nested_list *list, struct pollfd *fds)
{
	for (size_t i = 0; i < list->count; i++)
		fds[i] = (struct pollfd){ .fd = list->item[i]->socket,
			.events = POLLIN };
}

void
nested_serve(struct nested_list *list, size_t i)
{
	(void)serve(list, list->item[i]);
}

void
nested_finish(struct nested_list *list)
{
	struct pollfd fd = { .events = POLLIN };

	while (list->count > 0) {
		struct nested *last = list->item[list->count - 1];

		fd.fd = last->socket;
		if (poll(&fd, 1, 0) <= 0)
			forget(list, last);
		else
			(void)serve(list, last);
	}
}
