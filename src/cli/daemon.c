/* `tarn daemon`: tarnd, by hand. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/version.h"
#include "cli/cmd.h"
#include "cli/format.h"
#include "locations/daemon.h"

#define ANSWER_US 5000000

/* ---- status ---- */

static void
add_place(struct buf *to, const Tarn__DaemonPlace *place)
{
	buf_addf(to, "  %s: ", place->label);
	if (place->away)
		buf_addf(to, "skipped: %s; tried again in %" PRIu64 " s",
		    place->why, place->retry_s);
	else
		buf_addf(to, "%u connections", place->connections);
	buf_addf(to, "; %" PRIu64 " reads, %" PRIu64 " hits", place->reads,
	    place->hits);
	if (place->merged)
		buf_addf(to, " (%" PRIu64 " shared)", place->merged);
	buf_addf(to, "; %" PRIu64 " uploaded, ", place->uploaded);
	format_size(to, place->uploaded_bytes);
	if (place->present)
		buf_addf(to, ", %" PRIu64 " were there", place->present);
	if (place->refused)
		buf_addf(to, ", %" PRIu64 " refused", place->refused);
	buf_addf(to, ", %" PRIu64 " wait", place->uploads);
	if (place->waited_us) {
		buf_addf(to, "; lookups took ");
		format_duration(to, place->waited_us);
	}
	if (place->latency_us) {
		buf_addf(to, "; answers in ");
		format_duration(to, place->latency_us);
	}
	if (place->rate) {
		buf_addf(to, ", ");
		format_size(to, place->rate);
		buf_addf(to, " a second");
	}
}

static void
show(const Tarn__DaemonStatus *status)
{
	auto_buf line = BUF_INIT;

	buf_addf(&line,
	    "tarnd %s runs, process %u, for %" PRIu64 " s; %u clients; %" PRIu64
	    " uploads wait, ",
	    status->version, status->pid, status->uptime_s, status->clients - 1,
	    status->uploads);
	format_size(&line, status->upload_bytes);
	buf_addf(&line, " of ");
	format_size(&line, status->spool_limit);
	format_print(&line);
	for (size_t i = 0; i < status->n_places; i++) {
		add_place(&line, status->places[i]);
		format_print(&line);
	}
}

static void
json_of_place(struct buf *to, const Tarn__DaemonPlace *place)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = { { "retry_s", place->retry_s },
		{ "waited_us", place->waited_us },
		{ "connections", place->connections },
		{ "latency_us", place->latency_us },
		{ "bytes_per_s", place->rate }, { "reads", place->reads },
		{ "hits", place->hits }, { "shared", place->merged },
		{ "uploaded", place->uploaded },
		{ "uploaded_bytes", place->uploaded_bytes },
		{ "present", place->present }, { "refused", place->refused },
		{ "uploads", place->uploads } };

	buf_add(to, "{", 1);
	format_json_text(to, "name", place->label);
	format_json_text(to, "kind", place->kind);
	format_json_flag(to, "skipped", place->away);
	format_json_text(to, "why", place->away ? place->why : NULL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		format_json_number(to, numbers[i].name, numbers[i].value);
	buf_add(to, "}", 1);
}

static void
show_json(const Tarn__DaemonStatus *status)
{
	auto_buf line = BUF_INIT;

	buf_add(&line, "{", 1);
	format_json_flag(&line, "running", status != NULL);
	if (status) {
		format_json_number(&line, "pid", status->pid);
		format_json_text(&line, "version", status->version);
		format_json_number(&line, "uptime_s", status->uptime_s);
		format_json_number(&line, "clients", status->clients - 1);
		format_json_number(&line, "uploads", status->uploads);
		format_json_number(&line, "upload_bytes", status->upload_bytes);
		format_json_number(&line, "spool_limit", status->spool_limit);
		buf_addf(&line, ",\"locations\":[");
	}
	for (size_t i = 0; status && i < status->n_places; i++) {
		if (i > 0)
			buf_add(&line, ",", 1);
		json_of_place(&line, status->places[i]);
	}
	buf_addf(&line, status ? "]}" : "}");
	format_print(&line);
}

static int
tell_status(const char *dir, bool as_json)
{
	struct error err = { 0 };
	struct channel channel;
	Tarn__DaemonStatus *status = NULL;

	if (daemon_open(dir, DAEMON_JOIN, &channel, &err) == 0)
		status = (Tarn__DaemonStatus *)daemon_ask(&channel,
		    CHANNEL_STATUS, 0, &tarn__daemon_status__descriptor,
		    clock_us() + ANSWER_US, &err);
	if (as_json)
		show_json(status);
	else if (status)
		show(status);
	else
		printf("%s\n", err.text);
	if (status)
		tarn__daemon_status__free_unpacked(status, NULL);
	channel_close(&channel);
	return status ? CMD_OK : CMD_FAILED;
}

/* ---- start and stop ---- */

/* tarnd reads them as variables, too, which is how they get there. */
static int
set(const char *option, const char *variable, const char *value)
{
	struct error err = { 0 };
	uint64_t number = 0;
	auto_free char *text = NULL;
	bool span = strcmp(option, "idle") == 0;

	if (!value)
		return CMD_OK;
	if ((span ? duration_parse : size_parse)(value, &number, &err) < 0)
		return cmd_usage(&cmd_daemon, "--%s: %s", option, err.text);
	text = xasprintf("%" PRIu64, number);
	(void)setenv(variable, text, 1);
	return CMD_OK;
}

static int
start(const char *dir, bool as_json)
{
	struct error err = { 0 };
	struct channel channel;
	int rc;

	daemon_forgive(dir);
	rc = daemon_open(dir, DAEMON_START, &channel, &err);
	channel_close(&channel);
	return rc < 0 ? cmd_fail(&err) : CMD_OK;
}

/* It has gone when it hangs up. One of another version knows no requests of ours. */
static int
stop(const char *dir, bool as_json)
{
	struct error err = { 0 };

	daemon_forgive(dir);
	return daemon_stop(dir, clock_us() + ANSWER_US, &err) < 0
	    ? cmd_fail(&err)
	    : CMD_OK;
}

static const struct {
	const char *name;
	int (*fn)(const char *dir, bool as_json);
} words[] = {
	{ "start", start },
	{ "stop", stop },
	{ "status", tell_status },
};

static int
run(int argc, char **argv)
{
	bool as_json = false;
	const char *idle = NULL, *spool = NULL;
	const struct cmd_option options[] = {
		{ .name = "json", .flag = &as_json },
		{ .name = "idle", .value = &idle },
		{ .name = "spool", .value = &spool },
		{ 0 },
	};
	auto_free char *dir = NULL;
	int status,
	    count = cmd_options(&cmd_daemon, argv, options,
	        (struct cmd_words){ 1, 1 }, &status);

	if (count < 0)
		return status;
	if (set("idle", "TARN_DAEMON_IDLE", idle) != CMD_OK ||
	    set("spool", "TARN_DAEMON_SPOOL", spool) != CMD_OK)
		return CMD_USAGE;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(argv[1], words[i].name) != 0)
			continue;
		dir = cmd_dir();
		return dir ? words[i].fn(dir, as_json) : CMD_FAILED;
	}
	return cmd_usage(&cmd_daemon,
	    "expected 'start', 'stop' or 'status', got '%s'", argv[1]);
}

const struct cmd cmd_daemon = {
	.name = "daemon",
	.args = "start|stop|status [--idle SPAN] [--spool SIZE] [--json]",
	.summary = "the helper for remote locations",
	.details = "tarn-exec starts it when it needs it, and it ends by "
	           "itself.\n'status' fails if none runs.\n"
	           "\n"
	           "  --idle SPAN   the one that is started ends after so long "
	           "without work\n"
	           "  --spool SIZE  ... and keeps so much that waits to be "
	           "uploaded\n"
	           "  --json        the status as one object\n",
	.run = run,
};
