"""The contract of remotes, for those that the core brings."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest

from kist.abc import Remote
from kist.errors import RemoteAuthError, RemoteExists, RemotePermissionError, RemoteUnavailable
from kist.remotes.fsspec import FsspecRemote
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrappers import RetryingRemote, RetryPolicy, VerifyingRemote
from kist.testing.faults import FlakyRemote, Gate, RawMemory
from kist.testing.overrides import overrides_contract
from kist.testing.remote import StrictRemoteContract

SECRET = "do-not-show-4711"
PATIENT = RetryPolicy(attempts=50, base_delay=0, sleep=lambda seconds: None)


class TestMemory(StrictRemoteContract):
    @pytest.fixture
    def remote(self) -> Remote:
        return MemoryRemote()

    @pytest.fixture
    def second(self, remote) -> Remote:
        return MemoryRemote(remote.objects)

    @pytest.fixture
    def raw(self, remote) -> RawMemory:
        return RawMemory(remote.objects)

    @pytest.fixture
    def broken_credentials(self) -> Remote:
        return MemoryRemote(gate=Gate(lambda: RemoteAuthError("who are you?")))

    @pytest.fixture
    def unreachable(self) -> Remote:
        return MemoryRemote(gate=Gate(lambda: RemoteUnavailable("no route")))

    @pytest.fixture
    def read_only(self) -> Remote:
        full = MemoryRemote()
        RawMemory(full.objects).write("objects/ab/cd", b"there")
        return MemoryRemote(full.objects, gate=Gate(lambda: RemotePermissionError("no"), {"put_file", "delete"}))

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        return (SECRET,)


class TestRetrying(StrictRemoteContract):
    @overrides_contract("an attempt that seemed to fail may have stored these very bytes, so finding them is success")
    def test_if_absent_refuses_the_same(self, remote, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"same")
        remote.put_file("objects/one", tmp_path / "source")
        with contextlib.suppress(RemoteExists):
            remote.put_file("objects/one", tmp_path / "source", if_absent=True)
        assert remote.stat("objects/one").size == 4

    @pytest.fixture
    def memory(self) -> MemoryRemote:
        return MemoryRemote()

    @pytest.fixture
    def remote(self, memory) -> Remote:
        return RetryingRemote(VerifyingRemote(FlakyRemote(memory, chance=0.3)), PATIENT)

    @pytest.fixture
    def second(self, memory) -> Remote:
        return RetryingRemote(FlakyRemote(memory, chance=0.3, seed=1), PATIENT)

    @pytest.fixture
    def raw(self, memory) -> RawMemory:
        return RawMemory(memory.objects)


class TestFsspecMemory(StrictRemoteContract):
    @pytest.fixture
    def url(self) -> str:
        pytest.importorskip("fsspec")
        return f"memory://{uuid.uuid4().hex}/root"

    @pytest.fixture
    def remote(self, url) -> Remote:
        return FsspecRemote.from_url(url)

    @pytest.fixture
    def second(self, url) -> Remote:
        return FsspecRemote.from_url(url)


class TestFsspecLocal(StrictRemoteContract):
    many = 300

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        pytest.importorskip("fsspec")
        return f"file://{tmp_path}/fsspec"

    @pytest.fixture
    def remote(self, url) -> Remote:
        return FsspecRemote.from_url(url)

    @pytest.fixture
    def second(self, url) -> Remote:
        return FsspecRemote.from_url(url)
