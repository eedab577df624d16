"""Roots: the objects from which gc follows what must live."""

from __future__ import annotations

from kist.model.digest import Digest
from kist.util.slotted import slotted


@slotted(frozen=True)
class GcRoot:
    """An object that must live, with all that it reaches.

    Args:
        digest: its name.
        is_directory: whether it is a manifest's root; None where nobody knows, then its bytes tell.
    """

    digest: Digest
    is_directory: bool | None = None
