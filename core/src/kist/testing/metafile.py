"""MetafileContract: what every metafile format must keep."""

from __future__ import annotations

import fnmatch
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.abc.metafile import MetafileFormat
from kist.errors import MetafileError, MetafileSyntaxError, MetafileVersionError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.testing.base import ContractBase

_NAME = "placeholdername"
_HOSTILE = (
    "..",
    "../other",
    "a/../../other",
    "/etc/passwd",
    ".git",
    ".git/config",
    ".GIT",
    ".kist/config.yaml",
    ".",
    "a//b",
)
_AWKWARD = (
    "a b",
    "é",
    "yes",
    "null",
    "0x1f",
    "1.0",
    "#x",
    "- x",
    "a: b",
    "'q'",
    '"q"',
    "\\",
    "*",
    "x\ny",
    "\u2028",
    "🎉",
    "=",
)
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
_FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=_CHECKS)


class MetafileContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``metafile_format``.

    Attributes:
        algorithm: the algorithm of the digests that the format writes.
        keeps: fields of an output that the format can write beside path, digest and ``is_directory``.
        extra: keys that the format does not interpret, to be kept.
    """

    __test__: ClassVar[bool] = False

    algorithm: ClassVar[str] = "sha256"
    keeps: ClassVar[frozenset[str]] = frozenset({"executable", "files", "size", "remote", "links"})
    extra: ClassVar[Mapping[str, Any]] = {
        "meta": {"owner": "me", "numbers": [1, 2.5, None, True]},
        "strange-key": "kept",
    }

    @pytest.fixture
    @abstractmethod
    def metafile_format(self) -> MetafileFormat:
        """The format under test."""

    @pytest.fixture
    def newer_version(self) -> bytes | None:
        """A metafile of a version that does not exist yet; None for a format without versions."""
        return None

    def document(self, path: str = "data", *, directory: bool = True, **extra: Any) -> Metafile:
        """A metafile of one output with all the fields that the format keeps.

        Args:
            path: the output's path.
            directory: whether it is a directory.
            extra: keys that the format does not interpret.

        Returns:
            The metafile.
        """
        width = {"md5": 16, "sha1": 20, "sha512": 64, "blake2b": 64}.get(self.algorithm, 32)
        digest = Digest.from_raw(self.algorithm, bytes(range(width)))
        fields: dict[str, Any] = {"size": 461_373_440, "remote": "store", "links": ("hardlink", "copy")}
        fields |= {"files": 100_000} if directory else {"executable": True}
        kept = {name: value for name, value in fields.items() if name in self.keeps}
        return Metafile((TrackedOutput(path, digest, directory, **kept),), extra)

    def test_declares_itself(self, metafile_format: MetafileFormat) -> None:
        """A format has a name, patterns of file names, a codec with a name or the core's own, and a limit of size."""
        assert metafile_format.name == metafile_format.name.lower()
        assert metafile_format.patterns
        assert not any(fnmatch.fnmatchcase("plain.txt", one) for one in metafile_format.patterns)
        assert metafile_format.codec is None or metafile_format.codec.name
        assert 0 < metafile_format.max_size <= 64 << 20

    @pytest.mark.parametrize("directory", [True, False])
    def test_what_is_written_is_read_back(self, metafile_format: MetafileFormat, directory: bool) -> None:
        """Reading what was written gives an equal metafile, of directories and of files."""
        document = self.document(directory=directory)
        assert metafile_format.loads(metafile_format.dumps(document), "x") == document

    @pytest.mark.parametrize("path", _AWKWARD)
    def test_awkward_names_survive(self, metafile_format: MetafileFormat, path: str) -> None:
        """Any name that a file system takes can be an output's."""
        document = self.document(path)
        assert metafile_format.loads(metafile_format.dumps(document), "x") == document

    def test_bytes_are_a_function_of_the_meaning(self, metafile_format: MetafileFormat) -> None:
        """The same metafile gives the same bytes each time, in UTF-8 with a line break at the end."""
        data = metafile_format.dumps(self.document())
        assert metafile_format.dumps(self.document()) == data
        assert data.decode("utf-8").endswith("\n")

    def test_equal_meaning_leaves_the_bytes(self, metafile_format: MetafileFormat) -> None:
        """A rewrite that changes no meaning changes no byte."""
        data = metafile_format.dumps(self.document())
        assert metafile_format.dumps(metafile_format.loads(data, "x"), data) == data

    def test_uninterpreted_keys_survive(self, metafile_format: MetafileFormat) -> None:
        """Keys that the format does not interpret are read, and kept by a rewrite."""
        data = metafile_format.dumps(self.document(**self.extra))
        loaded = metafile_format.loads(data, "x")
        assert dict(loaded.extra) == dict(self.extra)
        changed = Metafile(self.document(directory=False).outputs, loaded.extra)
        again = metafile_format.dumps(changed, data)
        assert metafile_format.loads(again, "x") == changed

    def test_a_rewrite_has_the_new_meaning(self, metafile_format: MetafileFormat) -> None:
        """A rewrite in place means exactly what was asked for, whatever stood there."""
        one, other = self.document(**self.extra), self.document("other", directory=False)
        data = metafile_format.dumps(one)
        assert metafile_format.loads(metafile_format.dumps(other, data), "x") == other
        assert metafile_format.loads(metafile_format.dumps(one, metafile_format.dumps(other)), "x") == one

    @pytest.mark.parametrize("path", _HOSTILE)
    def test_paths_that_lead_elsewhere_are_refused(self, metafile_format: MetafileFormat, path: str) -> None:
        """A path that is absolute, has ``..`` or enters a private folder is refused."""
        data = metafile_format.dumps(self.document(_NAME))
        assert data.count(_NAME.encode()) == 1
        with pytest.raises(MetafileError):
            metafile_format.loads(data.replace(_NAME.encode(), path.encode()), "x")

    @pytest.mark.parametrize("data", [b"", b"\n", b"just text\n", b"[1, 2]\n", b"\xff\xfe\x00", b"a: [1\n", b"\0" * 50])
    def test_what_is_no_metafile_is_told_with_its_place(self, metafile_format: MetafileFormat, data: bytes) -> None:
        """A file that is no metafile gives MetafileSyntaxError with the file's name, a line and a column."""
        with pytest.raises(MetafileSyntaxError) as caught:
            metafile_format.loads(data, "folder/data.meta")
        assert caught.value.file == "folder/data.meta"
        assert caught.value.line >= 1
        assert caught.value.column >= 1

    def test_damage_gets_a_typed_error(self, metafile_format: MetafileFormat) -> None:
        """Every truncation either still is a metafile or gives a MetafileError."""
        data = metafile_format.dumps(self.document(**self.extra))
        for end in range(len(data)):
            try:
                metafile_format.loads(data[:end], "x")
            except MetafileError:
                continue

    @_FUZZ
    @given(junk=st.binary(max_size=40), where=st.integers(0, 400), cut=st.integers(0, 40))
    def test_random_damage_gets_a_typed_error(
        self, metafile_format: MetafileFormat, junk: bytes, where: int, cut: int
    ) -> None:
        """Random bytes anywhere either leave a metafile or give a MetafileError."""
        data = metafile_format.dumps(self.document(**self.extra))
        try:
            loaded = metafile_format.loads(data[:where] + junk + data[where + cut :], "x")
        except MetafileError:
            return
        assert isinstance(loaded, Metafile)

    @pytest.mark.parametrize(
        "text",
        [
            "!!python/object/apply:os.system ['touch ran']",
            "&a [*a, *a]",
            "!!python/name:os.system",
            "{<<: {a: 1}}",
        ],
    )
    def test_nothing_in_the_file_is_carried_out(
        self, metafile_format: MetafileFormat, text: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tags, anchors and merge keys are refused, or mere text; none of them builds an object or runs anything."""
        monkeypatch.chdir(tmp_path)
        data = metafile_format.dumps(self.document())
        try:
            loaded = metafile_format.loads(data + f"meta: {text}\n".encode(), "x")
        except MetafileError:
            pass
        else:  # a format that has no such things
            assert loaded.extra.get("meta") == text
        assert list(tmp_path.iterdir()) == []

    def test_a_newer_version_says_so(self, metafile_format: MetafileFormat, newer_version: bytes | None) -> None:
        """A metafile of a newer version gives MetafileVersionError, on reading and on rewriting."""
        if newer_version is None:
            pytest.skip("the format has no versions")
        with pytest.raises(MetafileVersionError):
            metafile_format.loads(newer_version, "x")
        with pytest.raises(MetafileVersionError):
            metafile_format.dumps(self.document(), newer_version)
