"""The tests of the engine that read and write the workspace once more on this kernel.

Those of crashes run on it wherever kist-accel is installed, as in ``tox run -e crash``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RUNS = {
    "scan": ["tests/unit/engine/workspace/test_scan.py", "tests/unit/engine/workspace/test_walk.py"],
    "checkout": ["tests/unit/engine/checkout/test_materialise.py"],
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_passes_on_this_kernel(native, run, tmp_path):
    """In a process of its own, where it stands in for the pure kernel."""
    folders = [str(HERE), str(Path(native.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "stand_in", "-p", "no:cacheprovider", *run],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "STAND_IN_USED": str(tmp_path / "used")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert (tmp_path / "used").exists()
