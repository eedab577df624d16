"""Read what ``git log`` prints: commits and the files that they changed."""

from __future__ import annotations

from collections.abc import Iterator

from kist.util.slotted import slotted

FORMAT = "%H%x00%aI%x00%an%x00%s"
"""The format of a commit's facts; with ``-z``, each field ends in NUL."""


@slotted(frozen=True)
class Commit:
    """One commit.

    Args:
        revision: full hexadecimal id.
        date: author date, ISO 8601.
        author: the author's name.
        subject: first line of the message.
    """

    revision: str
    date: str
    author: str
    subject: str


def parse_log(data: bytes) -> Iterator[tuple[Commit, list[tuple[bytes, str]]]]:
    """Read the output of ``git log --raw -z``.

    Args:
        data: printed with :data:`FORMAT`; a merge may come once for each parent, of which the first one counts.

    Yields:
        A commit, and for each file that it changed the path and the id of the new content, zeros where it was deleted.
    """
    fields = iter(data.split(b"\0"))
    commit: Commit | None = None
    told: list[tuple[bytes, str]] = []
    changed = told
    for field in fields:
        text = field.strip(b"\n")
        if text.startswith(b":"):
            changed.append((next(fields, b""), text.split(b" ")[3].decode("ascii", "replace")))
        elif text:
            facts = [text, *(next(fields, b"") for _ in range(3))]
            found = Commit(*(one.decode("utf-8", "replace") for one in facts))
            if found == commit:
                changed = []  # against another parent
                continue
            if commit is not None:
                yield commit, told
            commit, told = found, []
            changed = told
    if commit is not None:
        yield commit, told
