"""Run a contract in this process on one class after the other, and tell who catches whom."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

from kist.util.slotted import field, slotted

C = TypeVar("C", bound=type)

_EXAMPLES = 15
"""Examples of a hypothesis test: the same ones in every run, enough for faults as coarse as those of mutants."""

Fixtures = Mapping[str, object]
MakeFixtures = Callable[[Any, Path], Fixtures | contextlib.AbstractContextManager[Fixtures]]
"""Makes the fixtures that an author would give, name to value, from the class under test and a fresh folder.

A context manager undoes after each test what it did for it.
"""


@slotted()
class Kind:
    """The mutants of one kind of plugin.

    Args:
        name: the kind.
        contract: its contract class.
        reference: the class that passes.
        fixtures: makes the fixtures that an author would give; the contract's own are found by themselves.
        alone: test -> why no mutant is needed for it.
        mutants: the broken classes.
    """

    name: str
    contract: type
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
    for name in sorted(one for one in dir(kind.contract) if one.startswith("test_")):
        for parameters in _parameters(getattr(kind.contract, name)):
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


def _parameters(test: Callable[..., object]) -> Iterator[dict[str, object]]:
    """Every combination of a test's ``parametrize`` marks."""
    axes = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
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
    temporary = place / "tmp"
    temporary.mkdir()
    try:
        with contextlib.ExitStack() as stack:
            made = kind.fixtures(subject, place)
            if isinstance(made, contextlib.AbstractContextManager):
                made = stack.enter_context(made)
            given: dict[str, object] = {"tmp_path": temporary, **made, **parameters}
            if "monkeypatch" not in given:
                given["monkeypatch"] = stack.enter_context(pytest.MonkeyPatch.context())
            instance = kind.contract()
            test = getattr(instance, name)
            stack.enter_context(_quick(getattr(test, "__func__", test)))
            names = [one for one in _wanted(test) if one in given or hasattr(kind.contract, one)]
            test(**{one: _resolve(instance, one, given, stack) for one in names})
    except pytest.skip.Exception:
        return ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        return f"{type(exc).__name__}: {exc}"[:300]
    return ""


def _wanted(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def _resolve(instance: object, name: str, given: dict[str, object], stack: contextlib.ExitStack) -> object:
    """The value of a fixture: given, or made by the contract's own fixture of that name."""
    if name not in given:
        function = inspect.unwrap(getattr(type(instance), name))
        value = function(instance, **{one: _resolve(instance, one, given, stack) for one in _wanted(function)})
        if inspect.isgenerator(value):
            generator = value
            value = next(generator)
            stack.callback(next, generator, None)
        given[name] = value
    return given[name]


@contextlib.contextmanager
def _quick(test: Any) -> Iterator[None]:
    """Let hypothesis look for a failure but neither shrink nor remember it: that there is one is all we ask."""
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is None:
        yield
        return
    phases = (Phase.explicit, Phase.generate)
    test._hypothesis_internal_use_settings = settings(  # noqa: SLF001 (the tests' own settings, for a moment)
        own,
        phases=phases,
        max_examples=min(own.max_examples, _EXAMPLES),
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    try:
        yield
    finally:
        test._hypothesis_internal_use_settings = own  # noqa: SLF001
