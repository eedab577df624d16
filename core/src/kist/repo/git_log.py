"""Read what ``git log`` prints: commits and the files that they changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FORMAT = "%x00%x00%H%x00%aI%x00%an%x00%s"
"""The format that starts each commit by two NULs."""


@dataclass(frozen=True, slots=True)
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
        data: printed with :data:`FORMAT`.

    Yields:
        A commit, and for each file that it changed the path and the id of the new content, zeros where it was deleted.
    """
    for part in data.split(b"\0\0")[1:]:
        fields = part.split(b"\0")
        if len(fields) < 4:
            continue
        revision, date, author, subject = (field.decode("utf-8", "replace") for field in fields[:4])
        changed = []
        rest = [field.lstrip(b"\n") for field in fields[4:]]
        for facts, path in zip(rest[0::2], rest[1::2], strict=False):
            names = facts.split(b" ")
            if facts.startswith(b":") and len(names) >= 5:
                changed.append((path, names[3].decode("ascii")))
        yield Commit(revision, date, author, subject), changed
