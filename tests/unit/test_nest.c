/* The messages between an inner and an outer tarn-exec. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/check.h"
#include "trace/internal.h"
#include "trace/nest.h"

static struct trace
new_trace(void)
{
	return (struct trace){ .out = { .fd = -1 }, .err = { .fd = -1 } };
}

Test(nest, a_trace_comes_back_as_it_was)
{
	struct trace from = new_trace(), to = new_trace();
	struct touched *t = touched_get(&from, "/a/file");
	auto_buf data = BUF_INIT;
	struct error err;

	t->facets = FACET_CONTENT | FACET_TIME;
	t->stamped = t->digested = t->written = t->probed = true;
	t->stamp = (struct stamp){ 1, 2, 3, -4, 5 };
	t->digest.bytes[31] = 7;
	t->before = S_IFREG;
	t->mode = S_IFREG | 0644;
	touched_get(&from, "/b")->facets = FACET_ABSENT;
	from.asked_cpu = true;
	trace_refuse(&from, "because");
	nest_trace_encode(&from, &data);

	check_int(nest_trace_decode(&to, data.data, data.len, &err), 0);
	check_int(to.count, 2);
	t = trace_find(&to, "/a/file");
	cr_assert_not_null(t);
	check_int(t->facets, FACET_CONTENT | FACET_TIME);
	cr_assert(t->stamped && t->digested && t->written && t->probed);
	cr_assert_not(t->fresh || t->listed || t->linked || t->tree);
	cr_assert(stamp_equal(&t->stamp, &(struct stamp){ 1, 2, 3, -4, 5 }));
	check_int(t->digest.bytes[31], 7);
	check_int(t->before, S_IFREG);
	check_int(t->mode, S_IFREG | 0644);
	cr_assert(to.asked_cpu && !to.asked_cwd);
	check_str(to.refusal, "because");
	trace_release(&from);
	trace_release(&to);
}

Test(nest, a_trace_that_is_cut_short_is_none)
{
	struct trace from = new_trace();
	auto_buf data = BUF_INIT;

	touched_get(&from, "/a/file")->digested = true;
	nest_trace_encode(&from, &data);
	for (size_t size = 1; size < data.len; size++) {
		struct trace to = new_trace();
		struct error err;

		cr_assert_eq(nest_trace_decode(&to, data.data, size, &err), -1,
		    "%zu of %zu bytes", size, data.len);
		trace_release(&to);
	}
	trace_release(&from);
}

Test(nest, messages_bring_their_descriptor)
{
	int ends[2], fd = -1;
	auto_buf data = BUF_INIT;

	check_int(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	check_int(nest_send(ends[0], "some bytes", 10, ends[0]), 0);
	check_int(nest_receive(ends[1], &data, &fd), 1);
	check_int(data.len, 10);
	check_str(data.data, "some bytes");
	cr_assert(fd >= 0);
	close(fd);
	check_int(send(ends[0], "nonsense", 8, 0), 8);
	check_int(nest_receive(ends[1], &data, &fd), -1);
	close(ends[0]);
	check_int(nest_receive(ends[1], &data, &fd), 0);
	close(ends[1]);
}
