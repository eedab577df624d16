"""A pushed repository made once, copied for each harm; a user without configuration."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
sys.path.insert(0, str(Path(__file__).parent))

from cli_support import Kist
from damage_support import Damages, make_template, small_limits

from users import fresh


@pytest.fixture(scope="session", autouse=True)
def fresh_user(tmp_path_factory):
    with fresh(tmp_path_factory):
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory, fresh_user):
    with pytest.MonkeyPatch.context() as patch:
        small_limits(patch)
        return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def run(capsys, monkeypatch):
    """Folder -> ``kist`` there, with a remote's limits small."""
    small_limits(monkeypatch)
    return lambda folder: Kist(folder, capsys, monkeypatch)


@pytest.fixture
def damages(template, run, request, record_property):
    """Harms copies of the template; how many is added up for the summary."""
    folder = Path(tempfile.mkdtemp(prefix="kist-damage-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield Damages(template, folder, run, request.node.name, lambda tried: record_property("damage", tried))
    shutil.rmtree(folder)


@pytest.fixture
def site(damages):
    """A copy of the template: the repository ``work`` without its data, beside it the remote ``store``."""
    return damages.fresh()
