"""The plugin index: which installed module brings which key, kept so that commands need not scan for it.

It is a small text file in the user's cache folder, one for each interpreter and ``sys.path``, valid while no entry of
the path has changed. It only saves time: without it, or with one that is damaged, stale or not ours, the same answer is
made anew from the installed metadata.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

GROUPS = ("remotes", "hashers", "links", "metafiles", "dialects", "kernels", "executors", "commands", "hooks", "known")
"""Entry-point groups, without the leading ``kist.``."""

_HEADER = "kist-plugin-index/1"
_LARGEST = 1 << 20
_UNSETTLED_NS = 100_000_000  # a folder changed less than this before it was looked at may change again unseen
_COARSE_NS = 2_000_000_000  # likewise where the file system keeps whole seconds


class Offer(NamedTuple):
    """One entry point.

    Attributes:
        group: one of GROUPS.
        key: its name: what it is needed under.
        module: its value: the module with the hook implementations.
        distribution: who brings it, as it calls itself.
        version: that distribution's version.
    """

    group: str
    key: str
    module: str
    distribution: str
    version: str


class PluginIndex:
    """Offers by group and key.

    Args:
        offers: all of them.
    """

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.offers = tuple(offers)

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], list[Offer]]:
        table: dict[tuple[str, str], list[Offer]] = {}
        for offer in self.offers:
            table.setdefault((offer.group, offer.key), []).append(offer)
        return table

    def find(self, group: str, key: str) -> Sequence[Offer]:
        """Every offer for one key of a group."""
        return self._by_key.get((group, key), ())

    def keys(self, group: str) -> list[str]:
        """The keys of a group, sorted."""
        return sorted({offer.key for offer in self.offers if offer.group == group})


def cache_folder() -> Path | None:
    """The user's cache folder for kist, None where there is no home."""
    chosen = os.environ.get("KIST_CACHE_HOME")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    if base and os.path.isabs(base):
        return Path(base, "kist")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    if sys.platform == "darwin":
        return Path(home, "Library", "Caches", "kist")
    return Path(home, ".cache", "kist")


def load_index() -> PluginIndex:
    """The index of this interpreter and path: from its file if that is good, else made and kept."""
    state, settled = _path_state()
    folder = cache_folder()
    if folder is None:
        return PluginIndex(scan())
    file = folder / f"plugins-{zlib.crc32(_identity().encode(errors='surrogateescape')):08x}"
    kept = _read(file, state)
    if kept is not None:
        return PluginIndex(kept)
    offers = scan()
    if settled:
        _write(file, state, offers)
    return PluginIndex(offers)


def scan() -> list[Offer]:
    """Every offer of the installed distributions, read from their metadata without importing any of them.

    stevedore lists the entry points; the metadata tells whose they are, and adds what stevedore's own cache, whose
    clock ticks every two minutes, may miss after a reinstallation. Distributions in relative entries of ``sys.path``
    (the current folder) do not count: nothing is ever loaded out of a repository's folder.
    """
    owners = _owners()
    return [
        Offer(*entry, name, version)
        for entry in sorted(_listed() | owners.keys())
        for name, version in owners.get(entry, ())
    ]


def forget_listings() -> None:
    """Forget what stevedore has listed in this process, as after an installation."""
    from stevedore import ExtensionManager

    ExtensionManager.ENTRY_POINT_CACHE.clear()


def _listed() -> set[tuple[str, str, str]]:
    from stevedore import NamedExtensionManager

    found: set[tuple[str, str, str]] = set()
    for group in GROUPS:
        try:
            # Without names it is a manager that lists, and imports nothing.
            manager: NamedExtensionManager[object] = NamedExtensionManager(
                f"kist.{group}", [], on_missing_entrypoints_callback=None
            )
            found.update((group, one.name, one.value) for one in manager.list_entry_points())
        except Exception:  # noqa: S112 - a damaged cache file of stevedore's must not stop kist: the metadata has it all
            continue
    return found


def _owners() -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    from importlib.metadata import distributions

    owners: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    seen: set[str] = set()
    for distribution in distributions(path=[entry for entry in sys.path if os.path.isabs(entry)]):
        entries = [one for one in distribution.entry_points if one.group.removeprefix("kist.") in GROUPS]
        if not entries:
            continue
        name = distribution.metadata["Name"] or "unknown"
        if normal(name) in seen:  # an older copy further down the path
            continue
        seen.add(normal(name))
        for one in entries:
            entry = (one.group.removeprefix("kist."), one.name, one.value)
            owners.setdefault(entry, []).append((name, distribution.version or "0"))
    return owners


def normal(distribution: str) -> str:
    """A distribution's name as packaging compares it."""
    parts = distribution.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(part for part in parts if part)


def _identity() -> str:
    return "\n".join([sys.executable or "", sys.prefix, sys.version, *sys.path])


def _path_state() -> tuple[str, bool]:
    """What the index depends on, as text, and whether it is old enough to tell later changes by."""
    now = time.time_ns()
    settled = True
    parts = [_identity()]
    for entry in sys.path:
        try:
            changed = os.stat(entry).st_mtime_ns
        except (OSError, ValueError):
            changed = -1
        granule = _UNSETTLED_NS if changed % 1_000_000_000 else _COARSE_NS
        settled = settled and now - changed > granule
        parts.append(str(changed))
    return repr("\n".join(parts)), settled


def _read(file: Path, state: str) -> list[Offer] | None:
    """The offers kept in *file*, None if it is not there, not ours, damaged or of another state."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(descriptor)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        data = os.read(descriptor, _LARGEST) if ours and found.st_size < _LARGEST else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return _parse(data, state)


def _parse(data: bytes, state: str) -> list[Offer] | None:
    body, _, check = data.rstrip(b"\n").rpartition(b"\n")
    if check != _check(body):
        return None
    lines = body.decode(errors="replace").split("\n")
    if lines[:2] != [_HEADER, state]:
        return None
    rows = [line.split("\t") for line in lines[2:]]
    return [Offer(*row) for row in rows] if all(len(row) == len(Offer._fields) for row in rows) else None


def _check(body: bytes) -> bytes:
    return b"crc32:%08x" % zlib.crc32(body)


def _write(file: Path, state: str, offers: Sequence[Offer]) -> None:
    """Keep *offers* for the next time; where that is not possible, the next time scans again."""
    from kist.engine.process.scratch import write_alone
    from kist.errors import StorageError

    lines = ["\t".join(offer) for offer in offers]
    if not all(text.isprintable() for offer in offers for text in offer):  # a tab or line end would break the lines
        return
    try:
        body = "\n".join([_HEADER, state, *lines]).encode()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.parent.stat().st_uid == os.geteuid():  # under sudo the home may be somebody else's: leave nothing there
            write_alone(file, body + b"\n" + _check(body) + b"\n", mode=0o600, sync=False)
    except (OSError, StorageError, UnicodeEncodeError):
        return
