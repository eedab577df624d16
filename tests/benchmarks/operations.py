"""The operations, in the order of a repository's life."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """Something that users of all tools do.

    Args:
        name: as it is chosen on the command line; also the adapters' method.
        title: for people.
        needs: what must have been done before.
        repeats: whether it changes nothing, so that it can be measured several times in a row.
    """

    name: str
    title: str
    needs: tuple[str, ...] = ()
    repeats: bool = False


OPERATIONS = {
    one.name: one
    for one in (
        Operation("version", "`--version`", repeats=True),
        Operation("help", "`--help`", repeats=True),
        Operation("init", "init"),
        Operation("add", "add", ("init",)),
        Operation("status", "status, nothing changed", ("add",), repeats=True),
        Operation("status_edited", "status after the edit", ("add", "add_edited"), repeats=True),
        Operation("add_edited", "add after the edit", ("add",)),
        Operation("diff", "diff of the two versions", ("add_edited",), repeats=True),
        Operation("checkout_other", "checkout of the other version", ("add_edited",), repeats=True),
        Operation("checkout_copy", "checkout, all missing, copies", ("add",)),
        Operation("one_path", "checkout of one missing file", ("add",), repeats=True),
        Operation("push", "push", ("add",)),
        Operation("push_nothing", "push, nothing new", ("push",), repeats=True),
        Operation("pull", "pull into a fresh clone", ("push",)),
        Operation("gc", "gc, nothing to do", ("add",), repeats=True),
        Operation("verify", "verify", ("push",)),
        Operation("checkout_reflink", "checkout, all missing, reflinks (XFS)", ("add",)),
        # Links want objects that are files of their own; what comes before meets a cache as it is without them.
        Operation("checkout_hardlink", "checkout, all missing, hard links", ("add",)),
        Operation("checkout_symlink", "checkout, all missing, symbolic links", ("add",)),
        Operation("small_pushes", "one of many small pushes"),
    )
}


def with_needs(wanted: set[str]) -> set[str]:
    """Operations and all that must come before them."""
    found = set()
    while wanted:
        found |= wanted
        wanted = {need for name in wanted for need in OPERATIONS[name].needs} - found
    return found
