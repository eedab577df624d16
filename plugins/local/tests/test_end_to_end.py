"""What two people do with a folder as their remote, through the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servers.scenario import EndToEnd, Place


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
        (self.root / key).write_bytes(data)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


class TestFolder(EndToEnd):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(str(tmp_path / "store"), raw=RawFolder(tmp_path / "store"))
