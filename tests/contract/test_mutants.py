"""Who tests the tests: each broken plugin is caught by a few tests of its contract, and each test catches one."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.testing.base import sentences
from kist.testing.mutants.command import COMMAND
from kist.testing.mutants.dialect import DIALECT
from kist.testing.mutants.executor import EXECUTOR
from kist.testing.mutants.hasher import HASHER
from kist.testing.mutants.kernel import KERNEL
from kist.testing.mutants.link import LINK
from kist.testing.mutants.manifest import MANIFEST
from kist.testing.mutants.metafile import METAFILE
from kist.testing.mutants.registration import REGISTRATION
from kist.testing.mutants.remote import REMOTE
from kist.testing.mutants.running import Kind, render, run_contract

MODULES = ("remote_storing", "remote_reading", "remote_changing", "remote_bytes", "manifest_storing")
for module in MODULES:
    importlib.import_module(f"kist.testing.mutants.{module}")

KINDS = [REMOTE, HASHER, LINK, METAFILE, MANIFEST, KERNEL, EXECUTOR, DIALECT, COMMAND, REGISTRATION]
FEW = 8
RACES = 8


@contextlib.contextmanager
def scratch(kind: Kind) -> Iterator[Path]:
    """In memory where the system has such a place, for thousands of small files come and go; links need two disks."""
    memory = Path("/dev/shm")
    usable = kind is not LINK and memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if usable else None) as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def short_explanations(monkeypatch) -> None:
    """A mutant's failures are counted, not read, and in CI pytest would explain each at full length."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


def matrix_of(kind: Kind) -> dict[str, dict[str, str]]:
    """Mutant -> test -> what failed."""
    with scratch(kind) as folder, contextlib.redirect_stdout(io.StringIO()):  # one mutant prints
        return {one.__name__: caught(kind, one, folder / one.__name__) for one in kind.mutants}


def caught(kind: Kind, mutant: type, folder: Path) -> dict[str, str]:
    """Test -> what failed; races that did not happen are given more chances, for a test of a race catches by chance."""
    for attempt in range(RACES):
        failed = run_contract(kind, mutant, folder / str(attempt))
        if failed:
            return failed
    return {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_reference_passes(kind: Kind) -> None:
    with scratch(kind) as folder:
        assert run_contract(kind, kind.reference, folder) == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_matrix(kind: Kind, capsys) -> None:
    """Each mutant is caught by few tests, and each test catches one."""
    matrix = matrix_of(kind)
    with capsys.disabled():
        print(f"\n{kind.name}: {len(kind.mutants)} mutants, {len(sentences(kind.contract))} tests")
    print(render(matrix))
    wrong = {name: sorted(tests) for name, tests in matrix.items() if not 1 <= len(tests) <= FEW}
    assert wrong == {}
    idle = set(sentences(kind.contract)) - {test for tests in matrix.values() for test in tests}
    assert idle == set(kind.alone)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_test_is_a_sentence(kind: Kind) -> None:
    bad = {name: text for name, text in sentences(kind.contract).items() if not text.endswith(".") or len(text) < 12}
    assert bad == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_mutant_says_what_is_wrong(kind: Kind) -> None:
    assert [one.__name__ for one in kind.mutants if not (one.__doc__ or "").endswith(".")] == []
    assert len({one.__name__ for one in kind.mutants}) == len(kind.mutants)
