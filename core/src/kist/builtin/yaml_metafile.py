"""The native metafile format: ``<name>.kist``, small YAML beside the output that it stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from kist import hookimpl
from kist.abc.metafile import MetafileFormat
from kist.errors import MetafileError, MetafileSyntaxError, MetafileVersionError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.util.paths import check_path, display
from kist.util.yaml12 import Path, YAMLError, dump, load, parse

FORMAT = "kist/1"
_VERSION = re.compile(r"kist/([1-9][0-9]{0,8})", re.ASCII)

_KEYS = ("format", "path", "path_b64", "manifest", "file", "executable", "files", "size", "remote", "links")
"""Keys that an output is made of, in the order in which a new metafile has them; all others are kept as they are."""


_PLAIN = frozenset({"manifest", "file", "executable", "files", "size"})
"""Keys whose values are one word each."""


class YamlMetafile(MetafileFormat):
    """The format of ``*.kist`` files: one output each."""

    name = "kist"
    patterns = ("*.kist",)

    def loads(self, data: bytes, path: str) -> Metafile:
        """Parse a metafile.

        Args:
            data: its bytes.
            path: its path, for messages.

        Returns:
            What it says.

        Raises:
            MetafileSyntaxError: it is not YAML of the right shape, with line and column.
            MetafileVersionError: a newer version wrote it.
            MetafileError: a path that is not one name beside the metafile, or a digest that is none.
        """
        try:
            values = load(data, max_size=self.max_size)
        except YAMLError as exc:
            raise _syntax_error(exc, path) from exc
        reader = _Reader(values, data, display(path))
        output = reader.output()
        return Metafile((output,), {key: value for key, value in values.items() if key not in _KEYS})

    def dumps(self, metafile: Metafile, previous: bytes | None = None) -> bytes:
        """Write a metafile.

        Args:
            metafile: exactly one output, and extra keys.
            previous: the bytes to edit in place; what cannot be read is replaced.

        Returns:
            Its bytes, *previous* itself where the meaning is the same.

        Raises:
            MetafileVersionError: *previous* was written by a newer version.
            MetafileError: it is not one output, or holds a value that has no form in the file.
        """
        if len(metafile.outputs) != 1:
            raise MetafileError("a .kist file stands for exactly one output")
        values = _values(metafile)
        try:
            return dump(values).encode("utf-8") if previous is None else self._edited(metafile, values, previous)
        except ValueError as exc:
            raise MetafileError(
                f"the metafile of '{display(metafile.outputs[0].path)}' cannot be written: {exc}"
            ) from exc

    def _edited(self, metafile: Metafile, values: dict[str, Any], previous: bytes) -> bytes:
        try:
            before = self.loads(previous, "metafile")
            if before == metafile:
                return previous
            old = _values(before)
            moved = {key for key in values if old.get(key) != values[key]}
            if list(old) == list(values) and moved <= _PLAIN and dump(old).encode("utf-8") == previous:
                return dump(values).encode("utf-8")  # nobody has written into it: no need to see what stands where
        except MetafileVersionError:
            raise
        except MetafileError:
            pass  # the new meaning mends it
        from kist.util.yaml_edit import Document

        try:
            document = Document(previous, max_size=self.max_size)
        except YAMLError:
            return dump(values).encode("utf-8")
        for key in [key for key in document.data if key not in values]:
            document.remove((key,))
        for key, value in values.items():
            document.set((key,), value)
        return document.dump()


class _Reader:
    """Reads one output out of a metafile's values, and points at what is wrong."""

    def __init__(self, values: Any, data: bytes, path: str) -> None:
        self._data = data
        self._path = path
        if not isinstance(values, dict) or not values:
            self._fail(
                "a metafile is a mapping that starts with 'format: kist/1'" if values else "the metafile is empty"
            )
        self._values: dict[str, Any] = values

    def output(self) -> TrackedOutput:
        """The output."""
        self._check_format()
        directory = "manifest" in self._values
        if directory == ("file" in self._values):
            self._fail("exactly one of 'manifest' and 'file' must be there")
        return TrackedOutput(
            path=self._output_path(),
            digest=self._digest("manifest" if directory else "file"),
            is_directory=directory,
            executable=self._boolean("executable") and not directory,
            files=self._number("files", 1),
            size=self._number("size", 0),
            remote=self._text("remote"),
            links=self._links(),
        )

    def _check_format(self) -> None:
        value = self._values.get("format")
        match = _VERSION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self._fail("'format' must be 'kist/1'", ("format",))
        if match[1] != "1":
            raise MetafileVersionError(
                f"{self._path}: the format '{value}' is newer than this version", path=self._path
            )

    def _output_path(self) -> str:
        text = self._text("path")
        encoded = self._text("path_b64")
        if encoded is not None:
            from base64 import b64decode

            try:
                raw = b64decode(encoded, validate=True)
            except ValueError:
                self._fail("'path_b64' is not base64", ("path_b64",))
        elif text is None:
            self._fail("'path' is missing")
        else:
            raw = text.encode("utf-8")
        try:
            check_path(raw)
        except MetafileError as exc:
            raise MetafileError(f"{self._path}: {exc.message}", path=self._path) from None
        if b"/" in raw:
            raise MetafileError(
                f"{self._path}: the path '{display(raw)}' is not allowed: it must be one name beside the metafile",
                path=self._path,
            )
        return os.fsdecode(raw)

    def _digest(self, key: str) -> Digest:
        try:
            return Digest.parse(self._values[key])
        except MetafileError as exc:
            self._fail(exc.message, (key,))

    def _text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            self._fail(f"'{key}' must be text", (key,))
        return value

    def _number(self, key: str, default: int) -> int:
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self._fail(f"'{key}' must be a number that is not negative", (key,))
        return value

    def _boolean(self, key: str) -> bool:
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            self._fail(f"'{key}' must be true or false", (key,))
        return value

    def _links(self) -> tuple[str, ...]:
        value = self._values.get("links", [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            self._fail("'links' must be a list of link types", ("links",))
        return tuple(value)

    def _fail(self, message: str, where: Path = ()) -> NoReturn:
        try:
            error = parse(self._data).error(message, where)
        except YAMLError:
            error = YAMLError(message)
        raise _syntax_error(error, self._path)


def _syntax_error(error: YAMLError, path: str) -> MetafileSyntaxError:
    text = error.text if error.text.isprintable() else ""
    return MetafileSyntaxError(
        display(error.message), file=display(path), line=error.line or 1, column=error.column or 1, text=text
    )


def _values(metafile: Metafile) -> dict[str, Any]:
    """What the file says, in the order of a new one; values that are the default are left out."""
    output = metafile.outputs[0]
    raw = os.fsencode(output.path)
    check_path(raw)
    if b"/" in raw:
        raise MetafileError(f"the path '{display(raw)}' must be one name beside the metafile", path=display(raw))
    values: dict[str, Any] = {"format": FORMAT, "path": raw.decode("utf-8", "replace")}
    if values["path"].encode("utf-8") != raw:
        from base64 import b64encode

        values["path_b64"] = b64encode(raw).decode("ascii")
    values["manifest" if output.is_directory else "file"] = str(output.digest)
    if output.executable and not output.is_directory:
        values["executable"] = True
    if output.is_directory or output.files != 1:
        values["files"] = output.files
    values["size"] = output.size
    if output.remote is not None:
        values["remote"] = output.remote
    if output.links:
        values["links"] = list(output.links)
    return values | _plain(metafile.extra)


def _plain(extra: Mapping[str, Any]) -> dict[str, Any]:
    for key in extra:
        if key in _KEYS:
            raise MetafileError(f"the extra key '{display(key)}' belongs to the format itself")
    return dict(extra)


@hookimpl
def kist_make_metafile_format(name: str) -> MetafileFormat | None:
    """Make the native metafile format."""
    return YamlMetafile() if name == YamlMetafile.name else None
