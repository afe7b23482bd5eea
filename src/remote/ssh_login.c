#include "remote/ssh_login.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "remote/ssh_agent.h"

struct login {
	struct ssh *ssh;
	const struct ssh_host *host;
	const char *user;
	struct buf tried; /* what came of it, for people */
	bool lost;        /* the connection, so that there is no next try */
	struct error *err;
};

static const char no_rsa[] =
    "is an RSA key, which libssh2 " LIBSSH2_VERSION
    " can sign with only by SHA-1, which servers refuse: "
    "make another one with ssh-keygen -t ed25519";

static void note(struct login *login, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
note(struct login *login, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	buf_addf(&login->tried, "%s%s", login->tried.len ? "; " : "",
	    text ? text : "");
}

/* True: we are in. Otherwise there may be a next try. */
static bool
judge(struct login *login, int rc, const char *what)
{
	char *text = NULL;

	if (rc == 0)
		return true;
	switch (rc) {
	case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
	case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
		note(login, "%s was refused", what);
		return false;
	case LIBSSH2_ERROR_FILE:
	case LIBSSH2_ERROR_METHOD_NONE:
	case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
		(void)libssh2_session_last_error(
		    login->ssh->session, &text, NULL, 0);
		note(login, "%s can't be used: %s", what, text ? text : "");
		return false;
	default:
		login->lost = true;
		ssh_fail(login->ssh, "log in", login->err);
		return false;
	}
}

/* ---- the agent ---- */

struct signing {
	struct ssh_agent *agent;
	const struct ssh_agent_key *key;
	struct error err;
};

static int
sign(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_len,
    const unsigned char *data, size_t size, void **abstract)
{
	struct signing *signing = *abstract;
	auto_buf signature = BUF_INIT;

	(void)session;
	if (ssh_agent_sign(signing->agent, signing->key, data, size, &signature,
	        &signing->err) < 0)
		return -1;
	*sig_len = signature.len;
	*sig = (unsigned char *)buf_take(&signature); /* libssh2 frees it */
	return 0;
}

static bool
try_agent_key(struct login *login, struct ssh_agent *agent,
    const struct ssh_agent_key *key)
{
	struct signing signing = { .agent = agent, .key = key };
	void *abstract = &signing;
	auto_free char *what =
	    xasprintf("the agent's %.*s key", (int)key->type_len, key->type);
	int rc;

	do
		rc = libssh2_userauth_publickey(login->ssh->session,
		    login->user, key->data, key->size, sign, &abstract);
	while (ssh_again(login->ssh, rc));
	if (signing.err.kind != ERROR_NONE) {
		note(login, "%s can't be used: %s", what, signing.err.text);
		return false;
	}
	return judge(login, rc, what);
}

static bool
is_type(const struct ssh_agent_key *key, const char *type)
{
	return key->type_len == strlen(type) &&
	    memcmp(key->type, type, key->type_len) == 0;
}

static bool
can_use(const struct ssh_agent_key *key)
{
	static const char *const types[] = { "ssh-ed25519",
		"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp521" };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (is_type(key, types[i]))
			return true;
	}
	return false;
}

/* The second word of FILE.pub, in bytes, is this key. */
static bool
is_public_of(const char *path, const struct ssh_agent_key *key)
{
	auto_free char *pub = xasprintf("%s.pub", path);
	auto_buf text = BUF_INIT;
	auto_free unsigned char *data = NULL;
	struct error ignored;
	char *word, *next;
	int size;

	if (buf_read_file(&text, pub, &ignored) < 0)
		return false;
	next = text.data;
	(void)strsep(&next, " ");
	word = next ? strsep(&next, " \n") : NULL;
	if (!word || strlen(word) > 16384)
		return false;
	data = xmalloc(strlen(word) + 4);
	size = EVP_DecodeBlock(data, (unsigned char *)word, (int)strlen(word));
	return size >= (int)key->size && size <= (int)key->size + 2 &&
	    memcmp(data, key->data, key->size) == 0;
}

/* With IdentitiesOnly, or a key of the location's own, no others. */
static bool
may_use(const struct login *login, const struct ssh_agent_key *key)
{
	const struct ssh_texts *keys = &login->host->keys;

	if (login->ssh->key)
		return is_public_of(login->ssh->key, key);
	if (login->host->keys_only <= 0)
		return true;
	for (size_t i = 0; i < keys->count; i++) {
		if (is_public_of(keys->item[i], key))
			return true;
	}
	return false;
}

static bool
try_agent_keys(struct login *login, struct ssh_agent *agent)
{
	auto_buf answer = BUF_INIT;
	struct ssh_agent_key key;
	struct error why = { 0 };
	size_t at = 0;

	if (ssh_agent_keys(agent, &answer, &why) < 0) {
		note(login, "%s", why.text);
		return false;
	}
	while (!login->lost && ssh_agent_next(&answer, &at, &key) > 0) {
		if (!may_use(login, &key))
			continue;
		if (is_type(&key, "ssh-rsa"))
			note(login, "one in the agent %s", no_rsa);
		else if (can_use(&key) && try_agent_key(login, agent, &key))
			return true;
	}
	return false;
}

static bool
try_agent(struct login *login)
{
	const char *path = login->host->agent;
	struct ssh_agent agent;
	struct error why = { 0 };
	bool in;

	if (path && strcmp(path, "none") == 0)
		return false;
	if (!path || strcmp(path, "SSH_AUTH_SOCK") == 0)
		path = getenv("SSH_AUTH_SOCK");
	if (!path || !*path)
		return false;
	if (ssh_agent_open(&agent, login->ssh, path, &why) < 0) {
		note(login, "%s", why.text);
		return false;
	}
	in = try_agent_keys(login, &agent);
	ssh_agent_close(&agent);
	login->ssh->late = false;
	return in;
}

/* ---- keys in files ---- */

/*
 * "openssh-key-v1", the cipher, how the passphrase becomes a key, and then the public
 * key, which begins with its type: all of it in the clear.
 */
static struct ssh_key_look
look_at_openssh(const unsigned char *data, size_t size)
{
	static const unsigned char rsa[] = { 0, 0, 0, 7, 's', 's', 'h', '-',
		'r', 's', 'a' };
	static const unsigned char none[] = { 0, 0, 0, 4, 'n', 'o', 'n', 'e' };
	struct ssh_key_look look = { .encrypted = true };

	if (size < 15 + sizeof(none))
		return (struct ssh_key_look){ 0 };
	look.encrypted = memcmp(data + 15, none, sizeof(none)) != 0;
	look.rsa = memmem(data, size < 256 ? size : 256, rsa, sizeof(rsa));
	return look;
}

struct ssh_key_look
ssh_key_look(const char *text, size_t size)
{
	static const char head[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
	unsigned char data[512];
	char line[sizeof(data)];
	size_t len = 0;
	int got;

	if (size < sizeof(head) || memcmp(text, head, sizeof(head) - 1) != 0)
		return (struct ssh_key_look){
			.rsa = memmem(text, size, "BEGIN RSA ", 10),
			.encrypted = memmem(text, size, "ENCRYPTED", 9),
		};
	for (size_t i = sizeof(head); i < size && text[i] != '-'; i++) {
		if (text[i] > ' ' && len < sizeof(line) - 4)
			line[len++] = text[i];
	}
	len -= len % 4;
	got = EVP_DecodeBlock(data, (unsigned char *)line, (int)len);
	return look_at_openssh(data, got < 0 ? 0 : (size_t)got);
}

static bool
try_key(struct login *login, const char *path, bool must)
{
	struct ssh *ssh = login->ssh;
	auto_free char *what = xasprintf("'%s'", path);
	auto_buf text = BUF_INIT;
	struct error why = { 0 };
	struct ssh_key_look look;
	size_t noted = login->tried.len;
	int rc;

	if (buf_read_file(&text, path, &why) < 0) {
		if (must || why.sys != ENOENT)
			note(login, "%s", why.text);
		return false;
	}
	look = ssh_key_look(text.data, text.len);
	explicit_bzero(text.data, text.len);
	if (look.encrypted && !ssh->passphrase) {
		note(login,
		    "'%s' has a passphrase: add it to an ssh agent, or give "
		    "the option 'passphrase'",
		    path);
		return false;
	}
	do
		rc = libssh2_userauth_publickey_fromfile_ex(ssh->session,
		    login->user, (unsigned)strlen(login->user), NULL, path,
		    ssh->passphrase ? ssh->passphrase : "");
	while (ssh_again(ssh, rc));
	if (judge(login, rc, what))
		return true;
	if (look.rsa && !libssh2_version(0x010b00)) {
		login->tried.len = noted;
		login->tried.data[noted ? noted : 0] = '\0';
		note(login, "'%s' %s", path, no_rsa);
	}
	return false;
}

static bool
try_usual_keys(struct login *login)
{
	static const char *const names[] = { "id_ed25519", "id_ecdsa",
		"id_rsa" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		auto_free char *path =
		    xasprintf("%s/.ssh/%s", login->host->home, names[i]);

		if (!login->lost && try_key(login, path, false))
			return true;
	}
	return false;
}

static bool
try_keys(struct login *login)
{
	const struct ssh_texts *keys = &login->host->keys;

	if (login->ssh->key)
		return try_key(login, login->ssh->key, true);
	if (keys->count == 0)
		return try_usual_keys(login);
	for (size_t i = 0; i < keys->count && !login->lost; i++) {
		if (try_key(login, keys->item[i], true))
			return true;
	}
	return false;
}

/* ---- passwords ---- */

static void
respond(const char *name, int name_len, const char *instruction,
    int instruction_len, int prompts,
    const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompt,
    LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
	const struct ssh *ssh = *abstract;

	for (int i = 0; i < prompts; i++) {
		responses[i].text = xstrdup(ssh->password);
		responses[i].length = (unsigned)strlen(ssh->password);
	}
	(void)name, (void)name_len, (void)instruction, (void)instruction_len;
	(void)prompt;
}

static bool
try_password(struct login *login, const char *methods)
{
	struct ssh *ssh = login->ssh;
	unsigned len = (unsigned)strlen(login->user);
	bool plain = strstr(methods, "password");
	int rc;

	if (!ssh->password)
		return false;
	do
		rc = plain ? libssh2_userauth_password_ex(ssh->session,
		                 login->user, len, ssh->password,
		                 (unsigned)strlen(ssh->password), NULL)
		           : libssh2_userauth_keyboard_interactive_ex(
		                 ssh->session, login->user, len, respond);
	while (ssh_again(ssh, rc));
	return judge(login, rc, "the password");
}

/* ---- all of it ---- */

static bool
log_in(struct login *login)
{
	struct ssh *ssh = login->ssh;
	const char *methods;
	int rc;

	do {
		methods = libssh2_userauth_list(
		    ssh->session, login->user, (unsigned)strlen(login->user));
		rc = methods ? 0 : libssh2_session_last_errno(ssh->session);
	} while (ssh_again(ssh, rc));
	if (!methods && libssh2_userauth_authenticated(ssh->session))
		return true;
	if (!methods) {
		login->lost = true;
		ssh_fail(ssh, "log in", login->err);
		return false;
	}
	if (strstr(methods, "publickey") &&
	    (try_agent(login) || (!login->lost && try_keys(login))))
		return true;
	if (!ssh->password)
		note(login, "the server takes %s", methods);
	return !login->lost && try_password(login, methods);
}

int
ssh_login(struct ssh *ssh, const struct ssh_host *host, const char *user,
    struct error *err)
{
	struct login login = { .ssh = ssh,
		.host = host,
		.user = user,
		.tried = BUF_INIT,
		.err = err };
	bool in;

	*libssh2_session_abstract(ssh->session) = ssh;
	in = log_in(&login);
	if (!in && !login.lost)
		error_set(err, ERROR_DENIED, "it doesn't let '%s' in: %s", user,
		    login.tried.len ? login.tried.data : "no key");
	buf_release(&login.tried);
	return in ? 0 : -1;
}
