"""What ``status`` returns of each output: by itself, because it is the command that must start the fastest."""

from __future__ import annotations

from kist.model.change import Change
from kist.util.slotted import slotted


@slotted(frozen=True)
class OutputStatus:
    """One output compared with the workspace; paths of the changes are relative to the repository."""

    path: str
    metafile: str
    changes: tuple[Change, ...] = ()


@slotted(frozen=True)
class StatusSection:
    """An extra section of `kist status`, contributed by a plugin."""

    title: str
    lines: tuple[str, ...] = ()
