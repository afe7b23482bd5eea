/* `tarn flush`: wait until every pending upload is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "locations/daemon.h"

#define SHOWN 10         /* of what was refused */
#define GRACE_US 5000000 /* beyond the deadline, for the answer */

/* Those of the far end's words that can't be trusted with a terminal go. */
static void
tell(struct buf *line)
{
	format_harmless(line);
	fprintf(stderr, "tarn: %s\n", line->data);
	buf_reset(line);
}

/* What tarnd had to give up since somebody was told last. */
static int
tell_refused(const char *dir)
{
	auto_free char *path = xasprintf("%s/daemon/refused", dir);
	auto_free char *told = xasprintf("%s/daemon/refused.told", dir);
	auto_buf text = BUF_INIT, line = BUF_INIT;
	struct error err;
	unsigned count = 0;

	if (rename(path, told) < 0 || buf_read_file(&text, told, &err) < 0)
		return CMD_OK;
	for (char *at = text.data, *end; *at; at = end + (*end == '\n')) {
		end = at + strcspn(at, "\n");
		if (count++ < SHOWN) {
			buf_addf(
			    &line, "not stored: %.*s", (int)(end - at), at);
			tell(&line);
		}
	}
	if (count > SHOWN)
		fprintf(stderr, "tarn: ... and %u more, in '%s'\n",
		    count - SHOWN, told);
	return count > 0 ? CMD_FAILED : CMD_OK;
}

/* With nothing in the spool there is nothing to start tarnd for. */
static int
flush(const char *dir, uint64_t seconds, struct error *err)
{
	uint64_t wait = seconds * 1000000;
	struct channel channel;
	Tarn__DaemonAnswer *answer = NULL;
	auto_buf line = BUF_INIT;
	uint64_t left;
	int rc;

	daemon_forgive(dir);
	if (daemon_open(dir, daemon_has_spool(dir) ? DAEMON_START : DAEMON_JOIN,
	        &channel, err) == 0)
		answer = (Tarn__DaemonAnswer *)daemon_ask(&channel,
		    CHANNEL_FLUSH, wait, &tarn__daemon_answer__descriptor,
		    seconds ? clock_us() + (int64_t)wait + GRACE_US : 0, err);
	else if (!daemon_has_spool(dir))
		return CMD_OK;
	channel_close(&channel);
	if (!answer)
		return cmd_fail(err);
	left = answer->number;
	rc = left == 0 ? CMD_OK : CMD_FAILED;
	if (left > 0)
		buf_addf(&line, "%" PRIu64 " %s left to be stored%s%s", left,
		    left == 1 ? "upload is" : "uploads are",
		    *answer->text ? ": " : "", answer->text);
	if (left > 0)
		tell(&line);
	tarn__daemon_answer__free_unpacked(answer, NULL);
	return rc;
}

static int
run(int argc, char **argv)
{
	const char *deadline = NULL;
	const struct cmd_option options[] = {
		{ .name = "deadline", .value = &deadline },
		{ 0 },
	};
	struct error err = { 0 };
	auto_free char *dir = NULL;
	uint64_t seconds = 0;
	int status,
	    count = cmd_options(
	        &cmd_flush, argv, options, (struct cmd_words){ 0, 0 }, &status);

	if (count < 0)
		return status;
	if (deadline && duration_parse(deadline, &seconds, &err) < 0)
		return cmd_usage(&cmd_flush, "--deadline: %s", err.text);
	if (deadline && seconds == 0)
		return cmd_usage(
		    &cmd_flush, "--deadline: expected a second or more");
	dir = cmd_dir();
	if (!dir)
		return CMD_FAILED;
	status = flush(dir, seconds, &err);
	return tell_refused(dir) == CMD_OK ? status : CMD_FAILED;
}

const struct cmd cmd_flush = {
	.name = "flush",
	.args = "[--deadline SPAN]",
	.summary = "wait until every pending upload is stored",
	.details =
	    "      --deadline SPAN  wait no longer, such as 30s; then tell "
	    "what is left, and fail\n"
	    "\n"
	    "It fails, too, if something was refused since the last time, or "
	    "was damaged, and\n"
	    "says what.\n",
	.run = run,
};
