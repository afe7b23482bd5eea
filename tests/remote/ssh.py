"""sshd with keys and configuration of its own, and lakes over SFTP and SCP on it."""
import contextlib, glob, hashlib, json, os, pwd, shutil, signal, socket, subprocess, sys, time
import many, python_lakes, support

NEEDS = ["sshd", "ssh-keygen", "ssh-agent", "ssh-add"]
ME = pwd.getpwuid(os.geteuid()).pw_name
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin") or "/usr/sbin/sshd"
KEYS = {"ed25519": ["-t", "ed25519"], "ecdsa": ["-t", "ecdsa"], "rsa": ["-t", "rsa", "-b", "2048"]}


def keygen(path, *words, passphrase=""):
    subprocess.run(["ssh-keygen", "-q", *words, "-N", passphrase, "-f", path], check=True, stdin=subprocess.DEVNULL)


def make_keys(folder):
    for kind, words in KEYS.items():
        keygen(f"{folder}/host_{kind}", *words)
        keygen(f"{folder}/id_{kind}", *words)
    keygen(f"{folder}/id_locked", "-t", "ed25519", passphrase="pass99")
    keygen(f"{folder}/id_locked_ecdsa", "-t", "ecdsa", passphrase="pass99")
    with open(f"{folder}/authorized_keys", "w") as file:
        for name in sorted(os.listdir(folder)):
            if name.startswith("id_") and name.endswith(".pub"):
                file.write(open(f"{folder}/{name}").read())
    os.chmod(f"{folder}/authorized_keys", 0o600)


def known_hosts(folder, port, *kinds):
    """The lines that a client needs."""
    return "".join(f"[127.0.0.1]:{port} " + " ".join(open(f"{folder}/host_{kind}.pub").read().split()[:2]) + "\n" for kind in kinds)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


@contextlib.contextmanager
def sshd(folder, port, subsystem="internal-sftp", hosts=("ed25519", "ecdsa", "rsa"), more="", env=""):
    """On that port, until the block ends; yields the process."""
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    write(f"{folder}/sshd_config", f"""Port {port}
ListenAddress 127.0.0.1
{"".join(f"HostKey {folder}/host_{kind}" + chr(10) for kind in hosts)}PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
MaxStartups 100
MaxSessions 100
PrintMotd no
PrintLastLog no
Subsystem sftp {subsystem}
SetEnv HOME={folder}/home {env}
{more}
""")
    words = [SSHD, "-D", "-e", "-f", f"{folder}/sshd_config"]
    with support.running(words, folder, lambda: support.listens(port)) as child:
        yield child


@contextlib.contextmanager
def server(folder, scheme, subsystem="internal-sftp"):
    os.chmod(folder, 0o755)
    make_keys(folder)
    port = support.free_port()
    os.makedirs(f"{folder}/home/.ssh")
    write(f"{folder}/home/.ssh/known_hosts", known_hosts(folder, port, "ed25519", "ecdsa"))
    write(f"{folder}/home/.ssh/config", f"Host 127.0.0.1\n  IdentityFile {folder}/id_ed25519\n  IdentitiesOnly yes\n")
    with sshd(folder, port, subsystem):
        env = {"HOME": f"{folder}/home", "SSH_AUTH_SOCK": ""}
        yield support.Server(f"{scheme}://{ME}@127.0.0.1:{port}{folder}/lakes/{{}}", env, scheme=scheme, port=port, keys=folder)


SFTP_SERVER = next((p for p in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
                    if os.path.exists(p)), "internal-sftp")
PROXIED = ["sftp"]
SERVERS = {
    "sftp": lambda folder: server(folder, "sftp"),
    "sftp-server": lambda folder: server(folder, "sftp", SFTP_SERVER),
    "scp": lambda folder: server(folder, "scp", "none"),
}


# ---- what the contract doesn't say ----

TARN = f"{os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))}/build/checked/tarn"


def tarn(server, folder, url, *words, status=0, env=(), seconds=120):
    """What it prints; its complaints if a status other than 0 is expected."""
    env = {**os.environ, **server.env, "TARN_DIR": f"{folder}/d", "TARN_TIERS": url, "XDG_CONFIG_HOME": f"{folder}/none", **dict(env)}
    run = subprocess.run([TARN, *words], env=env, cwd=folder, capture_output=True, timeout=seconds)
    assert run.returncode == status, f"{words} at {url}: status {run.returncode}: {run.stderr.decode()}"
    return run.stdout if status == 0 else run.stderr.decode()


def put(server, folder, url, data=b"hello\n", **more):
    with open(f"{folder}/value", "wb") as file:
        file.write(data)
    return tarn(server, folder, url, "write", f"{folder}/value", **more)


def refused(server, folder, url, *texts, **more):
    said = put(server, folder, url, status=1, **more)
    for text in texts:
        assert text in said, said


def at(server, name, query=""):
    return server.url.replace("{}", name) + query


def test_keys(server, folder):
    keys, url = server.keys, at(server, "keys")
    # libssh2 1.10 leaks what it makes of an ecdsa key's file
    env = {"LSAN_OPTIONS": "suppressions=" + write(f"{folder}/suppressions", "leak:CRYPTO_zalloc\n") + ":print_suppressions=0"}
    for query in "?key={}/id_ed25519", "?key={}/id_ecdsa", "?key={}/id_locked&passphrase=pass99", "?key={}/id_locked_ecdsa&passphrase=pass99":
        put(server, folder, url + query.format(keys), env=env)
    refused(server, folder, f"{url}?key={keys}/id_locked", "has a passphrase", "agent")
    refused(server, folder, f"{url}?key={keys}/id_locked&passphrase=wrong", "id_locked")
    refused(server, folder, f"{url}?key={keys}/id_rsa", "id_rsa' is an RSA key", "ssh-keygen -t ed25519")
    keygen(f"{folder}/stranger", "-t", "ed25519")
    refused(server, folder, f"{url}?key={folder}/stranger", "stranger' was refused")
    refused(server, folder, f"{url}?key={folder}/none", "No such file")
    said = put(server, folder, f"{url}?key={keys}/id_locked&passphrase=Sesame", status=1)
    assert "Sesame" not in said, said


@contextlib.contextmanager
def agent(folder):
    with support.running(["ssh-agent", "-D", "-a", f"{folder}/agent"], folder, lambda: os.path.exists(f"{folder}/agent")):
        yield {"SSH_AUTH_SOCK": f"{folder}/agent"}


def test_agent(server, folder):
    keys = server.keys
    config = write(f"{folder}/config", "Host *\n  IdentityFile /nowhere\n")
    url = at(server, "agent", f"?config={config}")
    with agent(folder) as env:
        def add(key):
            subprocess.run(["ssh-add", "-q", f"{keys}/{key}"], env={**os.environ, **env}, check=True, stdin=subprocess.DEVNULL)
        refused(server, folder, url, "/nowhere", env=env)
        add("id_rsa")
        refused(server, folder, url, "one in the agent is an RSA key", env=env)
        for key in "id_ecdsa", "id_ed25519":
            subprocess.run(["ssh-add", "-q", "-D"], env={**os.environ, **env}, check=True, stderr=subprocess.DEVNULL)
            add(key)
            put(server, folder, url, env=env)
        write(f"{folder}/config", f"Host *\n  IdentitiesOnly yes\n  IdentityFile {keys}/id_ed25519\n")
        put(server, folder, url, env=env)
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as deaf:  # takes the connection and says nothing
        deaf.bind(f"{folder}/deaf")
        deaf.listen()
        write(f"{folder}/config", "Host *\n  IdentityFile /nowhere\n")
        refused(server, folder, url + "&timeout=1", "agent", env={"SSH_AUTH_SOCK": f"{folder}/deaf"})
    assert time.monotonic() - began < 60


def test_hosts(server, folder):
    known, url = f"{folder}/known", at(server, "hosts")
    config = f"config={folder}/config"
    write(f"{folder}/config", f"IdentityFile {server.keys}/id_ed25519\n")
    lines = known_hosts(server.keys, server.port, "ed25519", "ecdsa")
    refused(server, folder, f"{url}?{config}&known_hosts={known}", "its key is not known", "accept_new")
    assert not os.path.exists(known)
    put(server, folder, f"{url}?{config}&known_hosts={known}&accept_new=1")
    assert open(known).read() in [line + "\n" for line in lines.splitlines()], open(known).read()
    put(server, folder, f"{url}?{config}&known_hosts={known}")
    write(known, "")
    write(f"{folder}/config", f"IdentityFile {server.keys}/id_ed25519\nHashKnownHosts yes\n")
    put(server, folder, f"{url}?{config}&known_hosts={known}&accept_new=1")
    assert open(known).read().startswith("|1|"), open(known).read()
    put(server, folder, f"{url}?{config}&known_hosts={known}")
    assert subprocess.run(["ssh-keygen", "-F", f"[127.0.0.1]:{server.port}", "-f", known], capture_output=True).returncode == 0
    write(known, lines)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert "|1|" in open(known).read()
    put(server, folder, f"{url}?{config}&known_hosts={known}")
    write(known, lines.splitlines()[1] + "\n")  # only the ecdsa one
    put(server, folder, f"{url}?{config}&known_hosts={known}")
    odd = "# comment\r\n\n@cert-authority *.x ssh-ed25519 AAAA\n|1|bad|hash ssh-rsa AAAA\nelsewhere ssh-ed25519 !!!\n\xff no end"
    open(known, "wb").write(odd.encode("latin-1"))
    put(server, folder, f"{url}?{config}&known_hosts={known}&accept_new=1")
    assert open(known, "rb").read().startswith(odd.encode("latin-1") + b"\n|1|"), open(known, "rb").read()
    for key in "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "ssh-rsa " + lines.split()[2], "ssh-ed25519":
        damaged = write(known, f"# mine\n[127.0.0.1]:{server.port} {key}\n")
        for query in "", "&accept_new=1":
            refused(server, folder, f"{url}?{config}&known_hosts={known}{query}", "damaged", f"'{known}' line 2")
    write(known, lines + open(known).read())
    put(server, folder, f"{url}?{config}&known_hosts={known}")
    keygen(f"{folder}/other", "-t", "ed25519")
    other = f"[127.0.0.1]:{server.port} " + open(f"{folder}/other.pub").read()
    write(known, other)
    for query in "", "&accept_new=1":
        refused(server, folder, f"{url}?{config}&known_hosts={known}{query}", "not the one in", f"'{known}' line 1")
    assert open(known).read() == other
    write(known, lines + "@revoked " + lines.splitlines()[0] + "\n")
    refused(server, folder, f"{url}?{config}&known_hosts={known}", "revoked")
    write(known, known_hosts(server.keys, server.port, "rsa"))
    refused(server, folder, f"{url}?{config}&known_hosts={known}", "RSA", "ssh-keyscan -t ed25519")


def test_ssh_config(server, folder):
    os.makedirs(f"{folder}/home/.ssh/more")
    config = f"{folder}/home/.ssh/config"
    write(f"{folder}/home/.ssh/more/one", f"Host nick\n  HostName 127.0.0.1\n  Port {server.port}\n  User {ME}\n")
    write(f"{folder}/home/.ssh/known", known_hosts(server.keys, server.port, "ed25519"))
    shutil.copy(f"{server.keys}/id_ed25519", f"{folder}/home/.ssh/id_127.0.0.1")
    text = "Include more/*\nHost nick !other\n  IdentityFile ~/.ssh/id_%h\n  UserKnownHostsFile ~/.ssh/known\n"
    write(config, text)
    root = at(server, "config").split("/", 3)[3]
    url, env = f"{server.scheme}://nick/{root}", {"HOME": f"{folder}/home"}
    put(server, folder, url, env=env)
    for line in "ProxyJump gate", "ProxyCommand nc gate 22":
        write(config, f"{text}\nHost *\n  {line}\n")
        refused(server, folder, url, f"line 7 of '{config}'", env=env)
    write(config, f"{text}\nHost other\n  ProxyJump gate\n")
    put(server, folder, url, env=env)
    write(config, f"{text}\nMatch exec true\n  User other\n")
    refused(server, folder, url, f"'{config}' line 7", "up to line 6", env=env)
    write(config, f"{text}\nMatch originalhost other exec true\n  User other\n")
    put(server, folder, url, env=env)


def test_lakes_of_theirs_and_ours(server, folder):
    sys.path[:0] = [f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/lakes"]
    from python_rules import Lake, sha256
    values = [b"", b"a\n", bytes(range(256)) * 5000]
    for i, (config, levels) in enumerate([(b"levels:\n- 1\n- -1\n", (1, -1)), (b"levels:\n- 2\n- 30\nusage: StatUsage\n", (2, 30)),
                                          (b"levels: [1, 1, -1]\nlabels: JsonLabels\n", (1, 1, -1)), (b"levels:\n- 32\n", (32,))]):
        root = f"{server.keys}/lakes/theirs{i}"
        os.makedirs(root)
        os.chmod(root, 0o2770)
        if os.geteuid() == 0:
            os.chown(root, -1, 4242)
        with open(f"{root}/config.yml", "wb") as file:
            file.write(config)
        lake, url = Lake(root, levels), at(server, f"theirs{i}")
        theirs = [lake.write(value, ["l"] if i % 2 else None) for value in values] + [lake.write_old(b"old\n")]
        for key, value in zip(theirs, [*values, b"old\n"]):
            assert tarn(server, folder, url, "read", key) == value
        ours = put(server, folder, url, b"ours\n").decode().strip()
        assert tarn(server, folder, root, "read", ours) == b"ours\n"
        assert lake.read(ours) == b"ours\n"
        tarn(server, folder, url, "write", f"{folder}/value", "--label", "b", "--label", "\u00e9")
        assert lake.labels(ours) == {"b", "\u00e9"}
        keys = sorted([*{*theirs}, ours])
        assert lake.contents() == keys
        for place in url, root:
            listed = [json.loads(line) for line in tarn(server, folder, place, "ls", "--json").splitlines()]
            assert sorted(entry["key"] for entry in listed) == keys, (place, listed)
        if i == 1:
            assert time.time() - lake.last_used(ours) < 600
        for key in keys:
            tarn(server, folder, url, "rm", key)
        assert lake.contents() == []


def test_lakes_of_python_with_actions_in_them(server, folder):
    python_lakes.hold(server, folder, server.url, f"{server.keys}/lakes/{{}}")


def test_new_lakes_are_as_on_disk(server, folder):
    def shape(root):
        found = {}
        for top, folders, files in os.walk(root):
            for name in folders + files:
                st = os.lstat(f"{top}/{name}")
                found[os.path.relpath(f"{top}/{name}", root)] = (oct(st.st_mode), st.st_gid, st.st_size if name in files else None)
        return found
    small_lake(f"{folder}/from", 20)
    for i, (mode, group) in enumerate([(0o755, None), (0o2770, 4242), (0o775, 100)]):
        shapes = []
        for place in at(server, f"ours{i}"), f"{folder}/ours{i}":
            root = f"{server.keys}/lakes/ours{i}" if place != f"{folder}/ours{i}" else place
            os.makedirs(root)
            if group and os.geteuid() == 0:
                os.chown(root, -1, group)
            os.chmod(root, mode)
            put(server, folder, place)
            tarn(server, folder, place, "copy", f"{folder}/from", place)
            shapes.append(shape(root))
        assert shapes[0] == shapes[1], shapes


def test_names_of_any_bytes(server, folder):
    name = "a b'\"$(touch x)`;\\\n\xfe*".encode("latin-1")
    url = at(server, "".join(f"%{byte:02X}" for byte in name))
    key = put(server, folder, url).decode().strip()
    assert os.path.exists(os.fsencode(f"{server.keys}/lakes/") + name + f"/{key[:2]}/{key[2:]}".encode())
    assert tarn(server, folder, url, "read", key) == b"hello\n"
    assert key.encode() in tarn(server, folder, url, "ls")
    tarn(server, folder, url, "rm", key)


@contextlib.contextmanager
def own_server(server, folder, more="", env="", subsystem="internal-sftp"):
    """Another sshd with the same keys, to be ill-treated."""
    port = support.free_port()
    for name in os.listdir(server.keys):
        if name.startswith(("host_", "authorized")):
            shutil.copy2(f"{server.keys}/{name}", folder)
    known = write(f"{folder}/known", known_hosts(folder, port, "ed25519"))
    os.makedirs(f"{folder}/home", exist_ok=True)
    with sshd(folder, port, subsystem, more=more, env=env) as child:
        yield f"{server.scheme}://{ME}@127.0.0.1:{port}{folder}/lake?known_hosts={known}", child


def descendants(pid):
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return [found for child in children for found in [int(child), *descendants(int(child))]]


def start(server, folder, url, *words):
    env = {**os.environ, **server.env, "TARN_DIR": f"{folder}/d", "TARN_TIERS": url, "XDG_CONFIG_HOME": f"{folder}/none"}
    return subprocess.Popen([TARN, *words], env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def uploading(folder):
    """The size of what is in .tmp now."""
    try:
        return sum(os.path.getsize(f"{folder}/lake/.tmp/{name}") for name in os.listdir(f"{folder}/lake/.tmp"))
    except OSError:
        return 0


def test_server_killed_in_an_upload(server, folder):
    with own_server(server, folder) as (url, child):
        put(server, folder, url)
        with open(f"{folder}/large", "wb") as file:
            file.write(os.urandom(1 << 20) * 64)
        client = start(server, folder, url, "write", f"{folder}/large")
        support.wait_for(lambda: uploading(folder) > 1 << 20, seconds=60)
        for pid in descendants(child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, why = client.communicate(timeout=60)
        assert client.returncode == 1, (out, why)
        whole = [f"{top}/{name}" for top, _, names in os.walk(f"{folder}/lake") for name in names if "/.tmp" not in top]
        assert len(whole) == 2, whole  # config.yml and the first one
        key = tarn(server, folder, url, "write", f"{folder}/large").decode().strip()
        assert tarn(server, folder, url, "read", key) == open(f"{folder}/large", "rb").read()


def test_stopped_server(server, folder):
    with own_server(server, folder) as (url, child):
        put(server, folder, url)
        child.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            refused(server, folder, url + "&timeout=1&connect_timeout=1", "no answer in time")
            assert time.monotonic() - began < 60
        finally:
            child.send_signal(signal.SIGCONT)
        put(server, folder, url)


def test_writers_of_one_key(server, folder):
    with open(f"{folder}/large", "wb") as file:
        file.write(os.urandom(300000))
    url = at(server, "writers")
    put(server, folder, url)
    clients = [start(server, folder, url, "write", f"{folder}/large") for _ in range(8)]
    said = {client.communicate(timeout=100) + (client.returncode,) for client in clients}
    assert len(said) == 1, said
    (out, _, status), = said
    assert status == 0
    key = out.decode().strip()
    assert tarn(server, folder, url, "read", key) == open(f"{folder}/large", "rb").read()
    assert os.listdir(f"{server.keys}/lakes/writers/.tmp") == []


def test_read_only_server(server, folder):
    if server.scheme == "scp":
        raise support.Skip("scp has no such servers")
    with own_server(server, folder) as (url, _):
        key = put(server, folder, url).decode().strip()
    os.unlink(f"{folder}/known")
    with own_server(server, folder, "ForceCommand internal-sftp -R") as (url, _):
        assert tarn(server, folder, url, "read", key) == b"hello\n"
        said = put(server, folder, url, b"more\n", status=1)
        assert "ermission denied" in said, said


def test_makes_room(server, folder):
    """By the lake's own max_size, and by age; with what belongs to the values."""
    root, url = f"{server.keys}/lakes/room", at(server, "room")
    os.makedirs(root)
    write(f"{root}/config.yml", "levels:\n- 1\n- -1\nmax_size: 100000\n")
    keys = []
    for i in range(150):
        data = b"%04d" % i * 250
        keys.append(hashlib.sha256(data).hexdigest())
        os.makedirs(f"{root}/{keys[-1][:2]}", exist_ok=True)
        with open(f"{root}/{keys[-1][:2]}/{keys[-1][2:]}", "wb") as file:
            file.write(data)
        os.utime(file.name, (1e9 + i * 86400, 1e9 + i * 86400))
    os.makedirs(f"{root}/tools/labels/{keys[0][:2]}")
    mark = write(f"{root}/tools/labels/{keys[0][:2]}/{keys[0][2:]}.json", '["x"]')
    old = f"{root}/{keys[1][:2]}/{keys[1][2:]}"
    os.rename(old, f"{old}.x")
    os.makedirs(old)
    os.rename(f"{old}.x", f"{old}/data")
    said = tarn(server, folder, url, "gc", "--dry-run").decode()
    assert "would remove 7" in said and os.path.exists(mark), said
    said = tarn(server, folder, url, "gc").decode()
    left = tarn(server, folder, url, "ls").decode()
    assert "removed 7" in said and keys[0] not in left and keys[149] in left and 70 <= len(left.splitlines()) <= 80, said
    assert not os.path.exists(mark) and not os.path.exists(old)
    assert "kept 0" in tarn(server, folder, url, "gc", "--max-age", "1 d").decode()


ENDLESS = {  # what every command there does; what is asked; what is said of it
    "lines": ("yes", ["write", "value"], "goes on with lines that are no answer, as 'y'"),
    "answers": ("yes H", ["rm", "ab" * 32], "goes on with lines that are no answer, as 'H'"),
    "complaints": ("yes >&2", ["rm", "ab" * 32], "goes on with complaints"),
    "a line": ("cat /dev/zero", ["ls"], "sent a line of more than"),
}


@support.only("scp")  # the others run no commands
def test_endless_answers(server, folder):
    write(f"{folder}/value", "any")
    for name, (command, words, said) in ENDLESS.items():
        own = f"{folder}/{name.replace(' ', '')}"
        os.mkdir(own)
        with own_server(server, own, f'ForceCommand {command}') as (url, _):
            got = tarn(server, folder, url, *words, status=1)
            assert said in got, f"{name}: {got}"


def tool(folder, name, text):
    """A command that stands before the one of that name, which it can call as "$real"."""
    os.makedirs(f"{folder}/bin", exist_ok=True)
    write(f"{folder}/bin/{name}", f"#!/bin/sh\nreal={shutil.which(name)}\n{text}\n")
    os.chmod(f"{folder}/bin/{name}", 0o755)


def small_lake(folder, count, value=lambda i: b"value %d\n" % i):
    """Values in a lake on the disk: their keys."""
    keys = []
    for i in range(count):
        data = value(i)
        keys.append(hashlib.sha256(data).hexdigest())
        os.makedirs(f"{folder}/{keys[-1][:2]}", exist_ok=True)
        with open(f"{folder}/{keys[-1][:2]}/{keys[-1][2:]}", "wb") as file:
            file.write(data)
    write(f"{folder}/config.yml", "levels:\n- 1\n- -1\n")
    return keys


PATH = "PATH={}/bin:/usr/bin:/bin"
NO_GNU = 'case "$*" in *--sparse*) echo "cp: unrecognized option"; exit 1;; esac; exec "$real" "$@"'


@support.only("scp")
def test_what_scp_leaves_is_no_command(server, folder):
    """It ends in the middle of many files that are sent without waiting, once in each way to send them."""
    for way, cp in ("-p", 'exec "$real" "$@"'), ("-t", NO_GNU):
        own = f"{folder}/{way[1]}"
        os.mkdir(own)
        tool(own, "cp", cp)
        tool(own, "scp", f"""
if [ "$1" = {way} ] && [ -d {own}/lake/00 ] && mkdir {own}/once 2>/dev/null; then
    printf '\\0\\0'
    head -c 5000 >/dev/null
    exit 1
fi
exec "$real" "$@"
""")
        small_lake(f"{own}/from", 60, lambda i: f"touch {own}/evil; # {i}\n".encode() * 20)
        with own_server(server, own, env=PATH.format(own)) as (url, _):
            put(server, folder, url)
            os.makedirs(f"{own}/lake/00", exist_ok=True)
            tarn(server, folder, url, "copy", f"{own}/from", url)
            assert os.path.exists(f"{own}/once")
            assert not os.path.exists(f"{own}/evil")
            assert tarn(server, folder, url, "ls").count(b"\n") == 61
            assert os.listdir(f"{own}/lake/.tmp") == []
            tarn(server, folder, url, "verify")


@support.only("scp")
def test_part_of_a_batch(server, folder):
    """What scp gets ends early, maybe between two files, and it is content with that; or it loses some."""
    keys = small_lake(f"{folder}/from", 60)
    harms = 'head -c 3000 | "$real" "$@"', 'head -c 1 | "$real" "$@"', '"$real" "$@"; rm -f "$5"/[0-7]*/*', '"$real" "$@"; echo >>"$5"/*/{}'
    for i, harm in enumerate(harms):
        own = f"{folder}/{i}"
        os.mkdir(own)
        tool(own, "scp", f"""
if [ "$1" = -p ]; then
    mkdir {own}/once
    {harm.format(keys[0][2:])}
    exit 0
fi
exec "$real" "$@"
""")
        with own_server(server, own, env=PATH.format(own)) as (url, _):
            said = tarn(server, folder, url, "copy", f"{folder}/from", url).decode()
            assert "copied 60 blobs" in said, said
            assert os.path.exists(f"{own}/once")
            assert os.listdir(f"{own}/lake/.tmp") == []
            tarn(server, folder, url, "verify")


@support.only("scp")
def test_batch_keeps_what_came_meanwhile(server, folder):
    """Another writer has been first with some, between the question and the answer."""
    keys = small_lake(f"{folder}/from", 500)
    first = keys[::100]
    tool(folder, "cp", f"""
echo >>{folder}/batches
for key in {" ".join(f"{key[:2]}/{key[2:]}" for key in first)}; do
    test -e $key || "$real" {folder}/from/$key $key
done
exec "$real" "$@"
""")
    with own_server(server, folder, env=PATH.format(folder)) as (url, _):
        put(server, folder, url)
        for key in first:
            os.makedirs(f"{folder}/lake/{key[:2]}", exist_ok=True)
        said = tarn(server, folder, url, "copy", f"{folder}/from", url).decode()
        assert "copied 495 blobs" in said and "5 were there" in said, said
        assert len(open(f"{folder}/batches").readlines()) == 2
        for key in keys:  # theirs have another mode
            st = os.stat(f"{folder}/lake/{key[:2]}/{key[2:]}")
            assert (st.st_mode & 0o777 == 0o444, st.st_nlink) == (key not in first, 1), key
        assert os.listdir(f"{folder}/lake/.tmp") == []
        tarn(server, folder, url, "verify")


# In front of sftp-server: handles of its own, none of which comes twice. Counts those that it never gave.
OTHER_HANDLES = """#!/usr/bin/env python3
import struct, subprocess, sys, threading
server = subprocess.Popen([{server!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
real = {{}}

def packets(stream):
    while len(head := stream.read(4)) == 4:
        yield stream.read(struct.unpack(">I", head)[0])

def send(stream, packet):
    stream.write(struct.pack(">I", len(packet)) + packet)
    stream.flush()

def back():
    for n, packet in enumerate(packets(server.stdout)):
        if packet[0] == 102:
            real[b"%06d" % n] = packet[9:]
            packet = packet[:5] + struct.pack(">I", 6) + b"%06d" % n
        send(sys.stdout.buffer, packet)

threading.Thread(target=back, daemon=True).start()
for packet in packets(sys.stdin.buffer):
    if packet[0] in (4, 5, 6, 8, 10, 12):
        size, = struct.unpack(">I", packet[5:9])
        if packet[9:9 + size] not in real:
            open({log!r}, "a").write("x")
        handle = (real.pop if packet[0] == 4 else real.get)(packet[9:9 + size], bytes([255] * 4))
        packet = packet[:5] + struct.pack(">I", len(handle)) + handle + packet[9 + size:]
    send(server.stdin, packet)
server.stdin.close()
"""


@support.only("sftp-server")  # its handles are guessed
def test_handles_that_are_not_guessed(server, folder):
    count, log = 200, f"{folder}/guesses"
    filter = write(f"{folder}/filter", OTHER_HANDLES.format(server=SFTP_SERVER, log=log))
    os.chmod(filter, 0o755)
    write(log, "")
    for i in range(count):
        tarn(server, folder, f"{folder}/from", "write", write(f"{folder}/value", f"{i}\n" * 30000 if i % 50 == 0 else f"{i}"))
    with own_server(server, folder, subsystem=filter) as (url, _):
        tarn(server, folder, url, "copy", f"{folder}/from", url)
        write(log, "")
        assert f"{count} " in tarn(server, folder, url, "verify").decode()
        tarn(server, folder, url, "copy", url, f"{folder}/back")
        assert 0 < os.path.getsize(log) < 1000  # and no more: each file has six
    there = {os.path.relpath(path, f"{folder}/from"): open(path).read() for path in glob.glob(f"{folder}/from/??/*")}
    back = {os.path.relpath(path, f"{folder}/back"): open(path).read() for path in glob.glob(f"{folder}/back/??/*")}
    assert len(there) == count and there == back


@support.only("scp")
def test_batches_in_other_layouts(server, folder):
    keys, deep = small_lake(f"{folder}/from", 100), ",".join(["1"] * 32)
    tool(folder, "cp", f"""echo >>{folder}/batches; exec "$real" "$@\"""")
    with own_server(server, folder, env=PATH.format(folder)) as (url, _):
        for i, levels in enumerate(["32", "1,1,-1", "1,2,3,-1", "16,16", deep]):
            lake = url.replace("/lake?", f"/lake{i}?levels={levels.replace(',', '%2C')}&")
            said = tarn(server, folder, lake, "copy", f"{folder}/from", lake).decode()
            assert "copied 100 blobs" in said, said
            cut = [0]
            for n in levels.split(","):
                cut.append(cut[-1] + 2 * int(n) if int(n) > 0 else 64)
            for key in keys:
                parts = [key[a:b] for a, b in zip(cut, cut[1:])]
                assert os.path.isfile("/".join([f"{folder}/lake{i}", *parts])), (levels, key)
            tarn(server, folder, lake, "verify")
        assert len(open(f"{folder}/batches").readlines()) == 5


@support.only("scp")
def test_client_killed_in_a_batch(server, folder):
    tool(folder, "scp", f"""
if [ "$1" = -p ]; then
    touch {folder}/started
    while test -d {folder} && test ! -e {folder}/go; do sleep 0.05; done
    "$real" "$@"
    status=$?
    touch {folder}/ended
    exit $status
fi
exec "$real" "$@"
""")
    small_lake(f"{folder}/from", 100)
    with own_server(server, folder, env=PATH.format(folder)) as (url, _):
        put(server, folder, url)
        client = start(server, folder, url, "copy", f"{folder}/from", url)
        support.wait_for(lambda: os.path.exists(f"{folder}/started"), client)
        client.kill()
        client.communicate()
        write(f"{folder}/go", "")
        support.wait_for(lambda: os.path.exists(f"{folder}/ended"))
        assert len(tarn(server, folder, url, "ls").splitlines()) == 1
        said = tarn(server, folder, url, "copy", f"{folder}/from", url).decode()
        assert "copied 100 blobs" in said, said


@support.only("scp")
def test_folders_of_killed_batches_go(server, folder):
    url, tmp = at(server, "left"), f"{server.keys}/lakes/left/.tmp"
    put(server, folder, url)
    for name, age in ("abcdefghijklmnop", 7200), ("ponmlkjihgfedcba", 600), ("folderabcdefgh", 7200):
        os.makedirs(f"{tmp}/{name}/58")
        write(f"{tmp}/{name}/58/91", "")
        os.utime(f"{tmp}/{name}", (time.time() - age,) * 2)
    put(server, folder, url, b"another\n")
    assert sorted(os.listdir(tmp)) == ["folderabcdefgh", "ponmlkjihgfedcba"]
    shutil.rmtree(f"{server.keys}/lakes/left")


@support.only("scp")
def test_busybox(server, folder):
    """Whose cp would make room for a second name; the rest is the same."""
    if not shutil.which("busybox"):
        raise support.Skip("busybox not installed")
    os.mkdir(f"{folder}/bin")
    for name in "cp chgrp chmod df find head ln mkdir mv rm rmdir stat touch".split():
        os.symlink(shutil.which("busybox"), f"{folder}/bin/{name}")
    os.symlink(shutil.which("scp"), f"{folder}/bin/scp")
    keys = small_lake(f"{folder}/from", 300)
    with own_server(server, folder, env=f"PATH={folder}/bin") as (url, _):
        said = tarn(server, folder, url, "copy", f"{folder}/from", url).decode()
        assert "copied 300 blobs" in said, said
        said = tarn(server, folder, url, "copy", f"{folder}/from", url).decode()
        assert "copied 0 blobs" in said and "300 were there" in said, said
        assert "300 entries" in tarn(server, folder, url, "verify").decode()
        assert os.listdir(f"{folder}/lake/.tmp") == []
        tarn(server, folder, url, "rm", keys[0])
        assert keys[0] not in tarn(server, folder, url, "ls").decode()


def test_many_small_ones(server, folder):
    many.there_and_back(server, folder, at(server, "many"))
    shutil.rmtree(f"{server.keys}/lakes/many")


def test_large_ones(server, folder):
    many.large(server, folder, at(server, "large"))
