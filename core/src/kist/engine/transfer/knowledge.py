"""What is known of versions on a remote: whether they are complete there, since when, and when they were read back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence

from kist.engine.process.workers import Workers
from kist.engine.transfer import objects
from kist.engine.transfer.hints import Hints
from kist.engine.transfer.published import Condemned
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import KistError, RemoteObjectNotFound
from kist.model.digest import Digest
from kist.util.json_text import load_json
from kist.util.slotted import slotted

_CHECKS = "checks"
_MOST_CHECKS = 20_000


@slotted(frozen=True)
class Check:
    """When a version was last read back whole, from this machine.

    Args:
        when: UTC seconds.
        sample: percent of the contents that were hashed.
    """

    when: float
    sample: float


@slotted(frozen=True)
class Standing:
    """A version that has a marker on the remote.

    Args:
        since: when the marker was written, UTC seconds by the remote's clock; None where it does not tell.
        condemned: whether gc means to delete it.
        check: when it was last read back; None: never from here.
    """

    since: float | None
    condemned: bool
    check: Check | None


def standings(store: RemoteStore, roots: Sequence[Digest], workers: Workers) -> dict[Digest, Standing]:
    """What a remote says now of versions; a marker that is not valid counts for nothing.

    Args:
        store: the remote.
        roots: the versions.
        workers: for the requests, two a version.

    Returns:
        The versions that have a marker.

    Raises:
        RemoteError: the remote refused or failed.
    """
    if not roots or not store.open():
        return {}
    condemned = store.read_condemned()
    checks = recall_checks(store.hints)

    def look(root: Digest) -> Standing | None:
        key = objects.root_key(root)
        try:
            marker = store.read_marker(root)
            if marker is None:
                return None
            doomed = any(_goes(store, condemned, one) for one in (key, *marker.index_keys()))
            return Standing(store.remote.stat(key).mtime, doomed, checks.get(str(root)))
        except RemoteObjectNotFound:  # deleted in between
            return None

    found: dict[Digest, Standing] = {}
    for root, result in workers.run(look, list(dict.fromkeys(roots))):
        if isinstance(result, KistError):
            raise result
        if result is not None:
            found[root] = result
    return found


def _goes(store: RemoteStore, condemned: Condemned, key: str) -> bool:
    """Whether gc will delete a key: it is condemned, and was not put again since."""
    if key not in condemned:
        return False
    written = store.remote.stat(key).mtime
    return written is None or written < condemned.keys[key]


def recall_checks(hints: Hints) -> dict[str, Check]:
    """What this machine remembers of versions that it read back from a remote; root -> when."""
    try:
        told = load_json(hints.recall(_CHECKS) or b"{}")
        return {root: Check(float(when), float(sample)) for root, (when, sample) in told.items()}
    except (ValueError, TypeError, AttributeError):  # damaged: it only ever says what was done
        return {}


def remember_checks(hints: Hints, roots: Iterable[Digest], sample: float) -> None:
    """Remember that versions were read back just now and found good.

    Args:
        hints: of the remote.
        roots: the versions.
        sample: percent of the contents that were hashed.
    """
    known: Mapping[str, Check] = recall_checks(hints)
    now = time.time()
    merged = {**known, **{str(root): Check(now, sample) for root in roots}}
    newest = sorted(merged.items(), key=lambda one: one[1].when)[-_MOST_CHECKS:]
    hints.remember(_CHECKS, json.dumps({root: [one.when, one.sample] for root, one in newest}).encode())
