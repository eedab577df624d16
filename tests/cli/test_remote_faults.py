"""A remote that misbehaves, end to end: complete success, or a clear error after which a plain retry succeeds."""

import json
import os

import pytest
from cli_support import clone, commit, tree, write

from servers.faultproxy import proxied
from servers.webdav import PLUGIN, webdav  # noqa: F401 (a fixture)

PASSING = {
    "overloaded": {"status": 503, "status_every": 7, "retry_after": "0"},
    "too many requests": {"status": 429, "status_every": 11, "retry_after": "0.1"},
    "failing": {"status": 500, "status_every": 13},
    "truncated": {"truncate_every": 3},
    "damaged": {"flip_every": 3},
    "cut": {"cut_every": 400_000, "cuts": 6},
    "slow": {"latency": 0.005, "bandwidth": 20e6},
}
LASTING = {
    "refused": {"refuse": True},
    "silent": {"black_hole": True},
    "always overloaded": {"status": 503, "status_every": 1, "retry_after": "0"},
    "always cut": {"cut_every": 1_000},
    "no right to write": {"status": 403, "status_every": 1, "methods": ("PUT", "MKCOL", "GET")},
    "full": {"status": 507, "status_every": 1, "methods": ("PUT", "MKCOL", "GET")},
}


@pytest.fixture
def dav(tracked, site, webdav):  # noqa: F811
    """A repository whose remote is a WebDAV server behind a proxy, and the proxy."""
    site.install("kist-testdav", {"remotes": {"webdav": "kist_testdav"}}, {"kist_testdav": PLUGIN})
    write(tracked.folder, {"data/big": os.urandom(2_000_000), "data/more/a": os.urandom(70_000)})
    tracked("add", "data")
    tracked("remote", "add", "-d", "store", f"webdav://{webdav.make_folder()}")
    tracked("remote", "modify", "store", "retries", "9")
    commit(tracked.folder, "remote")
    with proxied(webdav.port, http=True) as proxy:
        tracked.proxy, tracked.webdav = proxy, webdav
        settle(tracked, tracked.folder)
        yield tracked


def settle(dav, folder):
    arguments = json.dumps({**dav.webdav.arguments(port=dav.proxy.port), "timeout": 1})
    dav("remote", "trust", "store", folder=folder)
    dav("remote", "modify", "--local", "store", "storage_options", arguments, folder=folder)


def cloned(dav):
    other = clone(dav)
    settle(dav, other)
    return other


def set_faults(dav, faults):
    for name, value in faults.items():
        setattr(dav.proxy.faults, name, value)


@pytest.mark.parametrize("faults", PASSING)
def test_5_what_passes_is_not_noticed(dav, faults):
    set_faults(dav, PASSING[faults])
    dav("push")
    other = cloned(dav)
    dav("pull", folder=other)
    assert tree(other / "data") == tree(dav.folder / "data")
    traffic = dav.proxy.traffic
    assert traffic.refusals + traffic.damaged + traffic.resets > 0 or faults == "slow"
    set_faults(dav, dict.fromkeys(("status_every", "truncate_every", "flip_every"), 0) | {"cut_every": None})
    dav("verify", "--remote", "store")


@pytest.mark.parametrize("faults", LASTING)
def test_5_what_lasts_is_told_and_a_retry_succeeds(dav, faults):
    dav("remote", "modify", "--local", "store", "retries", "1")
    clean = {name: getattr(dav.proxy.faults, name) for name in LASTING[faults]}
    set_faults(dav, LASTING[faults])
    failed = dav.json("push", code=None)
    assert failed.code in (10, 11)
    assert failed.json["errors"][0]["remote"] == "store"
    set_faults(dav, clean)
    dav("push")
    other = cloned(dav)
    dav("remote", "modify", "--local", "store", "retries", "1", folder=other)
    set_faults(dav, LASTING[faults])
    failed = dav.json("pull", code=None, folder=other)
    assert failed.code in (10, 11)
    assert not tree(other / "data") or tree(other / "data").items() <= tree(dav.folder / "data").items()
    set_faults(dav, clean)
    dav("pull", folder=other)
    assert tree(other / "data") == tree(dav.folder / "data")
