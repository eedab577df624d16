"""What doctor says of Git: whether it keeps its hands off the data."""

from __future__ import annotations

from collections.abc import Iterable

from kist.model.report import Finding
from kist.repo.beside_git import ignore_in_git, not_ignored
from kist.repo.context import RepoContext
from kist.util.paths import display
from kist.util.units import show_count

_SHOWN = 20


def ignore_rules(context: RepoContext, fix: bool) -> Iterable[Finding]:
    """Whether every tracked output is hidden from Git; written anew where it is not.

    Args:
        context: the repository.
        fix: whether to write the rules.

    Returns:
        A finding for each output that ``git add`` would take in, one for all where none is.
    """
    if context.git is None:
        return []
    bare = not_ignored(context)
    if not bare:
        return [Finding("git ignore rules", "ok", "Git leaves the data alone")]
    if fix:
        with context.writing(), context.write_lock():
            ignore_in_git(context, bare)
        return [
            Finding(
                "git ignore rules",
                "ok",
                f"mended: {show_count(len(bare), 'output is', 'outputs are')} hidden from Git now",
            )
        ]
    return [
        Finding("git ignore rules", "warning", f"'git add' would take in {display(path)}", "kist doctor --fix")
        for path in bare[:_SHOWN]
    ]
