/* What `tarn doctor` looks at in TARN_DIR, and in lakes on disks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "cli/format.h"

#define OLD_S 3600             /* nothing takes so long to be put in place */
#define FREE_BYTES (64u << 20) /* below that nothing can be kept */

/* ---- file systems ---- */

static const struct {
	long type;
	const char *name, *trouble, *mend;
} systems[] = {
	{ NFS_SUPER_MAGIC, "NFS",
	    "each look-up of the digest table and of the lake goes over the "
	    "network, and one tarnd has to do for all hosts",
	    "set TARN_DIR to a local disk, and make the lake on NFS a level "
	    "behind it" },
	{ SMB2_SUPER_MAGIC, "SMB", "locks and links may be missing",
	    "set TARN_DIR to a local disk" },
	{ (long)CIFS_SUPER_MAGIC, "CIFS", "locks and links may be missing",
	    "set TARN_DIR to a local disk" },
	{ FUSE_SUPER_MAGIC, "FUSE", "what it can do is not known",
	    "set TARN_DIR to a local disk" },
	{ V9FS_MAGIC, "9p", "files without names may be missing",
	    "set TARN_DIR to a local disk" },
	{ TMPFS_MAGIC, "tmpfs", "what is there is gone with the next start",
	    "set TARN_DIR to a disk, if the cache is to last" },
	{ RAMFS_MAGIC, "ramfs", "what is there is gone with the next start",
	    "set TARN_DIR to a disk, if the cache is to last" },
	{ OVERLAYFS_SUPER_MAGIC, "overlayfs", NULL, NULL },
	{ EXT4_SUPER_MAGIC, "ext4", NULL, NULL },
	{ XFS_SUPER_MAGIC, "xfs", NULL, NULL },
	{ BTRFS_SUPER_MAGIC, "btrfs", NULL, NULL },
	{ F2FS_SUPER_MAGIC, "f2fs", NULL, NULL },
	{ 0x2fc12fc1, "zfs", NULL, NULL },
	{ (long)0xca451a4e, "bcachefs", NULL, NULL },
	{ 0, "of a kind that is not known here", NULL, NULL },
};

static size_t
system_of(const struct statfs *fs)
{
	size_t i = 0;

	while (systems[i].type && systems[i].type != (long)fs->f_type)
		i++;
	return i;
}

/* Do two files there share their storage when asked to? */
static bool
shares(const char *folder)
{
	auto_free char *a = xasprintf("%s/from", folder);
	auto_free char *b = xasprintf("%s/to", folder);
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
	auto_close int from = open(a, flags, 0600);
	auto_close int to = open(b, flags, 0600);
	char block[8192] = { 1 };

	return from >= 0 && to >= 0 &&
	    file_write_all(from, block, sizeof(block)) == 0 &&
	    ioctl(to, FICLONE, from) == 0;
}

static void
describe(struct doctor *doctor, const struct statfs *fs)
{
	size_t i = system_of(fs);
	auto_buf text = BUF_INIT;

	buf_addf(&text, "'%s' is on %s, ", doctor->tarn_dir, systems[i].name);
	format_size(&text, (uint64_t)fs->f_bavail * (uint64_t)fs->f_bsize);
	buf_addf(&text, " free; copies %s storage",
	    shares(doctor->scratch) ? "share" : "don't share");
	if (!systems[i].trouble) {
		doctor_ok(doctor, "%s", text.data);
		return;
	}
	doctor_note(doctor, "%s; %s", text.data, systems[i].trouble);
	doctor_mend(doctor, "%s", systems[i].mend);
}

static bool
is_private(struct doctor *doctor)
{
	struct stat st;

	if (stat(doctor->tarn_dir, &st) < 0 ||
	    (st.st_uid == geteuid() && (st.st_mode & S_IWOTH) == 0))
		return true;
	doctor_wrong(doctor, "'%s' %s", doctor->tarn_dir,
	    st.st_uid == geteuid() ? "may be written to by anybody"
	                           : "belongs to another user");
	if (st.st_uid == geteuid())
		doctor_mend(doctor, "chmod o-w '%s'", doctor->tarn_dir);
	else
		doctor_mend(doctor,
		    "set TARN_DIR to a folder of your own; to share, add a "
		    "lake as a further level");
	return false;
}

void
doctor_folder(struct doctor *doctor)
{
	auto_free char *scratch = NULL;
	struct error err = { 0 };
	struct statfs fs;

	if (!doctor->tarn_dir) {
		doctor_wrong(doctor, "neither TARN_DIR nor HOME is set");
		doctor_mend(doctor, "export TARN_DIR=/var/tmp/tarn-$(id -u)");
		return;
	}
	scratch = xasprintf("%s/doctor.XXXXXX", doctor->tarn_dir);
	if (file_make_folder(doctor->tarn_dir, &err) < 0 || !mkdtemp(scratch)) {
		doctor_wrong(doctor, "'%s' can't be written to: %s",
		    doctor->tarn_dir, strerror(errno));
		doctor_mend(doctor,
		    "set TARN_DIR to a folder of your own on a disk with "
		    "room");
		return;
	}
	doctor->scratch = take(scratch);
	(void)is_private(doctor);
	if (statfs(doctor->scratch, &fs) < 0)
		return;
	if ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= FREE_BYTES ||
	    system_of(&fs) == 0) {
		describe(doctor, &fs);
		return;
	}
	doctor_wrong(
	    doctor, "the file system of '%s' is full", doctor->tarn_dir);
	doctor_mend(
	    doctor, "tarn gc --max-size 1GiB, or set TARN_DIR elsewhere");
}

/* ---- what killed ones left ---- */

static bool
is_old(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec + OLD_S < time(NULL);
}

/* Those whose names begin so, for longer than anything takes. */
static unsigned
count_old(const char *folder, const char *start)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned count = 0;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    strncmp(entry->d_name, start, strlen(start)) != 0)
			continue;
		count += is_old(dirfd(dir), entry->d_name);
	}
	if (dir)
		closedir(dir);
	return count;
}

static unsigned
tell_old(struct doctor *doctor, const char *folder, const char *start)
{
	unsigned count = count_old(folder, start);

	if (count == 0)
		return 0;
	doctor_note(doctor, "%u old temporary %s in '%s'", count,
	    count == 1 ? "file" : "files", folder);
	doctor_mend(doctor,
	    "find '%s' -maxdepth 1 -mindepth 1 -name '%s*' "
	    "-mmin +60 -exec rm -r {} +",
	    folder, start);
	return count;
}

void
doctor_leftovers(struct doctor *doctor)
{
	static const struct {
		const char *folder, *start;
	} places[] = { { "", ".tarn-" }, { "", "doctor." },
		{ "/config", ".tarn-" }, { "/lib", ".tarn-" },
		{ "/daemon", ".tarn-" }, { "/lake/.tmp", "" } };
	unsigned count = 0;

	if (!doctor->tarn_dir)
		return;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		auto_free char *folder =
		    xasprintf("%s%s", doctor->tarn_dir, places[i].folder);

		count += tell_old(doctor, folder, places[i].start);
	}
	if (count == 0)
		doctor_ok(doctor, "no old temporary files");
}
