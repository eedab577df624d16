"""Paths that lead elsewhere, by their text or through symbolic links: refused before anything is written.

Manifests are forged with the checks of who writes them silenced; metafiles are plain text.
"""

import base64
import os
import shutil

import pytest
from cli_support import DATA, cache_of, clone, commit, git, tree, write
from hostile_support import EVIL, forge, seen, store

FILE = "file"


def files(*names):
    return [[(name, FILE)] for name in names]


MANIFESTS = {
    "absolute": files(b"/", b"/x", b"//x", b"/tmp/x", b"/etc/passwd"),
    "dots": files(b"..", b".", b"../x", b"../../x", b"a/../../x", b"a/../../../etc/x", b"./x", b"a/.", b"a/..", b"a/./b"),
    "empty parts": files(b"", b"a//b", b"a/", b"a/b//c"),
    "Git's folder": files(
        b".git", b".git/config", b".git/hooks/post-checkout", b"sub/.git/config", b".GIT/x", b".gIt", b".git ", b".git.",
        b".git . .", b".git::$INDEX_ALLOCATION/x", b".git:x", b"git~1", b"GIT~1/config", b"git~27",
        ".g\u200cit/x".encode(), "\u200d.git/x".encode(), ".git\ufeff".encode(), ".\u202egit".encode(), ".gi\u206ft".encode(),
    ),
    "our own folder": files(
        b".kist", b".kist/config.yaml", b".KIST/private/x", b"a/.kist/config.yaml", b"kist~1", b".kist.", b".kist ",
        "\u200b.kist".encode()[3:] + b"/x", ".\u212aist".encode(), ".ki\u017ft/x".encode(), ".k\u200eist".encode(),
    ),
    "too long": files(b"x" * 256, b"a/" + b"x" * 256, b"/".join([b"x" * 200] * 21), b"/".join([b"d"] * 257)),
    "doubles and disorder": [
        [(b"a", FILE), (b"a", FILE)], [(b"b", FILE), (b"a", FILE)], [(b"a", FILE), (b"a/b", FILE)],
        [(b"a/b", FILE), (b"a", FILE)], [(b"a", "directory"), (b"a", FILE)], [(b"a", "directory"), (b"a/b", FILE)],
    ],
    "below a symbolic link": [
        [(b"link", "symlink"), (b"link/x", FILE)],
        [(b"link", "symlink", b"../.."), (b"link/x", FILE)],
        [(b"a/link", "symlink", b"../../.git/hooks"), (b"a/link/post-checkout", FILE)],
        [(b"link", "symlink", b"."), (b"link/.git/x", FILE)],
    ],
}  # fmt: skip
"""What is wrong -> manifests, each as rows of (path, kind, target)."""

DEVICES = [
    b"con",
    b"NUL",
    b"aux.txt",
    b"com1",
    b"LPT9.log",
    "com\u00b9".encode(),
    b"conin$",
    b"a:b",
    b"c:\\x",
    b"a\\b",
    b"a\x01",
    b"x.",
    b"x ",
]


def refused(plain, monkeypatch, rows):
    forge(plain.folder, rows, monkeypatch)
    before = seen(plain.folder.parent)
    for words in (("checkout", "--force"), ("diff",)):
        assert plain.json(*words, code=7).classes == ["MetafileError"], rows
    assert seen(plain.folder.parent) == before, rows


@pytest.mark.parametrize("what", MANIFESTS)
def test_4_1_a_manifest_that_leads_elsewhere_writes_nothing(plain, monkeypatch, tried, what):
    for rows in tried(MANIFESTS[what]):
        refused(plain, monkeypatch, rows)


def test_a_product_without_the_check_is_caught(plain, monkeypatch):
    """The variant takes every path of a manifest for good."""
    for module in ("manifest.format", "checkout.checks"):
        monkeypatch.setattr(f"kist.engine.{module}.check_paths", lambda *facts: None)
    with pytest.raises(AssertionError):
        refused(plain, monkeypatch, [(b".git/hooks/post-checkout", FILE)])


def test_4_1_names_of_devices_are_refused_where_they_are_some(plain, monkeypatch, tried):
    for name in tried(DEVICES):
        forge(plain.folder, [(name, FILE)], monkeypatch)
        before = seen(plain.folder.parent)
        with monkeypatch.context() as windows:
            windows.setattr("kist.util.paths._WINDOWS", True)
            assert plain.json("checkout", code=7).classes == ["MetafileError"], name
        assert seen(plain.folder.parent) == before


OUTPUTS = ["..", ".", "../x", "/tmp/x", "a/b", ".git", ".GIT", ".git.", "git~1", ".kist", ".KIST", "x\\0y", "x" * 256]


def metafiles(digest):
    """Metafiles whose path is not one name beside them, as text and as exact bytes."""
    for path in OUTPUTS:
        encoded = base64.b64encode(path.replace("\\0", "\0").encode()).decode()
        yield f'format: kist/1\npath: "{path}"\nfile: {digest}\nsize: {len(EVIL)}\n'
        yield f"format: kist/1\npath: x\npath_b64: {encoded}\nfile: {digest}\nsize: {len(EVIL)}\n"


def test_4_1_a_metafile_that_names_another_place_writes_nothing(plain, tried):
    digest = store(plain.folder)
    for text in tried(metafiles(digest)):
        write(plain.folder, {"evil.kist": text})
        before = seen(plain.folder.parent)
        for words in (("checkout", "--force"), ("remove", "evil"), ("status",)):
            assert plain.json(*words, code=None).code in (2, 4, 7), text
        assert seen(plain.folder.parent) == before, text


# ── symbolic links on the way ────────────────────────────────────────────────────────────────────────────────────────


def link_output(folder, outside):
    shutil.rmtree(folder / "data")
    (folder / "data").symlink_to(outside)


def link_inner(folder, outside):
    shutil.rmtree(folder / "data" / "sub")
    (folder / "data" / "sub").symlink_to(outside)


def link_into_git(folder, outside):
    shutil.rmtree(folder / "data" / "sub")
    (folder / "data" / "sub").symlink_to("../.git/hooks")


def link_above(folder, outside):
    """The folder in which output and metafile stand is a link; the metafile lies where it leads to."""
    (folder / "deep").symlink_to(outside)
    shutil.copy(folder / "data.kist", outside / "data.kist")


WORDS = [
    ("checkout",), ("checkout", "--force"), ("checkout", "data/sub/b.txt"), ("checkout", "deep/data"), ("checkout", "--relink"),
    ("checkout", "--rev", "v1", "--force"), ("add", "data"), ("add", "data/sub/b.txt"), ("add", "deep/data"), ("commit",),
    ("remove", "data"), ("remove", "data/sub"), ("move", "data/sub", "data/new"), ("move", "data", "deep/new"),
    ("move", "data/a.txt", "data/sub/a.txt"), ("remove", "deep/data"), ("pull",), ("verify", "--repair"),
]  # fmt: skip


@pytest.mark.parametrize("link", [link_output, link_inner, link_into_git, link_above])
def test_4_1_nothing_is_written_through_a_link(shared, tmp_path, tried, link):
    outside = tmp_path / "outside"
    write(
        outside,
        {
            "b.txt": "two\n",
            "theirs": "theirs",
            "sub/b.txt": "two\n",
            "a.txt": "one\n",
            "sub/c.bin": DATA["data/sub/c.bin"],
        },
    )
    kept = tmp_path / "kept"
    link(shared.folder, outside)
    shutil.copytree(shared.folder, kept, symlinks=True)
    hooks = shared.folder / ".git" / "hooks"
    before, hooked = seen(outside), sorted(hooks.iterdir())
    for words in tried(WORDS):
        shared.json(*words, code=None)
        assert seen(outside) == before, words
        assert sorted(hooks.iterdir()) == hooked, words
        shutil.rmtree(shared.folder)
        shutil.copytree(kept, shared.folder, symlinks=True)


@pytest.mark.parametrize("name", [".gitignore", "data.kist", ".kistignore"])
def test_4_1_our_own_files_are_not_reached_through_a_link(tracked, tmp_path, name):
    target = tmp_path / "target"
    target.write_bytes((tracked.folder / name).read_bytes() if (tracked.folder / name).exists() else b"*.pyc\n")
    (tracked.folder / name).unlink(missing_ok=True)
    (tracked.folder / name).symlink_to(target)
    write(tracked.folder, {"data/a.txt": "changed", "more": "more"})
    before = target.read_bytes()
    for words in (("add", "data"), ("add", "more"), ("remove", "data"), ("checkout", "--force")):
        tracked(*words, code=None)
    assert target.read_bytes() == before


def test_4_1_a_link_of_one_version_where_the_next_has_a_folder(tracked, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(tracked.folder / "data" / "sub")
    (tracked.folder / "data" / "sub").symlink_to(outside)
    tracked("add", "data")
    commit(tracked.folder, "v2")
    tracked("checkout", "--rev", "v1")
    assert sorted(tree(tracked.folder / "data")) == ["a.txt", "sub/b.txt", "sub/c.bin"]
    tracked("checkout", "--rev", "v2")
    assert os.readlink(tracked.folder / "data" / "sub") == str(outside)
    assert list(outside.iterdir()) == []


def test_4_1_a_folder_that_becomes_a_link_in_mid_checkout(tracked, tmp_path, monkeypatch, tried):
    """At each step of the checkout that changes a name, somebody puts a link in the place of the folder."""
    from kist.engine.checkout import write as writing

    outside = tmp_path / "outside"
    write(outside, {"keep": "theirs"})
    data, aside = tracked.folder / "data", tmp_path / "aside"
    before = seen(outside)
    names = ("open", "rename", "replace", "link", "mkdir")
    for at in tried(range(1, 13)):
        shutil.rmtree(data)
        count = 0

        def swapping(plain, at=at):
            def call(*args, **options):
                nonlocal count
                count += 1
                if count == at and (data / "sub").is_dir() and not (data / "sub").is_symlink():
                    (data / "sub").rename(aside)
                    (data / "sub").symlink_to(outside)
                return plain(*args, **options)

            return call

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(writing.os, name, swapping(getattr(os, name)))
            tracked("checkout", "--force", code=None)
        assert seen(outside) == before, at
        if (data / "sub").is_symlink():
            (data / "sub").unlink()
        shutil.rmtree(aside, ignore_errors=True)
        tracked("checkout", "--force")
        assert tree(data)["sub/b.txt"] == b"two\n"


# ── private folders ──────────────────────────────────────────────────────────────────────────────────────────────────

_CONFIG = "cache: {dir: %s}\ncore: {kernel: evil, executor: evil}\nremote: {store: {url: %s}}\n"
_JOURNAL = '{"verb": "remove", "output": "../precious", "metafile": "precious.kist", "target": "x", "inside": ""}'


def smuggled(folder, repository_id, outside):
    """Files of a private folder that would do harm if they counted."""
    write(
        folder,
        {
            f"{repository_id}/config.yaml": _CONFIG % (outside, outside),
            f"{repository_id}/journal/0000-evil/record": f"kist-journal/1\n{_JOURNAL}\n",
            "cache/kist-cache": '{"format": "kist-cache/1"}\n',
            "locks/repository": "evil",
        },
    )


def by_tracked_files(seed, smuggle):
    smuggle(seed.folder / ".kist" / "private")
    git(seed.folder, "add", "-f", "-A")


def by_a_submodule(seed, smuggle):
    module = seed.folder.parent / "module"
    shutil.copytree(seed.folder / ".kist", module)
    smuggle(module / "private")
    git(module, "init", "-q")
    git(module, "add", "-f", "-A")
    git(module, "commit", "-q", "-m", "evil")
    git(seed.folder, "rm", "-r", "-q", "--cached", ".kist")
    shutil.rmtree(seed.folder / ".kist")
    git(seed.folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(module), ".kist")


def by_an_inner_submodule(seed, smuggle):
    module = seed.folder.parent / "module"
    smuggle(module)
    git(module, "init", "-q")
    git(module, "add", "-f", "-A")
    git(module, "commit", "-q", "-m", "evil")
    git(seed.folder, "-c", "protocol.file.allow=always", "submodule", "add", "-f", "-q", str(module), ".kist/private")


@pytest.mark.parametrize("way", [by_tracked_files, by_a_submodule, by_an_inner_submodule])
def test_4_1_a_private_folder_that_git_brings_counts_for_nothing(shared, tmp_path, monkeypatch, way):
    outside = tmp_path / "outside"
    write(outside, {"theirs": "theirs"})
    identity = shared("config", "repository.id").out.strip()
    way(shared, lambda folder: smuggled(folder, identity, outside))
    git(shared.folder, "commit", "-q", "-m", "evil")
    git(
        tmp_path,
        "-c",
        "protocol.file.allow=always",
        "clone",
        "-q",
        "--recurse-submodules",
        str(shared.folder),
        "victim",
    )
    victim = tmp_path / "victim"
    write(tmp_path, {"precious": "mine", "victim/precious": "mine"})
    assert (victim / ".kist" / "private" / identity / "journal").is_dir()
    before = seen(outside)
    for words in (("status",), ("pull",), ("add", "precious"), ("checkout", "--force"), ("doctor",)):
        shared(*words, folder=victim, code=None)
        shown = shared("config", "--list", folder=victim).out
        assert "evil" not in shown
        assert "outside" not in shown
    assert (tmp_path / "precious").read_text() == "mine"
    assert seen(outside) == before
    assert cache_of(victim).is_dir()
    assert tree(victim / "data") == tree(shared.folder / "data")


def test_4_1_git_tracks_nothing_in_its_own_folder_so_nothing_of_ours_comes_from_there(tracked):
    victim = clone(tracked)
    assert not (victim / ".git" / "kist").exists()
