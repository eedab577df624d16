"""Names of a package that load their module on first use (PEP 562), so that nobody pays for what he does not need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


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
