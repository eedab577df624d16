"""Every error class of kist, raised through the command line: class, exit code, message and hint, text and JSON."""

import shutil
import sys

import pytest
from cli_support import DATA, cache_of, commit, damage, stored_files, write

from kist.cli.render import envelope
from kist.cli.topics import error_classes
from kist.engine.process.locks import Lock

SCENARIOS = {}


def scenario(name):
    """Register how the command line comes to raise a class: a function that prepares, and returns the words to type."""

    def register(function):
        SCENARIOS[name] = function
        return function

    return register


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("UsageError")
def usage(kist, **_):
    return ["stauts"]


@scenario("PathNotTracked")
def not_tracked(kist, **_):
    kist("init")
    return ["status", "absent"]


@scenario("PathIgnored")
def ignored(kist, **_):
    kist("init")
    write(kist.folder, {".kistignore": "hidden\n", "hidden/x": "1"})
    return ["add", "hidden"]


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("ConfigError")
def no_such_remote(kist, **_):
    kist("init")
    return ["remote", "remove", "nothing"]


@scenario("UnknownOption")
def unknown_key(kist, **_):
    kist("init")
    return ["config", "core.remot"]


@scenario("InvalidOption")
def invalid_value(kist, **_):
    kist("init")
    return ["config", "--local", "core.jobs", "many"]


# ── plugins ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("PluginError")
def plugin_refuses(kist, site, **_):
    kist("init")
    code = (
        "from kist import hookimpl\nfrom kist.errors import PluginError\n@hookimpl\ndef kist_gc_roots(repo):\n"
        "    raise PluginError('no list of roots today')\n"
    )
    site.install("kist-toy", {"hooks": {"gc_roots": "toy_refuses"}}, {"toy_refuses": code})
    return ["gc"]


@scenario("PluginNotFound")
def no_plugin(kist, **_):
    kist("init")
    return ["remote", "add", "x", "toy://bucket"]


@scenario("PluginConflict")
def two_plugins(kist, site, **_):
    kist("init")
    for name in ("kist-one", "kist-two"):
        site.install(name, {"remotes": {"toy": "toy_x"}})
    return ["remote", "add", "x", "toy://here"]


@scenario("PluginBroken")
def broken_plugin(kist, site, **_):
    kist("init")
    site.install("kist-toy", {"remotes": {"toy": "toy_broken"}}, {"toy_broken": "raise RuntimeError('at import')\n"})
    return ["remote", "add", "x", "toy://here"]


@scenario("ContractViolation")
def lying_plugin(kist, site, **_):
    code = "from kist import hookimpl\n@hookimpl\ndef kist_make_hasher(algorithm):\n    return 'no hasher'\n"
    site.install("kist-toy", {"hashers": {"toy": "toy_lies"}}, {"toy_lies": code})
    return ["init", "--hash", "toy"]


# ── repository ───────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("RepoError")
def twice(kist, **_):
    kist("init")
    return ["init"]


@scenario("NotARepo")
def outside(kist, **_):
    return ["status"]


@scenario("RepoNotOwned")
def of_somebody_else(kist, monkeypatch, **_):
    kist("init")
    monkeypatch.setattr("kist.repo.layout._own_users", lambda env=None: {4242})
    return ["status"]


@scenario("RepoFormatError")
def from_the_future(kist, **_):
    kist("init")
    file = kist.folder / ".kist" / "config.yaml"
    file.write_text(file.read_text().replace("repository:\n", "repository:\n  format: 99\n"))
    return ["status"]


# ── workspace ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("WorkspaceError")
def plugin_protects_the_workspace(kist, site, **_):
    kist("init")
    code = (
        "from kist import hookimpl\nfrom kist.errors import WorkspaceError\n@hookimpl\ndef kist_gc_roots(repo):\n"
        "    raise WorkspaceError('the experiment that runs here needs everything', hint='wait for it')\n"
    )
    site.install("kist-toy", {"hooks": {"gc_roots": "toy_protects"}}, {"toy_protects": code})
    return ["gc"]


@scenario("UnsavedChanges")
def unsaved(kist, **_):
    added(kist)
    write(kist.folder, {"data/a.txt": "mine\n"})
    return ["checkout"]


@scenario("PathConflict")
def overlapping(kist, **_):
    kist("init")
    write(kist.folder, {"outer/inner/x": "1"})
    kist("add", "outer/inner")
    return ["add", "outer"]


# ── metafiles ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("MetafileError")
def path_outside(kist, **_):
    added(kist)
    file = kist.folder / "data.kist"
    file.write_text(file.read_text().replace("path: data", "path: ../data"))
    return ["status"]


@scenario("MetafileSyntaxError")
def syntax(kist, **_):
    kist("init")
    write(kist.folder, {"data.kist": "format: kist/1\npath: [\n"})
    return ["status"]


@scenario("MetafileVersionError")
def newer(kist, **_):
    added(kist)
    file = kist.folder / "data.kist"
    file.write_text(file.read_text().replace("kist/1", "kist/99"))
    return ["status"]


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("ObjectError")
def verify_finds(kist, **_):
    added(kist)
    damage(stored_files(cache_without_git(kist))[0])
    return ["verify"]


@scenario("ObjectMissing")
def cat_of_what_is_gone(kist, **_):
    added(kist)
    shutil.rmtree(cache_without_git(kist))
    return ["cat", "data/a.txt"]


@scenario("ObjectCorrupt")
def cat_of_what_is_damaged(kist, **_):
    added(kist)
    damage(stored_files(cache_without_git(kist))[0])
    return ["cat", "data/sub/c.bin"]


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────

LINK = """
from kist import hookimpl
from kist.abc import LinkType
from kist.errors import LinkError, LinkUnsupported

class Toy(LinkType):
    name = {name!r}
    isolated = False  # Small files are written from memory where a link would protect the cache no better.
    keeps_mode = False
    def probe(self, cache, workspace):
        return {reason!r}
    def link_many(self, source_dir, sources, target_dir, targets):
        raise LinkError("the toy cannot link today")
    def is_linked(self, *places):
        return False

@hookimpl
def kist_make_link_type(name):
    return Toy()
"""


@scenario("LinkError")
def broken_link(kist, site, monkeypatch, **_):
    added(kist, threshold="0")
    code = LINK.format(name="toy", reason=None)
    site.install("kist-toy", {"links": {"toy": "toy_link"}}, {"toy_link": code})
    monkeypatch.setenv("KIST_CACHE_TYPE", "toy")
    shutil.rmtree(kist.folder / "data")
    return ["checkout"]


@scenario("LinkUnsupported")
def no_link_works(kist, site, monkeypatch, **_):
    added(kist)
    code = LINK.format(name="copy", reason="not on this disk")
    site.install("kist-toy", {"links": {"copy": "toy_copy"}}, {"toy_copy": code})
    kist("config", "--global", "plugins.prefer.links.copy", "kist-toy")
    monkeypatch.setenv("KIST_CACHE_TYPE", "copy")
    shutil.rmtree(kist.folder / "data")
    return ["checkout"]


# ── remotes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

REMOTE = """
from kist import errors, hookimpl
from kist.abc import Remote

class Failing(Remote):
    def __init__(self, name):
        self.kind = getattr(errors, name)
    def _fail(self, *args, **options):
        raise self.kind("the toy store")
    put_file = get_file = open = stat = list = delete = _fail
    def close(self):
        pass

class Writing(Failing):
    "Reads as empty, fails to write."
    def open(self, key, **options):
        raise errors.RemoteObjectNotFound(key)
    def list(self, prefix=""):
        return iter(())

@hookimpl
def kist_open_remote(url, options, scope):
    return (Writing if url.path == "/write" else Failing)(NAMES[url.host])

NAMES = {name.lower(): name for name in dir(errors) if name.startswith("Remote")}
"""


def remote_scenario(name, place):
    def prepare(kist, site, monkeypatch, **_):
        added(kist)
        site.install("kist-toy", {"remotes": {"toy": "toy_remote"}}, {"toy_remote": REMOTE})
        kist("remote", "add", "-d", "toy", f"toy://{name.lower()}{place}")
        monkeypatch.setattr("kist.remotes.retry.time.sleep", lambda seconds: None)
        monkeypatch.setattr("kist.remotes.retry.RetryPolicy.delay", lambda *facts: 0.0)
        return ["push"]

    SCENARIOS[name] = prepare


for _name, _place in {
    "RemoteError": "",
    "RemoteObjectNotFound": "/write",
    "RemoteAuthError": "",
    "RemotePermissionError": "/write",
    "RemoteUnavailable": "",
    "RemoteQuotaExceeded": "/write",
    "RemoteExists": "/write",
    "RemotePrecondition": "/write",
}.items():
    remote_scenario(_name, _place)


@scenario("RemoteMissing")
def share_that_is_not_mounted(kist, **_):
    added(kist)
    kist("remote", "add", "-d", "store", "../share/store")
    return ["push"]


@scenario("RemoteFormatError")
def folder_with_something_else(kist, **_):
    added(kist)
    (kist.folder.parent / "store").mkdir()
    (kist.folder.parent / "store" / "holiday.jpg").write_bytes(b"x")
    kist("remote", "add", "-d", "store", "../store")
    return ["push"]


@scenario("TransferError")
def part_of_a_transfer(kist, **_):
    added(kist)
    damage(stored_files(cache_without_git(kist))[0])
    kist("remote", "add", "-d", "store", "../store")
    return ["push"]


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario("KistError")
def doctor_finds(kist, **_):
    kist("init")
    write(kist.folder, {"bad.kist": "format: kist/1\npath: [\n"})
    return ["doctor"]


@scenario("RepoLocked")
def locked(kist, keep, **_):
    added(kist)
    for path in (kist.folder / ".kist" / "private").rglob("write.lock"):
        keep.enter_context(Lock(path, what="the repository", verb="add"))
    write(kist.folder, {"data/a.txt": "changed\n"})
    return ["add", "data", "--lock-timeout", "0s"]


@scenario("StorageError")
def no_place_to_write(kist, **_):
    kist("init")
    return ["gc", "--plan", "absent/plan.json"]


def added(kist, threshold=None):
    """A repository without Git with one tracked directory."""
    kist("init")
    if threshold is not None:
        kist("config", "--local", "cache.pack_threshold", threshold)
    write(kist.folder, DATA)
    kist("add", "data")


def cache_without_git(kist):
    return kist.folder / ".kist" / "private" / "cache"


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────────────────────

CLASSES = {one.__name__: one for one in error_classes()}


@pytest.fixture
def keep():
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield stack


def test_every_class_has_a_scenario():
    assert set(SCENARIOS) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_class(name, kist, request, monkeypatch, keep):
    parts = {"monkeypatch": monkeypatch, "keep": keep}
    needed = SCENARIOS[name].__code__.co_varnames[: SCENARIOS[name].__code__.co_argcount]
    if "site" in needed:
        parts["site"] = request.getfixturevalue("site")
    words = SCENARIOS[name](kist, **parts)
    result = kist.json(*words, code=None)
    assert name in result.classes, result.out + result.err
    error = result.json["errors"][result.classes.index(name)]
    assert error["message"]
    # A transfer whose failures are all damaged data returns the code of that.
    assert error["exit_code"] == (8 if name == "TransferError" else CLASSES[name].exit_code)
    assert result.code == error["exit_code"]
    text = kist(*words, code=None)
    assert text.code == result.code
    assert "error: " in text.err
    assert ("hint: " in text.err) == any(one["hint"] for one in result.json["errors"])
    assert "Traceback" not in text.out + text.err


def test_no_traceback_unless_asked_for(kist):
    assert "Traceback" not in kist("status", code=5).err
    assert "Traceback" in kist("status", "--debug", code=5).err


def test_control_characters_in_names_are_harmless(kist):
    kist("init")
    result = kist("status", "evil\x1b[31m\nname", code=2)
    assert "\x1b" not in result.err
    assert "\\x1b" in result.err


def test_the_envelope_of_an_error_is_one_line(kist):
    assert kist("status", "--json", code=5).out.count("\n") == 1
    assert envelope("status", None, []).count("\n") == 0


def test_interrupted(kist, monkeypatch):
    def stop(*facts, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("kist.cli.commands.version.run", stop)
    assert "interrupted" in kist("version", code=130).err


def test_without_git_history_is_not_there_but_everything_else(kist, monkeypatch):
    added(kist)
    assert kist.json("status").data["clean"]
    assert kist("diff", "v1", code=2).err
    assert sys.executable


def test_git_that_is_not_installed(tracked, monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    assert tracked.json("status").data["clean"]
    assert tracked.json("diff", "v1", code=5).classes == ["RepoError"]


def test_several_errors_return_the_highest_code(tracked):
    write(tracked.folder, {"one.kist": "format: kist/1\npath: [\n", "two.kist": "format: kist/99\npath: two\n"})
    commit(tracked.folder, "broken")
    result = tracked.json("status", code=7)
    assert sorted(result.classes) == ["MetafileSyntaxError", "MetafileVersionError"]
    assert result.data["outputs"][0]["path"] == "data"
    assert cache_of(tracked.folder).is_dir()


def test_where_another_tool_keeps_its_repository(kist):
    (kist.folder / ".dvc").mkdir()
    (kist.folder / "inner").mkdir()
    for folder in (kist.folder, kist.folder / "inner"):
        error = kist.json("status", code=5, folder=folder).json["errors"][0]
        assert error["class"] == "NotARepo"
        assert "'kist help migrating'" in error["hint"]
    assert "dvc pull" in kist("help", "migrating").out
    kist("init")
    assert kist("status").code == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("cat", "data/nothing"), "'kist list data' shows what is"),
        (("cat", "data/a.tx"), "did you mean 'data/a.txt'?"),
        (("add", "../outside"), "'kist -C DIR …' works in another repository"),
    ],
)
def test_the_next_step_is_told(tracked, words, hint):
    assert hint in tracked.json(*words, code=2).json["errors"][0]["hint"]


def test_what_to_do_with_a_metafile_that_is_not_valid(tracked):
    text = (tracked.folder / "data.kist").read_text()
    write(tracked.folder, {"data.kist": text.replace("path: data", "path: ../data")})
    assert tracked.json("status", code=7).json["errors"][0]["hint"] == "mend the file, or take it from Git again"
