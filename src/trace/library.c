#include "trace/library.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/table.h"

extern const unsigned char observe_so[], observe_so_end[];

static bool
is_whole(const char *path, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *data = NULL;

	if (fd < 0)
		return false;
	data = xmalloc(size + 1);
	return read(fd, data, size + 1) == (ssize_t)size &&
	    memcmp(data, observe_so, size) == 0;
}

char *
library_path(const char *tarn_dir, struct error *err)
{
	size_t size = (size_t)(observe_so_end - observe_so);
	struct mixer m = MIXER_INIT;
	auto_free char *path = NULL;
	struct statvfs fs;

	mixer_add_bytes(&m, observe_so, size);
	path = xasprintf("%s/lib/observe-%016llx.so", tarn_dir,
	    (unsigned long long)m.lane[0]);
	if (!is_whole(path, size) &&
	    (file_make_parents(path, err) < 0 ||
	        file_replace(path, observe_so, size, 0444, err) < 0))
		return NULL;
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC)) {
		error_set(err, ERROR_DENIED,
		    "'%s' is on a file system that runs nothing", path);
		return NULL;
	}
	return take(path);
}

int
library_fits(const char *program)
{
	auto_close int fd = open(program, O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64)
		return 0;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		off_t at = (off_t)(head.e_phoff + i * sizeof(part));

		if (pread(fd, &part, sizeof(part), at) != sizeof(part))
			return 0;
		if (part.p_type == PT_INTERP)
			return 1;
	}
	return 0;
}
