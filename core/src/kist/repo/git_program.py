"""Start the ``git`` program; nothing else does.

Git is asked with its safe settings: no hooks, no file-system monitor, no pager, no prompt, no optional locks, none of
the variables by which a hook's environment points it elsewhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kist.repo.git_errors import git_error, not_started, refused

_SAFE = (
    "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false",
    "-c", "log.showSignature=false", "-c", "core.untrackedCache=false", "--no-pager", "--literal-pathspecs",
)  # fmt: skip
_KEPT_VARIABLES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES")


class GitProgram:
    """The ``git`` program in one folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *arguments: str, stdin: bytes = b"", fine: tuple[int, ...] = (0,), globs: bool = False) -> bytes:
        """Ask one question.

        Args:
            arguments: the verb and its arguments.
            stdin: what it shall read.
            fine: exit codes that are no failure.
            globs: whether paths may be patterns.

        Returns:
            What it printed.

        Raises:
            RepoError: it failed, or cannot be started.
        """
        process = self.start(arguments, globs=globs)
        output, errors = process.communicate(stdin)
        if process.returncode not in fine or refused(errors):
            raise git_error(arguments[0], errors, self.root)
        return output

    def start(self, arguments: Sequence[str], *, globs: bool = False) -> subprocess.Popen[bytes]:
        """Start it with pipes to all that it reads and prints.

        Args:
            arguments: the verb and its arguments.
            globs: whether paths may be patterns.

        Raises:
            RepoError: it cannot be started.
        """
        safe = [one for one in _SAFE if not (globs and one == "--literal-pathspecs")]
        try:
            return subprocess.Popen(
                ["git", *safe, "-C", str(self.root), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
            )
        except OSError as exc:
            raise not_started(exc) from exc


def end(process: subprocess.Popen[bytes]) -> bytes:
    """End a process that waits for questions.

    It is told to go, because workers that were forked meanwhile may hold its pipe open.

    Args:
        process: it.

    Returns:
        What it printed as errors.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(OSError):
        process.stdin.close()
    process.terminate()
    process.stdout.close()
    with process.stderr:
        errors = process.stderr.read()
    process.wait()
    return errors


def environment() -> dict[str, str]:
    """The environment for Git: without the variables that point it elsewhere or make it ask, page or lock."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}


def safe_directories() -> list[str]:
    """The folders that the user told Git to trust: ``safe.directory`` of the system's and the user's configuration."""
    found: list[str] = []
    for level in ("--system", "--global"):
        try:
            done = subprocess.run(
                ["git", "config", level, "-z", "--get-all", "safe.directory"],
                cwd="/",
                env=environment(),
                capture_output=True,
                check=False,
            )
        except OSError:
            return found
        for value in done.stdout.split(b"\0")[:-1]:
            found = [*found, os.path.expanduser(os.fsdecode(value))] if value else []
    return found


def program_version() -> str | None:
    """The version of the ``git`` program, None where it is not installed."""
    try:
        done = subprocess.run(["git", "version"], cwd="/", env=environment(), capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip().removeprefix("git version ") or None
