"""The rules of the Python library tarn for a lake, followed without the library.

What it does is said here once more in a few lines: how it finds an object, what it
takes for one when it lists a lake, how it writes, which modes it gives. So either
side can be held against the other.
"""
import hashlib, json, os, random, shutil, stat, string

DEFAULT = b"levels:\n- 1\n- -1\n"


def parts(key, levels):
    """The folders and the name of a key, from its lower-case digits."""
    found, rest = [], key
    for level in levels:
        size = len(rest) if level == -1 else 2 * level
        found.append(rest[:size])
        rest = rest[size:]
    assert not rest and all(found), (key, levels)
    return found


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Lake:
    """One whose config.yml says `levels`; with marks of use and labels if they are on."""

    def __init__(self, root, levels=(1, -1)):
        self.root, self.levels = root, levels

    def path(self, key):
        return os.path.join(self.root, *parts(key, self.levels))

    def tool(self, tool, key, ending=""):
        return os.path.join(self.root, "tools", tool, *parts(key, (1, -1))) + ending

    # ---- reading ----

    def read(self, key):
        path = self.path(key)
        if os.path.isdir(path):
            path += "/data"
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            return file.read()

    def contents(self):
        """All keys. A ValueError is what anything would cost that isn't one."""
        return sorted(bytes.fromhex("".join(names)).hex() for names in self.names(self.root, len(self.levels)))

    def names(self, folder, depth):
        for name in os.listdir(folder):
            if folder == self.root and name in ("config.yml", "tools", ".tmp"):
                continue
            if depth == 1:
                yield (name,)
            elif os.path.isdir(f"{folder}/{name}"):
                for rest in self.names(f"{folder}/{name}", depth - 1):
                    yield (name, *rest)

    def labels(self, key):
        path = self.tool("labels", key, ".json")
        if not os.path.exists(path):
            return set()
        with open(path) as file:
            found = json.load(file)
        assert isinstance(found, list) and all(isinstance(label, str) for label in found), found
        return set(found)

    def last_used(self, key):
        return os.stat(self.tool("usage", key)).st_mtime

    # ---- writing ----

    def policy(self):
        st = os.stat(self.root)
        return st.st_mode & 0o777, st.st_gid

    def folders(self, path, top=None, mode=None):
        """As its create_folders(): each that is missing gets mode and group."""
        perm, group = self.policy()
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            os.mkdir(folder)
            os.chmod(folder, perm if mode is None else mode)
            os.chown(folder, -1, group)

    def write(self, data, labels=None, used=None):
        key, (perm, group) = sha256(data), self.policy()
        self.folders(f"{self.root}/.tmp")
        temp = f"{self.root}/.tmp/{key}{''.join(random.choices(string.ascii_lowercase, k=8))}"
        with open(temp, "wb") as file:
            file.write(data)
        os.chmod(temp, perm & 0o444)
        os.chown(temp, -1, group)
        self.folders(os.path.dirname(self.path(key)))
        shutil.move(temp, self.path(key))
        if labels is not None:
            self.write_tool("labels", key, ".json", json.dumps(list(labels)))
        if used is not None:
            os.utime(self.write_tool("usage", key, "", ""), (used, used))
        return key

    def write_tool(self, tool, key, ending, text):
        path = self.tool(tool, key, ending)
        self.folders(f"{self.root}/tools/{tool}")
        group = os.stat(f"{self.root}/tools/{tool}").st_gid
        self.folders(os.path.dirname(path), mode=0o777)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o777)
        os.chown(path, -1, group)
        return path

    def write_old(self, data):
        """As its first versions did: a folder with the value in it."""
        path = self.path(sha256(data))
        self.folders(path)
        with open(f"{path}/data", "wb") as file:
            file.write(data)
        return sha256(data)

    # ---- what there may be ----

    def check(self, marks, labels):
        """Every file and folder has what the policy says, and objects their bytes."""
        perm, group = self.policy()
        for key in self.contents():
            assert sha256(self.read(key)) == key, key
        for folder, folders, files in os.walk(self.root):
            for name in folders + files:
                self.check_name(os.path.relpath(f"{folder}/{name}", self.root), perm, group)
        assert sorted(self.tool_keys("usage")) == sorted(marks), list(self.tool_keys("usage"))
        assert sorted(self.tool_keys("labels")) == sorted(labels), list(self.tool_keys("labels"))
        for key in marks:
            assert os.stat(self.tool("usage", key)).st_size == 0
        for key, wanted in labels.items():
            with open(self.tool("labels", key, ".json")) as file:
                assert file.read() == json.dumps(sorted(wanted)), key

    def tool_keys(self, tool):
        top = f"{self.root}/tools/{tool}"
        for folder, _, files in os.walk(top):
            for name in files:
                yield (os.path.basename(folder) + name).removesuffix(".json")

    def check_name(self, name, perm, group):
        st = os.lstat(f"{self.root}/{name}")
        depth, tool = name.count("/"), name.startswith(("tools/usage/", "tools/labels/"))
        folder = stat.S_ISDIR(st.st_mode)
        assert folder or stat.S_ISREG(st.st_mode), name
        assert st.st_gid == group, f"{name} has group {st.st_gid}, not {group}"
        if tool:
            wanted = 0o777
        elif folder:
            wanted = perm
        elif name.startswith("tools/tarn-exec/") and depth == 2 or name == "config.yml":
            wanted = stat.S_IMODE(st.st_mode) & perm & 0o666
        else:
            wanted = perm & 0o444
        assert stat.S_IMODE(st.st_mode) == wanted, f"{name} has mode {st.st_mode:o}, not {wanted:o}"
        assert not name.startswith(".tmp/"), f"{name} was left"
