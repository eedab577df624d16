"""Start-up: what the everyday verbs may import, and how much of the interpreter's time help and version take."""

import json
import os
import resource
import subprocess
import sys
import time

import pytest
from cli_support import write

BARRED = ("fsspec", "asyncio", "importlib.metadata", "email", "http", "ssl", "stevedore", "dataclasses")
PROBE = """
import json, sys
sys.argv = {argv!r}
before = set(sys.modules)
from kist.cli.main import main
code = main()
sys.stdout.flush()
sys.stderr.write("\\nMODULES " + json.dumps([code, sorted(set(sys.modules) - before)]))
"""


def modules_of(kist, *words):
    """Modules that one run imports beyond those of the bare interpreter."""
    probe = PROBE.format(argv=["kist", *words])
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=kist.folder, env=environment, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr.rpartition("MODULES ")[2])
    assert code == 0, done.stderr
    return modules


@pytest.fixture
def warm(tracked):
    """A repository whose plugin index is warm; the kernel's clock granularity makes it settle after some seconds."""
    write(tracked.folder, {"data/more.txt": "more"})
    tracked("plugins")
    return tracked


@pytest.mark.parametrize(
    "words", [("status",), ("add", "data"), ("checkout", "data"), ("diff",), ("status", "--json"), ("commit",)]
)
def test_everyday_verbs_import_nothing_heavy(warm, words, monkeypatch):
    modules = []
    for _ in range(2):  # the first run may have to make the plugin index
        if words[0] == "checkout":
            warm("add", "data")
        modules = modules_of(warm, *words)
    assert not [name for name in modules if any(name == bad or name.startswith(bad + ".") for bad in BARRED)]


def test_the_interpreter_looks_for_no_cycles_while_it_ends():
    begin = "import gc, sys; sys.argv = ['kist', '--version']; from kist.cli.main import main; "
    for call, is_frozen in (("main()", True), ("main(['--version'])", False)):  # a caller's process goes on
        code = f"{begin}{call}; raise SystemExit(bool(gc.get_freeze_count()) is not {is_frozen})"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_clean_status_loads_only_what_it_needs(warm):
    time.sleep(2.1)  # files that changed just now are read again
    warm("add", "data")
    for _ in range(2):
        modules = modules_of(warm, "status")
    unneeded = {
        "logging",
        "shutil",
        "subprocess",
        "kist.abc.remote",
        "kist.engine.cache.cache",
        "kist.engine.workspace.ingest",
    }
    assert not unneeded & set(modules)


@pytest.mark.parametrize("words", [("--version",), ("-V",)])
def test_version_imports_next_to_nothing(kist, words):
    modules = modules_of(kist, *words)
    ours = [name for name in modules if name.startswith("kist")]
    assert set(ours) <= {
        "kist",
        "kist.cli",
        "kist.cli.main",
        "kist.cli.catalog",
        "kist.errors",
        "kist.util",
        "kist.util.version",
    }
    assert len(modules) < 30


def test_help_imports_no_plugin_and_no_engine(kist):
    modules = modules_of(kist, "--help")
    modules = modules_of(kist, "--help")
    bad = ("kist.engine", "kist_", "yaml", "sqlite3", "hashlib", "argparse", *BARRED)
    assert not [name for name in modules if name.startswith(bad)]


def cpu(command, folder):
    """Seconds of processor time of a command, the best of several runs."""
    best = 1e9
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_version_and_help_are_cheap(kist, word):
    bare = cpu([sys.executable, "-c", "pass"], kist.folder)
    ours = cpu([sys.executable, "-m", "kist", word], kist.folder)
    assert ours - bare <= 0.040 * max(1.0, bare / 0.02)
