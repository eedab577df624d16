"""A home folder of the tests' own; nothing waits for the disk."""

import os

import pytest


@pytest.fixture(autouse=True)
def fresh_user(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("KIST_", "GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KIST_CACHE_HOME", str(home / "plugins"))
    monkeypatch.setenv("KIST_SYSTEM_CONFIG", str(home / "no-system.yaml"))
    monkeypatch.setenv("KIST_FSYNC", "off")
