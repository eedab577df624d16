"""The wheels work together in a clean environment, with a plugin of a third party among them."""

import shutil
import zipfile
from pathlib import Path

import pytest

from .conftest import EXAMPLE, ROOT, pip, run


def files_of(folder):
    """Relative path -> bytes of everything below *folder*."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def data(tmp_path):
    """A repository's folder with data in it."""
    root = tmp_path / "repository"
    for number in range(20):
        file = root / "data" / f"part {number % 3}" / f"file-{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * number * 1000)
    return root


def test_one_wheel_for_each_distribution(wheels):
    assert set(wheels) == {"kist", "kist-core", "kist-shelf"} | {
        f"kist-{path.parent.name}" for path in ROOT.glob("plugins/*/pyproject.toml")
    }


def test_wheels_hold_the_package_and_nothing_else(wheels):
    for name, path in wheels.items():
        with zipfile.ZipFile(path) as wheel:
            tops = {entry.partition("/")[0] for entry in wheel.namelist()}
        package = {"kist": set(), "kist-core": {"kist"}}.get(name, {name.replace("-", "_")})
        assert {top for top in tops if not top.endswith(".dist-info")} == package


def test_typing_information_is_shipped(wheels):
    with zipfile.ZipFile(wheels["kist-core"]) as wheel:
        assert "kist/py.typed" in wheel.namelist()


def test_environment_is_consistent(installed):
    pip("check", python=installed.python)


EVERY_MODULE = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for one in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(one.name)
"""


def test_everything_imports_beside_everything_else(installed, wheels, tmp_path):
    """Each plugin with the SDK that it needs, in the versions that pip chose for all of them together."""
    packages = [name.replace("-", "_") for name in wheels if name not in ("kist", "kist-core")]
    environment = {name: value for name, value in installed.environment.items() if name != "PYTHONWARNINGS"}
    run([installed.python, "-c", EVERY_MODULE, *packages], cwd=tmp_path, env=environment)


def test_sdks_are_those_that_were_asked_for(installed, tmp_path):
    """Older pydrive2 fails at import, and a resolver may fall back to it where newer ones clash with others."""
    code = "from importlib.metadata import version; print(*map(version, ('pydrive2', 'adlfs', 'obstore')))"
    done = run([installed.python, "-c", code], cwd=tmp_path, env=installed.environment)
    pydrive2, adlfs, obstore = (tuple(map(int, one.split(".")[:3])) for one in done.stdout.split())
    assert pydrive2 >= (1, 21, 3)
    assert adlfs >= (2024, 12, 0)
    assert obstore >= (0, 12, 0)


def test_works_from_there_and_not_from_the_sources(installed, tmp_path):
    done = run([installed.python, "-c", "import kist; print(kist.__file__)"], cwd=tmp_path, env=installed.environment)
    assert Path(done.stdout.strip()).is_relative_to(installed.folder)
    version = run([installed.python, "-m", "kist", "--version"], cwd=tmp_path, env=installed.environment).stdout
    assert version == installed.kist("--version", folder=tmp_path).stdout


def test_plugins_are_listed(installed, tmp_path):
    found = installed.json("plugins", folder=tmp_path)
    assert found["ok"]
    text = str(found["data"])
    for name in ("kist-core", "kist-local", "kist-blake3", "kist-shelf", "sha3-256", "shelf"):
        assert f"'{name}'" in text


def test_plugin_of_a_third_party_through_the_command_line(installed, data, tmp_path):
    shelf = tmp_path / "data.shelf"
    before = files_of(data / "data")
    assert installed.json("init", "--hash", "sha3-256", folder=data)["data"]["hash"] == "sha3-256"
    installed.kist("remote", "add", "-d", "store", f"shelf://{shelf}", folder=data)
    added = installed.json("add", "data", folder=data)["data"]["outputs"]
    assert added[0]["digest"].startswith("sha3-256:")
    assert installed.json("push", folder=data)["data"]["objects"] > 0
    assert shelf.read_bytes().startswith(b"SQLite format 3")

    clone = tmp_path / "clone"
    (clone / ".kist").mkdir(parents=True)
    shutil.copy(data / ".kist" / "config.yaml", clone / ".kist")
    shutil.copy(data / "data.kist", clone)
    installed.kist("pull", folder=clone)
    assert files_of(clone / "data") == before
    assert installed.json("status", folder=clone)["data"]["clean"]


def test_contract_suite_of_the_plugin(installed, tmp_path):
    tests = tmp_path / "suite"
    shutil.copytree(EXAMPLE / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    command = [installed.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", tests]
    done = run(command, cwd=tests, env=installed.environment)
    passed = int(done.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 100, done.stdout


def test_without_the_plugin_nothing_else_breaks(installed, wheels, data, tmp_path):
    installed.kist("init", folder=data)
    installed.kist("remote", "add", "-d", "store", f"shelf://{tmp_path}/data.shelf", folder=data)
    installed.kist("add", "data", folder=data)
    pip("uninstall", "--yes", "kist-shelf", "kist-s3", python=installed.python)
    try:
        assert installed.json("status", folder=data)["data"]["clean"]
        failed = installed.json("push", folder=data, code=4)
        assert [error["class"] for error in failed["errors"]] == ["PluginNotFound"]
        unknown = installed.json("remote", "add", "cloud", "s3://bucket/path", folder=data, code=4)
        assert "pip install kist-s3" in unknown["errors"][0]["hint"]
    finally:
        pip("install", "--no-deps", wheels["kist-shelf"], wheels["kist-s3"], python=installed.python)
    installed.kist("push", folder=data)
