"""Keep tracked outputs out of Git: one sorted, marked block in a ``.gitignore``, the rest of the file untouched."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kist.util.atomic import storage_errors, write_file

BEGIN = b"# kist: outputs that it tracks, kept by kist"
END = b"# kist: end"

_SPECIAL = b"*?[]\\"


def pattern(name: bytes, *, directory: bool = False) -> bytes:
    """The rule that ignores exactly one name beside the ``.gitignore``.

    Args:
        name: one part of a path.
        directory: whether only a folder of that name is meant.

    Returns:
        The rule, special characters escaped.
    """
    escaped = b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in name)
    if escaped.endswith(b" "):
        escaped = escaped[:-1] + b"\\ "
    return b"/" + escaped + (b"/" if directory else b"")


def edit(data: bytes, *, add: Iterable[bytes] = (), remove: Iterable[bytes] = ()) -> bytes:
    """Add names to the block, and remove names from it.

    Args:
        data: the file, b"" for none.
        add: names to ignore.
        remove: names to ignore no longer; only kist's own rules are removed.

    Returns:
        The new file, *data* itself if nothing changes; b"" if nothing is left.
    """
    rules = set(_split(data)[1])
    rules -= {pattern(name) for name in remove if not _breaks(name)}
    rules |= {pattern(name) for name in add if not _breaks(name)}
    return _with_rules(data, rules)


def _with_rules(data: bytes, rules: set[bytes]) -> bytes:
    """The file with these rules in its block, *data* itself if nothing changes."""
    before, block, after = _split(data)
    if rules == set(block) and block == sorted(rules):
        return data
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    if before and not before.endswith(b"\n"):
        before += newline
    middle = b"".join(line + newline for line in (BEGIN, *sorted(rules), END)) if rules else b""
    return before + middle + after


def _breaks(name: bytes) -> bool:
    """A line break cannot be written in the file; Git shows such a name as untracked, which harms nothing."""
    return b"\n" in name or b"\r" in name


def _split(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """What stands before the block, its rules, and what stands behind it; blocks that a merge doubled become one."""
    before: list[bytes] = []
    after: list[bytes] = []
    rules: list[bytes] = []
    inside = found = False
    for line in data.splitlines(keepends=True):
        text = line.rstrip(b"\r\n")
        if text == BEGIN:
            inside = found = True
        elif text == END:
            inside = False
        elif not inside:
            (after if found else before).append(line)
        elif text.startswith(b"/"):
            rules.append(text)
        elif text:  # somebody else's line got into the block: it is kept, behind it
            after.append(line if line.endswith(b"\n") else line + b"\n")
    return b"".join(before), rules, b"".join(after)


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Merge two versions of the file that differ in kist's own block only.

    Args:
        base: what both started from, b"" for none.
        ours: one version.
        theirs: the other.

    Returns:
        One version with the outputs that both sides track; None where they differ in what people wrote, too.
    """
    sides = [_split(data) for data in (base, ours, theirs)]
    (_, old, _), (_, mine, _), (_, other, _) = sides
    old_text, my_text, other_text = (before + after for before, _, after in sides)
    if other_text not in (old_text, my_text):
        return None
    gone = (set(old) - set(mine)) | (set(old) - set(other))
    return _with_rules(ours, (set(mine) | set(other)) - gone)


def update(
    folder: Path, *, add: Iterable[bytes] = (), remove: Iterable[bytes] = (), sync: bool = True, token: str = ""
) -> bool:
    """Edit the ``.gitignore`` of a folder.

    Args:
        folder: where the outputs stand.
        add: names to ignore.
        remove: names to ignore no longer.
        sync: whether to wait for the disk.
        token: who writes, for the temporary name.

    Returns:
        Whether the file changed; an empty one is removed.

    Raises:
        StorageError: it cannot be read or written.
    """
    path = folder / ".gitignore"
    with storage_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            old = b""
        else:
            with os.fdopen(descriptor, "rb") as stream:
                old = stream.read()
        new = edit(old, add=add, remove=remove)
        if new == old:
            return False
        if not new:
            path.unlink()
            return True
    write_file(path, new, sync=sync, token=token)
    return True


def hiding_rules(root: Path, metafiles: Iterable[str]) -> dict[str, str]:
    """Rules of Git's that hide metafiles, which then would not be committed.

    Args:
        root: the repository's folder, inside Git.
        metafiles: paths relative to it.

    Returns:
        Hidden metafile -> ``file:line: rule``.

    Raises:
        RepoError: Git cannot be asked.
    """
    from kist.repo.revisions import Git

    return Git(root).ignored([os.fsencode(path) for path in metafiles])
