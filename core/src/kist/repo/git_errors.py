"""What the ``git`` program says when it refuses or fails, as an error of ours."""

from __future__ import annotations

from pathlib import Path

from kist.errors import RepoError, RepoNotOwned
from kist.util.paths import display


def refused(errors: bytes) -> bool:
    """Whether Git will not work in a folder because somebody else owns it; it may still end with success."""
    return b"dubious ownership" in errors or b"unsafe repository" in errors


def git_error(verb: str, errors: bytes, root: Path) -> RepoError:
    """The error for a failed call.

    Args:
        verb: Git's verb.
        errors: what Git wrote to its standard error.
        root: the folder in which it ran.
    """
    text = errors.decode("utf-8", "replace").strip()
    if refused(errors):
        return RepoNotOwned(
            f"Git refuses {display(str(root))}: it belongs to another user",
            hint=f"if you trust it: git config --global --add safe.directory {display(str(root))}",
            path=str(root),
        )
    first = display(text.splitlines()[0][:300]) if text else "it gave no reason"
    return RepoError(f"git {verb} failed: {first.removeprefix('fatal: ')}", path=str(root))


def not_started(error: OSError) -> RepoError:
    """The error where the program cannot be started.

    Args:
        error: why.
    """
    if isinstance(error, FileNotFoundError):
        return RepoError("the program 'git' is not installed", hint="install Git, or leave revisions out")
    return RepoError(f"git cannot be started: {error.strerror}")
