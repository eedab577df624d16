"""LinkTypeContract: what every link type must keep."""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kist.abc import LinkType
from kist.errors import LinkError, LinkUnsupported, StorageError
from kist.testing.base import ContractBase, difference

_CONTENT = b"the bytes of an object\n" * 1000
_MEMORY = Path("/dev/shm")  # noqa: S108 - a second file system that most machines have


class Places:
    """A cache folder and a workspace folder, with their descriptors.

    Args:
        cache: the folder of the objects.
        workspace: the folder that receives files.
    """

    def __init__(self, cache: Path, workspace: Path) -> None:
        self.cache, self.workspace = cache, workspace
        self.source_dir = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
        self.target_dir = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)

    def object(self, name: str, content: bytes = _CONTENT) -> bytes:
        """Make a loose object, read-only as objects are, and give its name."""
        path = self.cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
        return name.encode()

    def link(self, link_type: LinkType, *pairs: tuple[bytes, bytes]) -> None:
        """Link (source, target) pairs by one call."""
        sources, targets = [one for one, _ in pairs], [other for _, other in pairs]
        link_type.link_many(self.source_dir, sources, self.target_dir, targets)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.source_dir)
        os.close(self.target_dir)


@contextmanager
def _places(cache: Path, workspace: Path) -> Iterator[Places]:
    for folder in (cache, workspace):
        folder.mkdir(parents=True, exist_ok=True)
    places = Places(cache.resolve(), workspace.resolve())
    try:
        yield places
    finally:
        places.close()


class LinkTypeContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``link_type``.

    Where the type does not work between two folders of the temporary folder, ``probe`` must say so; then the tests that
    need a link are skipped, and those of refusal still run.
    """

    __test__ = False

    @abstractmethod
    @pytest.fixture
    def link_type(self) -> LinkType:
        """The link type under test."""

    @pytest.fixture
    def anywhere(self, tmp_path: Path) -> Iterator[Places]:
        """A cache and a workspace on one file system, whether or not the type works there."""
        with _places(tmp_path / "cache", tmp_path / "workspace") as places:
            yield places

    @pytest.fixture
    def places(self, link_type: LinkType, anywhere: Places) -> Places:
        """The same, where the type works."""
        if reason := link_type.probe(anywhere.cache, anywhere.workspace):
            pytest.skip(f"{link_type.name} does not work here: {reason}")
        return anywhere

    def test_declares_its_facts(self, link_type: LinkType) -> None:
        """A link type has a lower-case name and says whether it is isolated, keeps the mode and is verified."""
        assert link_type.name
        assert link_type.name == link_type.name.lower()
        for fact in (link_type.isolated, link_type.keeps_mode, link_type.verified):
            assert isinstance(fact, bool)
        assert not (link_type.isolated and link_type.keeps_mode), "an isolated file has a mode of its own"

    def test_probe_leaves_no_residue(self, link_type: LinkType, anywhere: Places) -> None:
        """A probe leaves both folders as they were, whatever it finds."""
        (anywhere.workspace / "mine").write_text("user's file")
        reason = link_type.probe(anywhere.cache, anywhere.workspace)
        assert reason is None or reason.strip()
        assert os.listdir(anywhere.cache) == []
        assert os.listdir(anywhere.workspace) == ["mine"]

    def test_probe_agrees_with_link_many(self, link_type: LinkType, anywhere: Places) -> None:
        """What the probe says is what link_many does."""
        source = anywhere.object("aa/one")
        if link_type.probe(anywhere.cache, anywhere.workspace) is None:
            anywhere.link(link_type, (source, b"file"))
            assert not difference((anywhere.workspace / "file").read_bytes(), _CONTENT)
        else:
            with pytest.raises(LinkUnsupported):
                anywhere.link(link_type, (source, b"file"))
            assert os.listdir(anywhere.workspace) == []

    def test_content_is_equal(self, link_type: LinkType, places: Places) -> None:
        """Many files in one call, each with the bytes of its object, also empty and large ones."""
        contents = [b"", b"x", _CONTENT, bytes(range(256)) * 20_000]
        pairs = [(places.object(f"aa/{at}", one), b"file %d" % at) for at, one in enumerate(contents)]
        places.link(link_type, *pairs)
        assert not difference([(places.workspace / os.fsdecode(name)).read_bytes() for _, name in pairs], contents)

    def test_any_name(self, link_type: LinkType, places: Places) -> None:
        """Target names are bytes, of any encoding."""
        source = places.object("aa/one")
        names = [b"spaced name", b"new\nline", "ümläut".encode(), b"latin-\xe9"]
        places.link(link_type, *((source, name) for name in names))
        for name in names:
            assert not difference(
                Path(os.fsdecode(os.path.join(os.fsencode(places.workspace), name))).read_bytes(), _CONTENT
            )

    def test_isolation_is_honest(self, link_type: LinkType, places: Places) -> None:
        """Writing into the workspace file changes the object exactly where the type does not claim to be isolated."""
        source = places.object("aa/one")
        places.link(link_type, (source, b"file"))
        (places.cache / "aa/one").chmod(0o644)
        with open(places.workspace / "file", "r+b") as file:
            file.write(b"EDITED")
        edited = (places.cache / "aa/one").read_bytes() != _CONTENT
        assert edited != link_type.isolated

    def test_mode_follows_the_umask(self, link_type: LinkType, places: Places) -> None:
        """A file with a mode of its own gets 0666 less the umask; the object's mode never changes."""
        source = places.object("aa/one")
        before = os.umask(0o027)
        try:
            places.link(link_type, (source, b"file"))
        finally:
            os.umask(before)
        mode = (places.workspace / "file").stat().st_mode & 0o777
        assert mode == (0o444 if link_type.keeps_mode else 0o640)
        assert (places.cache / "aa/one").stat().st_mode & 0o777 == 0o444

    def test_keeps_mode_is_honest(self, link_type: LinkType, places: Places) -> None:
        """Changing the mode of the workspace file reaches the object exactly where the type says so."""
        source = places.object("aa/one")
        places.link(link_type, (source, b"file"))
        (places.workspace / "file").chmod(0o755)
        assert ((places.cache / "aa/one").stat().st_mode & 0o777 == 0o755) == link_type.keeps_mode

    def test_survives_deletion_of_the_workspace_file(self, link_type: LinkType, places: Places) -> None:
        """Deleting the workspace file leaves the object."""
        source = places.object("aa/one")
        places.link(link_type, (source, b"file"))
        (places.workspace / "file").unlink()
        assert not difference((places.cache / "aa/one").read_bytes(), _CONTENT)

    def test_survives_deletion_of_the_object(self, link_type: LinkType, places: Places) -> None:
        """Deleting the object leaves the workspace file, unless that is a symbolic link; asking is safe after it."""
        source = places.object("aa/one")
        places.link(link_type, (source, b"file"))
        (places.cache / "aa/one").unlink()
        if not (places.workspace / "file").is_symlink():
            assert not difference((places.workspace / "file").read_bytes(), _CONTENT)
        assert link_type.is_linked(places.source_dir, source, places.target_dir, b"file") in (True, False)

    def test_is_linked(self, link_type: LinkType, places: Places) -> None:
        """True only for a link of this type to this very object; False for other objects, files and nothing."""
        one, other = places.object("aa/one"), places.object("aa/other")
        places.link(link_type, (one, b"file"))
        (places.workspace / "plain").write_bytes(_CONTENT)

        def asked(source: bytes, name: bytes) -> bool:
            return link_type.is_linked(places.source_dir, source, places.target_dir, name)

        assert asked(one, b"file") == (not link_type.isolated)
        assert not asked(other, b"file")
        assert not asked(one, b"plain")
        assert not asked(one, b"absent")

    def test_never_replaces(self, link_type: LinkType, places: Places) -> None:
        """A target that exists is left as it is, and what was made before stays."""
        source = places.object("aa/one")
        (places.workspace / "second").write_text("user's file")
        with pytest.raises((StorageError, LinkError)):
            places.link(link_type, (source, b"first"), (source, b"second"), (source, b"third"))
        assert not difference((places.workspace / "first").read_bytes(), _CONTENT)
        assert (places.workspace / "second").read_text() == "user's file"
        assert not (places.workspace / "third").exists()

    def test_missing_object(self, link_type: LinkType, places: Places) -> None:
        """A missing object is a typed error, and no file appears."""
        with pytest.raises((StorageError, LinkError)):
            places.link(link_type, (b"aa/absent", b"file"))
        assert os.listdir(places.workspace) == []

    @pytest.mark.parametrize("swapped", [False, True])
    def test_other_device(self, link_type: LinkType, tmp_path: Path, swapped: bool) -> None:
        """Between two file systems it works, or is LinkUnsupported with the number done and nothing left."""
        if not _MEMORY.is_dir() or _MEMORY.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("this machine offers one file system only")
        with tempfile.TemporaryDirectory(dir=_MEMORY) as memory:
            ends = (tmp_path / "here", Path(memory, "there"))
            with _places(*(reversed(ends) if swapped else ends)) as places:
                works = link_type.probe(places.cache, places.workspace) is None
                assert os.listdir(places.cache) == os.listdir(places.workspace) == []
                source = places.object("aa/one")
                if works:
                    places.link(link_type, (source, b"file"))
                    assert not difference((places.workspace / "file").read_bytes(), _CONTENT)
                    return
                with pytest.raises(LinkUnsupported) as caught:
                    places.link(link_type, (source, b"file"))
                assert caught.value.done == 0
                assert os.listdir(places.workspace) == []
