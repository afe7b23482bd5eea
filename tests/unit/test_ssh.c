/* What ssh's files say about a host. */
#include <criterion/criterion.h>
#include <string.h>

#include "remote/known_hosts.h"
#include "remote/scp_protocol.h"
#include "remote/ssh_config.h"
#include "support/check.h"

static int
read_text(struct ssh_host *host, const char *name, const char *text,
    struct error *err)
{
	ssh_host_init(host, name, "/home/me", "me");
	if (ssh_config_parse(host, "cfg", NULL, text, strlen(text), err) < 0)
		return -1;
	return ssh_host_finish(host, err);
}

static const struct {
	const char *text, *host_name, *user, *key;
	unsigned port;
} configs[] = {
	{ "", NULL, NULL, NULL, 0 },
	{ "Host nick\n HostName there\n Port=2222\nUser = u\n", "there", "u",
	    NULL, 2222 },
	{ "hostname %h.example\nIdentityFile ~/k-%h-%r-%%\n", "nick.example",
	    NULL, "/home/me/k-nick.example-me-%", 0 },
	{ "Host *\nUser one\nHost nick\nUser two\n", NULL, "one", NULL, 0 },
	{ "Host n?c* !nick\nUser one\n", NULL, NULL, NULL, 0 },
	{ "Host other nick # said\nUser \"a b\" # c\n", NULL, "a b", NULL, 0 },
	{ "Host other\nMatch exec true\nHost other\nPort 3\n", NULL, NULL, NULL,
	    0 },
	{ "Match host nick,x user me\nUser m\n", NULL, "m", NULL, 0 },
	{ "Match !host nick\nUser m\nMatch all\nPort 9\n", NULL, NULL, NULL,
	    9 },
	{ "Match originalhost other exec true\nUser m\n", NULL, NULL, NULL, 0 },
	{ "ProxyJump none\nProxyCommand nc %h\n", NULL, NULL, NULL, 0 },
};

static void
check_text(const char *got, const char *want)
{
	check((got == NULL) == (want == NULL));
	if (got && want)
		check_str(got, want);
}

Test(ssh_config, is_read_as_ssh_reads_it)
{
	for (size_t i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
		struct ssh_host host;
		struct error err = { 0 };

		check_int(read_text(&host, "nick", configs[i].text, &err), 0);
		check_str(err.text, "");
		check_text(host.host_name, configs[i].host_name);
		check_text(host.user, configs[i].user);
		check_text(
		    host.keys.count ? host.keys.item[0] : NULL, configs[i].key);
		check_int(host.port, configs[i].port);
		ssh_host_release(&host);
	}
}

static const struct {
	const char *text, *message;
} mistakes[] = {
	{ "\nPort x\n", "'cfg' line 2: expected a port, got 'x'" },
	{ "User\n", "'cfg' line 1: 'User' has no value" },
	{ "Match exec true\nPort 2\n", "'cfg' line 2: whether 'Port' is for" },
	{ "Match final\nUser x\n", "up to line 1" },
	{ "Host *\nProxyJump gate\n", "(line 2 of 'cfg': ProxyJump)" },
	{ "ProxyCommand nc\n", "(line 1 of 'cfg': ProxyCommand)" },
	{ "IdentityFile %C\n", "expected none of its tokens but" },
};

Test(ssh_config, names_what_it_cannot_follow)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		struct ssh_host host;
		struct error err = { 0 };

		check_int(read_text(&host, "nick", mistakes[i].text, &err), -1);
		check_int(err.kind, ERROR_USAGE);
		if (!strstr(err.text, mistakes[i].message))
			check_str(err.text, mistakes[i].message);
		ssh_host_release(&host);
	}
}

/* A key is a type in front of anything. */
#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAAQE="
#define OTHER "AAAAC3NzaC1lZDI1NTE5AAAAAQI="
static const unsigned char key[] = { 0, 0, 0, 11, 's', 's', 'h', '-', 'e', 'd',
	'2', '5', '5', '1', '9', 0, 0, 0, 1, 1 };

static const struct {
	const char *text;
	enum known known;
} lines[] = {
	{ "", KNOWN_NOT },
	{ "[cache]:2222 ssh-ed25519 " KEY "\n", KNOWN },
	{ "[CACHE]:2222 ssh-ed25519 " KEY " comment", KNOWN },
	{ "cache ssh-ed25519 " KEY "\n", KNOWN_NOT },
	{ "x,[c*]:2222\tssh-ed25519 " KEY "\n", KNOWN },
	{ "*,![cache]:2222 ssh-ed25519 " KEY "\n", KNOWN_NOT },
	{ "* ssh-ed25519 " OTHER "\n", KNOWN_OTHER },
	{ "* ssh-ed25519 " OTHER "\n* ssh-ed25519 " KEY "\n", KNOWN },
	{ "@revoked * ssh-ed25519 " KEY "\n* ssh-ed25519 " KEY "\n",
	    KNOWN_REVOKED },
	{ "@revoked * ssh-ed25519 " OTHER "\n", KNOWN_NOT },
	{ "@cert-authority * ssh-ed25519 " KEY "\n", KNOWN_NOT },
	{ "# * ssh-ed25519 " KEY "\n", KNOWN_NOT },
	{ "* ssh-rsa " KEY "\n", KNOWN_NOT },
	{ "* ssh-ed25519 " KEY "=\n", KNOWN_NOT },
};

Test(known_hosts, say_whose_key_it_is)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct known_hosts known = { 0 };
		const struct known_key *which;

		known_hosts_parse(&known, "[cache]:2222", "f", lines[i].text,
		    strlen(lines[i].text));
		check_int(known_hosts_check(&known, key, sizeof(key), &which),
		    lines[i].known);
		known_hosts_release(&known);
	}
}

Test(scp, takes_only_lines_that_are_whole)
{
	struct far_stat st = { 0 };
	enum scp_line what;
	const char *name;
	struct error err;
	char hex[DIGEST_HEX + 1];

	check_int(scp_parse_line("C0444 12 a b", 12, &what, &st, &err), 0);
	check_int(what, SCP_FILE);
	check_int(st.size, 12);
	check_int(scp_parse_line("T5 0 6", 6, &what, &st, &err), -1);
	check_int(scp_parse_line("T5 0 6 0", 8, &what, &st, &err), 0);
	check_int(scp_parse_line("C0444 -1 a", 10, &what, &st, &err), -1);
	check_int(scp_parse_line("motd", 4, &what, &st, &err), -1);
	check(scp_parse_stat("81a4 0 7 12 5 6 ./ab/c", &st, &name));
	check_int(st.mode, 0100644);
	check_int(st.gid, 7);
	check_str(name, "./ab/c");
	check(!scp_parse_stat("stat: cannot stat 'x'", &st, &name));
	check(!scp_parse_key(name, hex));
	check_int(scp_parse_df("/dev/sda1 100 50 7 88% /mnt a"), 7 * 1024);
	check(scp_parse_df("Filesystem 1024-blocks Used Available Capacity") ==
	    UINT64_MAX);
}
