"""The catalogue tells what is installed without importing it."""

import sys

from kist.plugins.catalog import installed, installed_commands, known_by, nearest
from kist.plugins.registry import Plugins


def by_name(plugins):
    return {one.distribution: one for one in installed(plugins)}


def states(one):
    return {f"{key.group}.{key.key}": key.state for key in one.keys}


def test_lists_without_importing(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_cat"}, "hooks": {"after_add": "toy_cat"}}, {"toy_cat": "1/0"})
    found = by_name(Plugins())
    assert next(iter(found)) == "kist-core"
    toy = found["kist-toy"]
    assert (toy.version, toy.kinds) == ("1.0", ("hasher", "hook"))
    assert states(toy) == {"hashers.toy": "used", "hooks.after_add": "used"}
    assert "toy_cat" not in sys.modules


def test_one_kernel_is_used(site):
    site.install("kist-fast", {"kernels": {"fast": "toy_fast"}})
    plugins = Plugins(block=["kist-accel"])
    for configured, used in ((None, "fast"), ("fast", "fast"), ("pure", "pure")):
        found = {one.distribution: states(one) for one in installed(plugins, configured)}
        assert found["kist-core"]["kernels.pure"] == ("used" if used == "pure" else "shadowed")
        assert found["kist-fast"]["kernels.fast"] == ("used" if used == "fast" else "shadowed")


def test_conflicts_and_preferences(site):
    site.install("kist-one", {"hashers": {"toy": "toy_1", "md5": "toy_1"}})
    site.install("kist-two", {"hashers": {"toy": "toy_2"}})
    found = by_name(Plugins())
    assert found["kist-one"].conflicts == found["kist-two"].conflicts == ("hashers.toy",)
    assert states(found["kist-one"])["hashers.md5"] == "shadowed"
    found = by_name(Plugins(prefer={"hashers.toy": "kist-one"}))
    assert states(found["kist-one"])["hashers.toy"] == "used"
    assert states(found["kist-two"])["hashers.toy"] == "shadowed"
    found = by_name(Plugins(block=["kist-two"]))
    assert states(found["kist-one"])["hashers.toy"] == "used"
    assert states(found["kist-two"])["hashers.toy"] == "blocked"


def test_disabled_lists_the_core_only(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_cat"}})
    assert list(by_name(Plugins(disabled=True))) == ["kist-core"]


def test_known_and_nearest(site):
    site.install("umbrella", {"known": {"remotes.box": "kist_box"}})
    plugins = Plugins()
    assert known_by(plugins, "remotes", "box") == "kist-box"
    assert known_by(plugins, "remotes", "bax") is None
    assert nearest(plugins, "remotes", "bax") == "box"
    assert nearest(plugins, "links", "hardlnk") == "hardlink"


def test_commands_by_name_and_distribution(site):
    site.install("kist-web", {"commands": {"web": "toy_cat"}}, {"toy_cat": "1/0"})
    assert installed_commands()["web"] == "(kist-web)"
    assert "web" not in installed_commands(Plugins(block=["kist-web"]))
    assert "toy_cat" not in sys.modules
