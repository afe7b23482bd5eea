/* What a command prints: a little in memory, much in a file without a name. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aside.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/record.h"
#include "trace/internal.h"

void
capture_init(struct capture *capture)
{
	*capture = (struct capture){ .data = BUF_INIT, .fd = -1 };
}

void
capture_release(struct capture *capture)
{
	buf_release(&capture->data);
	if (capture->fd >= 0)
		close(capture->fd);
	capture->fd = -1;
}

static int
open_spool(struct capture *capture, const char *tarn_dir, struct error *err)
{
	capture->fd = aside_nameless(tarn_dir, err);
	if (capture->fd < 0)
		return error_wrap(err, "cannot spool what is printed");
	if (file_write_all(capture->fd, capture->data.data, capture->data.len) <
	    0)
		return error_errno(err, "cannot spool what is printed");
	return 0;
}

int
capture_add(struct capture *capture, const char *tarn_dir, const void *data,
    size_t size, struct error *err)
{
	capture->size += size;
	if (capture->fd < 0 && capture->size <= RECORD_INLINE) {
		buf_add(&capture->data, data, size);
		return 0;
	}
	if (capture->fd < 0 && open_spool(capture, tarn_dir, err) < 0)
		return -1;
	if (file_write_all(capture->fd, data, size) < 0)
		return error_errno(err, "cannot spool what is printed");
	return 0;
}
