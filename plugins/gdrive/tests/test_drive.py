"""What is special about Drive: doubles, folders by id, the trash, shared drives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kist.errors import RemoteError, RemoteObjectNotFound, RemotePermissionError
from kist_gdrive.remote import DriveRemote
from servers.drive import DriveServer, RawFolder

Make = Callable[..., DriveRemote]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


def words(drive_server: DriveServer) -> list[str]:
    """Method and kind of the requests since the last call."""
    kinds = {"q=": "find", "alt=media": "read", "uploadType=multipart": "send", "uploadType=resumable": "chunk"}
    found = []
    for line in drive_server.requests():
        method, address = line.split()
        kind = next((word for text, word in kinds.items() if text in address), address.partition("?")[0])
        found.append(f"{method} {kind}")
    return found


# ── several files of one name ────────────────────────────────────────────────────────────────────────────────────────


def test_doubles(remote: DriveRemote, raw: RawFolder, source: Path) -> None:
    """The one written last is the object; a put leaves one, which has the new bytes."""
    for number, modified in enumerate((1_700_000_300.0, 1_700_000_500.0, 1_700_000_400.0)):
        raw.add("objects/one", f"{number}".encode(), modified=modified)
    assert [(info.key, info.mtime) for info in remote.list()] == [("objects/one", 1_700_000_500.0)]
    assert remote.open("objects/one").read() == b"1"
    assert remote.exists_many(["objects/one", "objects/two"]) == {"objects/one": True, "objects/two": False}
    remote.put_file("objects/one", source)
    assert raw.keys() == ["objects/one"]
    assert raw.read("objects/one") == b"some bytes"


def test_delete_removes_all_doubles(remote: DriveRemote, raw: RawFolder) -> None:
    for key in ("a/one", "a/one", "a/two", "a/two", "a/three"):
        raw.add(key, b"x")
    remote.delete("a/one")
    assert remote.delete_many(["a/two", "a/none", "b/none"]) == {}
    assert raw.keys() == ["a/three"]


def test_put_of_an_existing_name_adds_no_file(remote: DriveRemote, raw: RawFolder, source: Path) -> None:
    remote.put_file("a/one", source)
    ((_, first),) = raw.entries()
    remote.put_file("a/one", source)
    assert raw.entries() == [("a/one", first)]


def test_sweep_removes_old_doubles_only(remote: DriveRemote, raw: RawFolder) -> None:
    raw.add("a/one", b"old", modified=1_700_000_000.0)
    raw.add("a/one", b"older", modified=1_600_000_000.0)
    raw.add("a/two", b"first")
    raw.add("a/two", b"second")
    assert remote.sweep() == 1
    assert sorted(raw.keys()) == ["a/one", "a/two", "a/two"]
    assert raw.read("a/one") == b"old"


def test_double_folders(remote: DriveRemote, raw: RawFolder, drive_server: DriveServer, source: Path) -> None:
    """Two of one name: both are looked into, and what is new goes into the older one."""
    older = raw.make("objects")
    newer = drive_server.control("folder", parent=raw.folder, title="objects")
    drive_server.control("write", parent=newer, title="one", data="MQ==")
    assert remote.open("objects/one").read() == b"1"
    remote.put_file("objects/two", source)
    assert sorted(info.key for info in remote.list("objects/")) == ["objects/one", "objects/two"]
    assert dict(raw.entries())["objects/two"] in {name for _, name in RawFolder(drive_server, older).entries()}


# ── what is no object ────────────────────────────────────────────────────────────────────────────────────────────────


def test_other_things_in_the_folder(remote: DriveRemote, raw: RawFolder, source: Path) -> None:
    """Documents of Google's have no bytes; names that no key has are left alone; case counts."""
    raw.add("document", b"", kind="application/vnd.google-apps.document")
    raw.add("Holiday Photos.zip", b"mine")
    raw.add("NAME", b"mine")
    raw.make("My Music")
    remote.put_file("name", source)
    assert [info.key for info in remote.list()] == ["name"]
    with pytest.raises(RemoteObjectNotFound):
        remote.stat("document")
    assert len(raw.keys()) == 4


def test_own_drive(make: Make, drive_server: DriveServer, folder: str, source: Path) -> None:
    remote = make("root", f"kist-{folder.lower().replace('_', '-')}", "it's \\ here")
    remote.put_file("a/one", source)
    assert [info.key for info in remote.list()] == ["a/one"]
    remote.close()
    again = make("root", f"kist-{folder.lower().replace('_', '-')}", "it's \\ here")
    words(drive_server)
    assert again.stat("a/one").size == 10
    assert words(drive_server) == ["GET find"]


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_requests_an_object(remote: DriveRemote, drive_server: DriveServer, source: Path, tmp_path: Path) -> None:
    remote.put_file("objects/aa/0", source)
    words(drive_server)
    remote.put_file("objects/aa/1", source)
    assert words(drive_server) == ["GET find", "POST send"]
    remote.get_file("objects/aa/1", tmp_path / "target")
    assert words(drive_server) == ["GET find", "GET read"]
    remote.stat("objects/aa/1")
    assert words(drive_server) == ["GET find"]
    remote.exists_many([f"objects/aa/{number}" for number in range(40)])
    assert words(drive_server) == ["GET find"] * 3
    list(remote.list())
    assert words(drive_server) == ["GET find"] * 3  # one a level


def test_large_objects_go_in_chunks(
    remote: DriveRemote, raw: RawFolder, drive_server: DriveServer, tmp_path: Path
) -> None:
    data = bytes(range(256)) * (70_000)
    (tmp_path / "large").write_bytes(data)
    remote.put_file("large", tmp_path / "large")
    assert words(drive_server)[-3:] == ["POST chunk", "PUT chunk", "PUT chunk"]
    assert raw.read("large") == data
    with remote.open("large", start=100, length=20_000_000) as reader:
        assert reader.read() == data[100:]
    assert words(drive_server) == ["GET find", "GET read", "GET read", "GET read"]


# ── folders are remembered, and checked ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def filled(make: Make, source: Path) -> None:
    """Objects in the folder, and a memory of where."""
    remote = make(None, "place")
    for key in ("top", "objects/aa/1", "objects/bb/2", "packs/3"):
        remote.put_file(key, source)
    remote.close()


def test_memory_saves_requests(make: Make, drive_server: DriveServer, filled: None) -> None:
    remote = make(None, "place")
    words(drive_server)
    for key in ("objects/aa/1", "objects/bb/2", "packs/3"):
        remote.stat(key)
    assert words(drive_server) == ["GET find"] * 3  # the first tells of the folders too


def test_many_long_names(remote: DriveRemote, raw: RawFolder, drive_server: DriveServer) -> None:
    """An address may be too long for a GET: then the client sends it another way."""
    names = [f"{number:064x}" for number in range(50)]
    for name in names[::2]:
        raw.write(f"objects/sha256/{name}", b"x")
    found = remote.exists_many([f"objects/sha256/{name}" for name in names])
    assert [key[-64:] for key, there in found.items() if there] == names[::2]


def test_small_contents_are_brought_once(make: Make, raw: RawFolder, drive_server: DriveServer, tmp_path: Path) -> None:
    """Later commands have them already, unless Google tells of another digest."""
    raw.write("marker", b"first")
    for content, kinds in ((b"first", ["find", "read"]), (b"first", ["find"]), (b"other", ["find", "read"])):
        raw.write("marker", content)
        remote = make()
        words(drive_server)
        assert remote.open("marker").read() == content
        assert [word.split()[1] for word in words(drive_server) if "token" not in word] == kinds
        remote.close()
    (kept,) = (tmp_path / "state").glob("gdrive-contents-*.json")
    kept.write_text(kept.read_text().replace("b3RoZXI=", "d3Jvbmc="))
    assert make().open("marker").read() == b"other"


@pytest.mark.parametrize("how", ["trash", "remove", "move"])
def test_memory_of_what_is_gone(
    make: Make, raw: RawFolder, drive_server: DriveServer, filled: None, source: Path, how: str
) -> None:
    """A folder that is not where it was is not used: what is put lands where everybody looks."""
    tree = {path: name for path, name, *_ in raw.tree()}
    told = {"parent": drive_server.control("folder")} if how == "move" else {}
    drive_server.control(how, name=tree["place/objects"], **told)
    remote = make(None, "place")
    with pytest.raises(RemoteObjectNotFound):
        remote.stat("objects/aa/1")
    remote.put_file("objects/aa/1", source)
    assert [info.key for info in make(None, "place", scope={"state": None}).list("objects/")] == ["objects/aa/1"]


def test_memory_that_is_broken(make: Make, filled: None, tmp_path: Path) -> None:
    (path,) = (tmp_path / "state").glob("gdrive-folders-*.json")
    value = json.loads(path.read_text())
    for text in ("no json", "[]", json.dumps(value | {"folders": {"place": ["1nothing-of-that-id"]}})):
        path.write_text(text)
        assert make(None, "place").stat("objects/aa/1").size == 10


def test_a_folder_that_goes_away_meanwhile(
    make: Make, raw: RawFolder, drive_server: DriveServer, filled: None, source: Path
) -> None:
    remote = make(None, "place")
    remote.stat("objects/aa/1")
    drive_server.control("remove", name={path: name for path, name, *_ in raw.tree()}["place/objects"])
    with pytest.raises(RemoteObjectNotFound):
        remote.stat("objects/aa/1")
    remote.put_file("objects/aa/1", source)
    assert dict(raw.entries())["place/objects/aa/1"]


# ── the trash, shared drives ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("use_trash", [False, True])
def test_what_is_deleted(make: Make, raw: RawFolder, source: Path, use_trash: bool) -> None:
    remote = make(use_trash=use_trash)
    remote.put_file("a/one", source)
    remote.delete("a/one")
    assert [gone for path, _, _, gone in raw.tree() if path == "a/one"] == ([True] if use_trash else [])
    assert list(remote.list()) == []
    remote.put_file("a/one", source)
    assert raw.keys() == ["a/one"]


ROLES = {
    "writer@tests.iam.gserviceaccount.com": "manager",
    "content@tests.iam.gserviceaccount.com": "contentManager",
    "reader@tests.iam.gserviceaccount.com": "reader",
}


@pytest.mark.parametrize("named", [False, True], ids=["by its folder", "by the option too"])
def test_shared_drive(make: Make, drive_server: DriveServer, source: Path, named: bool) -> None:
    drive = drive_server.control("drive", roles=ROLES)
    remote = make(drive, "kist", shared_drive=drive if named else None)
    remote.put_file("a/one", source)
    remote.put_file("a/one", source)
    remote.copy("a/one", "b/two")
    assert sorted(info.key for info in remote.list()) == ["a/one", "b/two"]
    assert remote.open("b/two").read() == b"some bytes"
    remote.delete("a/one")
    assert RawFolder(drive_server, drive).keys() == ["kist/b/two"]


def test_content_managers_delete_into_the_trash(make: Make, drive_server: DriveServer, source: Path) -> None:
    drive = drive_server.control("drive", roles=ROLES)
    remote = make(drive, account="content")
    remote.put_file("one", source)
    with pytest.raises(RemotePermissionError) as caught:
        remote.delete("one")
    assert "use_trash" in str(caught.value.hint)
    careful = make(drive, account="content", use_trash=True)
    careful.delete("one")
    assert list(careful.list()) == []


def test_a_shared_drive_of_others(make: Make, drive_server: DriveServer) -> None:
    drive = drive_server.control("drive", roles={})
    with pytest.raises(RemoteError, match=r"there is no folder .* or it is not shared") as caught:
        list(make(drive).list())
    assert not isinstance(caught.value, RemoteObjectNotFound)


def test_malware_is_brought_only_when_asked_for(make: Make, raw: RawFolder) -> None:
    raw.add("abusive", b"said to be bad")
    with pytest.raises(RemotePermissionError, match="malware") as caught:
        make().open("abusive").read()
    assert "acknowledge_abuse" in str(caught.value.hint)
    assert make(acknowledge_abuse=True).open("abusive").read() == b"said to be bad"
