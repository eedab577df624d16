"""Layer 10: the contract kit for authors of plugins; may import kist.api and below.

For each kind of plugin there is one class: subclass it as ``Test…``, provide its one fixture, and its tests run on your
plugin. Names load on first use, so that an author of a remote needs nothing that a hasher's contract needs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kist.testing.command import CommandContract
    from kist.testing.dialect import DialectContract
    from kist.testing.executor import ExecutorContract
    from kist.testing.hasher import HasherContract
    from kist.testing.kernel import KernelContract
    from kist.testing.link import LinkTypeContract
    from kist.testing.manifest import ManifestCodecContract
    from kist.testing.metafile import MetafileContract
    from kist.testing.overrides import overrides_contract
    from kist.testing.registration import RegistrationContract, assert_light, assert_registered
    from kist.testing.remote import RemoteContract, StrictRemoteContract

__all__ = [
    "CommandContract",
    "DialectContract",
    "ExecutorContract",
    "HasherContract",
    "KernelContract",
    "LinkTypeContract",
    "ManifestCodecContract",
    "MetafileContract",
    "RegistrationContract",
    "RemoteContract",
    "StrictRemoteContract",
    "assert_light",
    "assert_registered",
    "overrides_contract",
]

_HOMES = {
    "CommandContract": "command",
    "DialectContract": "dialect",
    "ExecutorContract": "executor",
    "HasherContract": "hasher",
    "KernelContract": "kernel",
    "LinkTypeContract": "link",
    "ManifestCodecContract": "manifest",
    "MetafileContract": "metafile",
    "RegistrationContract": "registration",
    "RemoteContract": "remote",
    "StrictRemoteContract": "remote",
    "assert_light": "registration",
    "assert_registered": "registration",
    "overrides_contract": "overrides",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kist.testing' has no attribute {name!r}")
    home = f"kist.testing.{_HOMES[name]}"
    if home not in sys.modules:
        import pytest

        pytest.register_assert_rewrite(home)  # so that a failing contract test shows the values that it compared
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
