"""Lakes by the rules of the Python library, on a server, with what an action leaves in them, held from both sides."""
import json, os, shutil, subprocess, sys

import web
from web import must

sys.path.append(f"{os.path.dirname(web.HERE)}/lakes")
from python_rules import DEFAULT, Lake, sha256

CONFIGS = [(None, (1, -1)), (DEFAULT, (1, -1)), (b"hash:\n  name: sha256\nlevels:\n- 2\n- 30\n", (2, 30)), (b"levels: [1, 1, -1]\n", (1, 1, -1))]
VALUES = [b"", b"theirs\n", bytes(range(256)) * 3000]


def act(folder):
    """A lake on a disk after an action: record, path set, and its output as a blob. The output's key."""
    work = f"{folder}/work"
    os.makedirs(f"{work}/.git")
    with open(f"{work}/in", "wb") as file:
        file.write(b"0123456789abcdef" * 20000)
    env = {**os.environ, "TARN_DIR": f"{folder}/acted", "TARN_TIERS": f"{folder}/acted/lake", "HOME": folder, "XDG_CONFIG_HOME": folder}
    subprocess.run([f"{web.ROOT}/build/checked/tarn-exec", "cp", "in", "out"], cwd=work, env=env, check=True)
    with open(f"{work}/out", "rb") as file:
        return sha256(file.read())


def hold(server, folder, url, path, modes=True):
    """`url` and `path` with a hole "{}": the same lake there and on this disk."""
    made = act(folder)
    for i, (config, levels) in enumerate(CONFIGS):
        where, root = url.replace("{}", f"py{i}"), path.replace("{}", f"py{i}")
        os.makedirs(root)
        os.chmod(root, 0o775 if modes else 0o777)
        if config:
            with open(f"{root}/config.yml", "wb") as file:
                file.write(config)
        lake = Lake(root, levels)

        def tarn(*words, status=0):
            return must(web.tarn(folder, where, *words, **server.env), status).out

        tarn("copy", f"{folder}/acted/lake", where)
        with open(f"{root}/config.yml", "rb") as file:
            assert file.read() == (config or DEFAULT), config
        assert lake.contents() == [made], (config, lake.contents())
        assert sha256(lake.read(made)) == made
        theirs = [lake.write(value) for value in VALUES] + [lake.write_old(b"an old one\n")]
        keys = sorted([made, *theirs])
        for key, value in zip(theirs, [*VALUES, b"an old one\n"]):
            assert tarn("read", key) == value, (config, key)
        listed = [json.loads(line) for line in tarn("ls", "--json").splitlines()]
        assert sorted(e["key"] for e in listed if e["space"] == "blob") == keys, (config, listed)
        assert sum(e["space"] == "index" for e in listed) == 2, (config, listed)
        assert lake.contents() == keys
        left = sorted(name for name in os.listdir(root) if len(name) > 4 or not set(name) <= set("0123456789abcdef"))
        assert left in ([".tmp", "config.yml", "tools"], ["config.yml", "tools"]), left
        assert os.listdir(f"{root}/tools") == ["tarn-exec"], os.listdir(f"{root}/tools")
        if modes:
            os.unlink(lake.path(theirs[-1]) + "/data")  # whose modes are old, too
            os.rmdir(lake.path(theirs[-1]))
            keys.remove(theirs[-1])
            lake.check([], {})
        for key in keys:
            tarn("rm", key)
        assert not set(keys) & set(lake.contents()), lake.contents()
        shutil.rmtree(root)
