"""The executor that ``core.executor`` names runs the requests of transfers, and ``verify`` of the cache."""

import shutil

import pytest
from cli_support import cache_of, write

PLUGIN = """
from kist import hookimpl
from kist.abc import Executor

calls = []

class Own(Executor):
    def __init__(self, jobs):
        self.jobs = jobs
        calls.append(("made", jobs))

    def map(self, function, items, *, on_error=None):
        calls.append(("map", None))
        CHANGE

    def run(self, function, items, on_error):
        for item in items:
            calls.append(("item", item))
            try:
                result = function(item)
            except Exception as exc:
                if on_error is None:
                    raise
                result = on_error(item, exc)
            yield result

    def close(self):
        calls.append(("closed", None))

@hookimpl
def kist_make_executor(name, jobs):
    return Own(WANTED)
"""
RIGHT = "yield from self.run(function, items, on_error)"


@pytest.fixture
def own(site, monkeypatch):
    """Install an executor, configured by the environment; returns what was asked of it."""

    def install(change=RIGHT, wanted="1"):
        code = PLUGIN.replace("CHANGE", change).replace("WANTED", wanted)
        site.install("kist-own", {"executors": {"own": "own_executor"}}, {"own_executor": code})
        monkeypatch.setenv("KIST_EXECUTOR", "own")
        import own_executor

        own_executor.calls.clear()
        return own_executor.calls

    return install


def kinds(calls):
    return {kind for kind, _ in calls}


@pytest.mark.parametrize("wanted", ["1", "jobs"])
def test_it_runs_transfers_and_verify(tracked, own, wanted):
    calls = own(wanted=wanted)
    whole = {"made", "map", "item", "closed"}
    tracked("remote", "add", "-d", "store", "../store")
    for number in range(3):
        write(tracked.folder, {f"more{number}/file": f"{number}" * 1000})
        tracked("add", f"more{number}")
    pushed = tracked.json("push").data
    assert pushed["failures"] == []
    assert kinds(calls) == whole
    assert [kind for kind, _ in calls].count("made") == 1
    for words in (("fetch",), ("verify",), ("verify", "--remote", "store"), ("verify", "data"), ("gc", "-r", "store")):
        if words == ("fetch",):
            shutil.rmtree(cache_of(tracked.folder))
        calls.clear()
        tracked.json(*words)
        assert kinds(calls) == (set() if words == ("verify", "data") else whole), words
    calls.clear()
    for words in (("add", "data"), ("status",), ("diff",)):
        tracked(*words)
    assert calls == []


def test_damage_is_found_by_it(tracked, own):
    own(wanted="jobs")
    pack = max((cache_of(tracked.folder) / "packs").iterdir(), key=lambda one: one.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    damaged = tracked.json("verify", code=None).data["damaged"]
    assert damaged
    assert damaged == tracked.json("verify", code=None).data["damaged"]


WRONG = [
    ("yield from list(self.run(function, items, on_error))[:-1]", "ContractViolation"),
    ("yield from reversed(list(self.run(function, items, on_error)) + ['more'])", "ContractViolation"),
    ("yield from [None for _ in items]", "ContractViolation"),
    ("return None", "PluginBroken"),
    ("return []", "ContractViolation"),
    ("raise RuntimeError('no worker')", "PluginBroken"),
    ("raise SystemExit(3)", "PluginBroken"),
]


@pytest.mark.parametrize(("change", "kind"), WRONG, ids=[change for change, _ in WRONG])
def test_an_executor_that_loses_work_is_told_so_and_nothing_is_lost(tracked, own, monkeypatch, change, kind):
    own(change, wanted="jobs")
    tracked("remote", "add", "-d", "store", "../store")
    for verb in ("push", "verify"):
        [error] = tracked.json(verb, code=4).json["errors"]
        assert error["class"] == kind
        assert "kist-own" in error["message"]
        assert "Own.map" in error["message"]
    monkeypatch.delenv("KIST_EXECUTOR")
    tracked("push")
    assert tracked.json("verify", "--remote", "store").data["damaged"] == []


def test_what_sends_work_elsewhere_does_not_get_requests(tracked, own):
    calls = own("self.shares_memory\n        " + RIGHT)
    import own_executor

    own_executor.Own.shares_memory = False
    tracked("remote", "add", "-d", "store", "../store")
    tracked("push")
    assert "item" not in kinds(calls)
    tracked("verify")
    assert "item" in kinds(calls)


@pytest.mark.parametrize("name", ["pool", "threads", "processes"])
def test_the_builtin_ones(tracked, monkeypatch, name):
    write(tracked.folder, {f"large/{number}": bytes([number]) * (1 << 21) for number in range(4)})
    tracked("add", "large")
    want = tracked.json("verify").data
    tracked("remote", "add", "-d", "store", "../store")
    monkeypatch.setenv("KIST_EXECUTOR", name)
    assert tracked.json("push").data["failures"] == []
    assert tracked.json("verify").data == want
    assert tracked.json("verify", "--jobs", "1").data == want


def test_an_unknown_one_is_told_with_the_nearest(tracked, monkeypatch):
    monkeypatch.setenv("KIST_EXECUTOR", "thread")
    [error] = tracked.json("verify", code=4).json["errors"]
    assert (error["class"], error["hint"]) == ("PluginNotFound", "did you mean 'threads'?")


def test_one_that_cannot_be_closed_is_told_and_undoes_nothing(tracked, own, monkeypatch):
    own()
    import own_executor

    monkeypatch.setattr(own_executor.Own, "close", lambda _: 1 / 0)
    told = tracked("verify")
    assert "all good" in told.out
    assert "kist-own" in told.err
    assert tracked.json("verify").data["checked"]
