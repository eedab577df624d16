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
from kist.testing.mutants.remote import REMOTE
from kist.testing.mutants.running import Kind, render, run_contract

MODULES = ("remote_storing", "remote_reading", "remote_changing")
for module in MODULES:
    importlib.import_module(f"kist.testing.mutants.{module}")

KINDS = [REMOTE]
FEW = 8


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where the system has such a place: thousands of small files come and go."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if usable else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def matrices(folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    found = {}
    for kind in KINDS:
        with contextlib.redirect_stdout(io.StringIO()):  # one mutant prints
            matrix = {one.__name__: run_contract(kind, one, folder / kind.name / one.__name__) for one in kind.mutants}
        found[kind.name] = matrix
        print(f"\n{kind.name}: {len(kind.mutants)} mutants, {len(sentences(kind.contract))} tests")
        print(render(matrix))
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_reference_passes(kind: Kind, folder: Path) -> None:
    assert run_contract(kind, kind.reference, folder) == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_mutant_is_caught_by_few(kind: Kind, matrices) -> None:
    wrong = {name: sorted(tests) for name, tests in matrices[kind.name].items() if not 1 <= len(tests) <= FEW}
    assert wrong == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_test_catches_a_mutant(kind: Kind, matrices) -> None:
    catching = {test for tests in matrices[kind.name].values() for test in tests}
    idle = set(sentences(kind.contract)) - catching
    assert idle == set(kind.alone)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_test_is_a_sentence(kind: Kind) -> None:
    bad = {name: text for name, text in sentences(kind.contract).items() if not text.endswith(".") or len(text) < 20}
    assert bad == {}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_mutant_says_what_is_wrong(kind: Kind) -> None:
    assert [one.__name__ for one in kind.mutants if not (one.__doc__ or "").endswith(".")] == []
    assert len({one.__name__ for one in kind.mutants}) == len(kind.mutants)
