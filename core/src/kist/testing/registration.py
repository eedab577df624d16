"""RegistrationContract: a plugin is found under its key, is cheap to import, and answers for nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module

from kist.abc import Options
from kist.abc.options import declared_options
from kist.errors import PluginNotFound
from kist.plugins.index import normal, scan
from kist.plugins.registry import Plugins
from kist.testing.base import ContractBase

IMPORT_BUDGET = 0.050
"""Seconds of CPU that importing a hook module may take, beside kist and pluggy themselves."""

HEAVY = frozenset({"asyncio", "email", "http", "importlib.metadata", "multiprocessing", "sqlite3", "ssl", "stevedore"})
"""Modules of the standard library (and stevedore) that a hook module leaves to the first use of what it makes."""

_MAKERS = {
    "hashers": "kist_make_hasher",
    "links": "kist_make_link_type",
    "metafiles": "kist_make_metafile_format",
    "dialects": "kist_make_dialect",
    "kernels": "kist_make_kernel",
    "remotes": "kist_remote_options",
}

_PROBE = """
import sys
import kist.hookspecs
from kist import hookimpl
from time import process_time
before = set(sys.modules)
start = process_time()
__import__(sys.argv[1])
print(process_time() - start)
print(*sorted(set(sys.modules) - before))
"""


def assert_registered(group: str, key: str, module: str, distribution: str | None = None) -> None:
    """Check that an installed distribution brings a key.

    Args:
        group: entry-point group without ``kist.``, such as ``remotes``.
        key: the entry point's name.
        module: the module that it must name.
        distribution: who must bring it; None for anybody.
    """
    offers = [one for one in scan() if (one.group, one.key) == (group, key)]
    assert offers, f'no installed distribution has the entry point {key!r} in the group "kist.{group}"'
    found = [one for one in offers if one.module == module]
    assert found, f"{group}.{key} names {offers[0].module}, not {module}"
    if distribution is not None:
        assert normal(distribution) in {normal(one.distribution) for one in found}


@cache
def import_cost(module: str) -> tuple[float, frozenset[str]]:
    """What importing a module costs in a fresh interpreter, beside kist's hook specs.

    Args:
        module: its dotted name.

    Returns:
        Seconds of CPU, the least of three, and the names of the modules that came with it.
    """
    times = []
    names: frozenset[str] = frozenset()
    for _ in range(3):
        command = [sys.executable, "-c", _PROBE, module]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"importing {module} fails:\n{done.stderr}"
        seconds, loaded = done.stdout.splitlines()[-2:]
        times.append(float(seconds))
        names = frozenset(loaded.split())
    return min(times), names


def assert_light(module: str, budget: float = IMPORT_BUDGET) -> None:
    """Check that importing a hook module brings nothing of a third party, nothing heavy, and takes little time.

    Args:
        module: its dotted name.
        budget: seconds of CPU.
    """
    seconds, names = import_cost(module)
    own = {module.partition(".")[0], "kist", "pluggy"}
    foreign = {name for name in names if name.partition(".")[0] not in own | sys.stdlib_module_names}
    assert not foreign, f"importing {module} brings {', '.join(sorted(foreign))}: import it where it is first used"
    heavy = names & HEAVY
    assert not heavy, f"importing {module} brings {', '.join(sorted(heavy))}: import it where it is first used"
    assert seconds <= budget, f"importing {module} takes {seconds:.3f} s"


class RegistrationContract(ContractBase):
    """Subclass it as ``Test…`` and set three attributes; the distribution must be installed.

    Attributes:
        group: entry-point group without ``kist.``, such as ``remotes``.
        key: the entry point's name, such as the URL scheme.
        module: the module that it names.
    """

    __test__ = False

    group: str
    key: str
    module: str

    def test_is_installed_under_its_key(self) -> None:
        """The entry point is in the group and names the module of the hooks."""
        assert_registered(self.group, self.key, self.module)

    def test_is_light_to_import(self) -> None:
        """Importing the hook module brings no SDK, nothing heavy, and takes a few milliseconds."""
        assert_light(self.module)

    def test_registers(self) -> None:
        """Every hook implementation has the name and the arguments of a hook that exists."""
        Plugins().need(self.group, self.key)

    def test_answers_for_nobody_else(self) -> None:
        """The hook that makes gives None for a key that is not this plugin's."""
        maker = getattr(import_module(self.module), _MAKERS.get(self.group, ""), None)
        if maker is not None:
            assert maker("kist-of-nobody") is None

    def test_makes_what_the_key_names(self) -> None:
        """The core gets an object that keeps the types of its contract."""
        plugins = Plugins()
        makers: dict[str, Callable[[str], object]] = {
            "hashers": plugins.hasher,
            "links": plugins.link_type,
            "metafiles": plugins.metafile_format,
            "dialects": plugins.dialect,
            "kernels": plugins.kernel,
            "remotes": plugins.remote_options,
            "commands": plugins.commands,
            "executors": lambda name: plugins.executor(name, 1),
        }
        if self.group in makers:
            assert makers[self.group](self.key) is not None

    def test_options_are_documented(self) -> None:
        """Every option of a remote has a sentence of help."""
        if self.group == "remotes":
            options = Plugins().remote_options(self.key)
            assert issubclass(options, Options)
            for one in declared_options(options):
                assert str(one.metadata.get("help", "")).strip(), f"the option '{one.name}' has no help"

    def test_can_be_blocked(self) -> None:
        """A plugin that configuration blocks is not found, and the rest of kist works on."""
        plugins = Plugins(block={f"{self.group}.{self.key}"})
        try:
            plugins.need(self.group, self.key)
        except PluginNotFound:
            return
        assert self.group == "hooks", "a blocked plugin was loaded"
