"""The compiled kernel: that which is installed, else one compiled for these tests, else a reason."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servers.processes import unavailable

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = "[kist.kernels]\naccel = kist_accel\n"


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """The compiled module."""
    try:
        from kist_accel import native
    except ImportError:
        pass
    else:
        yield native
        return
    folder = tmp_path_factory.mktemp("accel")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        from compile_native import compile_native

        left_out = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / "src" / "kist_accel", folder / "kist_accel", ignore=left_out)
        try:
            compile_native(folder / "kist_accel")
        except (OSError, subprocess.CalledProcessError) as exc:
            unavailable(f"kist-accel is not installed and cannot be compiled: {getattr(exc, 'stderr', None) or exc}")
        metadata = folder / "kist_accel-0.1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kist-accel\nVersion: 0.1.0\n")
        (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
        _forget()
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        from kist_accel import native

        yield native
    _forget()


def _forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "kist_accel"]:
        del sys.modules[name]


@pytest.fixture
def kernel(native):
    """The kernel."""
    from kist_accel.kernel import AccelKernel

    return AccelKernel()


@pytest.fixture(scope="session")
def blake3():
    """The hasher that the kernel has a faster one for."""
    return pytest.importorskip("kist_blake3.hasher", reason="kist-blake3 is not installed").Blake3Hasher()
