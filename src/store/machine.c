#include "store/machine.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

static void
add_line(struct buf *to, const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (at)
		buf_add(to, at, strcspn(at, "\n"));
}

void
machine_add_cpu(struct buf *to)
{
	auto_buf text = BUF_INIT;
	struct error err;
	cpu_set_t ours;
	char *second;

	CPU_ZERO(&ours);
	(void)sched_getaffinity(0, sizeof(ours), &ours);
	buf_addf(
	    to, "%ld %d ", sysconf(_SC_NPROCESSORS_ONLN), CPU_COUNT(&ours));
	if (buf_read_file(&text, "/proc/cpuinfo", &err) < 0)
		return;
	second = strstr(text.data, "\n\n");
	if (second)
		*second = '\0';
	add_line(to, text.data, "vendor_id");
	add_line(to, text.data, "model name");
	add_line(to, text.data, "flags");
	add_line(to, text.data, "Features");
}
