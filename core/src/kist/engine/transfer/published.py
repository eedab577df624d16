"""What markers and sets say, and which keys gc means to delete: values and their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from kist.engine.transfer import objects
from kist.errors import ObjectCorrupt
from kist.model.digest import Digest
from kist.util import clock
from kist.util.slotted import field, slotted

MAX_INDEXES = 32
"""Most index files that one marker or set names for one algorithm."""

GRACE = 14 * 86400.0
"""Seconds that a condemned key is kept, by the remote's own clock."""

FRESH = 900.0
"""Seconds for which a push goes by what it read of the list of condemned keys; a later marker needs a new reading."""

DELETING = 900.0
"""Seconds for which gc's word holds that it is deleting a key; while it is at work it gives it again in time."""

_INDEX_NAME = "[0-9a-f]{64}"
_REPOSITORY = "[0-9a-z][0-9a-z._-]{0,63}"


@slotted(frozen=True)
class Published:
    """What a marker or set says: these versions are complete, and these indexes tell where everything lies.

    Args:
        roots: the versions.
        indexes: algorithm -> names of index files, the largest first.
        repositories: ids of the repositories whose refs to all the roots were written.
    """

    roots: tuple[Digest, ...]
    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repositories: tuple[str, ...] = ()

    def index_keys(self) -> tuple[str, ...]:
        """The keys of all its index files."""
        return tuple(f"index/{name}" for names in self.indexes.values() for name in names)

    def narrowed(self, root: Digest) -> Published:
        """What it says of one of its roots."""
        return Published((root,), {root.algorithm: self.indexes.get(root.algorithm, ())}, self.repositories)


@slotted(frozen=True)
class Condemned:
    """Keys that gc means to delete.

    Args:
        keys: key -> since when, UTC seconds by the remote's clock.
        read_at: when it was read, by :func:`kist.util.clock.steady`.
        deleting: those that a gc is deleting right now -> when it said so, likewise.
        grace: how long the last gc lets keys stand in the list, in seconds.
        collected: when a gc last took keys off the list that it had deleted, likewise; None: never.
    """

    keys: Mapping[str, float] = field(default_factory=dict)
    read_at: float = 0.0
    deleting: Mapping[str, float] = field(default_factory=dict)
    grace: float = GRACE
    collected: float | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    @property
    def age(self) -> float:
        """Seconds since it was read."""
        return clock.steady() - self.read_at

    @property
    def stale(self) -> bool:
        """Whether it was read too long ago for a marker to be based on it."""
        return self.age > FRESH

    def going(self, now: float) -> dict[str, float]:
        """The keys that a gc may be deleting at this moment, whatever was put there since it looked.

        Args:
            now: UTC seconds by the remote's clock.
        """
        return {key: said for key, said in self.deleting.items() if now - said < DELETING}


def set_key(roots: Iterable[Digest]) -> str:
    """The key of the set of exactly these versions.

    Args:
        roots: the versions, in any order.
    """
    text = "".join(f"{root}\n" for root in sorted(set(roots)))
    return f"sets/{hashlib.sha256(text.encode()).hexdigest()}"


def dump_published(what: str, published: Published) -> bytes:
    """The text of a marker (*what* is ``root``) or a set (``set``)."""
    return objects.dump_text(
        what,
        {
            "roots": [str(root) for root in published.roots],
            "indexes": {algorithm: list(names) for algorithm, names in published.indexes.items()},
            "repositories": sorted(published.repositories),
        },
    )


def load_published(value: Mapping[str, object], roots: tuple[Digest, ...], key: str) -> Published:
    """What a marker or set says, if it speaks of *roots*.

    Args:
        value: the text's JSON.
        roots: the versions that it is to be about.
        key: its key, for messages.

    Raises:
        ObjectCorrupt: it is about others, or of another form.
    """
    if objects.digest_list(value.get("roots"), key) != roots:
        raise ObjectCorrupt(key, actual="a text about other versions", where="the remote")
    lists = value.get("indexes")
    if not isinstance(lists, dict):
        raise ObjectCorrupt(key, actual="a text of another form", where="the remote")
    indexes = {name: objects.text_list(one, _INDEX_NAME, key) for name, one in lists.items()}
    if any(len(names) > MAX_INDEXES for names in indexes.values()):
        raise ObjectCorrupt(key, actual="a text that names too many indexes", where="the remote")
    return Published(roots, indexes, objects.text_list(value.get("repositories"), _REPOSITORY, key))
