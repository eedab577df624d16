"""What a remote or another plugin raises that is no error of kist: told as its defect, never as a traceback."""

import pytest
from cli_support import DATA, write

PLUGIN = """
from kist import hookimpl
from kist.remotes.memory import MemoryRemote

class Faulty(MemoryRemote):
    def list(self, prefix=""):
        {fault}
    def put_file(self, key, source, **how):
        {fault}
    put_bytes = put_file

@hookimpl
def kist_open_remote(url):
    return Faulty()
"""
FAULTS = ["raise KeyError('oops')", "raise ConnectionResetError(104, 'reset')"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_remote_that_raises_anything(tracked, site, fault):
    site.install("kist-faulty", {"remotes": {"faulty": "faulty_remote"}}, {"faulty_remote": PLUGIN.format(fault=fault)})
    tracked("remote", "add", "-d", "store", "faulty://host/x")
    [error] = tracked.json("push", code=4).json["errors"]
    assert error["class"] == "PluginBroken"
    assert error["message"].startswith("the plugin kist-faulty does not work: Faulty.")
    assert "--debug" in error["hint"]
    assert "Error" in tracked("push", "--debug", code=4).err.partition("error:")[0]
    told = [one for one in tracked.json("doctor", "-r", "store", code=1).data["findings"] if one["state"] == "error"]
    assert any("the plugin kist-faulty does not work" in one["detail"] for one in told)


STRANGER = """
from kist import hookimpl
from kist.remotes.memory import MemoryRemote

kept = {}

class Odd(MemoryRemote):
    def __init__(self):
        super().__init__()
        self.objects = kept
    WRONG

@hookimpl
def kist_open_remote(url):
    return Odd()
"""
WRONG = [
    ("capabilities = None", "push", "Odd.capabilities gave None, not"),
    ("capabilities = {'max_concurrency': 4}", "push", "Odd.capabilities gave {'max_concurrency': 4}, not"),
    ("def stat(self, key): return None", "doctor", "Odd.stat gave None, not a kist.abc.ObjectInfo"),
    ("def stat(self, key): return 12", "doctor", "Odd.stat gave 12, not"),
    ("def list(self, prefix=''): return None", "push", "Odd.list gave None, not an iterator of kist.abc.ObjectInfo"),
    ("def list(self, prefix=''): return ['packs/a']", "push", "Odd.list gave 'packs/a', not"),
    ("def open(self, key, **how): return b'bytes'", "push", "Odd.open gave b'bytes', not a stream of bytes"),
    ("def open(self, key, **how): import io; return io.StringIO('text')", "push", "Odd.open gave 'text', not"),
    ("def open(self, key, **how): return None", "push", "Odd.open gave None, not"),
    ("def describe_access(self): return None", "doctor", "Odd.describe_access gave None, not"),
    ("def sweep(self): return 'none'", "doctor", "Odd.sweep gave 'none', not a number"),
]


@pytest.mark.parametrize(("wrong", "verb", "told"), WRONG, ids=[wrong for wrong, _, _ in WRONG])
def test_a_remote_whose_answer_is_of_another_kind(tracked, site, wrong, verb, told):
    site.install("kist-odd", {"remotes": {"odd": "odd_remote"}}, {"odd_remote": STRANGER.replace("WRONG", wrong)})
    tracked("remote", "add", "-d", "store", "odd://host/x")
    if verb == "push":
        tracked.json("push", code=None)  # what reads is asked for something at the second one
        [error] = tracked.json("push", code=4).json["errors"]
        assert error["class"] == "ContractViolation"
        assert error["message"].startswith(f"kist-odd: {told}")
        assert "tell its authors" in error["hint"]
        return
    found = tracked.json("doctor", "--fix", "-r", "store", code=None).data["findings"]
    assert [one for one in found if f"kist-odd: {told}" in one["detail"]]


def test_our_own_defects_are_no_plugins(tracked, monkeypatch):
    monkeypatch.setattr("kist.api.Repo.status", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tracked("status")


def test_options_of_a_new_remote_stand_on_lines_of_their_own(tracked):
    out = tracked("remote", "add", "store", "/tmp/store", "-o", "fsync=false").out
    assert "\\n" not in out
    assert out.splitlines()[1:] == ["  store.fsync = false"]


def test_names_that_every_remote_has_are_known():
    from kist.abc.options import RESERVED
    from kist.repo.options import REMOTE_OPTIONS

    assert REMOTE_OPTIONS.keys() == RESERVED


@pytest.mark.parametrize(
    ("how", "hint"), [("", "the plugin kist-quota tells so"), (", hint='wait'", "wait (told by kist-quota)")]
)
def test_who_objects_to_a_transfer_is_named(shared, site, how, hint):
    code = (
        "from kist import hookimpl\nfrom kist.errors import RemoteQuotaExceeded\n"
        f"@hookimpl\ndef kist_before_transfer(plan): raise RemoteQuotaExceeded('over the quota'{how})\n"
        "@hookimpl\ndef kist_after_add(report): raise RemoteQuotaExceeded('soon over the quota')\n"
    )
    hooks = {"before_transfer": "quota_hooks", "after_add": "quota_hooks"}
    site.install("kist-quota", {"hooks": hooks}, {"quota_hooks": code})
    (shared.folder / "data/new.txt").write_text("new")
    told = shared("add", "data").err
    assert "warning: soon over the quota" in told
    assert "kist-quota" in told
    [error] = shared.json("push", code=10).json["errors"]
    assert (error["message"], error["hint"]) == ("over the quota", hint)


def test_links_of_a_plugin_that_share_files_are_made_of_small_ones_too(plain, site):
    code = (
        "from kist import hookimpl\nfrom kist.builtin.hardlink import HardLink\n"
        "class Twin(HardLink):\n    name = 'twin'\n"
        "@hookimpl\ndef kist_make_link_type(name): return Twin() if name == 'twin' else None\n"
    )
    site.install("kist-twin", {"links": {"twin": "twin_link"}}, {"twin_link": code})
    plain("config", "--local", "cache.type", "twin")
    file = plain.folder / "data/a.txt"
    file.parent.mkdir()
    file.write_text("small")
    plain("add", "data")
    assert file.stat().st_nlink == 2
    file.unlink()
    assert plain.json("checkout").data["links"] == {"twin": 1}
    assert file.stat().st_nlink == 2


def test_a_plugin_for_another_version_of_the_core_is_told_before_it_breaks(tracked, site):
    code = "from kist import hookimpl\n@hookimpl\ndef kist_doctor(repo): return []\n"
    info = site.install("kist-later", {"hooks": {"doctor": "later_hooks"}}, {"later_hooks": code})
    with (info / "METADATA").open("a") as file:
        file.write("Requires-Dist: kist-core>=99,<100\n")
    told = tracked("plugins").err
    assert "kist-later requires kist-core>=99,<100, and kist-core " in told
    unmet = {one["distribution"]: one["unmet"] for one in tracked.json("plugins").data["plugins"]}
    assert {name: text for name, text in unmet.items() if text} == {"kist-later": "kist-core>=99,<100"}
    found = [one for one in tracked.json("doctor", code=1).data["findings"] if one["state"] == "error"]
    assert [one["label"] for one in found] == ["plugin kist-later"]
    assert "kist-core>=99,<100" in found[0]["detail"]


KERNEL = """
from kist import hookimpl
from kist.builtin.pure_kernel import PureKernel

class Odd(PureKernel):
    name = "odd"
    def hasher(self, hasher):
        return {given}

@hookimpl
def kist_make_kernel(name):
    return Odd()
"""


@pytest.mark.parametrize("given", ["None", "hasher.name", "type(hasher)", "__import__('hashlib').sha256()"])
def test_a_kernel_whose_hasher_is_none(repo, site, given):
    site.install("kist-odd", {"kernels": {"odd": "odd_kernel"}}, {"odd_kernel": KERNEL.format(given=given)})
    write(repo.folder, DATA)
    repo("config", "--local", "core.kernel", "odd")
    [error] = repo.json("add", "data", code=4).json["errors"]
    assert error["class"] == "ContractViolation"
    assert error["message"].startswith("kist-odd: Odd.hasher gave ")
