"""Compile the C file of kist-accel: for the wheel (``hatch_build.py``), and for the tests where it is not installed."""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

LIBRARY = "native.abi3.so"
SOURCE = Path(__file__).parent / "src" / "kist_accel" / "native.c"
FLAGS = ("-O3", "-std=c11", "-D_DEFAULT_SOURCE", "-D_DARWIN_C_SOURCE", "-pthread", "-Wall", "-Wextra")


def compile_native(folder: Path, flags: tuple[str, ...] = ()) -> Path:
    """Compile and link with the C compiler that Python was built with, or ``$CC``.

    Args:
        folder: receives the module.
        flags: more options of the compiler.

    Returns:
        The extension module, for the stable ABI of Python 3.11 and later.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: it failed, perhaps for want of Python's headers; ``stderr`` says why.
    """
    linker = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc -shared")
    if os.environ.get("CC"):
        linker[:1] = shlex.split(os.environ["CC"])
    position_independent = shlex.split(sysconfig.get_config_var("CCSHARED") or "-fPIC")
    include = f"-I{sysconfig.get_paths()['include']}"
    target = folder / LIBRARY
    command = [*linker, *position_independent, *FLAGS, *flags, include, str(SOURCE), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target
