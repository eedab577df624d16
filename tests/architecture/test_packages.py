"""Every distribution of this repository is made in the same way."""

import re
import tomllib
from pathlib import Path

import pytest

from kist.plugins.index import GROUPS
from kist.util.version import VERSION

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
EXAMPLE = ROOT / "docs" / "tutorial" / "example-plugin"
FIRST_PARTY = [ROOT, ROOT / "core", *PLUGINS]


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def settings(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())


def name_of(folder):
    return folder.relative_to(ROOT).as_posix() or "."


def required(folder):
    return {re.split(r"[^A-Za-z0-9_-]", one)[0].lower(): one for one in project(folder)["dependencies"]}


def entry_points(folder):
    found = project(folder).get("entry-points", {})
    return {(group, key): value for group, keys in found.items() for key, value in keys.items()}


def module_of(folder):
    return project(folder)["name"].replace("-", "_")


@pytest.mark.parametrize("folder", [*FIRST_PARTY, EXAMPLE], ids=name_of)
def test_common_facts(folder):
    found = project(folder)
    assert found["requires-python"] == project(ROOT / "core")["requires-python"]
    assert found["license"] == "Apache-2.0"
    assert found["description"]
    assert found["readme"] == "README.md"
    assert len((folder / "README.md").read_text().splitlines()) > 3, "the README says what it is"
    assert settings(folder)["build-system"]["build-backend"] == "hatchling.build"
    assert "Your Name" not in (folder / "pyproject.toml").read_text()


@pytest.mark.parametrize("folder", FIRST_PARTY, ids=name_of)
def test_one_version(folder):
    found = project(folder)
    if "version" in found.get("dynamic", []):
        assert settings(folder)["tool"]["hatch"]["version"]["path"] == "src/kist/util/version.py"
    else:
        assert found["version"] == VERSION


@pytest.mark.parametrize("folder", [*PLUGINS, EXAMPLE], ids=name_of)
def test_depends_on_the_core_and_its_own_sdk_only(folder):
    ours = {name for name in required(folder) if name.split("-")[0] == "kist"}
    assert ours == {"kist-core"}
    for requirement in (one for name, one in required(folder).items() if name == "kist-core"):
        assert re.search(r">=\d+\.\d+,<\d+$", requirement), (
            "a range: at least what it was written for, below a major one"
        )


@pytest.mark.parametrize("folder", [*PLUGINS, EXAMPLE], ids=name_of)
def test_layout(folder):
    module = module_of(folder)
    assert settings(folder)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{module}"]
    assert [path.name for path in (folder / "src").iterdir() if not path.name.startswith(".")] == [module]
    assert (folder / "src" / module / "__init__.py").is_file()
    assert (folder / "src" / module / "py.typed").is_file()
    assert list((folder / "tests").glob("test_*.py")), "it has tests of its own"


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_names_follow_the_folder(folder):
    assert project(folder)["name"] == f"kist-{folder.name}"


@pytest.mark.parametrize("folder", [*PLUGINS, EXAMPLE], ids=name_of)
def test_entry_points(folder):
    found = entry_points(folder)
    assert found
    for (group, _), value in found.items():
        assert group.removeprefix("kist.") in GROUPS
        assert value == module_of(folder)


@pytest.mark.parametrize("folder", [*PLUGINS, EXAMPLE], ids=name_of)
def test_runs_its_contract(folder):
    texts = "".join(path.read_text() for path in (folder / "tests").rglob("*.py"))
    assert re.search(r"\(\w+Contract\)", texts), "a test class derives from the contract of its kind"


def test_the_core_requires_no_plugin():
    assert {name for name in required(ROOT / "core") if name.startswith("kist")} == set()


def test_the_umbrella_brings_core_local_and_blake3():
    assert set(required(ROOT)) == {"kist-core", "kist-local", "kist-blake3"}


def test_all_is_everything_that_can_be_asked_for():
    extras = project(ROOT)["optional-dependencies"]
    assert set(extras["all"]) == {one for name, found in extras.items() if name != "all" for one in found}
    assert {f"kist-{folder.name}" for folder in PLUGINS} == set(required(ROOT)) - {"kist-core"} | {
        re.split(r"[^A-Za-z0-9_-]", one)[0] for one in extras["all"]
    }


def test_the_umbrella_knows_every_plugin_of_this_repository():
    known = {key: value for (group, key), value in entry_points(ROOT).items() if group == "kist.known"}
    for folder in PLUGINS:
        for (group, key), value in entry_points(folder).items():
            if group not in ("kist.hooks", "kist.commands"):
                assert known.get(f"{group.removeprefix('kist.')}.{key}") == value
    for name, value in known.items():
        assert name.partition(".")[0] in GROUPS
        assert re.fullmatch(r"kist_[a-z0-9]+", value), "an entry point's value must be a module"
