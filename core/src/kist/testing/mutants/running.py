"""Run a contract in this process on one object after the other, and tell who catches whom."""

from __future__ import annotations

import inspect
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kist.testing.base import ContractBase

C = TypeVar("C", bound=type)

MakeFixtures = Callable[[type, Path], Mapping[str, object]]
"""Makes the fixtures of one test: from the class under test and a fresh folder, fixture name to value."""


@dataclass
class Kind:
    """The mutants of one kind of plugin.

    Args:
        name: the kind.
        contract: its contract class.
        reference: the class that passes.
        fixtures: makes the fixtures of one test.
        alone: test -> why no mutant of this kind is needed for it.
        mutants: the broken classes.
    """

    name: str
    contract: type[ContractBase]
    reference: type
    fixtures: MakeFixtures
    alone: Mapping[str, str] = field(default_factory=dict)
    mutants: list[type] = field(default_factory=list)

    def mutant(self, broken: C) -> C:
        """Register a class; its docstring says what is wrong with it.

        Args:
            broken: the class.

        Returns:
            The class.
        """
        self.mutants.append(broken)
        return broken


def run_contract(kind: Kind, subject: type, folder: Path) -> dict[str, str]:
    """Run every test of a kind's contract on a class.

    Args:
        kind: the kind.
        subject: the class under test.
        folder: a folder for files.

    Returns:
        Test name to what failed, for the tests that failed; a test with parameters fails with the first of them.
    """
    failed: dict[str, str] = {}
    numbers = itertools.count()
    for name, test in _tests(kind.contract):
        for parameters in _parameters(test):
            place = folder / str(next(numbers))
            place.mkdir(parents=True)
            problem = _problem(kind, subject, name, parameters, place)
            shutil.rmtree(place, ignore_errors=True)
            if problem:
                failed[name] = problem
                break
    return failed


def render(matrix: Mapping[str, Mapping[str, str]]) -> str:
    """The matrix as text: each mutant with the tests that catch it.

    Args:
        matrix: mutant to what ``run_contract`` returned.

    Returns:
        Lines.
    """
    width = max(map(len, matrix), default=0)
    return "\n".join(f"{name:<{width}}  {len(tests):>2}  {', '.join(sorted(tests))}" for name, tests in matrix.items())


def _tests(contract: type[ContractBase]) -> Iterator[tuple[str, Callable[..., object]]]:
    for name in sorted(dir(contract)):
        if name.startswith("test_"):
            yield name, getattr(contract, name)


def _parameters(test: Callable[..., object]) -> Iterator[dict[str, object]]:
    """Every combination of a test's ``parametrize`` marks."""
    axes = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names = [one.strip() for one in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
        axes.append([_named(names, values) for values in mark.args[1]])
    for combination in itertools.product(*axes):
        yield {name: value for part in combination for name, value in part.items()}


def _named(names: list[str], values: Any) -> dict[str, object]:
    if isinstance(values, _Parameter):
        values = values.values
    elif len(names) == 1:
        values = (values,)
    return dict(zip(names, values, strict=True))


_Parameter = type(pytest.param(0))


def _problem(kind: Kind, subject: type, name: str, parameters: dict[str, object], place: Path) -> str:
    test = getattr(kind.contract(), name)
    try:
        given = {**kind.fixtures(subject, place), "tmp_path": place / "tmp", **parameters}
        (place / "tmp").mkdir()
        wanted = inspect.signature(test).parameters
        test(**{one: given[one] for one in wanted if one in given})
    except pytest.skip.Exception:
        return ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        return f"{type(exc).__name__}: {exc}"[:300]
    return ""
