"""remote: add, list, modify, remove, rename, default, trust."""

import json
import os

import pytest
from cli_support import write

from kist.operations.remote_options import check_address


def config(kist):
    return (kist.folder / ".kist" / "config.yaml").read_text()


def local_config(kist):
    (found,) = (kist.folder / ".git" / "kist").glob("*/config.yaml")
    return found


def test_add_and_list(repo):
    result = repo.json("remote", "add", "-d", "store", "../store")
    assert result.data == {
        "name": "store",
        "url": "../store",
        "default": True,
        "level": "tracked",
        "options": {},
        "files": [str(repo.folder / ".kist" / "config.yaml")],
        "bytes": (repo.folder / ".kist" / "config.yaml").stat().st_size,
        "requests": 0,
        "dry_run": False,
    }
    (one,) = repo.json("remote", "list").data["remotes"]
    assert (one["name"], one["url"], one["default"], one["level"]) == ("store", "../store", True, "tracked")
    assert repo("remote").out == "store  ../store  (default)\n"
    assert "remote: store" in config(repo)


def test_a_relative_path_counts_from_the_current_folder_and_is_kept_relative_to_the_repository(repo):
    inner = repo.folder / "a" / "b"
    inner.mkdir(parents=True)
    repo("remote", "add", "store", "../../../store", folder=inner)
    assert repo.json("remote", "list").data["remotes"][0]["url"] == "../store"
    write(repo.folder, {"data/x": "1"})
    repo("add", "data")
    repo("push")
    assert (repo.folder.parent / "store" / "kist-remote").is_file()


@pytest.mark.parametrize("url", ["/abs/store", "~/store", "file:///abs/store"])
def test_other_addresses_are_kept_as_they_are(repo, url):
    repo("remote", "add", "store", url)
    assert repo.json("remote", "list").data["remotes"][0]["url"] == url


def test_a_name_is_taken_once(repo):
    repo("remote", "add", "store", "../one")
    error = repo.json("remote", "add", "store", "../two", code=2).json["errors"][0]
    assert "modify" in error["hint"]
    repo("remote", "add", "-f", "store", "../two")
    assert repo.json("remote", "list").data["remotes"][0]["url"] == "../two"
    repo("remote", "add", "a/b", "../two", code=2)


def test_dry_run_writes_nothing(repo):
    before = config(repo)
    repo("remote", "add", "-d", "store", "../store", "--dry-run")
    assert config(repo) == before
    repo("remote", "add", "-d", "store", "../store")
    before = config(repo)
    repo("remote", "modify", "--local", "store", "fsync", "false", "--dry-run")
    repo("remote", "rename", "store", "other", "--dry-run")
    repo("remote", "remove", "store", "--dry-run")
    repo("remote", "default", "--unset", "--dry-run")
    repo("remote", "trust", "store", "--dry-run")
    assert config(repo) == before
    assert not list((repo.folder.parent / "home").rglob("trusted*"))


def test_unknown_schemes_name_what_to_install(repo, site):
    site.install("umbrella", {"known": {"remotes.toy": "kist_toy"}})
    error = repo.json("remote", "add", "x", "toy://bucket", code=4).json["errors"][0]
    assert error["class"] == "PluginNotFound"
    assert error["hint"] == "install it: pip install kist-toy"
    assert "did you mean 'file'" in repo.json("remote", "add", "x", "fiel:///x", code=4).json["errors"][0]["hint"]


def test_modify_checks_options(repo):
    repo("remote", "add", "store", "../store")
    assert "'fsync'" in repo.json("remote", "modify", "--local", "store", "fsnc", "1", code=3).json["errors"][0]["hint"]
    repo("remote", "modify", "--local", "store", "fsync", "perhaps", code=3)
    refused = repo("remote", "modify", "store", "fsync", "false", code=3)
    assert "--local" in refused.err
    repo("remote", "modify", "--local", "store", "fsync", "false")
    assert local_config(repo).stat().st_mode & 0o777 == 0o600
    repo("remote", "modify", "store", "shared", "group")
    assert "shared: group" in config(repo)
    repo("remote", "modify", "store", "shared", "--unset")
    assert "shared" not in config(repo)
    repo("remote", "modify", "store", "shared", "--unset", code=3)
    repo("remote", "modify", "store", "shared", code=2)
    assert "'store'" in repo("remote", "modify", "stor", "shared", "group", code=3).err


def test_add_with_options(repo):
    added = repo.json("remote", "add", "-d", "store", "../store", "-o", "shared=group", "--option", "fsync=false").data
    assert added["options"] == {"shared": "group", "fsync": "false"}
    assert "shared: group" in config(repo)
    assert "fsync" not in config(repo)  # counts only in one's own configuration
    assert 'fsync: "false"' in local_config(repo).read_text()
    assert repo.json("remote", "list").data["remotes"][0]["options"] == {"fsync": "false", "shared": "group"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-o", "fsnc=1"], 3),
        (["-o", "shared=everybody"], 3),
        (["-o", "retries=often"], 3),
        (["-o", "shared=group", "-o", "fsync=perhaps"], 3),
        (["--tracked", "-o", "fsync=false"], 3),
        (["-o", "shared"], 2),
        (["-o", "=x"], 2),
        (["-o", "url=../other"], 2),
        (["-o", "shared=group", "-o", "shared=no"], 2),
    ],
)
def test_add_with_a_bad_option_adds_nothing(repo, words, code):
    before = config(repo)
    assert repo("remote", "add", "store", "../store", *words, code=code).err.startswith("error: ")
    assert config(repo) == before
    assert repo.json("remote", "list").data["remotes"] == []


def test_rename_and_remove_reach_every_place(repo):
    repo("remote", "add", "-d", "store", "../store")
    repo("remote", "modify", "--local", "store", "fsync", "false")
    repo("remote", "rename", "store", "archive")
    assert "archive" in config(repo)
    assert "archive" in local_config(repo).read_text()
    assert "store:" not in config(repo)
    assert repo("remote", "default").out == "archive\n"
    repo("remote", "rename", "store", "x", code=3)
    repo("remote", "remove", "archive")
    assert repo.json("remote", "list").data["remotes"] == []
    assert "archive" not in config(repo)
    assert "archive" not in local_config(repo).read_text()


def test_a_metafile_that_names_a_removed_remote_is_told(tracked):
    tracked("remote", "add", "store", "../store")
    metafile = tracked.folder / "data.kist"
    metafile.write_text(metafile.read_text() + "remote: store\n")
    result = tracked("remote", "remove", "store")
    assert "data" in result.err


def test_default_is_local_where_asked(repo):
    repo("remote", "add", "one", "../one")
    repo("remote", "add", "two", "../two")
    assert repo.json("remote", "default").data == {"default": None}
    repo("remote", "default", "one")
    repo("remote", "default", "--local", "two")
    assert repo("remote", "default").out == "two\n"
    repo("remote", "default", "--local", "--unset")
    assert repo("remote", "default").out == "one\n"
    repo("remote", "default", "three", code=3)


def test_the_users_own_remotes(repo):
    repo("remote", "add", "--global", "mine", "/somewhere")
    assert repo.json("remote", "list").data["remotes"][0]["level"] == "user"
    assert "--global" in repo("remote", "remove", "mine", code=3).err
    repo("remote", "remove", "--global", "mine")
    assert repo.json("remote", "list").data["remotes"] == []


def test_trust_is_kept_for_one_repository(repo):
    repo("remote", "add", "store", "file:///abs/store")
    data = repo.json("remote", "trust", "store").data
    (kept,) = (repo.folder.parent / "home").rglob("trusted-endpoints.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["trusted"] == {data["repository"]: data["endpoints"]}


PLUGIN = """
from dataclasses import dataclass
from kist import hookimpl
from kist.abc import Options, RemoteURL, option
from kist.errors import RemoteAuthError

@dataclass(frozen=True, kw_only=True)
class TwinOptions(Options):
    password: str | None = option(None, help="a secret", secret=True)
    pin: str | None = option(None, help="a secret that is not named like one", secret=True)
    endpoint: str | None = option(None, help="a place", shared=True)

@hookimpl
def kist_remote_options(scheme):
    return TwinOptions

@hookimpl
def kist_open_remote(url, options, scope):
    if not scope.trusted:
        raise RemoteAuthError("not trusted", hint=f"kist remote trust {scope.name}")
    from kist_local.remote import LocalRemote
    from kist_local.options import LocalOptions
    return LocalRemote.from_url(RemoteURL("file", path=url.path), LocalOptions())
"""


@pytest.fixture
def twin(site, repo):
    """A remote with a secret, which wants to be trusted."""
    site.install("kist-twin", {"remotes": {"twin": "twin_plugin"}}, {"twin_plugin": PLUGIN})
    repo("remote", "add", "-d", "far", f"twin://host{repo.folder.parent}/far")
    return repo


@pytest.mark.parametrize("name", ["password", "pin"])
def test_secrets_are_refused_where_they_would_be_committed_and_never_shown(twin, name):
    error = twin.json("remote", "modify", "far", name, "hush", code=3).json["errors"][0]
    assert "secret" in error["message"]
    assert "hush" not in json.dumps(error)
    twin("config", f"remote.far.{name}", "hush", code=3)
    shown = twin("remote", "modify", "--local", "far", name, "hush")
    shown = shown.out + shown.err + twin("remote", "list", "-v").err + twin("config", "list").out
    shown += twin("config", f"remote.far.{name}").out + twin.json("remote", "list").out + twin.json("config").out
    assert "hush" not in shown
    assert "***" in shown
    assert "hush" in local_config(twin).read_text()


def test_what_only_a_clone_names_gets_no_credentials_until_the_user_agrees(twin, monkeypatch):
    write(twin.folder, {"data/x": "1"})
    twin("add", "data")
    refused = twin.json("push", code=10).json["errors"][0]
    assert refused["class"] == "RemoteAuthError"
    assert refused["hint"] == "kist remote trust far"
    monkeypatch.setenv("KIST_TRUST_ENDPOINTS", "twin://host")
    twin("push")
    monkeypatch.delenv("KIST_TRUST_ENDPOINTS")
    twin("push", code=10)
    twin("remote", "trust", "far")
    twin("push")
    twin("remote", "modify", "far", "endpoint", "elsewhere")
    twin("push", code=10)
    twin("remote", "modify", "--local", "far", "endpoint", "elsewhere")
    twin("remote", "add", "-f", "--local", "far", f"twin://host{twin.folder.parent}/far")
    twin("push")


@pytest.mark.parametrize(
    "url",
    [
        "file://me:hush@host/x",
        "file://me:hush/and more@host/x",
        "file://me:12@hush@host/x",
        "file://host/x?sv=2024-11-04&sig=hush",
        "file://host/x?X-Amz-Signature=hush",
        "file://host/x?password=hush",
        "file://me:hush\N{VULGAR FRACTION ONE HALF}\N{ACCOUNT OF}@host/x",
    ],
)
def test_urls_hold_no_secret(repo, url):
    there = (repo.folder / ".kist" / "config.yaml").read_text()
    repo("remote", "add", "store", "../store")
    for words in (
        ("remote", "add", "x", url),
        ("remote", "modify", "store", "url", url),
        ("config", "remote.x.url", url),
    ):
        for more in ("--debug", "--json"):
            refused = repo(*words, more, code=3)
            assert "hush" not in refused.out + refused.err
    repo("remote", "remove", "store")
    assert (repo.folder / ".kist" / "config.yaml").read_text() == there


@pytest.mark.parametrize("url", ["ssh://me@host:22/a@b", "file:///a:b@c", "file://[::1]:80/x@y", "file://h/?page=1"])
def test_what_only_looks_like_a_password(url):
    check_address(url)


def test_no_other_option_holds_a_password(twin):
    address = "https://me:hush@host"
    twin("remote", "modify", "far", "endpoint", address, code=3)
    twin("config", "remote.far.endpoint", address, code=3)
    config = twin.folder / ".kist" / "config.yaml"
    config.write_text(config.read_text().replace("    url:", f"    endpoint: {address}\n    url:"))
    for words in (["remote", "list", "-v"], ["config", "list"], ["config", "remote.far.endpoint"]):
        for more in ((), ("--json",)):
            told = twin(*words, *more)
            assert "hush" not in told.out + told.err


def test_options_may_be_there_before_the_remote(repo, tmp_path, monkeypatch):
    """As in the user's own configuration, or in the environment of a machine that tests."""
    monkeypatch.setenv("KIST_CONFIG__remote__store__retries", "1")
    repo("remote", "add", "store", "../store")
    repo("remote", "add", "store", "../store", code=2)


@pytest.mark.parametrize(
    "address", ["box:/bucket/x", "box:bucket", "user:planted-4711@host:/path", "host:/path", "file:/x", "file://host/x"]
)
def test_an_address_with_a_typo_is_no_folder(repo, address):
    error = repo.json("remote", "add", "store", address, code=3).json["errors"][0]
    assert error["class"] == "InvalidOption"
    assert error["hint"]
    assert "planted-4711" not in str(error)
    repo("remote", "add", "store", "../store")
    assert repo.json("remote", "modify", "store", "url", address, code=3).classes == ["InvalidOption"]


@pytest.mark.parametrize("address", ["file:///x#1", "file:///x\ny", "file:///x\t", " file:///x", "file:///x "])
def test_no_part_of_an_address_is_lost(repo, address):
    """Else ``store#1`` and ``store#2`` were one place."""
    error = repo.json("remote", "add", "store", address, code=3).json["errors"][0]
    assert error["class"] == "InvalidOption"
    assert error["hint"]


def test_a_folder_with_a_hash_sign_in_its_name(tracked):
    tracked("remote", "add", "-d", "store", "./a#1")
    tracked("remote", "add", "same", (tracked.folder / "a%231").as_uri().replace("%25", "%"))
    tracked("push")
    assert (tracked.folder / "a#1" / "kist-remote").is_file()
    assert "there already" in tracked("push", "-r", "same").out


def test_a_place_of_somebody_else_is_no_empty_remote(tracked):
    """Neither in reading: whoever mistyped the address would be told that nothing was pushed."""
    there = tracked.folder.parent / "photos"
    write(there, {"one.jpg": "1"})
    tracked("remote", "add", "-d", "store", "../photos")
    (tracked.folder / "data").rename(tracked.folder / "gone")
    for words in (["push"], ["push", "--dry-run"], ["verify", "-r", "store"], ["verify", "-r", "store", "--repair"]):
        assert tracked.json(*words, code=10).classes == ["RemoteFormatError"], words
    for words in (["gc", "-r", "store", "-A", "-f"], ["gc", "-r", "store", "-w"], ["status", "--remote", "store"]):
        assert tracked.json(*words, code=10).classes == ["RemoteFormatError"], words
    assert [path.name for path in there.iterdir()] == ["one.jpg"]


def test_a_value_that_does_not_fit_names_the_remote(tracked):
    tracked("remote", "add", "-d", "store", "../store")
    path = tracked.folder / ".kist" / "config.yaml"
    path.write_text(path.read_text().replace("    url:", "    shared: nobody\n    url:"))
    told = tracked("push", code=3)
    assert told.err.startswith("error: store: ")
    assert "'shared'" in told.err


def test_a_folder_with_a_colon_in_its_name(tracked):
    tracked("remote", "add", "-d", "store", "./box:bucket")
    tracked("push")
    assert (tracked.folder / "box:bucket" / "kist-remote").is_file()


def test_a_folder_is_waited_for_as_the_cache_is_unless_its_option_says_otherwise(tracked, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: waits.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    tracked("remote", "add", "-d", "store", "../store")

    def waited(*words):
        waits.clear()
        write(tracked.folder, {"data/new.txt": " ".join(words)})
        tracked("commit")
        tracked("push")
        store = os.path.realpath(tracked.folder / "../store")
        return [path for path in waits if path.startswith(store + "/")]

    monkeypatch.setenv("KIST_FSYNC", "off")
    assert waited("off") == []
    tracked("remote", "modify", "--local", "store", "fsync", "true")
    assert waited("on here") != []
    tracked("remote", "modify", "--local", "store", "fsync", "--unset")
    monkeypatch.setenv("KIST_FSYNC", "batch")
    assert waited("on everywhere") != []


@pytest.mark.parametrize(
    "words",
    [
        ("s3://",),
        ("s3://bucket/../x",),
        ("az://",),
        ("gdrive://",),
        ("ssh://host",),
        ("s3://bucket", "--option", "connect_timeout=-1"),
        ("s3://bucket", "--option", "endpoint_url=ftp://host"),
        ("az://container", "--option", "endpoint=ftp://host"),
        ("../store", "--local", "--option", "file_mode=rwx"),
        ("ssh://host/x", "--local", "--option", "connect_timeout=-1"),
    ],
)
def test_what_can_never_be_used_is_refused_at_once(repo, words):
    told = repo("remote", "add", "far", *words, code=3)
    assert told.err.startswith("error: far: "), told.err
    assert repo.json("remote", "list").data["remotes"] == []


def test_a_change_to_what_can_never_be_used_is_refused(repo):
    repo("remote", "add", "far", "s3://bucket")
    for option, value in (("url", "s3://"), ("read_timeout", "0"), ("storage_class", "GLACIER")):
        assert repo("remote", "modify", "far", option, value, code=3).err.startswith("error: far: "), option
    repo("config", "remote.far.url", "s3://bucket/../x", code=3)
    for option in ("access_key_id", "secret_access_key"):  # each makes sense with the other one only
        repo("remote", "modify", "--local", "far", option, "x")
