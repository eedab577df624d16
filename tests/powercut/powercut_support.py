"""File systems that lose their power: images in a file, a workload that tells what was reported done, and what must hold.

ext4 and XFS are shut down by the ioctl that their own crash tests use, without a flush of the log: whatever was not made
durable by then is lost, as if the machine had stopped. btrfs has no such call: its image lies on an XFS that shares
blocks, where one copy of the backing file is what a disk would hold at that moment. Writes that the file system gave to
its disk count as durable: a disk that loses its own cache is not played.

The moment is chosen by counting in the process: the functions of ``os`` that change names or wait for the disk, and each
report, are steps, and the power goes at the n-th, before it or right after a report.
"""

import contextlib
import errno
import fcntl
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from threading import Lock

from children import code_of, forked
from servers.file_systems import MAKERS
from servers.processes import program, unavailable

WHOLE = os.environ.get("KIST_POWERCUT") == "whole"
CUTS = 100 if WHOLE else 8
"""Cuts of one test: in the whole, and in the sample of the ordinary run."""

VERSIONS = 4
STEPS = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir", "fsync")
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, which are one number."""
_NO_FLUSH = 2
_CLONE = 0x40049409
"""FICLONE."""


class Disk:
    """A file system in an image.

    Args:
        kind: ext4, xfs or btrfs.
        folder: an existing folder for the image and the mount point.
        megabytes: its size, if the smallest that its kind allows is not enough.
    """

    def __init__(self, kind, folder, megabytes=0):
        package, self._options, least = MAKERS[kind]
        self._megabytes = max(megabytes, least)
        self._maker = program(f"mkfs.{kind}", package)
        if os.geteuid() != 0:
            unavailable(f"mounting an image of {kind} needs root")
        self.kind = kind
        self.image = Path(folder) / f"{kind}.image"
        self.root = Path(folder) / kind
        self.root.mkdir(parents=True, exist_ok=True)

    def make(self):
        """An empty file system, mounted."""
        with self.image.open("wb") as stream:
            stream.truncate(self._megabytes << 20)
        subprocess.run([self._maker, *self._options, self.image], check=True, capture_output=True)
        self.mount()

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.image, self.root], check=False, capture_output=True)
        if done.returncode:
            unavailable(f"this machine cannot mount an image of {self.kind}: {os.fsdecode(done.stderr).strip()}")

    def unmount(self):
        subprocess.run(["umount", self.root], check=True)

    def shut_down(self, _step=0):
        """Stop the file system as a power cut does; callable from any process."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def made(self):
        """Make it; whatever happens it is not mounted in the end."""
        with self.gone_afterwards():
            self.make()
            yield self

    @contextlib.contextmanager
    def gone_afterwards(self):
        """Whatever happens, it is not mounted after the block."""
        try:
            yield self
        finally:
            subprocess.run(["umount", "--lazy", self.root], check=False, capture_output=True)
            self.image.unlink(missing_ok=True)


def copied(image, target):
    """What a disk holds right now: a copy of a backing file that shares its blocks, and is made in one step."""
    with image.open("rb") as source, target.open("wb") as copy:
        fcntl.ioctl(copy.fileno(), _CLONE, source.fileno())


# ── the workload ─────────────────────────────────────────────────────────────────────────────────────────────────────


def content(version):
    """What the tracked directory holds in a version: files that stay, that change, that come, and a large one."""
    files = {f"part/{n:02}.txt": b"stays %d\n" % n * 20 for n in range(12)}
    files |= {f"part/{n:02}.txt": b"version %d of %d\n" % (version, n) * 50 for n in range(version, version + 4)}
    files[f"new/{version}.txt"] = b"new in %d\n" % version
    files["large.bin"] = bytes((at * (version + 3) + at // 251) % 256 for at in range(4096)) * 350
    return files


def lay_out(folder, version):
    """Put a version's files into a folder, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in content(version).items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class Steps:
    """Counts what this process does to a disk, and cuts the power at a chosen step."""

    def __init__(self, cut, at):
        self.count = 0
        self.reports = []
        self._cut, self._at = cut, at
        self._lock = Lock()

    def step(self):
        with self._lock:
            self.count += 1
            if self.count in self._at:
                self._cut(self.count)

    def install(self):
        for name in STEPS:
            setattr(os, name, self._counted(getattr(os, name)))
        return self

    def _counted(self, original):
        def call(*args, **options):
            self.step()
            return original(*args, **options)

        return call


def in_child(work):
    """What *work* returns, run in a fork of this process.

    Raises:
        AssertionError: it failed there, with its traceback.
    """
    reader, writer = os.pipe()

    def child():
        os.close(reader)
        try:
            answer = (work(), "")
        except BaseException:
            answer = (None, traceback.format_exc())
        os.chdir("/")
        with os.fdopen(writer, "wb") as stream:
            pickle.dump(answer, stream)

    number = forked(child)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    code = code_of(number)
    result, trace = pickle.loads(data) if data else (None, f"the child ended with {code}")
    assert not trace, trace
    return result


def kist(folder, *words):
    """Run a command in this process; what it complained of, "" if it returned 0."""
    from kist.cli.main import main

    os.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(word) for word in words])
    return f"kist {' '.join(map(str, words))} returned {code}: {said.getvalue()[:2000]}" if code else ""


def begin(root):
    """The repository, its remote and nothing in them, all of it on the disk."""
    work = Path(root, "work")
    work.mkdir()
    assert not kist(work, "init")
    assert not kist(work, "remote", "add", "-d", "store", "../store")
    assert not kist(work, "config", "--local", "core.jobs", "2")
    os.sync()


def workload(root, report):
    """Record and push versions; tell of each that a command reported done.

    Args:
        root: the file system.
        report: called with (what, version, bytes of the metafile) after a command returned 0.
    """
    work = Path(root, "work")
    for version in range(VERSIONS):
        lay_out(work / "data", version)
        for verb in (["commit", "data"] if version % 2 else ["add", "data"], ["push"]):
            if kist(work, *verb):
                return
            report(verb[0] if verb[0] == "push" else "record", version, Path(work, "data.kist").read_bytes())


def run(root, cut=None, at=(), sabotage=None, mode="batch"):
    """Run the workload in a child.

    Args:
        root: the file system.
        cut: cuts the power, given the step.
        at: the steps where it does.
        sabotage: breaks the product in the child.
        mode: ``core.fsync``.

    Returns:
        (number of steps, steps that are reports, what was reported done).
    """

    def work():
        os.environ["KIST_FSYNC"] = mode
        if sabotage:
            sabotage()
        steps, done = Steps(cut, at).install(), []

        def report(*facts):
            done.append(facts)
            steps.reports.append(steps.count + 1)
            steps.step()

        try:
            workload(root, report)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EROFS, errno.ESHUTDOWN):
                raise
        return steps.count, steps.reports, done

    return in_child(work)


# ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────────────


def lacking(folder, version):
    """The files of a version that a folder does not hold as they were; what was never recorded may lie beside them."""
    wrong = [name for name, data in content(version).items() if _read(folder / name) != data]
    return f"not as they were: {wrong}" if wrong else ""


def _read(path):
    return path.read_bytes() if path.is_file() else None


def losses(root, done):
    """What a file system that was mounted again lacks of what was reported done, as sentences.

    Args:
        root: the file system.
        done: as ``run`` returns it.
    """
    return in_child(lambda: list(_losses(Path(root), done)))


def _losses(root, done):
    work, again = root / "work", root / "again"
    metafile = work / "data.kist"
    recorded = [facts for facts in done if facts[0] == "record"]
    yield from _wrong_metafile(metafile, recorded)
    for _, version, data in recorded:
        metafile.write_bytes(data)
        trouble = kist(work, "checkout", "--force") or kist(work, "verify") or lacking(work / "data", version)
        if trouble:
            yield f"version {version} is not in the cache: {trouble}"
    shutil.copytree(work / ".kist", again / ".kist", ignore=shutil.ignore_patterns("private"))
    for what, version, data in done:
        if what == "push":
            (again / "data.kist").write_bytes(data)
            trouble = kist(again, "pull", "--force") or lacking(again / "data", version)
            if trouble:
                yield f"version {version} is not on the remote: {trouble}"
    lay_out(work / "data", VERSIONS)
    for words in (["add", "data"], ["push"], ["verify"], ["verify", "--remote", "store"]):
        if trouble := kist(work, *words):
            yield f"the next command does not work: {trouble}"


def _wrong_metafile(metafile, recorded):
    """The metafile is the newest that was reported, or one that came later: its command was not told to the end."""
    now = metafile.read_bytes() if metafile.exists() else None
    older = {data for _, _, data in recorded[:-1]}
    if now == b"" or (recorded and (now is None or now in older)):
        yield f"the metafile is not that of version {recorded[-1][1] if recorded else 0}: {now!r}"


def say(text):
    """One line for whoever reads the run."""
    print(f"power cut: {text}", file=sys.stderr)
