"""Hypothesis strategies for the values that plugins meet."""

from __future__ import annotations

from hypothesis import strategies as st

from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry, Kind

_WIDTHS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "blake2b": 64, "blake3": 32}
_PART_BYTES = bytes(byte for byte in range(256) if byte not in b"\0/")
_KEY_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz._-"


def digests(algorithms: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Digest]:
    """Digests of the common algorithms, or of those given (32 bytes wide where their width is not known)."""
    names = algorithms if algorithms is not None else st.sampled_from(sorted(_WIDTHS))
    return names.flatmap(
        lambda name: st.binary(min_size=_WIDTHS.get(name, 32), max_size=_WIDTHS.get(name, 32)).map(
            lambda raw: Digest.from_raw(name, raw)
        )
    )


def part_names() -> st.SearchStrategy[bytes]:
    """Plain names of files and folders: any bytes that a file system takes, also ones that are not UTF-8."""
    anything = st.lists(st.sampled_from(_PART_BYTES), min_size=1, max_size=12).map(bytes)
    usual = st.text("ab.- é", min_size=1, max_size=6).map(str.encode)
    return st.one_of(usual, anything).filter(lambda name: name not in (b".", b".."))


def paths(max_depth: int = 4) -> st.SearchStrategy[bytes]:
    """Relative paths of entries."""
    return st.lists(part_names(), min_size=1, max_size=max_depth).map(b"/".join)


@st.composite
def entries(draw: st.DrawFn, algorithm: str = "sha256", path: bytes | None = None) -> Entry:
    """One entry of any kind."""
    where = path if path is not None else draw(paths())
    kinds: tuple[Kind, ...] = ("file", "file", "executable", "symlink", "directory")
    kind = draw(st.sampled_from(kinds))
    if kind == "symlink":
        return Entry(where, "symlink", target=draw(paths()))
    if kind == "directory":
        return Entry(where, "directory")
    size = draw(st.integers(0, 1 << 40))
    return Entry(where, kind, size, draw(digests(st.just(algorithm))))


@st.composite
def columns(draw: st.DrawFn, algorithm: str = "sha256", max_size: int = 40) -> Columns:
    """The entries of a directory that can exist: no path twice, none both an entry and a folder of others."""
    taken: set[bytes] = set()
    folders: set[bytes] = set()
    chosen: list[bytes] = []
    for path in draw(st.lists(paths(), max_size=max_size, unique=True)):
        parents = {path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"}
        if path not in folders and not parents & taken:
            chosen.append(path)
            taken.add(path)
            folders |= parents
    return Columns.from_entries(
        algorithm, _WIDTHS.get(algorithm, 32), [draw(entries(algorithm, path)) for path in chosen]
    )


def keys() -> st.SearchStrategy[str]:
    """Keys of the grammar that every remote takes: ``[0-9a-z][0-9a-z._/-]{0,254}`` without ``//`` and ``..``."""
    part = st.text(_KEY_CHARACTERS, min_size=1, max_size=12).filter(lambda text: ".." not in text and text != ".")
    whole = st.lists(part, min_size=1, max_size=4).map("/".join)
    return whole.filter(lambda text: text[0] not in "._-" and len(text) <= 255)


def key_sets(min_size: int = 0, max_size: int = 20) -> st.SearchStrategy[set[str]]:
    """Keys that can lie in one store: none is a folder of another, which folders on disk cannot hold."""

    def compatible(found: set[str]) -> set[str]:
        return {key for key in found if not any(other.startswith(key + "/") for other in found)}

    return (
        st.sets(keys(), min_size=min_size, max_size=max_size)
        .map(compatible)
        .filter(lambda found: len(found) >= min_size)
    )
