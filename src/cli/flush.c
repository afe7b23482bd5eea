/* `tarn flush`: wait until every pending upload is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/mem.h"
#include "cli/cmd.h"
#include "locations/daemon.h"

#define GRACE_US 5000000 /* beyond the deadline, for the answer */

/* With nothing in the spool there is nothing to start tarnd for. */
static int
flush(const char *dir, uint64_t seconds, struct error *err)
{
	uint64_t wait = seconds * 1000000;
	struct channel channel;
	Tarn__DaemonAnswer *answer = NULL;
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
		fprintf(stderr, "tarn: %" PRIu64 " %s left to be stored%s%s\n",
		    left, left == 1 ? "upload is" : "uploads are",
		    *answer->text ? ": " : "", answer->text);
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
	return dir ? flush(dir, seconds, &err) : CMD_FAILED;
}

const struct cmd cmd_flush = {
	.name = "flush",
	.args = "[--deadline SPAN]",
	.summary = "wait until every pending upload is stored",
	.details =
	    "      --deadline SPAN  wait no longer, such as 30s; then tell "
	    "what is left, and fail\n",
	.run = run,
};
