"""What is done to both tools. Each harm yields one answer for each input: None where nothing was lost or falsely said, else what was."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tools import bytes_of, fill, must, tree

HERE = Path(__file__).parent
MOMENTS = 20
"""How many moments of a command are tried with a kill."""


def recorded(make, place, *, push=False):
    """A repository with a recorded directory, committed, and pushed if asked."""
    tool = make(place)
    fill(tool.work / "data")
    must(tool("add", "data"))
    tool.commit()
    if push:
        must(tool("push"))
    return tool


def flip(path):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    path.chmod(0o444)


def each(folder, tool, paths):
    """For each of some files: the state is kept, the file is given, and the state is put back."""
    kept = Path(folder) / "kept"
    shutil.copytree(tool.place, kept, symlinks=True)
    for path in paths:
        yield path
        shutil.rmtree(tool.place)
        shutil.copytree(kept, tool.place, symlinks=True)


# ── damage and loss ──────────────────────────────────────────────────────────────────────────────────────────────────


def damage_checked_out(make, folder):
    """a byte of an object in the cache is another; checkout into an empty workspace"""
    tool = recorded(make, folder / "place")
    good = tree(tool.work / "data")
    for path in each(folder, tool, tool.cached()):
        flip(path)
        shutil.rmtree(tool.work / "data")
        done = tool("checkout")
        now = tree(tool.work / "data")
        wrong = [name for name in now if name not in good or now[name][1] != good[name][1]]
        told = "and says that all is well" if done.code == 0 else ""
        yield (
            f"damaged content is delivered {told}"
            if wrong
            else "says that all is well"
            if done.code == 0 and now != good
            else None
        )


def damage_pushed(make, folder):
    """the same; push to an empty remote, pull elsewhere"""
    tool = recorded(make, folder / "place")
    good = tree(tool.work / "data")
    for path in each(folder, tool, tool.cached()):
        flip(path)
        done = tool("push")
        clone = tool.clone()
        tool("pull", folder=clone)
        brought = tree(clone / "data")
        yield (
            "what it sent is not what was recorded" if done.code == 0 and contents(brought) != contents(good) else None
        )


def contents(files):
    return {name: content for name, (_, content) in files.items()}


def missing_told(make, folder):
    """an object is gone from the remote; is all there?"""
    tool = recorded(make, folder / "place", push=True)
    for path in each(folder, tool, tool.remote_objects()):
        path.unlink()
        yield "says that all is there" if tool(*tool.remote_check).code == 0 else None


def missing_pulled(make, folder):
    """the same; pull into a fresh clone"""
    tool = recorded(make, folder / "place", push=True)
    good = contents(tree(tool.work / "data"))
    for path in each(folder, tool, tool.remote_objects()):
        path.unlink()
        clone = tool.clone()
        done = tool("pull", folder=clone)
        yield "says that all is there" if done.code == 0 and contents(tree(clone / "data")) != good else None


def missing_rest(make, folder):
    """the same; what is left arrives"""
    tool = recorded(make, folder / "place", push=True)
    for path in each(folder, tool, [one for one in tool.remote_objects() if one.stat().st_size > 1 << 20]):
        path.unlink()
        clone = tool.clone()
        tool("pull", folder=clone)
        yield "nothing arrives" if not tree(clone / "data") else None


def modes(make, folder):
    """an executable file: checked out again, pulled, alone and in a directory"""
    tool = recorded(make, folder / "place", push=True)
    script = tool.work / "tool.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    must(tool("add", "tool.sh"))
    tool.commit()
    must(tool("push"))
    for name in ("data", "tool.sh"):
        path = tool.work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    must(tool("checkout"))
    clone = tool.clone()
    must(tool("pull", folder=clone))
    for place in (tool.work, clone):
        for name in ("data/run.sh", "tool.sh"):
            yield (
                None
                if os.access(place / name, os.X_OK) and (place / name).stat().st_mode & 0o100
                else "the executable bit is lost"
            )


# ── races ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def changing(make, folder):
    """a file changes all the time while it is added"""
    for number in range(4):
        tool = make(folder / f"place{number}")
        path = tool.work / "busy"
        path.write_bytes(bytes_of(number, 96 << 20))
        ended = threading.Event()

        def scribble(path=path, ended=ended):
            count = 0
            with open(path, "r+b") as stream:
                while not ended.is_set():
                    stream.seek(count * 4099 % (96 << 20))
                    stream.write(count.to_bytes(8, "big"))
                    stream.flush()
                    count += 1

        writer = threading.Thread(target=scribble)
        writer.start()
        done = tool("add", "busy")
        ended.set()
        writer.join()
        yield "recorded content has another digest than its name" if done.code == 0 and not tool.sound() else None
        shutil.rmtree(tool.place)


# ── hostile manifests ────────────────────────────────────────────────────────────────────────────────────────────────

PATHS = ["../../escaped", "../escaped", ".git/hooks/post-checkout", "../.git/hooks/post-checkout", "{outside}/escaped", "sub/../../escaped",
         "link/escaped", "../.gitattributes"]  # fmt: skip


def manifests(make, folder):
    """a manifest that names paths outside of its directory, or below a symbolic link"""
    for number, path in enumerate(PATHS):
        place = folder / f"place{number}"
        tool = make(place)
        outside = place / "outside"
        outside.mkdir()
        (tool.work / "evil").mkdir()
        (tool.work / "evil" / "link").symlink_to(outside)
        path = path.replace("{outside}", str(outside))
        (forge_kist if tool.name == "kist" else forge_dvc)(tool, path)
        before = escaped(place, tool.work / "evil")
        tool("checkout", "--force", *([] if tool.name == "kist" else ["evil.dvc"]))
        yield f"wrote {path}" if escaped(place, tool.work / "evil") != before else None


def escaped(place, inside):
    """What carries one of the names that the manifests try, outside of their directory."""
    names = {Path(path).name for path in PATHS}
    return {one for one in place.rglob("*") if one.name in names and not one.is_relative_to(inside)}


def forge_kist(tool, path):
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]; import pytest; from hostile_support import forge; "
        "forge(sys.argv[1], [(sys.argv[2].encode(), 'file')], pytest.MonkeyPatch())"
    )
    tests = HERE.parent
    words = [sys.executable, "-c", code, tool.work, path, tests / "hostile", tests / "cli", tests]
    subprocess.run([str(one) for one in words], env=tool.environment(), check=True, capture_output=True)


def forge_dvc(tool, path):
    cache = tool.work / ".dvc" / "cache" / "files" / "md5"

    def keep(data, suffix=""):
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        (cache / digest[:2]).mkdir(parents=True, exist_ok=True)
        (cache / digest[:2] / (digest[2:] + suffix)).write_bytes(data)
        return digest

    manifest = json.dumps([{"md5": keep(b"evil"), "relpath": path}]).encode()
    text = f"outs:\n- md5: {keep(manifest, '.dir')}.dir\n  size: 4\n  nfiles: 1\n  hash: md5\n  path: evil\n"
    (tool.work / "evil.dvc").write_text(text)


# ── kills and full disks ─────────────────────────────────────────────────────────────────────────────────────────────


def shim(folder):
    """The compiled shim that kills."""
    made = folder / "kill.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", made, HERE / "kill.c", "-ldl"], check=True)
    return made


def killed(folder, tool, words, kill_at=0):
    """Run a command that dies before a file-changing call; how many calls there were."""
    counter = folder / "counter"
    counter.write_bytes(bytes(8))
    tool(*words, LD_PRELOAD=str(folder / "kill.so"), COMPARE_COUNTER=str(counter), COMPARE_KILL_AT=str(kill_at))
    return int.from_bytes(counter.read_bytes(), sys.byteorder)


def _kills(make, folder, words, prepare):
    shim(folder)
    tool = recorded(make, folder / "place")
    good = prepare(tool)
    kept = folder / "kept"
    shutil.copytree(tool.place, kept, symlinks=True)
    calls = killed(folder, tool, words)
    for moment in range(MOMENTS):
        shutil.rmtree(tool.place)
        shutil.copytree(kept, tool.place, symlinks=True)
        killed(folder, tool, words, 1 + moment * calls // MOMENTS)
        yield _after_kill(tool, words, good)


def _after_kill(tool, words, good):
    """What is wrong after a kill, None if nothing."""
    look = tool("status")
    if look.code not in (0, 1):
        return "the next command fails"
    if tool(*words).code != 0:
        return "the same command fails"
    if contents(tree(tool.work / "data")) != contents(good):
        return "files of the workspace are lost or wrong"
    shutil.rmtree(tool.work / "data")
    if tool("checkout").code != 0 or contents(tree(tool.work / "data")) != contents(good) or not tool.sound():
        return "what was recorded does not come back"
    return None


def kills_of_add(make, folder):
    """kill -9 at some moment of an add after edits; then status, the same add, a fresh checkout"""

    def prepare(tool):
        fill(tool.work / "data", seed=7)
        (tool.work / "data" / "new").write_bytes(bytes_of(99, 5000))
        return tree(tool.work / "data")

    yield from _kills(make, folder, ("add", "data"), prepare)


def kills_of_checkout(make, folder):
    """kill -9 at some moment of a checkout; then status, the same checkout"""

    def prepare(tool):
        good = tree(tool.work / "data")
        shutil.rmtree(tool.work / "data")
        return good

    yield from _kills(make, folder, ("checkout",), prepare)


def full_disk(make, folder):
    """an add for whose objects there is no room (a small file system; needs root)"""
    if os.geteuid() != 0:
        return
    for megabytes in (2, 4, 6, 8, 9):
        place = folder / f"place{megabytes}"
        small = folder / f"small{megabytes}"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", small], check=True)
        try:
            tool = make(place)
            tool.cache_at(small)
            fill(tool.work / "data")
            good = tree(tool.work / "data")
            done = tool("add", "data")
            yield _after_full(tool, done, good)
        finally:
            subprocess.run(["umount", "--lazy", small], check=True)


def _after_full(tool, done, good):
    if tree(tool.work / "data") != good:
        return "files of the workspace are lost"
    metafile = tool.work / ("data.kist" if tool.name == "kist" else "data.dvc")
    if done.code == 0:
        return "says that all was added"
    return "records what it could not keep" if metafile.exists() else None


HARMS = [damage_checked_out, damage_pushed, missing_told, missing_pulled, missing_rest, modes, changing, manifests, kills_of_add,
         kills_of_checkout, full_disk]  # fmt: skip


def run(harm, make):
    """Do one harm to one tool: a list of answers."""
    with tempfile.TemporaryDirectory(prefix="kist-compare-") as folder:
        return list(harm(make, Path(folder)))
