import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from kist.builtin import copy_link, hardlink, reflink, symlink
from kist.errors import LinkUnsupported
from kist.testing.link import LinkTypeContract, _places
from servers.file_systems import mounted

MODULES = {"copy": copy_link, "hardlink": hardlink, "symlink": symlink, "reflink": reflink}


class TestCopy(LinkTypeContract):
    __test__ = True

    @pytest.fixture
    def link_type(self):
        return copy_link.CopyLink()


class TestHardLink(LinkTypeContract):
    __test__ = True

    @pytest.fixture
    def link_type(self):
        return hardlink.HardLink()


class TestSymLink(LinkTypeContract):
    __test__ = True

    @pytest.fixture
    def link_type(self):
        return symlink.SymLink()


class TestRefLink(LinkTypeContract):
    __test__ = True

    @pytest.fixture
    def link_type(self):
        return reflink.RefLink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with mounted("xfs", tmp_path_factory.mktemp("disk")) as folder:
        yield folder


class TestRefLinkOnXfs(LinkTypeContract):
    """Where reflinks work, so that the tests that need one cannot be skipped."""

    __test__ = True

    @pytest.fixture
    def tmp_path(self, disk):
        return Path(tempfile.mkdtemp(dir=disk))

    @pytest.fixture
    def link_type(self):
        return reflink.RefLink()


def test_a_reflink_shares_the_bytes(disk):
    with _places(disk / "cache", disk / "workspace") as places:
        source = places.object("aa/one", os.urandom(64 << 20))
        os.sync()
        before = os.statvfs(disk).f_bfree
        places.link(reflink.RefLink(), (source, b"file"))
        os.sync()
        taken = (before - os.statvfs(disk).f_bfree) * os.statvfs(disk).f_frsize
        assert taken < 4 << 20
        with open(places.workspace / "file", "r+b") as stream:
            stream.write(b"changed")
        assert (places.cache / "aa/one").read_bytes()[:7] != b"changed"


@pytest.mark.parametrize("name", MODULES)
def test_each_hook_makes_its_own_type_only(name):
    assert MODULES[name].kist_make_link_type(name).name == name
    assert MODULES[name].kist_make_link_type("other") is None


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EPERM, errno.EXDEV])
def test_hardlink_tells_how_many_were_made(tmp_path, monkeypatch, number):
    with _places(tmp_path / "cache", tmp_path / "workspace") as places:
        source = places.object("aa/one")
        real, calls = os.link, SimpleNamespace(count=0)

        def link(*args, **options):
            calls.count += 1
            if calls.count == 3:
                raise OSError(number, os.strerror(number))
            real(*args, **options)

        monkeypatch.setattr(os, "link", link)
        with pytest.raises(LinkUnsupported) as caught:
            places.link(hardlink.HardLink(), *((source, b"file %d" % at) for at in range(5)))
        assert caught.value.done == 2
        assert sorted(os.listdir(places.workspace)) == ["file 0", "file 1"]


def test_symlink_is_absolute(tmp_path):
    with _places(tmp_path / "cache", tmp_path / "workspace") as places:
        places.link(symlink.SymLink(), (places.object("aa/one"), b"file"))
        assert os.readlink(places.workspace / "file") == str(places.cache / "aa/one")


def test_copy_where_the_kernel_cannot(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with _places(tmp_path / "cache", tmp_path / "workspace") as places:
        places.link(copy_link.CopyLink(), (places.object("aa/one", b"abc" * 999_999), b"file"))
        assert (places.workspace / "file").read_bytes() == b"abc" * 999_999
