"""Kill DVC at each of its calls, in its own interpreter; started by ``compare_dvc.py``."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import layers
from crash_support import V1, copy_tree, in_child, to_v2, write

from walking import walk


def dvc(root, *words):
    """Run DVC in this process; its exit code."""
    from dvc.cli import main

    os.chdir(root)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return main(list(words))


def in_fork(work):
    """Run *work* in a fork; what it returned, or the traceback."""
    _, result, trace = in_child(work)
    return result if trace is None else trace


def git(root, *words):
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


def prepare(root, versions):
    os.makedirs(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.email", "test@example.invalid")
    git(root, "config", "user.name", "Test")
    assert in_fork(lambda: dvc(root, "init", "-q")) == 0
    write(root, V1)
    for version in range(versions):
        if version:
            to_v2(root)
        assert in_fork(lambda: dvc(root, "add", "-q", "data")) == 0
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", f"v{version + 1}")
    if versions:
        git(root, "checkout", "-q", "HEAD~1", "--", "data.dvc")


def seen(root):
    """What a user has: files, metafiles and ignore rules."""
    return {path: entry for path, entry in walk(root).items() if path.split(os.sep)[0] not in (".git", ".dvc")}


def wrong(root, words, expected):
    """What is wrong after a kill, None if nothing."""
    if (code := in_fork(lambda: dvc(root, "status", "-q"))) not in (0, 1):
        return f"status: {code}"
    if code := in_fork(lambda: dvc(root, *words)):
        return f"repeated: {code}"
    if seen(root) != expected:
        return "another result"
    for path, (_, content) in walk(os.path.join(root, ".dvc/cache/files/md5")).items():
        if re.fullmatch(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?", path):
            digest = path.replace("/", "").removesuffix(".dir")
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
                return f"the object {path} is damaged"
    return None


def torment(folder, versions, words):
    """Kill a command at each of its calls; returns (calls, kills, what was broken)."""
    layer, root, saved = layers.layer(), os.path.join(folder, "work"), os.path.join(folder, "saved")
    prepare(root, versions)
    copy_tree(root, saved)

    def run(mode, at):
        shutil.rmtree(root)
        copy_tree(saved, root)
        layer.choose(mode, at)

        def work():
            os.setpgid(0, 0)
            layer.arm()
            code = dvc(root, *words)
            layer.disarm()
            return code

        return in_child(work)

    assert run(layers.COUNT, 0)[1] == 0
    total, expected, killed, broken = len(layer.seen().names), seen(root), 0, []
    for at in range(1, total + 1):
        killed += run(layers.KILL_BEFORE, at)[0] == -signal.SIGKILL
        if problem := wrong(root, words, expected):
            broken.append(f"{at}: {problem}")
    return total, killed, broken


def main():
    os.environ.pop("LD_PRELOAD", None)
    os.environ |= {"DVC_NO_ANALYTICS": "1", "DVC_TEST": "true"}
    import dvc.cli
    import dvc.repo
    import dvc.version

    for name, versions, words in (("add", 0, ("add", "-q", "data")), ("checkout", 2, ("checkout", "-q", "data.dvc"))):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            total, killed, broken = torment(folder, versions, words)
        sys.stdout.write(f"DVC {dvc.version.__version__}, {name}: N = {total}, {killed} killed, {len(broken)} broken\n")
        sys.stdout.writelines(f"  {one[:200]}\n" for one in broken[:10])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
