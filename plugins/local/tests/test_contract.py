"""The contract of remotes, for a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kist.testing.remote import StrictRemoteContract
from kist_local.remote import LocalRemote


class RawFolder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def keys(self) -> list[str]:
        return [
            os.path.relpath(os.path.join(folder, name), self.root)
            for folder, _, names in os.walk(self.root)
            for name in names
        ]

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


class TestLocal(StrictRemoteContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        path = tmp_path / "remote"
        path.mkdir()
        return path

    @pytest.fixture
    def remote(self, root: Path) -> LocalRemote:
        return LocalRemote(root)

    @pytest.fixture
    def second(self, root: Path) -> LocalRemote:
        return LocalRemote(root)

    @pytest.fixture
    def raw(self, root: Path) -> RawFolder:
        return RawFolder(root)
