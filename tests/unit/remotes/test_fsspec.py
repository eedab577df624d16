"""What is special about remotes over fsspec."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import ClassVar

import pytest

from kist.abc import Capabilities, Options, Progress, RemoteURL, option
from kist.errors import InvalidOption, RemoteError, RemoteExists
from kist.remotes.fsspec import FsspecOptions, FsspecRemote

fsspec = pytest.importorskip("fsspec")
from dataclasses import dataclass  # noqa: E402

from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


class StoreFileSystem(MemoryFileSystem):
    """Puts whole files in one step and knows conditions, as object stores do."""

    protocol = "teststore"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    arguments: ClassVar[dict] = {}
    lock = threading.Lock()
    made = 0

    def __init__(self, **arguments) -> None:
        super().__init__()
        type(self).made += 1
        type(self).arguments = arguments

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("teststore://").strip("/")

    def put_file(self, lpath, rpath, callback=None, mode="overwrite", **kwargs) -> None:
        with open(lpath, "rb") as reader:
            data = reader.read()
        callback.absolute_update(len(data) // 2)
        callback.absolute_update(len(data))
        with self.lock:
            if mode == "create" and self._strip_protocol(rpath) in self.store:
                raise FileExistsError(rpath)
            self.pipe_file(rpath, data)


@pytest.fixture(autouse=True)
def registered():
    fsspec.register_implementation("teststore", StoreFileSystem, clobber=True)
    StoreFileSystem.store.clear()
    StoreFileSystem.made = 0


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").write_bytes(b"0123456789")
    return tmp_path / "source"


def store(**options) -> FsspecRemote:
    capabilities = Capabilities(if_absent=True)
    url = RemoteURL.parse("teststore://bucket/root")
    return FsspecRemote("teststore", url, capabilities=capabilities, commits_on_close=True, **options)


def test_import_brings_no_fsspec() -> None:
    code = "import sys, kist.remotes.fsspec; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_opening_makes_no_filesystem() -> None:
    remote = store()
    assert StoreFileSystem.made == 0
    assert list(remote.list()) == []
    assert StoreFileSystem.made == 1


def test_filesystem_is_not_shared() -> None:
    list(store().list())
    list(store().list())
    assert StoreFileSystem.made == 2


def test_store_puts_at_once(source) -> None:
    remote = store()
    remote.put_file("a/b", source)
    assert list(StoreFileSystem.store) == ["/bucket/root/a/b"]
    remote.put_file("a/c", source, if_absent=True)
    with pytest.raises(RemoteExists):
        remote.put_file("a/b", source, if_absent=True)


def test_store_progress_and_abort(source) -> None:
    class Abort(Exception):
        pass

    class Aborting(Progress):
        def __init__(self, after: int) -> None:
            self.total, self.after = 0, after

        def advance(self, amount: int) -> None:
            self.total += amount
            if self.total >= self.after:
                raise Abort

    counting = Aborting(100)
    store().put_file("a", source, progress=counting)
    assert counting.total == 10
    with pytest.raises(Abort):
        store().put_file("b", source, progress=Aborting(1))
    assert list(StoreFileSystem.store) == ["/bucket/root/a"]


def test_condition_is_not_claimed_where_it_needs_a_move(source) -> None:
    remote = FsspecRemote("memory", RemoteURL.parse("memory://condition"), capabilities=Capabilities(if_absent=True))
    assert not remote.capabilities.if_absent


def test_options_reach_the_filesystem() -> None:
    @dataclass(frozen=True, kw_only=True)
    class BoxOptions(Options):
        token: str | None = option(None, help="Token.", secret=True)
        region: str | None = option(None, help="Region.")

    list(store(options=BoxOptions(token="t")).list())
    assert StoreFileSystem.arguments == {"token": "t"}
    list(store(options=FsspecOptions(storage_options='{"a": 1, "b": {"c": "d"}}')).list())
    assert StoreFileSystem.arguments == {"a": 1, "b": {"c": "d"}}


@pytest.mark.parametrize("text", ["{", "[]", "1"])
def test_options_that_are_no_object(text) -> None:
    with pytest.raises(InvalidOption, match="JSON"):
        store(options=FsspecOptions(storage_options=text))


def test_secret_arguments_do_not_show(monkeypatch, source) -> None:
    def leak(self, *args, **kwargs):
        raise ValueError("refused: token very-secret-token")

    monkeypatch.setattr(StoreFileSystem, "info", leak)
    options = FsspecOptions(storage_options='{"token": "very-secret-token"}')
    remote = store(options=options)
    with pytest.raises(RemoteError) as caught:
        remote.stat("a")
    assert "very-secret" not in str(caught.value) + repr(remote) + repr(options)
    assert caught.value.__cause__ is None


def test_unknown_filesystem() -> None:
    remote = FsspecRemote("no-such", RemoteURL.parse("no-such://x"))
    with pytest.raises(RemoteError) as caught:
        remote.stat("a")
    assert "fsspec" in (caught.value.hint or "")


def test_failed_write_leaves_no_temporary(tmp_path, source, monkeypatch) -> None:
    remote = FsspecRemote.from_url(f"file://{tmp_path}/root")
    remote.put_file("a", source)
    from fsspec.implementations.local import LocalFileSystem

    def refuse(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "mv", refuse)
    with pytest.raises(RemoteError):
        remote.put_file("b", source)
    assert os.listdir(tmp_path / "root" / ".kist-tmp") == []
    assert [info.key for info in remote.list()] == ["a"]


def test_folder_that_another_client_makes_at_the_same_moment(tmp_path, source, monkeypatch) -> None:
    from fsspec.implementations.local import LocalFileSystem

    make = LocalFileSystem.makedirs

    def late(self, path, exist_ok=False) -> None:
        if not os.path.isdir(path):
            make(self, path)
            raise OSError("Failure")

    monkeypatch.setattr(LocalFileSystem, "makedirs", late)
    remote = FsspecRemote("file", RemoteURL.parse(f"file://{tmp_path}/store"))
    remote.put_file("objects/ab/cd", source)
    assert remote.exists_many(["objects/ab/cd"])


def test_sweep_removes_old_temporaries(tmp_path, source) -> None:
    remote = FsspecRemote.from_url(f"file://{tmp_path}/root")
    assert remote.sweep() == 0
    remote.put_file("a", source)
    folder = tmp_path / "root" / ".kist-tmp"
    (folder / "young").touch()
    (folder / "old").touch()
    os.utime(folder / "old", (time.time() - 100_000,) * 2)
    assert remote.sweep() == 1
    assert os.listdir(folder) == ["young"]


def test_large_object_is_read_by_ranges(tmp_path, monkeypatch) -> None:
    from kist.remotes import fsspec as module

    monkeypatch.setattr(module, "_BLOCK", 1000)
    data = os.urandom(4500)
    (tmp_path / "source").write_bytes(data)
    remote = FsspecRemote.from_url("memory://ranges")
    remote.put_file("a", tmp_path / "source")
    with remote.open("a") as reader:
        assert reader.read() == data
    with remote.open("a", start=900, length=2200) as reader:
        assert reader.read(50) + reader.read() == data[900:3100]
