"""A user of the tests' own."""

import pytest

from users import become


@pytest.fixture(autouse=True)
def fresh_user(tmp_path_factory, monkeypatch):
    become(monkeypatch, tmp_path_factory.mktemp("home"))
