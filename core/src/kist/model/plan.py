"""TransferPlan: what a transfer would move."""

from __future__ import annotations

from kist.util.slotted import slotted


@slotted(frozen=True)
class TransferPlan:
    """What would move, before the first byte.

    Args:
        direction: ``push`` or ``fetch``.
        remote: the remote's name.
        objects: objects to move, manifest nodes included.
        bytes: bytes to move, plain sizes.
        roots: versions concerned, as digests' text.
    """

    direction: str
    remote: str
    objects: int
    bytes: int
    roots: tuple[str, ...] = ()
