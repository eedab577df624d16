"""Names and patterns that are made on first use, so that nobody pays for what he does not need."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, AnyStr, cast


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions that make names of a package's modules names of the package.

    Args:
        package: its full name.
        homes: name -> the module of the package that has it.

    Returns:
        What is to be the package's ``__getattr__`` and ``__dir__``.
    """
    names = vars(sys.modules[package])

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        value = names[name] = getattr(import_module(f"{package}.{homes[name]}"), name)
        return value

    return find, lambda: sorted({*names, *homes})


class _LazyPattern:
    """Stands for a pattern until it is asked for anything."""

    def __init__(self, *made_of: Any) -> None:
        self._made_of = made_of

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._made_of), name)
        setattr(self, name, value)  # the next time nobody comes here
        return value


def lazy_pattern(text: AnyStr, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[AnyStr]:
    """A regular expression that is compiled when it is first used: that takes longer than most uses.

    Args:
        text: as for ``re.compile``.
        flags: likewise.

    Returns:
        What has the methods of a compiled one.
    """
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))
