"""The doctor on a remote: what it tries, what it mends, and that it tells no secret; and pushes that mend."""

import json

from cli_support import clone, tree

SECRET = "planted-4711-secret"


def findings(kist, *words, code=0, **how):
    found = kist.json("doctor", "--remote", "store", *words, code=code, **how).data["findings"]
    return {
        one["label"].removeprefix("remote store: "): one for one in found if one["label"].startswith("remote store")
    }


def index_of(kist):
    [path] = (kist.folder.parent / "store" / "index").iterdir()
    return path


def test_it_tries_what_a_remote_must_be_able_to_do(shared):
    found = findings(shared)
    assert {"write", "read", "range", "size", "list", "large object", "delete", "indexes", "folder"} <= found.keys()
    assert {label for label, one in found.items() if one["state"] != "ok"} <= {"trust"}
    assert not list((shared.folder.parent / "store").rglob("tmp/*"))
    assert found["indexes"]["detail"] == "1 index file"


def test_a_lost_index_is_found_and_mended(shared):
    before = index_of(shared).read_bytes()
    index_of(shared).unlink()
    wrong = findings(shared, code=1)["indexes"]
    assert wrong["state"] == "error"
    assert wrong["fix"] == "kist doctor --fix --remote store"
    assert "mended" in findings(shared, "--fix")["indexes"]["detail"]
    assert index_of(shared).read_bytes() == before
    other = clone(shared)
    shared("pull", folder=other)
    assert tree(other / "data") == tree(shared.folder / "data")


def test_one_who_has_no_data_mends_a_damaged_index(shared):
    path = index_of(shared)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    other = clone(shared)
    shared.json("pull", code=8, folder=other)
    assert "mended" in findings(shared, "--fix", folder=other)["indexes"]["detail"]
    shared("pull", folder=other)
    assert tree(other / "data") == tree(shared.folder / "data")


def test_a_push_of_nothing_new_mends_a_lost_index(shared):
    index_of(shared).unlink()
    data = shared.json("push").data
    assert data["bytes"] == 0
    assert index_of(shared).is_file()
    assert shared.json("push").data["requests"] <= 3


def test_left_overs_of_a_killed_push_are_removed_by_the_next(shared):
    left = shared.folder.parent / "store" / "packs" / ".one.kist-tmp-host-1-2"
    from kist.util.atomic import temp_name

    left = left.with_name(temp_name("one", "host-1"))
    left.write_bytes(b"half")
    import os

    os.utime(left, (1, 1))
    assert "mended" in findings(shared, "--fix")["left-overs"]["detail"]
    assert not left.exists()


def test_nothing_secret_is_told(shared, site):
    code = f"""
from kist import hookimpl


@hookimpl
def kist_remote_options(scheme):
    if scheme == "vault":
        from dataclasses import dataclass
        from kist.abc import Options, option

        @dataclass(frozen=True, kw_only=True)
        class VaultOptions(Options):
            password: str | None = option(None, help="The password.", secret=True)

        return VaultOptions


@hookimpl
def kist_open_remote(url, options):
    if url.scheme == "vault":
        from kist.errors import RemoteAuthError
        from kist.remotes.memory import MemoryRemote

        def gate(method):
            if options.password != "{SECRET}-right":
                raise RemoteAuthError("the vault does not know this password")

        class Vault(MemoryRemote):
            def describe_access(self):
                return [("credentials", "password from the configuration" if options.password else "none")]

        return Vault(gate=gate)
"""
    site.install("kist-vault", {"remotes": {"vault": "kist_vault"}}, {"kist_vault": code})
    shared("remote", "add", "vault", "vault://place")
    for secret, code in ((f"{SECRET}-wrong", 1), (f"{SECRET}-right", 0)):
        shared("remote", "modify", "--local", "vault", "password", secret)
        for words in (["doctor", "--remote", "vault"], ["doctor", "--remote", "vault", "--json"]):
            told = shared(*words, code=code)
            assert SECRET not in told.out + told.err
            assert "password from the configuration" in told.out
            assert code or "any key" in told.out  # declared by this remote
        for words in (["push", "-r", "vault"], ["remote", "list"], ["help", "remotes"], ["config", "list"]):
            told = shared(*words, "--debug", code=None)
            assert SECRET not in told.out + told.err
    assert "The password." in shared("help", "remotes").out
    assert SECRET not in json.dumps(shared.json("remote", "list").json)


def test_who_may_only_read_is_told_what_works(shared):
    shared("remote", "modify", "store", "readonly", "true")
    found = findings(shared, code=1)
    assert found["write"]["state"] == "error"
    assert {found[label]["state"] for label in ("read", "range", "size", "list")} == {"ok"}
    assert "nothing can be written" in found["large object, delete"]["detail"]


def test_a_place_with_something_else_is_told_and_left_alone(tracked):
    store = tracked.folder.parent / "store"
    store.mkdir()
    (store / "holiday.jpg").write_bytes(b"x")
    tracked("remote", "add", "-d", "store", "../store")
    wrong = findings(tracked, code=1)
    assert "holiday.jpg" in wrong["format"]["detail"]
    assert wrong["format"]["fix"]
    assert "write" not in wrong
    assert tree(store) == {"holiday.jpg": b"x"}


def test_trust_is_told(shared):
    assert findings(shared)["trust"]["fix"] == "kist remote trust store"
    shared("remote", "trust", "store")
    assert findings(shared)["trust"]["state"] == "ok"
