"""TrackedOutput and Metafile: what one metafile says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kist.model.digest import Digest
from kist.util.slotted import field, slotted


@slotted(frozen=True)
class TrackedOutput:
    """A file or directory under kist's control.

    Args:
        path: as the metafile has it, relative to the metafile's folder, ``/``-separated.
        digest: the file's content, or the root of the directory's manifest.
        is_directory: whether *digest* is a manifest root.
        executable: whether a single file is executable.
        files: number of entries; 1 for a single file.
        size: bytes of content in all.
        remote: the remote that this output goes to, None for the default.
        links: the link types for this output, () for the configured ones.
    """

    path: str
    digest: Digest
    is_directory: bool
    executable: bool = False
    files: int = 1
    size: int = 0
    remote: str | None = None
    links: tuple[str, ...] = ()


@slotted(frozen=True)
class Metafile:
    """What one metafile says.

    Args:
        outputs: the tracked outputs; the native format has exactly one.
        extra: keys that this version does not interpret (source, description, labels, meta, unknown ones);
            kept by every rewrite.
    """

    outputs: tuple[TrackedOutput, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
