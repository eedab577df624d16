"""Manifests, packs and indexes that say they are far more than they are: refused in bounded time and memory."""

import os
import sys
import zlib
from itertools import islice
from pathlib import Path

import bombs
import pytest
from bombs import CODES, COMMANDS, HARMLESS, WRONG, Forge, limited, unfolds_to_more_than_it_says
from cli_support import tree

from kist.engine.storage import members


@pytest.fixture
def forge(shared):
    return Forge(shared)


def blow(forge, bomb, commands):
    """Make a bomb and let commands read it; whatever they say, what was there stays."""
    before = tree(forge.folder / "data")
    bomb(forge)
    codes = {}
    for words in commands:
        code, said = limited(forge.folder, *words)
        assert code in CODES, (words, code, said)
        assert tree(forge.folder / "data") == before
        codes.setdefault(words[0], code)
    return codes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limits need what Linux tells of a process")
@pytest.mark.parametrize("bomb", [*WRONG, *HARMLESS])
def test_4_2_bombs_of_manifests(forge, bomb, tried):
    some = tried(COMMANDS) if os.environ.get("KIST_HOSTILE") == "whole" else islice(tried(COMMANDS), 1, 2)
    codes = blow(forge, bomb, [("checkout", "evil"), *some])
    assert (codes["checkout"] == 0) == (bomb in HARMLESS), codes
    assert bomb in HARMLESS or tree(forge.folder / "evil") == {}


# ── what the tests must catch ────────────────────────────────────────────────────────────────────────────────────────


def trusts_lengths(patch):
    """A reader that unfolds whatever there is."""
    patch.setattr(members, "decode", lambda codec, stored, plain: zlib.decompress(stored) if codec else stored)
    for module in list(sys.modules.values()):
        if getattr(module, "decode", None) is _DECODE and module.__name__.startswith("kist."):
            patch.setattr(module, "decode", members.decode)


_DECODE = members.decode


def test_what_is_broken_is_caught(forge, monkeypatch):
    trusts_lengths(monkeypatch)
    monkeypatch.setattr(bombs, "MEMORY", 256 << 20)
    with pytest.raises(AssertionError, match="took too much"):
        blow(forge, unfolds_to_more_than_it_says, [("checkout", "evil")])
