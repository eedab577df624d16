"""The plugin index: made once, used while nothing changed, never trusted when it is not ours."""

import os
import subprocess
import sys

import pytest

from kist.plugins import index as module
from kist.plugins.index import GROUPS, Offer, PluginIndex, cache_folder, load_index, normal, scan


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Folders that were changed a moment ago count as settled."""
    monkeypatch.setattr(module, "_UNSETTLED_NS", -1)
    monkeypatch.setattr(module, "_COARSE_NS", -1)


def kept(tmp_path):
    return list((tmp_path / "cache").glob("plugins-*"))


def toys(index):
    return [one for one in index.offers if one.module.startswith("toy")]


@pytest.fixture
def toy(site):
    return site.install("kist-toy", {"hashers": {"toy": "toy_index"}, "other": {"x": "y"}})


def test_scan_tells_who_brings_what(toy):
    assert Offer("hashers", "toy", "toy_index", "kist-toy", "1.0") in scan()
    assert all(offer.group in GROUPS for offer in scan())


def test_kept_for_the_next_time(toy, tmp_path, monkeypatch):
    first = load_index()
    (file,) = kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(module, "scan", lambda: pytest.fail("it was kept"))
    assert load_index().offers == first.offers
    assert load_index().keys("hashers")


def test_new_distributions_are_seen(toy, site, tmp_path):
    load_index()
    assert kept(tmp_path)
    site.install("kist-late", {"hashers": {"late": "toy_late"}})
    os.utime(site.folder, ns=(1, 1))
    assert load_index().find("hashers", "late")


def test_nothing_is_kept_while_the_path_changes(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_UNSETTLED_NS", 10**15)
    monkeypatch.setattr(module, "_COARSE_NS", 10**15)
    assert toys(load_index())
    assert not kept(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"toy_index", b"evil_toys"),
        lambda data: data.replace(b"index/1", b"index/2"),
        lambda data: os.urandom(200),
        lambda data: data + b"more\n",
    ],
)
def test_damaged_file_is_made_anew(toy, tmp_path, damage):
    good = load_index().offers
    (file,) = kept(tmp_path)
    data = file.read_bytes()
    file.write_bytes(damage(data))
    assert load_index().offers == good
    assert file.read_bytes() == data


def test_others_may_not_write_it(toy, tmp_path):
    good = load_index().offers
    (file,) = kept(tmp_path)
    file.chmod(0o666)
    assert module._read(file, module._path_state()[0]) is None
    assert load_index().offers == good


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away; the check is the same")
def test_foreign_files_and_folders_are_left_alone(toy, tmp_path):
    good = load_index().offers
    (file,) = kept(tmp_path)
    os.chown(file, 12345, 12345)
    os.chown(file.parent, 12345, 12345)
    file.write_bytes(b"theirs")
    os.chown(file, 12345, 12345)
    assert load_index().offers == good
    assert file.read_bytes() == b"theirs"


def test_symlinks_and_fifos_are_not_followed(toy, tmp_path):
    load_index()
    (file,) = kept(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    state = module._path_state()[0]
    assert module._read(file, state) is None
    file.unlink()
    os.mkfifo(file)
    assert module._read(file, state) is None
    assert toys(load_index())


def test_folder_that_cannot_be_made(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KIST_CACHE_HOME", str(tmp_path / "file" / "below"))
    assert toys(load_index())


def test_no_home_at_all(toy, monkeypatch):
    monkeypatch.delenv("KIST_CACHE_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder() is None
    assert toys(load_index())


def test_places(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KIST_CACHE_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(cache_folder()).startswith(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "kist"


def test_the_current_folder_is_no_place_for_plugins(site, tmp_path, monkeypatch):
    cloned = tmp_path / "cloned"
    site.folder = cloned
    cloned.mkdir()
    site.install("kist-evil", {"hooks": {"after_add": "evil"}})
    monkeypatch.chdir(cloned)
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    assert not PluginIndex(scan()).find("hooks", "after_add")


def test_first_copy_on_the_path_counts(site, tmp_path, monkeypatch):
    site.install("kist-toy", {"hashers": {"toy": "toy_new"}}, version="2.0")
    older = tmp_path / "older"
    older.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    site.folder = older
    site.install("Kist.Toy", {"hashers": {"toy": "toy_old"}}, version="1.0")
    assert [one.module for one in PluginIndex(scan()).find("hashers", "toy")] == ["toy_new"]


def test_damaged_cache_of_stevedore(toy, tmp_path):
    scan()
    for file in (tmp_path / "xdg").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\xff\xfe[1]")
    code = "from kist.plugins.index import scan; print([one.key for one in scan() if one.module == 'toy_index'])"
    environment = dict(os.environ, PYTHONPATH=str(toy.parent))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['toy']"


def test_warm_index_imports_nothing_heavy(toy, tmp_path):
    os.utime(toy.parent, ns=(10**18, 10**18))
    code = (
        "import sys; from kist.plugins.index import load_index; index = load_index()\n"
        "assert index.find('hashers', 'toy')\n"
        "print(*[m for m in ('stevedore', 'importlib.metadata', 'email', 'json', 'pluggy') if m in sys.modules])"
    )
    environment = dict(os.environ, PYTHONPATH=str(toy.parent))
    command = [sys.executable, "-c", code]
    cold = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "stevedore" in cold.stdout
    warm = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert warm.stdout.strip() == ""


def test_names_are_compared_as_packaging_does():
    assert normal("Kist_S3") == normal("kist.s3") == normal("kist--s3") == "kist-s3"
