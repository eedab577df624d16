"""Show the versions of kist, of its plugins, and of what they run on."""

from __future__ import annotations

import argparse
from typing import Any

from kist.util.version import VERSION

EXAMPLES = (
    ("kist version", "all versions, as a bug report wants them"),
    ("kist --version", "just that of kist, at once"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Tell the versions."""
    import platform

    from kist.operations.plugins import installed_plugins
    from kist.repo.git_program import program_version

    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    plugins = {one.distribution: one.version for one in installed_plugins()}
    git = program_version()
    args.output.table(
        [
            ("kist", VERSION),
            *((name, version) for name, version in plugins.items()),
            ("python", platform.python_version()),
            ("git", git or "not installed"),
            ("platform", system),
        ]
    )
    return {
        "kist": VERSION,
        "plugins": plugins,
        "python": platform.python_version(),
        "git": git,
        "platform": system,
    }
