"""Remote contract: objects that are put out of memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kist.abc import Remote
from kist.testing.base import difference
from kist.testing.remote_parts.common import Abort, Recorder, RemoteFixtures, content, keys, put, read


class BytesContract(RemoteFixtures):
    """Bytes that are in memory are put as those of a file are."""

    __test__ = False

    @pytest.mark.parametrize("sizes", [(10, 20), (70000, 3)])
    def test_put_bytes_replaces(self, remote: Remote, tmp_path: Path, sizes: tuple[int, int]) -> None:
        """Put_bytes replaces what was there, whole, be the new bytes fewer or more."""
        put(remote, tmp_path, "objects/one", content(sizes[0]))
        remote.put_bytes("objects/one", content(sizes[1], 1))
        assert not difference(read(remote, "objects/one"), content(sizes[1], 1))

    @pytest.mark.parametrize("size", [0, 1, 3 << 20])
    def test_put_bytes_progress(self, remote: Remote, size: int) -> None:
        """What put_bytes tells adds up to the size, and never goes back."""
        progress = Recorder()
        remote.put_bytes("objects/one", content(size), progress=progress)
        assert sum(progress.amounts) == size
        assert min(progress.amounts, default=0) >= 0

    def test_aborted_put_bytes(self, remote: Remote) -> None:
        """A put_bytes that is broken off stores nothing, and what progress raises passes through as it is."""
        abort = Abort()
        with pytest.raises(Abort) as caught:
            remote.put_bytes("objects/one", content(3 << 20), progress=Recorder(abort))
        assert caught.value is abort
        assert keys(remote) == []

    @pytest.mark.parametrize("error", [None, Abort()])
    def test_put_bytes_leaves_nothing(self, remote: Remote, tmp_path: Path, error: Abort | None) -> None:
        """Put_bytes leaves no file in the folder that it is lent, whether it ends well or is broken off."""
        folder = tmp_path / "contract-in"
        folder.mkdir()
        try:
            remote.put_bytes("objects/one", content(1000), progress=Recorder(error), scratch=folder)
        except Abort:
            assert error is not None
        assert os.listdir(folder) == []
