import os
import stat
from dataclasses import dataclass

import pytest

from kist.abc.options import Options, option
from kist.errors import ConfigError, InvalidOption, RepoFormatError, UnknownOption
from kist.repo.config import LEVELS, Config, split_key
from kist.repo.config_edit import set_values
from kist.repo.config_files import level_file, read_file
from kist.repo.layout import Place


@pytest.fixture
def place(tmp_path):
    (tmp_path / "repo" / ".kist").mkdir(parents=True)
    private = tmp_path / "private"
    own = private / "0123456789abcdef"
    return Place(tmp_path / "repo", "0123456789abcdef", None, private, own, own)


@pytest.fixture
def env(tmp_path):
    return {"KIST_USER_CONFIG": str(tmp_path / "user.yaml"), "KIST_SYSTEM_CONFIG": str(tmp_path / "system.yaml")}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_defaults_hold_where_nothing_is_set(env):
    config = Config.load(env=env)
    assert config.get("core.symlinks") == "keep"
    assert config.get("cache.type") == ("reflink", "copy")
    assert config.get("core.lock_timeout") == 300
    assert config.get("core.remote") is None
    assert config.get("remote.store.url") is None
    assert config.get("plugins.prefer") == {}
    assert config.section("remote") == {}


def test_the_strongest_layer_wins(place, env, tmp_path):
    expected = {}
    write(tmp_path / "system.yaml", "core:\n  remote: system\n")
    expected["system"] = Config.load(place, env=env).get("core.remote")
    write(tmp_path / "user.yaml", "core:\n  remote: user\n")
    expected["user"] = Config.load(place, env=env).get("core.remote")
    write(place.config, "core:\n  remote: tracked\n")
    expected["tracked"] = Config.load(place, env=env).get("core.remote")
    write(place.local_config, "core:\n  remote: local\n")
    expected["local"] = Config.load(place, env=env).get("core.remote")
    env["KIST_CONFIG__core__remote"] = "environment"
    expected["environment"] = Config.load(place, env=env).get("core.remote")
    config = Config.load(place, env=env, overrides={"core.remote": "command line"})
    expected["command line"] = config.get("core.remote")
    assert expected == {level: level for level in LEVELS}
    assert config.find("core.remote").level == "command line"
    assert [one.level for one in config.settings()] == list(LEVELS)
    assert [one.origin for one in config.settings("user")] == [str(tmp_path / "user.yaml")]


def test_short_and_long_names_in_the_environment(env):
    env |= {
        "KIST_JOBS": "7",
        "KIST_CONFIG__remote__Store__url": "/x",
        "KIST_CONFIG__CACHE__TYPE": "copy, symlink",
        "KIST_LOCK_TIMEOUT": "2m",
    }
    config = Config.load(env=env)
    assert config.get("core.jobs") == 7
    assert config.section("remote") == {"Store": {"url": "/x"}}
    assert config.get("cache.type") == ("copy", "symlink")
    assert config.get("core.lock_timeout") == 120


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("core:\n  remot: x\n", UnknownOption, "core.remot"), ("core: x\n", UnknownOption, "'core'"), ("core:\n  jobs: many\n", InvalidOption, "number"),
        ("core:\n  fsync: never\n", InvalidOption, "fsync"), ("cache:\n  pack_threshold: huge\n", InvalidOption, "size"),
        ("cache: [1\n", ConfigError, ":2:1:"), ("- a\n", ConfigError, "sections"), ("remote:\n  a: url\n", ConfigError, "mapping of names"),
        ("plugins:\n  prefer: x\n", InvalidOption, "mapping"), ("a: &x 1\n", ConfigError, "anchors"), ("remote:\n  a:\n    url: [1]\n", InvalidOption, "url"),
        ("core:\n  hash:\n    - x\n", InvalidOption, "text"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named(env, tmp_path, text, error, word):
    write(tmp_path / "user.yaml", text)
    with pytest.raises(error, match=word) as caught:
        Config.load(env=env)
    assert "user.yaml" in str(caught.value)
    assert caught.value.exit_code == 3


def test_unknown_keys_name_the_nearest():
    with pytest.raises(UnknownOption) as caught:
        split_key("core.remot")
    assert caught.value.hint == "did you mean 'core.remote'?"
    assert split_key("remote.my.store.url") == ("remote", "my.store", "url")
    assert split_key("plugins.prefer.remotes.s3") == ("plugins", "prefer", "remotes", "s3")
    for bad in ("remote", "remote.x", "remote..url", "", "plugins.prefer.x"):
        with pytest.raises(UnknownOption):
            split_key(bad)


def test_tracked_configuration_is_not_trusted(place, env):
    write(
        place.config,
        "repository:\n  id: 0123456789abcdef\ncore:\n  kernel: evil\n  remote: store\n  fsync: off\ncache:\n  dir: /elsewhere\n"
        "plugins:\n  prefer:\n    remotes:\n      file: evil\nsafe:\n  directory: ['*']\n",
    )
    config = Config.load(place, env=env)
    assert config.get("core.remote") == "store"
    assert config.get("repository.id") == "0123456789abcdef"
    for key, default in (
        ("core.kernel", None),
        ("core.fsync", "batch"),
        ("cache.dir", None),
        ("plugins.prefer", {}),
        ("safe.directory", ()),
    ):
        assert config.get(key) == default
    assert len(config.warnings) == 5
    assert all("ignored" in text for text in config.warnings)
    write(place.local_config, "core:\n  kernel: mine\nplugins:\n  prefer:\n    remotes:\n      file: mine\n")
    config = Config.load(place, env=env)
    assert config.get("core.kernel") == "mine"
    assert config.get("plugins.prefer") == {"remotes.file": "mine"}
    assert config.get("plugins.prefer.remotes.file") == "mine"


@dataclass(frozen=True, kw_only=True)
class BoxOptions(Options):
    region: str = option("", help="where", shared=True)
    command: str = option("", help="a program")


def test_options_of_remotes_count_as_their_plugin_says(place, env, tmp_path):
    write(tmp_path / "user.yaml", "remote:\n  s:\n    command: mine\n")
    write(place.config, "remote:\n  s:\n    url: box://b\n    region: north\n    command: evil\n    typo: 1\n")
    config = Config.load(place, env=env)
    assert config.trusted_options("s", BoxOptions) == {
        "url": "box://b",
        "region": "north",
        "command": "mine",
        "typo": 1,
    }
    assert len(config.warnings) == 1 and "remote.s.command" in config.warnings[0]


def test_a_newer_repository_is_refused(place, env):
    write(place.config, "repository:\n  format: 2\n")
    with pytest.raises(RepoFormatError):
        Config.load(place, env=env)


def test_values_are_changed_in_place(place):
    write(place.config, "# mine\nrepository:\n  id: abc # keep\n")
    set_values(place.config, "tracked", {"core.remote": "store"})
    set_values(place.config, "tracked", {"remote.store.url": "../s"})
    set_values(place.config, "tracked", {"cache.type": "hardlink,copy"})
    set_values(place.config, "tracked", {"core.symlinks": "follow"})
    assert place.config.read_text() == (
        "# mine\nrepository:\n  id: abc # keep\ncore:\n  remote: store\n  symlinks: follow\nremote:\n  store:\n    url: ../s\n"
        "cache:\n  type:\n    - hardlink\n    - copy\n"
    )
    assert set_values(place.config, "tracked", {"remote.store": None})
    assert not set_values(place.config, "tracked", {"remote.store.url": None})
    assert set_values(place.config, "tracked", {"core.remote": None})
    assert read_file(place.config) == {
        "repository": {"id": "abc"},
        "core": {"symlinks": "follow"},
        "cache": {"type": ["hardlink", "copy"]},
    }


def test_the_local_file_is_private(place, env):
    old = os.umask(0)
    try:
        set_values(level_file("local", place), "local", {"remote.s.password": "hush"})
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.local_config.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.local_config.parent.stat().st_mode) == 0o700
    set_values(place.local_config, "local", {"core.jobs": "4"})
    assert Config.load(place, env=env).get("core.jobs") == 4


@pytest.mark.parametrize(
    "key", ["remote.s.password", "remote.s.secret_access_key", "remote.s.token", "core.kernel", "cache.dir"]
)
def test_what_must_not_be_tracked_is_refused_and_never_shown(place, key):
    with pytest.raises(InvalidOption) as caught:
        set_values(place.config, "tracked", {key: "hush-hush"})
    assert "--local" in caught.value.hint
    assert "hush-hush" not in str(caught.value)
    assert not place.config.exists()
    with pytest.raises(InvalidOption):
        set_values(place.config, "tracked", {"remote.s.harmless": "x"}, secrets=["remote.s.harmless"])


def test_wrong_values_and_files_are_refused_when_set(place):
    with pytest.raises(InvalidOption):
        set_values(place.local_config, "local", {"core.jobs": "x"})
    with pytest.raises(UnknownOption):
        set_values(place.local_config, "local", {"core.job": "1"})
    write(place.local_config, "a: [\n")
    with pytest.raises(ConfigError):
        set_values(place.local_config, "local", {"core.jobs": "1"})
    assert place.local_config.read_text() == "a: [\n"
    with pytest.raises(ConfigError):
        level_file("local", None)


def test_files_lie_where_the_platform_has_them(place):
    assert str(level_file("user", None, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"})).endswith("kist/config.yaml")
    assert str(level_file("system", None, {})) == "/etc/kist/config.yaml"
    assert level_file("tracked", place) == place.config


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("other")]
)
def test_tracked_configuration_is_a_regular_file(place, env, make):
    write(place.config.with_name("other"), "core:\n  remote: store\n")
    make(place.config)
    with pytest.raises(ConfigError, match="not a regular file"):
        Config.load(place, env=env)
    with pytest.raises(ConfigError, match="not a regular file"):
        set_values(place.config, "tracked", {"core.remote": "x"})


def test_the_users_own_configuration_may_be_a_link_but_no_device(env, tmp_path):
    write(tmp_path / "dotfiles.yaml", "core:\n  jobs: 5\n")
    (tmp_path / "user.yaml").symlink_to("dotfiles.yaml")
    assert Config.load(env=env).get("core.jobs") == 5
    (tmp_path / "user.yaml").unlink()
    (tmp_path / "user.yaml").symlink_to(os.devnull)
    with pytest.raises(ConfigError, match="not a regular file"):
        Config.load(env=env)
    assert Config.load(env=env | {"KIST_USER_CONFIG": os.devnull}).get("core.jobs") == 0
