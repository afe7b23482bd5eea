/* What config.yml says of a lake, read but once. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "locations/lake.h"

bool
lake_keeps_marks(const struct lake *lake)
{
	return lake->wish.config.usage || lake->config.usage;
}

/* ---- config.yml ---- */

/* Returns 1, 0 if there is none, or -1. */
static int
stat_config(const char *path, struct lake_stamp *stamp, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR
		    ? 0
		    : error_errno(err, "cannot stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_CORRUPT,
		    "'%s' is not a file; expected one", path);
	lake_stamp_init(stamp, &st);
	return 1;
}

/* ---- the compiled form ---- */

/*
 * What doesn't fit is as good as not there. It is put down by those who find it
 * missing, but in no lake that tarn does not write to anyway, and for no file that
 * could still change unnoticed. The usual config.yml is read as quickly itself.
 */
#define COMPILED "config"

static bool
load_compiled(const struct lake *lake, struct lake_config *config)
{
	auto_free char *path =
	    xasprintf("%s/" LAKE_TOOLS "/" COMPILED, lake->root);
	auto_close int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned char data[LAKE_COMPILED_SIZE];

	return fd >= 0 && read(fd, data, sizeof(data)) == sizeof(data) &&
	    lake_config_decode(config, &lake->stamp, data, sizeof(data));
}

static void
store_compiled(struct lake *lake, const struct lake_config *config)
{
	auto_free char *folder = xasprintf("%s/" LAKE_TOOLS, lake->root);
	auto_free char *path = xasprintf("%s/" COMPILED, folder);
	auto_lake_file file = LAKE_FILE_INIT;
	unsigned char data[LAKE_COMPILED_SIZE];
	struct error ignored;

	if (!lake_stamp_settled(&lake->stamp) || access(folder, W_OK) < 0 ||
	    lake_learn_policy(lake, &ignored) < 0)
		return;
	lake_config_encode(config, &lake->stamp, data);
	if (lake_create(lake, &file, COMPILED, &ignored) == 0 &&
	    file_write_all(file.fd, data, sizeof(data)) == 0)
		(void)lake_publish(lake, &file, path, 0444, true, &ignored);
}

/* ---- knowing it ---- */

/* One try. The stamp is taken before the text: what comes later shows. */
static int
parse_config(struct lake *lake, const char *path, struct lake_config *config,
    struct error *err)
{
	bool usual = false;
	auto_buf text = BUF_INIT;
	int there = stat_config(path, &lake->stamp, err);

	if (there <= 0)
		return there;
	usual = lake->stamp.size == LAKE_CONFIG_USUAL;
	if (!usual && load_compiled(lake, config))
		return 1;
	there = buf_read_bounded(&text, path, LAKE_CONFIG_MAX, err);
	if (there <= 0)
		return there;
	if (lake_config_parse(config, text.data, text.len, err) < 0)
		return error_wrap(err, "'%s'", path);
	if (!usual)
		store_compiled(lake, config);
	return 1;
}

/* The Python library makes it in two steps: it may be empty for a moment. */
static int
load_config(struct lake *lake, const char *path, struct lake_config *config,
    struct error *err)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };

	for (int tries = 0;; tries++) {
		int there = parse_config(lake, path, config, err);

		if (there >= 0 || err->kind != ERROR_CORRUPT || tries == 4 ||
		    lake_stamp_settled(&lake->stamp))
			return there;
		(void)nanosleep(&nap, NULL);
	}
}

static int
check_wish(const struct lake *lake, const struct lake_config *config,
    struct error *err)
{
	const struct layout *wanted = &lake->wish.config.layout;
	auto_buf has = BUF_INIT;
	auto_buf want = BUF_INIT;

	if (!wanted->count || layout_equal(wanted, &config->layout))
		return 0;
	layout_show(&config->layout, &has, "[", ", ", "]");
	layout_show(wanted, &want, "[", ", ", "]");
	return error_set(err, ERROR_USAGE,
	    "the lake '%s' has levels %s; expected %s, as it is configured "
	    "here",
	    lake->root, has.data, want.data);
}

int
lake_layout(struct lake *lake, struct error *err)
{
	auto_free char *path = NULL;
	struct lake_config config;
	int there;

	if (lake->known)
		return 1;
	path = xasprintf("%s/" LAKE_CONFIG_FILE, lake->root);
	there = load_config(lake, path, &config, err);
	if (there <= 0)
		return there;
	if (check_wish(lake, &config, err) < 0)
		return -1;
	lake->config = config;
	lake->layout = config.layout;
	lake->known = true;
	return 1;
}

bool
lake_is_as_known(const struct lake *lake)
{
	auto_free char *path = xasprintf("%s/" LAKE_CONFIG_FILE, lake->root);
	struct lake_stamp now;
	struct error ignored;

	return stat_config(path, &now, &ignored) == 1 &&
	    lake_stamp_equal(&now, &lake->stamp);
}
