"""Distributions that are registered wrongly, each installed into a folder of its own for a moment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from kist.testing.mutants.running import Kind
from kist.testing.registration import RegistrationContract

_SOURCE = """
from kist import hookimpl

{more}

@hookimpl
def {hook}(scheme):
    {condition}
        from dataclasses import dataclass
        from kist.abc import Options, option

        @dataclass(frozen=True, kw_only=True)
        class ToyOptions({base}):
            speed: int = option(1, help={help!r})

        return ToyOptions
"""


class ToyDistribution:
    """A distribution that keeps the contract: a remote ``toy`` with one option."""

    key = "toy"
    more = ""
    hook = "kist_remote_options"
    condition = 'if scheme == "toy":'
    base = "Options"
    help = "How fast it is."

    @classmethod
    def source(cls) -> str:
        """The text of its module."""
        return _SOURCE.format(more=cls.more, hook=cls.hook, condition=cls.condition, base=cls.base, help=cls.help)


@contextmanager
def _installed(subject: type[ToyDistribution], folder: Path) -> Iterator[Mapping[str, object]]:
    from kist.plugins.index import forget_listings

    module = f"kist_toy_{subject.__name__.lower()}"
    site = folder / "site"
    info = site / f"{module}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[kist.remotes]\n{subject.key} = {module}\n")
    (site / f"{module}.py").write_text(subject.source())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        patch.setenv("KIST_CACHE_HOME", str(folder / "cache"))
        for name, value in {"group": "remotes", "key": "toy", "module": module}.items():
            patch.setattr(RegistrationContract, name, value, raising=False)
        forget_listings()
        try:
            yield {}
        finally:
            sys.modules.pop(module, None)
            forget_listings()


REGISTRATION = Kind(
    "registration",
    RegistrationContract,
    ToyDistribution,
    _installed,
    alone={"test_can_be_blocked": "blocking is the core's part: no plugin can escape it"},
)


@REGISTRATION.mutant
class UnderAnotherKey(ToyDistribution):
    """Is registered under a key that nobody asks for."""

    key = "toys"


@REGISTRATION.mutant
class HeavyImport(ToyDistribution):
    """Imports a database whenever somebody looks at its hooks."""

    more = "import sqlite3"


@REGISTRATION.mutant
class ForeignImport(ToyDistribution):
    """Imports another distribution whenever somebody looks at its hooks."""

    more = "import hypothesis"


@REGISTRATION.mutant
class MisspeltHook(ToyDistribution):
    """Implements a hook that does not exist."""

    hook = "kist_remote_optoins"


@REGISTRATION.mutant
class AnswersForEverybody(ToyDistribution):
    """Takes every scheme for its own."""

    condition = "if True:"


@REGISTRATION.mutant
class MakesSomethingElse(ToyDistribution):
    """Makes options that are no options."""

    base = "object"


@REGISTRATION.mutant
class UnexplainedOption(ToyDistribution):
    """Has an option without a word of help."""

    help = ""
