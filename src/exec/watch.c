#include "exec/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "exec/told.h"

#define WHY_SIZE 200

bool
watch_has_proc(void)
{
	char name[32];
	ssize_t size = readlink("/proc/self", name, sizeof(name) - 1);

	if (size < 0)
		return false;
	name[size] = '\0';
	return strtol(name, NULL, 10) == getpid();
}

/* ---- what ptrace would be in the way of ---- */

static bool
is_tracer(const char *name)
{
	static const char *const names[] = { "gdb", "gdbserver", "gcore",
		"lldb", "lldb-server", "strace", "ltrace", "rr", "proot",
		"pstack", "gstack", "eu-stack", "dlv" };
	const char *slash = strrchr(name, '/');

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(slash ? slash + 1 : name, names[i]) == 0)
			return true;
	}
	return false;
}

/* The first of the words, and of what a shell would make of them, that is known
 * to use ptrace. The caller frees it; NULL: none is. */
static char *
find_tracer(const struct job *job)
{
	static const char spaces[] = " \t\n;&|()'\"`";

	for (char **word = job->options.command; *word; word++) {
		for (const char *at = *word; *at;) {
			auto_free char *part = NULL;
			size_t size;

			at += strspn(at, spaces);
			size = strcspn(at, spaces);
			part = xasprintf("%.*s", (int)size, at);
			if (is_tracer(part))
				return take(part);
			at += size;
		}
	}
	return NULL;
}

/* ---- one after the other ---- */

static int
watch_again(const struct trace *fresh, struct trace *trace, bool by_ptrace,
    struct error *err)
{
	trace_release(trace);
	*trace = *fresh;
	trace->observe = by_ptrace;
	trace->by_ptrace = by_ptrace;
	return trace_run(trace, err);
}

/* 0 or -1 as from trace_run(), or 1 if all of it is refused, and `why`. */
static int
watch(struct job *job, struct trace *trace, char *why, struct error *err)
{
	const struct trace fresh = *trace;
	auto_free char *tracer = NULL;
	const char *refused;
	int status;

	if (!watch_has_proc()) {
		snprintf(why, WHY_SIZE, "'/proc' is missing, or another's");
		return 1;
	}
	status = trace_run(trace, err);
	if (status < 0 || trace->denied == 0)
		return status;
	refused = strerrordesc_np(trace->denied);
	tracer = find_tracer(job);
	if (tracer) {
		snprintf(why, WHY_SIZE,
		    "no listener (%s), and '%.100s' takes ptrace for itself",
		    refused, tracer);
		return 1;
	}
	status = watch_again(&fresh, trace, true, err);
	if (status == 0 && trace->denied) {
		snprintf(why, WHY_SIZE, "no listener (%s), no ptrace (%s)",
		    refused, strerrordesc_np(trace->denied));
		return 1;
	}
	snprintf(job->aside, sizeof(job->aside),
	    "observed by ptrace, since there is no listener: %s", refused);
	return status;
}

/* Does it say what it reads and what it writes? A user who asks for observation
 * is not told that it was done. */
static bool
is_declared(const struct job *job)
{
	return job->options.trace < 0 && job->options.inputs.count > 0 &&
	    job->options.outputs.count > 0 && !job->found;
}

int
watch_command(struct job *job, struct trace *trace, struct error *err)
{
	const struct trace fresh = *trace;
	char why[WHY_SIZE];
	int status;

	if (job->tools)
		return told_run(job, trace, err);
	if (!trace->observe || trace->nest)
		return trace_run(trace, err);
	status = watch(job, trace, why, err);
	if (status <= 0)
		return status;
	if (is_declared(job)) {
		snprintf(job->aside, sizeof(job->aside),
		    "it could not be observed: %s", why);
		return 1;
	}
	if (told_begin(job)) {
		snprintf(job->aside, sizeof(job->aside),
		    "what its depfile tells, since it could not be observed: "
		    "%s",
		    why);
		return 1;
	}
	job->hint = "with --input and --output for all that it reads and "
	            "writes it could be kept without being observed";
	status = watch_again(&fresh, trace, false, err);
	trace_refuse(trace, "it could not be observed: %s%s%s", why,
	    job->told_not[0] ? "; nor does it tell all: " : "", job->told_not);
	return status;
}
