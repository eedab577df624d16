"""Fingerprints: what is known about unchanged workspace files, so that nobody reads them again.

A SQLite file with one row a folder segment, not one a file. It is a memory only: deleting it costs time, never data; if
it is locked or broken the work goes on without it. Nothing here ever waits for another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kist.engine.workspace.rows import Row, StoredRow, folder_key, pack_contents, pack_states
from kist.errors import MetafileError
from kist.model.digest import Digest

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Fingerprints", "Row", "StoredRow"]

_VERSION = 1
_CHUNK = 4 << 20
"""Bytes of rows that are fetched at a time: between two chunks no lock is held."""
_MEMORY = 8 << 20
"""Bytes of new rows that are kept in memory; more go to a temporary file until they are saved."""
_READ_WAIT = 0.5
_TOGETHER = 500
"""Rows that are asked for at once; SQLite takes no more than 999 values."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (
    key BLOB NOT NULL, segment INTEGER NOT NULL, algorithm TEXT NOT NULL, state BLOB NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (key, segment));
CREATE TABLE IF NOT EXISTS bases (
    output BLOB PRIMARY KEY, digest TEXT NOT NULL, current INTEGER NOT NULL, generation INTEGER NOT NULL);
"""
_PENDING = "CREATE TABLE folders (key BLOB, segment INTEGER, algorithm TEXT, state BLOB, content BLOB)"
_INSERT = "INSERT OR REPLACE INTO {} (key, segment, algorithm, state, content) VALUES (?, ?, ?, ?, ?)"

_Stored = tuple[bytes, int, str, bytes, bytes]


class Fingerprints:
    """The fingerprints of one worktree.

    What is put is seen by others, and by this object, after :meth:`save`.

    Args:
        path: the SQLite file, made by the first save; None: nothing is known, nothing is kept.
        sync: whether a save waits for the disk, which may first write all other files of a command.

    Attributes:
        notices: lines that the user should be told.
    """

    def __init__(self, path: Path | None, *, sync: bool = True) -> None:
        self.path, self._sync = path, sync
        self.notices: list[str] = []
        self._reader: sqlite3.Connection | None = None
        self._usable, self._broken = path is not None, False
        self._fresh: list[_Stored] = []
        self._fresh_bytes = 0
        self._spilled: sqlite3.Connection | None = None
        self._forgotten: list[tuple[bytes, bytes | None]] = []
        self._bases: dict[bytes, tuple[Digest | None, int | None]] = {}  # no version has a generation below 0
        self._generations: dict[bytes, int] = {}

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, directory: bytes, *, is_file: bool = False) -> Row | None:
        """What is known about one folder (or one file, if *is_file*), None if there is no row or it is damaged."""
        key = directory if is_file else folder_key(directory)
        found = next(self._stored(key, key + b"\0", content=True), None)
        return found.row() if found is not None else None

    def get_files(self, paths: Sequence[bytes]) -> dict[bytes, Row]:
        """What is known about many files that are outputs of their own.

        Args:
            paths: relative to the repository.

        Returns:
            Their rows; without those that are not known, or damaged.
        """
        found: dict[bytes, Row] = {}
        for start in range(0, len(paths), _TOGETHER):
            some = paths[start : start + _TOGETHER]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key, algorithm, state, content FROM folders WHERE key IN ({marks}) AND segment = 0"  # noqa: S608 (marks)
            for key, algorithm, state, content in self._query(query, some):
                if all(isinstance(value, bytes) for value in (key, algorithm, state, content)):
                    row = StoredRow(key, algorithm.decode("ascii", "replace"), [state], [content]).row()
                    found |= {key: row} if row is not None else {}
        return found

    def get_below(self, prefix: bytes, *, content: bool = True) -> Iterator[StoredRow]:
        """What is known about a folder and all below it, in the order of a walk.

        Args:
            prefix: the folder, relative to the repository.
            content: whether digests and targets are wanted too.

        Returns:
            Rows as they are kept; chunk by chunk, so another process may save meanwhile.
        """
        return self._stored(*_range(prefix), content=content)

    def base(self, output: bytes) -> Digest | None:
        """The version that the rows below *output* are equal to.

        Args:
            output: path of the output, relative to the repository.

        Returns:
            The root's digest; None if the rows are equal to no known version.
        """
        for digest, current, generation in self._query(
            "SELECT digest, current, generation FROM bases WHERE output = ?", (output,)
        ):
            self._generations[output] = generation
            with suppress(MetafileError, UnicodeDecodeError, AttributeError):
                return Digest.parse(digest.decode()) if current == 1 else None
            return None
        self._generations[output] = 0
        return None

    def generation(self, output: bytes) -> int:
        """How often rows of *output* had been saved when :meth:`base` was asked last; -1: it never was."""
        return self._generations.get(output, -1)

    def latest(self, output: bytes) -> Digest | None:
        """The version that the rows below *output* were last known to be equal to, whatever was edited since."""
        for (digest,) in self._query("SELECT digest FROM bases WHERE output = ?", (output,)):
            with suppress(MetafileError, UnicodeDecodeError, AttributeError):
                return Digest.parse(digest.decode())
        return None

    def is_learning(self, output: bytes) -> bool:
        """Whether something about *output* was put or set and is not saved yet."""
        return output in self._bases

    def _stored(self, lower: bytes, upper: bytes | None, *, content: bool) -> Iterator[StoredRow]:
        held: StoredRow | None = None
        after = -1  # the last segment of the key *lower* that was seen
        more = True
        while more:
            chunk, more = self._chunk(lower, upper, after, content=content)
            for key, segment, algorithm, state, *rest in chunk:
                lower, after = key, segment
                if held is not None and held.key == key:
                    held.states.append(state)
                    held.contents += rest
                    continue
                if held is not None:
                    yield held
                held = StoredRow(key, algorithm.decode("ascii", "replace"), [state], rest)
        if held is not None:
            yield held

    def _chunk(
        self, lower: bytes, upper: bytes | None, after: int, *, content: bool
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """Some rows from the segment behind *after* of the key *lower* on, and whether there are more."""
        columns = "key, segment, algorithm, state" + (", content" if content else "")
        end = "" if upper is None else " AND key < ?"
        query = f"SELECT {columns} FROM folders WHERE key >= ?{end} ORDER BY key, segment"  # noqa: S608 (constants)
        chunk: list[tuple[Any, ...]] = []
        size = 0
        for row in self._query(query, (lower,) if upper is None else (lower, upper)):
            if row[0] == lower and row[1] <= after:
                continue
            if size > _CHUNK:
                return chunk, True
            if not all(isinstance(value, bytes) for value in (row[0], *row[2:])):
                continue  # whoever damaged it, it is no row of ours
            chunk.append(row)
            size += sum(map(len, row[3:]))
        return chunk, False

    def _query(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        """The result of a query, nothing if the file cannot be read."""
        import sqlite3

        reader = self._open()
        if reader is None:
            return
        try:
            cursor = reader.execute(query, tuple(values))
            try:
                yield from cursor
            finally:
                cursor.close()
        except (sqlite3.Error, UnicodeDecodeError) as exc:  # names in a damaged schema need not be text
            self._give_up(exc)

    def _open(self) -> sqlite3.Connection | None:
        import sqlite3

        if self._reader is not None or not self._usable or self.path is None or not self.path.exists():
            return self._reader
        for mode in ("rw", "ro"):  # opened to write first, because only so what a killed writer left is rolled back
            try:
                reader = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", timeout=_READ_WAIT, uri=True)
            except sqlite3.Error as exc:
                if mode == "ro":
                    self._give_up(exc)
                continue
            reader.isolation_level = None
            reader.text_factory = bytes  # what is damaged need not be text
            try:
                version = reader.execute("PRAGMA user_version").fetchone()[0]
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                reader.close()
                if mode == "ro" or _is_broken(exc):
                    self._give_up(exc)
                    break
                continue
            if version == _VERSION:
                self._reader = reader
            else:  # 0: somebody makes it just now; more: a newer kist's, which is left alone
                reader.close()
                self._usable = version < _VERSION
            break
        return self._reader

    def _give_up(self, exc: Exception) -> None:
        """Go on without the file, with one line of notice."""
        self._usable = self._broken = _is_broken(exc)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        if not self.notices:
            state = "are damaged and will be made anew" if self._broken else f"cannot be used now ({exc})"
            self.notices.append(f"the fingerprints {state}: files are read instead")

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def put_many(self, rows: Iterable[Row]) -> None:
        """Remember rows; each replaces the one of the same folder.

        Args:
            rows: smudged already where they are too recent (``Row.smudge``). Whoever puts rows of an output also
                says by :meth:`set_base` what they are equal to by then.
        """
        if self.path is None:
            return
        for row in rows:
            states = pack_states(row.listing)
            key = row.key
            self._forgotten.append((key, key + b"\0"))
            for number, (state, content) in enumerate(zip(states, pack_contents(row, states), strict=True)):
                self._fresh.append((key, number, row.algorithm, state, content))
                self._fresh_bytes += len(state) + len(content)
        if self._fresh_bytes > _MEMORY:
            self._spill()

    def _spill(self) -> None:
        import sqlite3

        if self._spilled is None:
            self._spilled = sqlite3.connect("", isolation_level=None)
            self._spilled.execute(_PENDING)
            self._spilled.execute("BEGIN")
        self._spilled.executemany(_INSERT.format("folders"), self._fresh)
        self._fresh.clear()
        self._fresh_bytes = 0

    def forget(self, prefix: bytes) -> None:
        """Forget a folder (or single file) and all below it, also what was put and not saved yet.

        Args:
            prefix: its path, relative to the repository.
        """
        lower, upper = _range(prefix)
        self._drop(lower, upper)
        if prefix:
            self._drop(prefix, prefix + b"\0")

    def forget_rows(self, keys: Iterable[bytes]) -> None:
        """Forget single rows by their keys, without what is below."""
        for key in keys:
            self._drop(key, key + b"\0")

    def _drop(self, lower: bytes, upper: bytes | None) -> None:
        self._forgotten.append((lower, upper))
        self._fresh = [row for row in self._fresh if row[0] < lower or (upper is not None and row[0] >= upper)]
        if self._spilled is not None:
            self._spilled.execute(*_delete(lower, upper))

    def set_base(self, output: bytes, digest: Digest | None, *, edited: bool = False) -> None:
        """Say which version the rows below *output* are equal to, once what was put is saved.

        If another process saved rows of this output since :meth:`base` was asked here, the rows are a mixture and equal
        to no version. Without asking :meth:`base` the caller says that it replaced all rows of the output.

        Args:
            output: path of the output.
            digest: the root, None if they are equal to no known one.
            edited: they are not equal to it, but for what was edited since they would be.
        """
        self._bases[output] = (digest, -1 if edited else self._generations.get(output))

    def follow(self, output: bytes, old: Digest, new: Digest) -> None:
        """Say that edits of *old* were recorded as *new*: of a workspace that was last equal to it this holds now."""
        if self.latest(output) == old:
            self.set_base(output, new, edited=True)

    def save(self) -> bool:
        """Write what was put, forgotten and set; give up at once if somebody else writes.

        Returns:
            True if there is nothing more to write; False if it was given up, and is forgotten.
        """
        if not (self._fresh or self._forgotten or self._bases) or self.path is None:
            return True
        import sqlite3

        try:
            self._open()
            if self._usable:
                self._write(self.path)
            return self._usable
        except (sqlite3.Error, UnicodeDecodeError, OSError):
            self._generations |= dict.fromkeys(self._bases, -1)  # busy, read-only, full: it was only a memory
            return False
        finally:
            self._clear()

    def _clear(self) -> None:
        self._fresh, self._fresh_bytes, self._forgotten, self._bases = [], 0, [], {}
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None

    def _write(self, path: Path) -> None:
        import sqlite3

        if self._broken:
            for name in (path, path.with_name(path.name + "-journal")):
                name.unlink(missing_ok=True)
            self._broken = False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        writer = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            writer.execute(f"PRAGMA synchronous={'NORMAL' if self._sync else 'OFF'}")
            writer.execute("BEGIN IMMEDIATE")
            if writer.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                for statement in _SCHEMA.split(";"):
                    writer.execute(statement)
                writer.execute(f"PRAGMA user_version={_VERSION}")
            for lower, upper in self._forgotten:
                writer.execute(*_delete(lower, upper))
            if self._spilled is not None:
                writer.executemany(_INSERT.format("folders"), self._spilled.execute("SELECT * FROM folders"))
            writer.executemany(_INSERT.format("folders"), self._fresh)
            before = {output: _write_base(writer, output, *base) for output, base in self._bases.items()}
            writer.execute("COMMIT")
            self._generations |= {one: was + 1 for one, was in before.items() if was == self._generations.get(one)}
        finally:
            writer.close()

    def close(self) -> None:
        """Close the file; what was not saved is forgotten."""
        self._clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _write_base(writer: sqlite3.Connection, output: bytes, digest: Digest | None, seen: int | None) -> int:
    found = writer.execute("SELECT generation, digest FROM bases WHERE output = ?", (output,)).fetchone()
    generation, latest = found or (0, "")
    current = digest is not None and seen in (None, generation)
    writer.execute(
        "INSERT OR REPLACE INTO bases (output, digest, current, generation) VALUES (?, ?, ?, ?)",
        (output, str(digest or latest), int(current), generation + 1),
    )
    return int(generation)


def _range(prefix: bytes) -> tuple[bytes, bytes | None]:
    """The keys of a folder and all below it: from the first up to, not including, the second."""
    return (prefix + b"/", prefix + b"0") if prefix else (b"", None)


def _delete(lower: bytes, upper: bytes | None) -> tuple[str, tuple[bytes, ...]]:
    if upper is None:
        return "DELETE FROM folders WHERE key >= ?", (lower,)
    return "DELETE FROM folders WHERE key >= ? AND key < ?", (lower, upper)


def _is_broken(exc: Exception) -> bool:
    """Whether the file itself is bad, as opposed to busy or out of reach."""
    import sqlite3

    if isinstance(exc, sqlite3.OperationalError):
        return exc.sqlite_errorcode == sqlite3.SQLITE_ERROR  # a table is not there, or has other columns
    return isinstance(exc, (sqlite3.DatabaseError, UnicodeDecodeError))
