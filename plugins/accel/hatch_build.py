"""Build the wheel with its compiled part.

Where there is no C compiler, or no headers of Python, the wheel has no compiled part and says so: then kist works as
without this distribution. ``KIST_ACCEL_REQUIRE=1`` makes that an error.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileHook(BuildHookInterface):
    """Adds the compiled module to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable installation gets the module into the source folder.

        Args:
            version: ``standard`` or ``editable``.
            build_data: receives the module and the tag of the wheel.
        """
        compile_native = runpy.run_path(str(Path(self.root, "compile_native.py")))["compile_native"]
        editable = version == "editable"
        self._temporary = "" if editable else tempfile.mkdtemp(prefix="kist-accel-")
        folder = Path(self.root, "src", "kist_accel") if editable else Path(self._temporary)
        try:
            library = compile_native(folder)
        except (OSError, subprocess.CalledProcessError) as exc:
            if os.environ.get("KIST_ACCEL_REQUIRE") == "1":
                raise
            reason = getattr(exc, "stderr", None) or str(exc)
            self.app.display_warning(f"kist-accel is built without its compiled part, and changes nothing: {reason}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{_platform()}"
        if not editable:
            build_data["force_include"][str(library)] = f"kist_accel/{library.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 (the hook's)
        """Remove what was compiled, which is in the wheel.

        Args:
            version: as above.
            build_data: as above.
            artifact_path: the wheel.
        """
        if self._temporary:
            shutil.rmtree(self._temporary)


def _platform() -> str:
    """The platform tag of this machine, not that of a portable wheel, which other tools make of it."""
    from packaging.tags import sys_tags

    return next(tag.platform for tag in sys_tags() if not tag.platform.startswith(("manylinux", "musllinux")))
