"""sshd with keys and configuration of its own, and lakes over SFTP and SCP on it."""
import contextlib, os, pwd, shutil, subprocess
import support

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
def sshd(folder, port, subsystem="internal-sftp", hosts=("ed25519", "ecdsa", "rsa"), more=""):
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
SERVERS = {
    "sftp": lambda folder: server(folder, "sftp"),
    "sftp-server": lambda folder: server(folder, "sftp", SFTP_SERVER),
}
