"""Tools that are Python packages, each in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.measure import Failed, clean_environment

HOME = Path.home() / ".cache" / "kist-benchmarks"


def install(name: str, program: str, requirement: str) -> None:
    """Make a virtual environment with a tool, unless it is there.

    Args:
        name: of the environment, a folder in ``HOME``.
        program: what must be in it afterwards.
        requirement: what pip is to install.

    Raises:
        Failed: it cannot be had; with what pip said.
    """
    folder = HOME / name
    if (folder / "bin" / program).exists():
        return
    print(f"installing {requirement} into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    done = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "-q", requirement],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(" ".join(done.stderr.split())[-600:])
