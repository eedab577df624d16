"""What operations return. Fields map one to one to the command line's JSON."""

from __future__ import annotations

from kist.errors import KistError
from kist.model.status import OutputStatus, StatusSection
from kist.util.slotted import field, slotted

__all__ = [
    "AddReport",
    "AddedOutput",
    "CheckoutReport",
    "Finding",
    "OutputStatus",
    "StatusSection",
    "TransferReport",
]


@slotted(frozen=True)
class AddedOutput:
    """One output as `add` left it: paths relative to the repository, size in bytes."""

    path: str
    metafile: str
    digest: str
    files: int
    size: int


@slotted(frozen=True)
class AddReport:
    """What `add` and `commit` did: bytes read from the workspace and bytes newly stored in the cache."""

    outputs: tuple[AddedOutput, ...] = ()
    bytes_read: int = 0
    bytes_stored: int = 0
    warnings: tuple[str, ...] = ()


@slotted(frozen=True)
class CheckoutReport:
    """What `checkout` did.

    Args:
        files: workspace files made or changed.
        deleted: workspace files removed.
        bytes: content written, in bytes (0 where links did it).
        links: link type -> number of files made with it.
        missing: (digest, paths) of objects that are nowhere on this machine.
        trashed: paths whose unsaved content went to the trash, with where.
        kept: untracked files that were left where they are.
    """

    files: int = 0
    deleted: int = 0
    bytes: int = 0
    links: dict[str, int] = field(default_factory=dict)
    missing: tuple[tuple[str, tuple[str, ...]], ...] = ()
    trashed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@slotted(frozen=True)
class TransferReport:
    """What a push or fetch did.

    Args:
        direction: ``push`` or ``fetch``.
        remote: the remote's name.
        objects: objects moved, manifest nodes included.
        bytes: bytes moved, as stored.
        bytes_saved: bytes that did not need to move because the other side had them.
        requests: calls on the wire, or methods called on a remote that has no wire.
        roots: versions that are now complete on the other side.
        failures: pairs of an object's name (or key) and what happened.
        requests_expected: after a dry run, how many requests a real one makes in all, as far as can be told before;
            None where it cannot.
    """

    direction: str
    remote: str
    objects: int = 0
    bytes: int = 0
    bytes_saved: int = 0
    requests: int = 0
    roots: tuple[str, ...] = ()
    failures: tuple[tuple[str, KistError], ...] = ()
    requests_expected: int | None = None


@slotted(frozen=True)
class Finding:
    """One line of `kist doctor`.

    Args:
        label: what was looked at.
        state: ``ok``, ``note``, ``warning`` or ``error``.
        detail: what was found.
        fix: the command that mends it, or None.
    """

    label: str
    state: str
    detail: str = ""
    fix: str | None = None
