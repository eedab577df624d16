"""Which endpoints may receive credentials."""

import os

import pytest

from kist.abc.remote import RemoteURL
from kist.repo.config import Config
from kist.repo.layout import Place
from kist.repo.trust import endpoints_of, is_trusted, needs_trust, trust, trust_file

HERE = ("box://host",)


@pytest.fixture
def env(tmp_path):
    return {"HOME": str(tmp_path)}


def test_trust_is_for_one_repository_and_all_of_its_endpoints(env):
    assert not is_trusted("a" * 32, HERE, env)
    would = trust("a" * 32, HERE, env, dry_run=True)
    assert not trust_file(env).exists()
    done = trust("a" * 32, HERE, env)
    path = trust_file(env)
    assert (done.path, done.bytes) == (str(path), path.stat().st_size)
    assert would == done
    assert path.stat().st_mode & 0o777 == 0o600
    assert is_trusted("a" * 32, HERE, env)
    assert not is_trusted("b" * 32, HERE, env)
    assert not is_trusted("a" * 32, (*HERE, "elsewhere"), env)
    trust("a" * 32, ("elsewhere",), env)
    assert is_trusted("a" * 32, (*HERE, "elsewhere"), env)


def test_the_environment_trusts_everywhere(env):
    assert is_trusted("a", HERE, {**env, "KIST_TRUST_ENDPOINTS": "box://host, other"})
    assert is_trusted("a", HERE, {**env, "KIST_TRUST_ENDPOINTS": "*"})
    assert not is_trusted("a", HERE, {**env, "KIST_TRUST_ENDPOINTS": "box://hos"})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "kist-trust/2", "trusted": {"a": ["box://host"]}}'])
def test_a_file_that_cannot_be_read_trusts_nobody(env, text):
    path = trust_file(env)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert not is_trusted("a", HERE, env)


def test_endpoints_are_hosts_and_named_places():
    url = RemoteURL.parse("box://me@host:99/path?token=1")
    assert endpoints_of(url, {}) == ("box://host:99",)
    assert endpoints_of(url, {"endpoint_url": "https://e"}) == ("box://host:99", "https://e")


def test_only_what_a_clone_alone_names_needs_trust(tmp_path):
    place = Place(
        tmp_path, "a" * 32, None, tmp_path / "private", tmp_path / "private" / "own", tmp_path / "private" / "own"
    )
    place.config.parent.mkdir()
    place.config.write_text("remote:\n  one:\n    url: box://host\n")
    env = {"HOME": str(tmp_path), "KIST_SYSTEM_CONFIG": str(tmp_path / "none")}
    assert needs_trust(Config.load(place, env=env), "one")
    named = {**env, "KIST_CONFIG__remote__one__url": "box://host"}
    assert not needs_trust(Config.load(place, env=named), "one")
    assert os.path.exists(place.config)
