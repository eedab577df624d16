"""Broken metafile formats."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

from kist.builtin.yaml_metafile import YamlMetafile
from kist.errors import MetafileError, MetafileSyntaxError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.testing.metafile import MetafileContract
from kist.testing.mutants.running import Kind
from kist.util.slotted import replace


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    output = TrackedOutput("data", Digest.from_raw("sha256", bytes(32)), is_directory=True)
    newer = YamlMetafile().dumps(Metafile((output,))).replace(b"kist/1", b"kist/2")
    return {"metafile_format": subject(), "newer_version": newer}


METAFILE = Kind("metafile", MetafileContract, YamlMetafile, _fixtures)


@METAFILE.mutant
class MatchesEverything(YamlMetafile):
    """Takes every file for one of its own."""

    patterns = ("*",)


@METAFILE.mutant
class LosesRemote(YamlMetafile):
    """Does not write which remote an output goes to."""

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        outputs = tuple(replace(one, remote=None) for one in metafile.outputs)
        return super().dumps(replace(metafile, outputs=outputs), previous)


@METAFILE.mutant
class Unquoted(YamlMetafile):
    """Writes names without the quotes that they need."""

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        data = super().dumps(metafile, previous)
        return re.sub(rb"(?m)^(path: )(['\"])([^'\"\\]*)\2$", rb"\1\3", data)


@METAFILE.mutant
class Numbered(YamlMetafile):
    """Writes a number that is another each time."""

    numbers = itertools.count()

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        return super().dumps(metafile, previous) + b"# %d\n" % next(self.numbers)


@METAFILE.mutant
class RewritesAlways(YamlMetafile):
    """Writes all anew where an edit was asked for, in another style."""

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        data = super().dumps(metafile, previous)
        return data if previous is None else data + b"# edited\n"


@METAFILE.mutant
class DropsOtherKeys(YamlMetafile):
    """Drops the keys that it does not know."""

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        return super().dumps(replace(metafile, extra={}))


@METAFILE.mutant
class KeepsOldFile(YamlMetafile):
    """Leaves a file that is there as it is."""

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        return super().dumps(metafile, previous) if previous is None else previous


@METAFILE.mutant
class AnyPath(YamlMetafile):
    """Takes a path wherever it leads."""

    def loads(self, data: bytes, path: str) -> Metafile:
        found = re.search(rb"(?m)^path: (\S+)$", data)
        try:
            return super().loads(data, path)
        except MetafileError:
            if found is None or found[1][:1] not in (b".", b"/", b"a"):
                raise
            loaded = super().loads(data.replace(found[1], b"placeholder"), path)
            outputs = tuple(replace(one, path=found[1].decode()) for one in loaded.outputs)
            return replace(loaded, outputs=outputs)


@METAFILE.mutant
class TellsNoPlace(YamlMetafile):
    """Does not tell where the error is."""

    def loads(self, data: bytes, path: str) -> Metafile:
        try:
            return super().loads(data, path)
        except MetafileSyntaxError as exc:
            raise MetafileSyntaxError("not a metafile", file=path) from exc


@METAFILE.mutant
class ParserShowsThrough(YamlMetafile):
    """Lets an error of its parser through when keys are missing."""

    def loads(self, data: bytes, path: str) -> Metafile:
        try:
            return super().loads(data, path)
        except MetafileError as exc:
            if data.startswith(b"form"):
                raise KeyError("path") from exc
            raise


@METAFILE.mutant
class DecodesFirst(YamlMetafile):
    """Lets an error of decoding through."""

    def loads(self, data: bytes, path: str) -> Metafile:
        data.decode()
        return super().loads(data, path)


@METAFILE.mutant
class IgnoresTags(YamlMetafile):
    """Reads over what it must refuse."""

    def loads(self, data: bytes, path: str) -> Metafile:
        if b"!!python" in data:
            data = re.sub(rb"(?m)^meta: .*$", b"", data)
        return super().loads(data, path)


@METAFILE.mutant
class AnyVersion(YamlMetafile):
    """Reads what a newer version wrote as if it understood it."""

    def loads(self, data: bytes, path: str) -> Metafile:
        return super().loads(data.replace(b"kist/2", b"kist/1"), path)
