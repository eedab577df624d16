"""kist: version data beside Git, on storage that you already have. Public names load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluggy import HookimplMarker

    from kist import errors
    from kist.api import Repo
    from kist.model.digest import Digest

    hookimpl: HookimplMarker
    __version__: str

__all__ = ["Digest", "Repo", "__version__", "errors", "hookimpl"]

_HOMES = {"Repo": "kist.api", "Digest": "kist.model.digest"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from kist.util import version

        value: Any = version.VERSION
    elif name == "hookimpl":
        from pluggy import HookimplMarker

        value = HookimplMarker("kist")
    elif name == "errors":
        from importlib import import_module

        value = import_module("kist.errors")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'kist' has no attribute {name!r}")
    globals()[name] = value
    return value
