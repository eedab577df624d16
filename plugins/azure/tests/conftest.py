"""Fixtures of the tests of remotes in Azure."""

from __future__ import annotations

import pytest

from servers.azurite import azurite  # noqa: F401 (a fixture)

_PREFIX = "AZURE_"


@pytest.fixture(autouse=True)
def no_credentials_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be signed in; that must not matter."""
    import os

    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        monkeypatch.delenv(name)
