"""Plugins: what is loaded, what is called, and whose fault it is."""

import subprocess
import sys

import pytest

from kist.abc import NullProgress, Options, Remote, RemoteScope, RemoteURL
from kist.errors import ContractViolation, PluginBroken, PluginConflict, PluginNotFound, RemoteAuthError
from kist.plugins.index import Offer, PluginIndex
from kist.plugins.registry import Plugins, kernel_name
from kist.remotes.memory import MemoryRemote
from kist.util.version import VERSION

HASHER = """
from kist import hookimpl
from kist.abc import Hasher
import hashlib
class Toy(Hasher):
    digest_size = 16
    def __init__(self, name): self.name = name
    def new(self): return hashlib.md5()
@hookimpl
def kist_make_hasher(algorithm):
    return Toy({name}) if {condition} else None
"""


def toy(name="algorithm", condition="algorithm.startswith('toy')"):
    return HASHER.format(name=name, condition=condition)


HOOK_OF_TOMORROW = "from kist import hookimpl\n@hookimpl\ndef kist_make_hasher(algorithm, extra): ..."


def test_builtin_needs_no_index():
    plugins = Plugins(index=PluginIndex(()))
    assert plugins.dialect(".kist").marker == ".kist"
    assert plugins.executor("threads", 2).jobs == 2


def test_installed_plugin_is_found_and_kept(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_a"}}, {"toy_a": toy()})
    plugins = Plugins()
    hasher = plugins.hasher("toy")
    assert hasher.name == "toy"
    assert plugins.hasher("toy") is hasher


def test_the_kernel_that_is_installed_is_used_unless_there_are_several(site):
    assert kernel_name(Plugins(index=PluginIndex(()))) == "pure"
    fast = Offer("kernels", "fast", "a", "kist-fast", "1")
    faster = Offer("kernels", "faster", "b", "kist-faster", "1")
    assert kernel_name(Plugins(index=PluginIndex([fast]))) == "fast"
    assert kernel_name(Plugins(index=PluginIndex([fast]), disabled=True)) == "pure"
    assert kernel_name(Plugins(index=PluginIndex([fast]), block=["kernels.fast"])) == "pure"
    assert kernel_name(Plugins(index=PluginIndex([fast, faster]))) == "pure"
    assert kernel_name(Plugins(index=PluginIndex([fast, faster]), block=["kist-fast"])) == "faster"


def test_only_what_is_needed_is_imported(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_b", "other": "toy_c"}}, {"toy_b": toy(), "toy_c": "1/0"})
    Plugins().hasher("toy")
    assert "toy_b" in sys.modules
    assert "toy_c" not in sys.modules


def test_nobody_brings_it(site):
    with pytest.raises(PluginNotFound, match="algorithm 'toy'") as caught:
        Plugins().hasher("toy")
    assert "sha256" in caught.value.hint
    with pytest.raises(PluginNotFound) as caught:
        Plugins().hasher("sha265")
    assert caught.value.hint == "did you mean 'sha256'?"


def test_known_says_what_to_install(site):
    site.install("umbrella", {"known": {"remotes.box": "kist_big_box", "dialects..old": "kist_old"}})
    with pytest.raises(PluginNotFound) as caught:
        Plugins().remote_options("box")
    assert caught.value.hint == "install it: pip install kist-big-box"
    with pytest.raises(PluginNotFound) as caught:
        Plugins().dialect(".old")
    assert caught.value.hint == "install it: pip install kist-old"
    with pytest.raises(PluginNotFound) as caught:
        Plugins().remote_options("bax")
    assert caught.value.hint == "did you mean 'box'?"


def test_two_distributions_for_one_key(site):
    site.install("kist-one", {"hashers": {"toy": "toy_one"}}, {"toy_one": toy()})
    site.install("kist-two", {"hashers": {"toy": "toy_two"}}, {"toy_two": toy()})
    with pytest.raises(PluginConflict, match="kist-one and kist-two"):
        Plugins().hasher("toy")
    assert "toy_one" not in sys.modules
    assert type(Plugins(prefer={"hashers.toy": "Kist_Two"}).hasher("toy")).__module__ == "toy_two"
    assert type(Plugins(block=["kist.two"]).hasher("toy")).__module__ == "toy_one"


def test_preferred_replaces_a_builtin_one(site):
    site.install("kist-fast", {"hashers": {"md5": "toy_fast"}}, {"toy_fast": toy(condition="algorithm == 'md5'")})
    prefer = {"hashers.md5": "kist-fast"}
    assert Plugins().choose("hashers", "md5").distribution == "kist-core"
    assert type(Plugins(prefer=prefer).hasher("md5")).__module__ == "toy_fast"


def test_blocked_and_disabled(site, monkeypatch):
    site.install("kist-toy", {"hashers": {"toy": "toy_d"}}, {"toy_d": toy()})
    for plugins in (Plugins(block=["kist-toy"]), Plugins(block=["hashers.toy"])):
        with pytest.raises(PluginNotFound) as caught:
            plugins.hasher("toy")
        assert "plugins.block" in caught.value.hint
    monkeypatch.setenv("KIST_DISABLE_PLUGINS", "1")
    with pytest.raises(PluginNotFound) as caught:
        Plugins().hasher("toy")
    assert "KIST_DISABLE_PLUGINS" in caught.value.hint
    assert Plugins().dialect(".kist")
    assert "toy_d" not in sys.modules


@pytest.mark.parametrize("code", ["1/0", "raise SystemExit(3)", "import no_such_module", "syntax error"])
def test_broken_at_import(site, code):
    site.install("kist-toy", {"hashers": {"toy": "toy_e"}}, {"toy_e": code})
    plugins = Plugins()
    with pytest.raises(PluginBroken) as caught:
        plugins.hasher("toy")
    assert caught.value.distribution == "kist-toy"
    assert caught.value.cause is caught.value.__cause__
    assert plugins.dialect(".kist")


def test_ctrl_c_at_import_is_no_defect(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_f"}}, {"toy_f": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        Plugins().hasher("toy")


@pytest.mark.parametrize(
    "code",
    [
        "from kist import hookimpl\n@hookimpl\ndef kist_make_hashr(algorithm): ...",
        "from kist import hookimpl\n@hookimpl\ndef kist_make_hasher(algorithm, extra): ...",
    ],
)
def test_misspelt_hook_is_an_error(site, code):
    site.install(
        "kist-toy", {"hashers": {"toy": "toy_g"}, "remotes": {"box": "toy_good"}}, {"toy_g": code, "toy_good": toy()}
    )
    plugins = Plugins()
    with pytest.raises(PluginBroken) as caught:
        plugins.hasher("toy")
    assert caught.value.distribution == "kist-toy"
    plugins.need("remotes", "box")


def test_foreign_exceptions_are_the_plugins_fault(site):
    code = "from kist import hookimpl\n@hookimpl\ndef kist_make_hasher(algorithm): return {}['x']"
    site.install("kist-toy", {"hashers": {"toy": "toy_h"}}, {"toy_h": code})
    with pytest.raises(PluginBroken, match="KeyError") as caught:
        Plugins().hasher("toy")
    assert caught.value.distribution == "kist-toy"


def test_errors_of_ours_pass(site):
    code = (
        "from kist import hookimpl\nfrom kist.errors import RemoteAuthError\n"
        "@hookimpl\ndef kist_open_remote(url): raise RemoteAuthError('no key')"
    )
    site.install("kist-toy", {"remotes": {"toy": "toy_i"}}, {"toy_i": code})
    with pytest.raises(RemoteAuthError):
        Plugins().open_remote(RemoteURL("toy"), Options(), RemoteScope())


@pytest.mark.parametrize("result", ["None", "'text'", "Toy('other')"])
def test_wrong_results_are_violations(site, result):
    code = toy().replace("Toy(algorithm) if algorithm.startswith('toy') else None", result)
    site.install("kist-toy", {"hashers": {"toy": "toy_j"}}, {"toy_j": code})
    plugins = Plugins()
    for _ in range(2):
        with pytest.raises(ContractViolation, match="kist-toy"):
            plugins.hasher("toy")


def test_remote_without_options_has_none(site):
    code = (
        "from kist import hookimpl\nfrom kist.remotes.memory import MemoryRemote\n"
        "@hookimpl\ndef kist_open_remote(url, options):\n    return MemoryRemote() if url.scheme == 'toy' else None"
    )
    site.install("kist-toy", {"remotes": {"toy": "toy_k"}}, {"toy_k": code})
    plugins = Plugins()
    assert plugins.remote_options("toy") is Options
    remote = plugins.open_remote(RemoteURL.parse("toy://x"), Options(), RemoteScope())
    assert isinstance(remote.inner, MemoryRemote)


def test_options_of_the_wrong_kind(site):
    code = "from kist import hookimpl\n@hookimpl\ndef kist_remote_options(scheme): return dict"
    site.install("kist-toy", {"remotes": {"toy": "toy_l"}}, {"toy_l": code})
    with pytest.raises(ContractViolation, match="subclass of Options"):
        Plugins().remote_options("toy")


def test_plugins_for_other_keys_are_not_asked(site):
    greedy = toy(condition="True")
    site.install("kist-greedy", {"hashers": {"greedy": "toy_m"}}, {"toy_m": greedy})
    site.install("kist-toy", {"hashers": {"toy": "toy_n"}}, {"toy_n": toy()})
    for order in (("greedy", "toy"), ("toy", "greedy")):
        plugins = Plugins()
        made = {name: type(plugins.hasher(name)).__module__ for name in order}
        assert made == {"greedy": "toy_m", "toy": "toy_n"}


WRAPPER = """
from kist import hookimpl
@hookimpl(wrapper=True)
def kist_make_hasher(algorithm):
    made = yield
    made.wrapped = True
    return made
"""


def test_wrapper_of_a_keyed_hook(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_o"}}, {"toy_o": toy()})
    site.install("kist-wrap", {"hooks": {"make_hasher": "toy_p"}}, {"toy_p": WRAPPER})
    assert Plugins().hasher("toy").wrapped


def test_broken_wrapper_stops_what_it_wraps(site):
    site.install("kist-toy", {"hashers": {"toy": "toy_q"}}, {"toy_q": toy()})
    site.install("kist-wrap", {"hooks": {"kist_make_hasher": "toy_r"}}, {"toy_r": "1/0"})
    with pytest.raises(PluginBroken, match="kist-wrap"):
        Plugins().hasher("toy")


LISTENER = """
from kist import hookimpl
@hookimpl
def kist_after_add(report): {body}
"""


def test_listeners_load_when_their_hook_fires(site):
    site.install("kist-a", {"hooks": {"after_add": "toy_s"}}, {"toy_s": LISTENER.format(body="report.append('s')")})
    site.install(
        "kist-b", {"hooks": {"kist_after_add": "toy_t"}}, {"toy_t": LISTENER.format(body="report.append('t')")}
    )
    plugins = Plugins()
    assert plugins.hook.kist_after_checkout(repo=None, report=None) == []
    assert "toy_s" not in sys.modules
    told = []
    plugins.hook.kist_after_add(repo=None, report=told)
    assert sorted(told) == ["s", "t"]


def test_one_broken_listener_does_not_silence_the_others(site):
    site.install("kist-a", {"hooks": {"after_add": "toy_u"}}, {"toy_u": LISTENER.format(body="raise ValueError('no')")})
    site.install("kist-b", {"hooks": {"after_add": "toy_v"}}, {"toy_v": LISTENER.format(body="return 'told'")})
    site.install("kist-c", {"hooks": {"after_add": "toy_w"}}, {"toy_w": "1/0"})
    results, errors = Plugins().collect("kist_after_add", repo=None, report=None)
    assert results == ["told"]
    assert {error.distribution for error in errors} == {"kist-a", "kist-c"}


def test_hooks_without_listeners_import_no_pluggy():
    code = (
        "import sys; from kist.plugins.registry import Plugins; from kist.plugins.index import PluginIndex\n"
        "p = Plugins(index=PluginIndex(()))\n"
        "assert p.hook.kist_after_add(repo=None, report=None) == []\n"
        "assert p.collect('kist_doctor', repo=None) == ([], [])\n"
        "print([name for name in ('pluggy', 'stevedore', 'importlib.metadata', 'email') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_hooks_of_kist_are_called():
    with pytest.raises(AttributeError, match="begin with kist_"):
        Plugins().hook.before_everything  # noqa: B018


COMMAND = """
from kist import hookimpl
@hookimpl
def kist_add_command(commands):
    commands.add("web", "toy_web_command", "browse versions")
    commands.add("undeclared", "toy_web_command", "never shown")
"""


def test_commands(site):
    site.install("kist-web", {"commands": {"web": "toy_x"}}, {"toy_x": COMMAND})
    site.install("kist-bad", {"commands": {"bad": "toy_y", "empty": "toy_x"}}, {"toy_y": "1/0"})
    plugins = Plugins()
    assert plugins.commands("web").commands == {"web": ("toy_web_command", "browse versions")}
    table = plugins.commands().commands
    assert sorted(table) == ["bad", "empty", "web"]
    assert "does not work" in table["bad"][1]
    with pytest.raises(PluginBroken):
        plugins.commands("bad")
    with pytest.raises(ContractViolation):
        plugins.commands("empty")
    with pytest.raises(PluginNotFound):
        plugins.commands("wbe")


def test_trace(site, monkeypatch, capsys):
    monkeypatch.setenv("KIST_TRACE_PLUGINS", "1")
    site.install("kist-toy", {"hashers": {"toy": "toy_z"}}, {"toy_z": toy()})
    Plugins().hasher("toy")
    told = capsys.readouterr().err
    assert "load toy_z (kist-toy) for hashers.toy" in told
    assert "hook kist_make_hasher(algorithm='toy')" in told


def test_prefer_of_something_that_is_not_there_changes_nothing():
    index = PluginIndex([Offer("hashers", "toy", "toy_1", "kist-toy", "1")])
    assert Plugins(prefer={"hashers.toy": "kist-gone"}, index=index).choose("hashers", "toy").module == "toy_1"


def test_progress_and_remote_are_what_plugins_subclass():
    assert issubclass(MemoryRemote, Remote)
    assert NullProgress().advance(1) is None


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("retries: int = option(3, help='mine')", "the name of one that every remote has"),
        ("color: str = 'red'", r"not declared with option\(\)"),
        ("colors: list = option(None, help='which')", "of type list"),
    ],
)
def test_options_that_are_declared_wrong(site, field, fault):
    code = (
        "from dataclasses import dataclass\nfrom kist import hookimpl\nfrom kist.abc import Options, option\n"
        f"@dataclass\nclass Wrong(Options):\n    {field}\n"
        "@hookimpl\ndef kist_remote_options(scheme): return Wrong\n"
    )
    site.install("kist-toy", {"remotes": {"toy": "toy_wrong"}}, {"toy_wrong": code})
    with pytest.raises(ContractViolation, match=f"kist-toy: .*{fault}"):
        Plugins().remote_options("toy")


@pytest.mark.parametrize("code", [HOOK_OF_TOMORROW, "from kist.abc import Tomorrow"])
def test_a_plugin_for_another_version_says_for_which(site, code):
    info = site.install("kist-toy", {"hashers": {"toy": "toy_later"}}, {"toy_later": code})
    with pytest.raises(PluginBroken, match="kist-toy") as caught:
        Plugins().hasher("toy")
    assert "reinstall or remove" in caught.value.hint
    assert "\n" not in str(caught.value)
    with (info / "METADATA").open("a") as file:
        file.write("Requires-Dist: kist-core[fsspec]>=7,<8; python_version >= '3'\n")
    with pytest.raises(PluginBroken, match="kist-toy") as caught:
        Plugins().hasher("toy")
    assert f"kist-core[fsspec]>=7,<8, and kist-core {VERSION} is installed" in caught.value.hint


def test_options_that_are_no_dataclass(site):
    code = """from kist import hookimpl
from kist.abc import Options, option

class Bare(Options):
    depth: int = option(3, help="how deep")

@hookimpl
def kist_remote_options(scheme): return Bare"""
    site.install("kist-toy", {"remotes": {"toy": "toy_m"}}, {"toy_m": code})
    with pytest.raises(ContractViolation, match="a dataclass"):
        Plugins().remote_options("toy")
