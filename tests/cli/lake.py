"""A dialect with a metafile format of its own, written from the public surface alone."""

LAKE = """
import configparser
import json

from kist import Digest, hookimpl
from kist.abc import Dialect, MetafileFormat
from kist.errors import ConfigError, MetafileError, MetafileSyntaxError
from kist.kit import check_path
from kist.model import Metafile, TrackedOutput


class Lake(Dialect):
    marker = ".lake"
    metafile_formats = ("lake",)
    default_hashers = ("sha512",)
    ignore_file = ".lakeignore"

    def always_ignored(self):
        return frozenset({b".git", b".lake"})

    def config_sources(self):
        return (".lake/lake.ini",)

    def read_config(self, path, data):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(data.decode())
        except (configparser.Error, UnicodeDecodeError) as exc:
            raise ConfigError(f"{path}: {exc}".splitlines()[0], hint="mend it") from exc
        return {"remote": {name: dict(parser[name]) for name in parser.sections()}}


class LakeFormat(MetafileFormat):
    name = "lake"
    patterns = ("*.lake",)

    def loads(self, data, path):
        try:
            values = json.loads(data)
        except ValueError as exc:
            raise MetafileSyntaxError("no JSON", file=path, line=1, column=1) from exc
        try:
            check_path(values["path"].encode())
            digest = Digest.parse(values["digest"])
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise MetafileError(f"{path} says nothing") from exc
        known = {"path", "digest", "directory", "files", "size"}
        extra = {key: value for key, value in values.items() if key not in known}
        output = TrackedOutput(values["path"], digest, values["directory"], files=values["files"], size=values["size"])
        return Metafile((output,), extra)

    def dumps(self, metafile, previous=None):
        (one,) = metafile.outputs
        values = {"path": one.path, "digest": str(one.digest), "directory": one.is_directory}
        values |= {"files": one.files, "size": one.size, **metafile.extra}
        return json.dumps(values, indent=1).encode() + b"\\n"


@hookimpl
def kist_make_dialect(marker):
    return Lake() if marker == ".lake" else None


@hookimpl
def kist_make_metafile_format(name):
    return LakeFormat() if name == "lake" else None
"""


def install(site, code=LAKE, marker=".lake"):
    site.install(
        "kist-lake", {"dialects": {marker: "kist_lake"}, "metafiles": {"lake": "kist_lake"}}, {"kist_lake": code}
    )
