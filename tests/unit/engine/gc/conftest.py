"""Lets the tests of gc share modules, and the remote on which gc and push cross."""

import sys
from pathlib import Path

import pytest

from kist.engine.transfer import push_side, remote_store, segments

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def scene(clone, monkeypatch):
    """A remote on which gc and push cross; objects of some KiB lie by themselves, and in segments."""
    from crossing import Scene

    monkeypatch.setattr(remote_store, "PACK_THRESHOLD", 2 << 10)
    monkeypatch.setattr(push_side, "SEGMENTED_FROM", 4 << 10)
    monkeypatch.setattr(segments, "segment_size", lambda size: 2 << 10)
    return Scene(clone, monkeypatch)
