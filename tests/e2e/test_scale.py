"""The main job at scale: 100,000 small files through a local remote and back, with few files and requests there."""

import json
import os
import random
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from kist.cli.main import main
from users import become

FILES, PER_FOLDER, VERSIONS, OUTPUTS = 100_000, 250, 500, 1000


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """A user without any configuration, who does not wait for the disk."""
    become(monkeypatch, tmp_path / "home")


@pytest.fixture
def kist(capsys, monkeypatch):
    """Runs a command in this process and gives what its JSON envelope says under ``data``."""

    def run(folder, *words):
        monkeypatch.chdir(folder)
        code = main([*words, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.out + printed.err
        return json.loads(printed.out)["data"]

    return run


@pytest.fixture
def tell(capsys):
    """Prints a figure into the log of the test run, whether the test passes or not."""

    def print_it(text):
        with capsys.disabled():
            print(f"\nscale: {text}")

    return print_it


class Recorder:
    """Every call of the local remote's own methods, counted without the core's help."""

    METHODS = ("put_file", "put_bytes", "get_file", "open", "stat", "list", "delete", "copy", "exists_many")

    def __init__(self, monkeypatch):
        from kist_local.remote import LocalRemote

        self.keys = []
        self._inside = threading.local()
        for name in self.METHODS:
            monkeypatch.setattr(LocalRemote, name, self._counted(name, getattr(LocalRemote, name)))
        monkeypatch.setattr(LocalRemote, "put_many", self._each("put_many", LocalRemote.put_many))

    def _counted(self, name, method):
        def call(remote, key, *rest, **options):
            if not getattr(self._inside, "put_many", False):
                self.keys.append((name, key))
            return method(remote, key, *rest, **options)

        return call

    def _each(self, name, method):
        """A call with many objects makes a request for each."""

        def call(remote, items, **options):
            items = list(items)
            self.keys.extend((name, key) for key, _ in items)
            self._inside.put_many = True
            try:
                return method(remote, items, **options)
            finally:
                self._inside.put_many = False

        return call

    def take(self):
        """The calls since the last time."""
        keys, self.keys = self.keys, []
        return keys


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


def make_tree(folder):
    """Small files with seeded bytes, some executable, some links, some folders that hold nothing."""
    chance = random.Random(7)
    pool = chance.randbytes(1 << 16)
    for start in range(0, FILES, PER_FOLDER):
        place = folder / f"group{start // 10_000}" / f"part{start // PER_FOLDER:04}"
        place.mkdir(parents=True)
        here = os.open(place, os.O_RDONLY)
        for number in range(start, start + PER_FOLDER):
            at = chance.randrange(len(pool) - 1024)
            mode = 0o755 if number % 50 == 0 else 0o644
            writer = os.open(f"{number:06}.bin", os.O_WRONLY | os.O_CREAT, mode, dir_fd=here)
            os.write(writer, b"%d " % number + pool[at : at + chance.randrange(200, 1024)])
            os.close(writer)
        if start % 10_000 == 0:
            os.symlink("../elsewhere", "a link", dir_fd=here)
            os.mkdir("empty", dir_fd=here)
        os.close(here)


def walked(folder):
    """Path -> what is there, by a walk that uses nothing of kist."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                found[os.path.relpath(path, folder)] = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as stream:
                    found[os.path.relpath(path, folder)] = (bool(status.st_mode & 0o100), stream.read())
            else:
                found[os.path.relpath(path, folder)] = None
    return found


def files_below(folder):
    return {path for path in Path(folder).rglob("*") if path.is_file()}


def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def repository(kist, folder):
    """A repository in Git with a default remote beside it."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    kist(folder, "init")
    kist(folder, "remote", "add", "-d", "store", "../store")
    return folder


def share(folder, clone):
    """Commit the metafiles and clone them."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "data")
    git(folder.parent, "clone", "-q", str(folder), str(clone))
    return clone


def transfer(kist, recorder, folder, verb):
    """Push or pull; returns the data and the calls that the remote saw, which must be as many as are told."""
    recorder.take()
    data = kist(folder, verb)
    calls = recorder.take()
    assert data["requests"] == len(calls), calls
    assert not data["failures"]
    return data, calls


def test_hundred_thousand_files_come_back_the_same(kist, recorder, tell, tmp_path):
    here, store = repository(kist, tmp_path / "here"), tmp_path / "store"
    make_tree(here / "data")
    kist(here, "add", "data")
    _, first = transfer(kist, recorder, here, "push")
    stored = len(files_below(store))
    _, again = transfer(kist, recorder, here, "push")
    there = share(here, tmp_path / "there")
    _, calls = transfer(kist, recorder, there, "pull")
    tell(
        f"{FILES:,} files: {stored} files on the remote; {len(first)} requests to push them, "
        f"{len(again)} to push nothing new, {len(calls)} to pull into a clone"
    )
    assert stored <= 60
    assert len(again) <= 3
    assert len(calls) <= 60
    assert walked(there / "data") == walked(here / "data")
    assert kist(there, "status")["clean"]

    before = files_below(store)
    (here / "data" / "group3" / "part0120" / "030001.bin").write_bytes(b"edited")
    assert len(kist(here, "status")["changes"]) == 1
    kist(here, "add", "data")
    transfer(kist, recorder, here, "push")
    tell(f"one file changed: {len(files_below(store) - before)} new files on the remote")
    assert len(files_below(store) - before) <= 8
    git(here, "commit", "-q", "-a", "-m", "edit")
    git(there, "pull", "-q")
    transfer(kist, recorder, there, "pull")
    assert (there / "data" / "group3" / "part0120" / "030001.bin").read_bytes() == b"edited"
    assert kist(there, "status")["clean"]


def test_nothing_new_costs_three_requests_with_a_thousand_outputs(kist, recorder, tell, tmp_path):
    here = repository(kist, tmp_path / "here")
    for number in range(OUTPUTS):
        place = here / f"set{number // 100}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.bin").write_bytes(b"output %d" % number)
    kist(here, "add", *(f"set{number // 100}/{number}.bin" for number in range(OUTPUTS)))
    assert len(list(here.rglob("*.bin.kist"))) == OUTPUTS
    transfer(kist, recorder, here, "push")
    again = len(transfer(kist, recorder, here, "push")[1])
    there = share(here, tmp_path / "there")
    pulled = len(transfer(kist, recorder, there, "pull")[1])
    other = len(transfer(kist, recorder, there, "push")[1])
    tell(
        f"{OUTPUTS:,} metafiles, nothing new: {again} requests to push, {other} from a clone, which pulled with {pulled}"
    )
    assert again <= 3
    assert pulled <= 60
    assert other <= 3
    assert (there / "set7" / "777.bin").read_bytes() == b"output 777"


def test_the_last_of_many_versions_is_cheap_to_pull(kist, recorder, tell, tmp_path):
    here, store = repository(kist, tmp_path / "here"), tmp_path / "store"
    (here / "data").mkdir()
    for number in range(1000):
        (here / "data" / f"{number:04}").write_bytes(b"first %d" % number)
    for version in range(VERSIONS):
        (here / "data" / f"{version * 37 % 1000:04}").write_bytes(b"version %d" % version)
        kist(here, "add", "data")
        kist(here, "push")
    there = share(here, tmp_path / "there")
    _, calls = transfer(kist, recorder, there, "pull")
    data = {path.relative_to(store).as_posix() for path in files_below(store) if is_data_pack(path)}
    beside = len([key for _, key in calls if key not in data])
    tell(
        f"after {VERSIONS} versions pushed one by one: {len(calls)} requests to pull the last, {beside} beside the data's"
    )
    assert beside <= 40
    assert walked(there / "data") == walked(here / "data")


def is_data_pack(path):
    """Whether a file of the remote is a pack of contents: the ninth byte of a pack's header tells its kind."""
    head = path.read_bytes()[:10]
    return head.startswith(b"KISTPACK") and head[9] == 0
