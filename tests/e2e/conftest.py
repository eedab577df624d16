"""Wheels of every distribution, installed together in a clean environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "tutorial" / "example-plugin"
SOURCES = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")), ROOT, EXAMPLE]


def run(command, **options):
    """Run a command that must succeed; its output is in the message if it does not."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done


def pip(*arguments, python=sys.executable):
    """pip of the environment that runs the tests, working on the one that *python* belongs to."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python)]
    return run([*command, *arguments], env=dict(os.environ, PIP_REQUIRE_VIRTUALENV="0"))


class Installed:
    """The clean environment.

    Args:
        folder: the virtual environment.
        home: the user's home folder there.
    """

    def __init__(self, folder, home):
        self.folder, self.home = folder, home
        self.python = folder / "bin" / "python"
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "LANG", "LC_ALL")}
        self.environment = kept | {"HOME": str(home), "PYTHONWARNINGS": "error"}

    def kist(self, *words, folder, code=0):
        """Run ``kist`` in *folder*; the exit code must be *code*."""
        command = [self.folder / "bin" / "kist", *map(str, words)]
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"kist {' '.join(map(str, words))}:\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words, folder, code=0):
        """The data of ``kist … --json``."""
        return json.loads(self.kist(*words, "--json", folder=folder, code=code).stdout)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Every wheel, by the name of its distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    try:
        import hatchling  # noqa: F401 - there already: no need to fetch it for each build

        isolation = ["--no-build-isolation"]
    except ImportError:
        isolation = []
    pip("wheel", "--no-deps", *isolation, "--wheel-dir", folder, *SOURCES)
    return {path.name.partition("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


@pytest.fixture(scope="session")
def installed(tmp_path_factory, wheels):
    """A clean environment with all of them, as ``kist[all]`` asks for it, and with what the contract kit needs."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    home = tmp_path_factory.mktemp("home")
    found = Installed(folder, home)
    plugins = (path for name, path in wheels.items() if name not in ("kist-core", "kist"))
    # What others require comes first, else pip looks for it elsewhere.
    pip("install", f"{wheels['kist-core']}[testing]", *plugins, f"{wheels['kist']}[all]", python=found.python)
    return found
