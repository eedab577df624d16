"""CheckedMetafileFormat: the border between the core and a plugin's metafile format; no path leads out through it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kist.abc.metafile import ManifestCodec, MetafileFormat
from kist.errors import ContractViolation, MetafileError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.plugins.blame import names_of, wrong_answer
from kist.plugins.checked_manifest import CheckedManifestCodec
from kist.util.paths import check_path

_FIELDS: Mapping[str, Any] = {
    "path": str,
    "digest": Digest,
    "is_directory": bool,
    "executable": bool,
    "files": int,
    "size": int,
    "remote": str | None,
    "links": tuple,
}


class CheckedMetafileFormat(MetafileFormat):
    """Reads and writes as the plugin's format does; what it read is looked at before anybody acts on it.

    Args:
        inner: the plugin's format.
        distribution: who brings it.

    Raises:
        ContractViolation: its attributes are none; later, from each method, an answer is of the wrong kind.
    """

    def __init__(self, inner: MetafileFormat, distribution: str) -> None:
        self._inner = inner
        self._distribution = distribution
        self.name = getattr(inner, "name", "")
        wanted = "a tuple of patterns of file names"
        self.patterns = names_of(distribution, inner, "patterns", wanted, lambda one: "/" not in one)
        if inner.codec is not None:
            if not isinstance(inner.codec, ManifestCodec):
                raise self._fault("codec", inner.codec, "a kist.abc.ManifestCodec or None")
            self.codec = CheckedManifestCodec(inner.codec, distribution)
        if not isinstance(inner.max_size, int):
            raise self._fault("max_size", inner.max_size, "a number")
        self.max_size = inner.max_size

    def loads(self, data: bytes, path: str) -> Metafile:
        """What the plugin reads.

        Raises:
            MetafileError: also for a path that leads elsewhere, which a plugin may have let pass.
        """
        document = self._inner.loads(data, path)
        if not isinstance(document, Metafile) or not isinstance(document.extra, Mapping):
            raise self._fault("loads", document, "a kist.model.Metafile")
        if not isinstance(document.outputs, Sequence):
            raise self._fault("loads", document.outputs, "a tuple of outputs")
        for output in document.outputs:
            if not isinstance(output, TrackedOutput):
                raise self._fault("loads", output, "a kist.model.TrackedOutput")
            for name, kind in _FIELDS.items():
                value = getattr(output, name)
                if not isinstance(value, kind):
                    raise self._fault("loads", value, f"what an output's {name} can be")
            try:
                check_path(os.fsencode(output.path))
            except UnicodeEncodeError as error:
                raise MetafileError(f"{path} has a path that is no text of a file system", path=path) from error
        return document

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        """What the plugin writes."""
        data = self._inner.dumps(metafile, previous)
        if not isinstance(data, bytes):
            raise self._fault("dumps", data, "bytes")
        return data

    def _fault(self, member: str, given: object, wanted: str) -> ContractViolation:
        return wrong_answer(self._distribution, self._inner, member, given, wanted)
