/*
 * What an inner and an outer tarn-exec say to each other: the first byte tells
 * whether the rest is the outer one's answer or a request of the inner one. A
 * request is served as if its process were this one's parent.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "trace/nested.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trace
new_trace(void)
{
	return (struct trace){ .program = "/bin/true",
		.cwd = "/nowhere/at/all",
		.root = "/nowhere/at/all",
		.tarn_dir = "/nowhere/tarn",
		.input = -1,
		.out = { .fd = -1 },
		.err = { .fd = -1 } };
}

/* What can be decoded says the same when it is encoded and decoded again. */
static void
try_answer(const uint8_t *data, size_t size)
{
	struct trace first = new_trace(), second = new_trace();
	auto_buf once = BUF_INIT, again = BUF_INIT;
	struct error err;

	if (nest_trace_decode(&first, data, size, &err) == 0) {
		nest_trace_encode(&first, &once);
		if (nest_trace_decode(&second, once.data, once.len, &err) < 0)
			abort();
		nest_trace_encode(&second, &again);
		if (once.len != again.len)
			abort();
	}
	trace_release(&first);
	trace_release(&second);
}

static void
try_request(const uint8_t *data, size_t size)
{
	struct trace trace = new_trace();
	struct nested_list list = { .trace = &trace };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	nested_add(&list, getppid(), ends[0]);
	if (nest_send(ends[1], data, size, -1) < 0)
		abort();
	nested_serve(&list, 0);
	nested_release(&list);
	close(ends[1]);
	trace_release(&trace);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] % 2)
		try_answer(data + 1, size - 1);
	else if (size > 0)
		try_request(data + 1, size - 1);
	return 0;
}
