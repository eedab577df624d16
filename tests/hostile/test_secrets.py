"""Secrets and whoever asks for them: not in tracked configuration, not in output, not to a place that only a clone names."""

from dataclasses import fields

import pytest
from cli_support import clone, commit, git

SECRET = "hush-hush-4711"
SCHEMES = {"s3": "s3://bucket/x", "az": "az://container/x", "gdrive": "gdrive://0ABCDEFGHIJK", "ssh": "ssh://server/x"}


def secret_options(tracked, scheme):
    from kist.repo.context import RepoContext

    kind = RepoContext.find(tracked.folder, settings={}).plugins.remote_options(scheme)
    return [one.name for one in fields(kind) if one.metadata.get("secret")]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_4_4_a_secret_in_tracked_configuration_is_refused(tracked, tried, scheme):
    tracked("remote", "add", "-d", "store", SCHEMES[scheme])
    names = [*secret_options(tracked, scheme), "password", "api_key"]
    for name in tried(names):
        for words in (("remote", "modify", "store", name, SECRET), ("config", f"remote.store.{name}", SECRET)):
            for more in ((), ("--json",), ("--debug",)):
                refused = tracked(*words, *more, code=3)
                assert SECRET not in refused.out + refused.err
    git(tracked.folder, "add", "-A")
    assert SECRET not in git(tracked.folder, "diff", "--cached")


def test_4_4_a_password_in_an_address_is_refused_and_not_shown(tracked, tried):
    addresses = [f"s3://user:{SECRET}@bucket/x", f"ssh://me:{SECRET}@host/x", f"webdav://a:{SECRET}@h/", f"s3://u:{SECRET}@b:99999/",
                 f"ssh://me:{SECRET}@[::1/x"]  # fmt: skip
    file = tracked.folder / ".kist" / "config.yaml"
    sound = file.read_text()
    for address in tried(addresses):
        refused = tracked("remote", "add", "store", address, code=3)
        assert SECRET not in refused.out + refused.err
        file.write_text(f"{sound}remote:\n  store:\n    url: '{address}'\n")
        for words in (
            ("push",),
            ("pull", "--json"),
            ("remote", "list"),
            ("doctor",),
            ("--debug", "push"),
            ("config", "--list"),
        ):
            told = tracked(*words, code=None)
            assert SECRET not in told.out + told.err, words
        file.write_text(sound)


def test_4_4_what_is_private_has_the_mode_of_a_secret(tracked):
    tracked("remote", "add", "-d", "store", "s3://bucket/x")
    tracked("remote", "modify", "--local", "store", "secret_access_key", SECRET)
    tracked("remote", "trust", "store")
    kept = [
        path
        for top in (tracked.folder, tracked.folder.parent / "home")
        for path in top.rglob("*")
        if path.is_file() and (SECRET.encode() in path.read_bytes() or path.name == "trusted-endpoints.json")
    ]
    assert len(kept) == 2
    for path in kept:
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
    for words in (("config", "--list"), ("remote", "list"), ("config", "--list", "--json"), ("doctor",)):
        told = tracked(*words, code=None)
        assert SECRET not in told.out + told.err, words


def test_4_4_trust_is_for_the_place_that_was_named(tracked, tried):
    """The clone that names another endpoint, or the same one for another repository, is asked about again."""
    from kist.abc.remote import RemoteURL
    from kist.repo.config import Config
    from kist.repo.context import RepoContext
    from kist.repo.trust import endpoints_of, is_trusted, needs_trust

    tracked("remote", "add", "-d", "store", "s3://bucket/x")
    tracked("remote", "modify", "store", "endpoint_url", "https://good.example")
    tracked("remote", "trust", "store")
    commit(tracked.folder, "good")
    victim = clone(tracked)
    file = victim / ".kist" / "config.yaml"
    sound = file.read_text()
    changes = [("s3://bucket/x", "s3://other/x"), ("good.example", "evil.example"), ("https://good.example", "http://good.example"),
               ("good.example", "good.example.evil.example"), ("good.example", "good.example:8443")]  # fmt: skip
    context = RepoContext.find(victim, settings={})
    values = context.config.section("remote")["store"]
    assert is_trusted(context.id, endpoints_of(RemoteURL.parse(values["url"]), values))
    for old, new in tried(changes):
        file.write_text(sound.replace(old, new))
        config = Config.load(context.place)
        values = config.section("remote")["store"]
        assert needs_trust(config, "store")
        assert not is_trusted(context.id, endpoints_of(RemoteURL.parse(values["url"]), values)), (old, new)
