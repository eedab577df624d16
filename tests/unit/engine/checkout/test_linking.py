import errno
import json
import os

import pytest

from kist.abc import LinkType
from kist.builtin.copy_link import CopyLink
from kist.builtin.hardlink import HardLink
from kist.builtin.symlink import SymLink
from kist.engine.checkout.linking import choose_links, probe_with_files
from kist.errors import LinkUnsupported, PluginNotFound, StorageError


class Fake(LinkType):
    """Says what it is told, and counts."""

    def __init__(self, name, reason=None, *, keeps_mode=False):
        self.name, self.reason, self.keeps_mode = name, reason, keeps_mode
        self.isolated, self.probes = not keeps_mode, 0

    def probe(self, _cache, _workspace):
        self.probes += 1
        return self.reason

    def link_many(self, source_dir, sources, target_dir, targets):
        if isinstance(self.reason, Exception):
            raise self.reason
        for target in targets:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT, dir_fd=target_dir))

    def is_linked(self, *_args):
        return False


@pytest.fixture
def places(tmp_path):
    for name in ("cache", "workspace"):
        (tmp_path / name).mkdir()
    return tmp_path / "cache", tmp_path / "workspace"


def maker(*links):
    by_name = {link.name: link for link in (CopyLink(), *links)}

    def make(name):
        if name not in by_name:
            raise PluginNotFound(f"no link type {name}")
        return by_name[name]

    return make


def test_the_first_that_works_is_chosen(places):
    bad, good = Fake("clone", "not on this disk"), Fake("other")
    choice = choose_links(["clone", "other", "copy"], maker(bad, good), places)
    assert (choice.plain, choice.executable) == (good, good)
    assert len(choice.notes) == 2
    assert "clone" in choice.notes[0]
    assert "not on this disk" in choice.notes[0]
    assert "other" in choice.notes[1]


def test_nothing_is_told_when_the_first_works(places):
    assert choose_links(["one"], maker(Fake("one")), places).notes == ()


def test_executables_never_share_the_mode(places):
    shared, own = Fake("shared", keeps_mode=True), Fake("own")
    choice = choose_links(["shared", "own"], maker(shared, own), places)
    assert (choice.plain.name, choice.executable.name) == ("shared", "own")
    choice = choose_links(["shared"], maker(shared), places)
    assert (choice.plain.name, choice.executable.name) == ("shared", "copy")
    assert choice.notes == ()


def test_what_was_found_is_remembered_and_told_once(places, tmp_path):
    memory = tmp_path / "private" / "links.json"
    bad = Fake("clone", "no")
    assert choose_links(["clone"], maker(bad), places, memory).notes
    again = choose_links(["clone"], maker(bad), places, memory)
    assert again.plain.name == "copy"
    assert again.notes == ()
    assert bad.probes == 1
    assert memory.stat().st_mode & 0o777 == 0o600


def test_another_pair_is_probed_anew(places, tmp_path):
    memory, bad = tmp_path / "links.json", Fake("clone", "no")
    choose_links(["clone"], maker(bad), places, memory)
    (tmp_path / "elsewhere").mkdir()
    choose_links(["clone"], maker(bad), (places[0], tmp_path / "elsewhere"), memory)
    choose_links(["clone"], maker(bad), places, memory)
    assert bad.probes == 2
    assert len(json.loads(memory.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[1]", '{"x": 1}', "\0", "{"])
def test_a_broken_memory_is_no_obstacle(places, tmp_path, content):
    memory = tmp_path / "links.json"
    memory.write_text(content)
    assert choose_links(["clone"], maker(Fake("clone", "no")), places, memory).plain.name == "copy"
    assert json.loads(memory.read_text())


def test_a_memory_that_cannot_be_written_is_no_obstacle(places, tmp_path):
    (tmp_path / "file").write_text("")
    assert choose_links(["copy"], maker(), places, tmp_path / "file" / "links.json").plain.name == "copy"


def test_an_unknown_name_is_an_error(places):
    with pytest.raises(PluginNotFound):
        choose_links(["nonsense"], maker(), places)


def test_nothing_works(places):
    with pytest.raises(LinkUnsupported):
        choose_links([], lambda _name: Fake("copy", "no"), places)


@pytest.mark.parametrize("link", [HardLink(), SymLink()])
def test_a_probe_with_files(places, link):
    assert probe_with_files(link, *places) is None
    assert [os.listdir(place) for place in places] == [[], []]


@pytest.mark.parametrize(
    "reason", [LinkUnsupported("not here"), StorageError("odd"), OSError(95, "no such call"), None]
)
def test_a_probe_that_fails_leaves_nothing(places, reason):
    told = probe_with_files(Fake("fake", reason), *places)
    assert told == {type(None): "the link does not show the object's bytes", OSError: "no such call"}.get(
        type(reason), str(reason)
    )
    assert [os.listdir(place) for place in places] == [[], []]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_tells_nothing_of_the_link_type(places, number):
    with pytest.raises(StorageError):
        probe_with_files(Fake("fake", OSError(number, "bad disk")), *places)
    assert [os.listdir(place) for place in places] == [[], []]


def test_a_disk_that_fails_is_told_with_the_copies_that_stand_in(places, tmp_path):
    class Full(Fake):
        def probe(self, *folders):
            return probe_with_files(self, *folders)

    full, memory = Full("shared", OSError(errno.ENOSPC, "full"), keeps_mode=True), tmp_path / "links.json"
    choice = choose_links(["shared"], maker(full), places, memory)
    assert (choice.plain.name, choice.executable.name) == ("copy", "copy")
    assert choice.trouble.errno == errno.ENOSPC
    assert not memory.exists()
    full.reason = None
    assert choose_links(["shared"], maker(full), places, memory).trouble is None


def test_a_probe_of_absent_folders_says_so(tmp_path):
    assert probe_with_files(HardLink(), tmp_path / "none", tmp_path)
