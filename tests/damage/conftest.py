"""A pushed repository made once, copied for each harm; a user without configuration."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
sys.path.insert(0, str(Path(__file__).parent))

from cli_support import Kist
from damage_support import Site, make_template

from users import become


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        become(patch, home)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory, fresh_user):
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def site(template, tmp_path, capsys, monkeypatch):
    """A copy of the template: the repository ``work`` without its data, beside it the remote ``store``."""
    return Site(template, tmp_path, lambda folder: Kist(folder, capsys, monkeypatch))


@pytest.fixture(autouse=True)
def counted(request, record_property):
    """Each test that is called with a harm tries one damage; those that try more say so themselves."""
    if {"harm", "harmed", "case"} & set(request.fixturenames):
        record_property("damage", 1)
