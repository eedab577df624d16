"""Opening a repository runs nothing out of it: no module, plugin, hook, helper or pager, whatever its files are called."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from cli_support import clone, commit, git, write
from hostile_support import Traps

from kist.repo.options import KNOWN, REMOTE_OPTIONS
from kist.util.yaml_edit import Document

PLANTED = ["yaml", "pluggy", "stevedore", "pathspec", "kist_local", "kist_blake3", "blake3", "evil", "conftest",
           "sitecustomize", "usercustomize", "boto3", "fsspec"]  # fmt: skip
"""Modules that kist or its plugins import, beside those of the standard library."""
VERBS = [("status",), ("add", "data"), ("push",), ("plugins",), ("doctor",), ("--help",), ("evil",)]
PROGRAM = str(Path(sys.executable).with_name("kist"))


@pytest.fixture
def victim(shared, tmp_path):
    """A clone with every name planted that an import could ask for, and a distribution that claims every plugin."""
    traps = Traps(tmp_path)
    traps.set(shared.folder, sorted({*sys.stdlib_module_names, *PLANTED} - {"__main__"}))
    write(shared.folder, {"kist.py": traps.code("kist"), "kist/__init__.py": traps.code("kist")})
    entries = "".join(
        f"[kist.{group}]\n{''.join(f'{key} = evil' + chr(10) for key in keys)}"
        for group, keys in {
            "remotes": ("file", "s3"), "hashers": ("blake3", "sha256"), "commands": ("evil", "status"), "kernels": ("evil",),
            "hooks": ("kist_after_add", "kist_before_transfer", "kist_doctor"), "links": ("copy",), "dialects": (".kist",),
        }.items()
    )  # fmt: skip
    for kind in ("dist-info", "egg-info"):
        write(
            shared.folder,
            {
                f"kist_evil-9.{kind}/METADATA": "Metadata-Version: 2.1\nName: kist-evil\nVersion: 9\n",
                f"kist_evil-9.{kind}/PKG-INFO": "Metadata-Version: 2.1\nName: kist-evil\nVersion: 9\n",
                f"kist_evil-9.{kind}/entry_points.txt": entries,
            },
        )
    write(
        shared.folder,
        {"evil.pth": "import evil\n", "pyvenv.cfg": "home = .\n", ".kist/plugins/evil.py": traps.code("kist plugin")},
    )
    (shared.folder / ".kist" / "evil.py").write_text(traps.code("kist plugin"))
    commit(shared.folder, "planted")
    shared.victim, shared.traps = clone(shared), traps
    write(shared.victim, {"data/sub/new.bin": os.urandom(5000)})
    return shared


def run(victim, *command):
    return subprocess.run(
        command, cwd=victim.victim, env={**os.environ, "KIST_JOBS": "2"}, capture_output=True, check=False
    )


def test_4_3_kist_imports_nothing_from_the_folder_it_works_in(victim, tried):
    for words in tried(VERBS):
        done = run(victim, PROGRAM, *words)
        assert done.returncode in (0, 2, 6, 8), done
    assert victim.traps.sprung == []


def before_the_first_line_of_kist():
    """Modules that the interpreter imports for ``-m`` before any line of kist can be run, and for its first lines."""
    probe = "import runpy, typing, __future__, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", probe], capture_output=True, text=True, check=True)
    return {*done.stdout.split(), "kist"}


def test_4_3_python_m_kist_imports_nothing_from_there_once_it_runs(victim, tried):
    """A ``kist.py``, or what the interpreter itself imports for ``-m``, is beyond our reach, as the documentation says."""
    for name in before_the_first_line_of_kist():
        (victim.victim / f"{name}.py").unlink(missing_ok=True)
    (victim.victim / "kist" / "__init__.py").unlink()
    for words in tried(VERBS):
        done = run(victim, sys.executable, "-m", "kist", *words)
        assert done.returncode in (0, 2, 6, 8), done
    assert victim.traps.sprung == []


def test_4_3_python_p_m_kist_is_as_safe_as_kist(victim, tried):
    for words in tried(VERBS[:2]):
        run(victim, sys.executable, "-P", "-m", "kist", *words)
    assert victim.traps.sprung == []
    run(victim, sys.executable, "-m", "kist", "status")
    assert victim.traps.sprung, (
        "the traps work, and python -m without -P still springs them: the documentation warns of it"
    )


# ── Git ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_4_3_no_helper_of_git_runs(shared, tmp_path):
    """Settings that name programs, in a configuration of Git's that somebody else wrote, and attributes that ask for them."""
    proof = tmp_path / "proof"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho ran >> {proof}\ncat\n")
    script.chmod(0o755)
    write(
        shared.folder,
        {".gitattributes": "* filter=evil diff=evil merge=evil textconv=evil\n*.kist filter=evil diff=evil\n"},
    )
    commit(shared.folder, "attributes")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(script.read_text())
        (hooks / name).chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "diff.external", "core.askPass", "pager.log",
                "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
                "gpg.program", "credential.helper", "uploadpack.packObjectsHook", "core.alternateRefsCommand"):  # fmt: skip
        git(shared.folder, "config", key, str(script))
    git(shared.folder, "config", "core.hooksPath", str(hooks))
    git(shared.folder, "config", "log.showSignature", "true")
    for words in (("status",), ("diff", "v1"), ("checkout", "--rev", "v1"), ("gc", "--dry-run"), ("verify",), ("push", "--all-commits"),
                  ("doctor",), ("add", "data"), ("commit",), ("list", "--rev", "v1"), ("fetch", "--all-commits")):  # fmt: skip
        shared(*words, code=None)
    assert not proof.exists(), proof.read_text()


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_EVIL = {"int": 7, "bool": True, "size": "7", "duration": "7 s", "list": ["evil"], "map": {"remotes": {"file": "evil"}}}


def evil_value(known):
    return known.choices[-1] if known.choices else _EVIL.get(known.kind, "evil")


def test_4_3_a_setting_that_could_run_or_reach_something_does_not_count_in_a_clone(tracked, tried):
    file = tracked.folder / ".kist" / "config.yaml"
    sound = file.read_text()
    listed = tracked("config", "--list").out
    dangerous = [known for known in KNOWN.values() if not known.tracked]
    assert {
        "core.kernel",
        "core.executor",
        "cache.dir",
        "plugins.prefer",
        "plugins.block",
        "safe.directory",
        "core.fsync",
    } <= {known.key for known in dangerous}
    for known in tried(dangerous):
        file.write_text(sound)
        section, name = known.key.split(".")
        document = Document(file.read_bytes(), max_size=1 << 20)
        document.set((section, name), evil_value(known))
        file.write_bytes(document.dump())
        result = tracked("status")
        assert known.key in result.err
        assert "ignored" in result.err
        assert tracked("config", "--list").out == listed


@pytest.mark.parametrize("scheme", ["file", "s3", "ssh", "az", "gdrive"])
def test_4_3_an_option_of_a_remote_counts_in_a_clone_only_where_it_is_harmless(tracked, tried, scheme):
    from kist.repo.config import Config
    from kist.repo.context import RepoContext

    context = RepoContext.find(tracked.folder, settings={})
    kind = context.plugins.remote_options(scheme)
    private = [one for one in fields(kind) if not one.metadata.get("shared")]
    assert not [one.name for one in fields(kind) if one.metadata.get("shared") and one.metadata.get("secret")]
    file = tracked.folder / ".kist" / "config.yaml"
    sound = file.read_text()
    for one in tried(private):
        file.write_text(f"{sound}remote:\n  store:\n    url: {scheme}://x\n    {one.name}: evil\n")
        config = Config.load(context.place)
        assert set(config.trusted_options("store", kind)) <= {"url", *REMOTE_OPTIONS}
        assert any(one.name in warning for warning in config.warnings)


def test_4_3_an_address_runs_nothing(tracked, tmp_path, tried):
    proof = tmp_path / "proof"
    addresses = [
        f"ssh://-oProxyCommand=touch%20{proof}/x", f"ssh://user@-oProxyCommand=touch%20{proof}/x", f"ssh://$(touch {proof})/x",
        f"ssh://`touch {proof}`/x", f"ssh://-l@host/$(touch {proof})", f"ext::touch {proof}", f"file:///;touch {proof}",
        f"ssh://127.0.0.1:1/;touch {proof}", f"ssh://a;touch {proof}@127.0.0.1:1/x", f"!touch {proof}", f"evil+ssh://x/{proof}",
    ]  # fmt: skip
    file = tracked.folder / ".kist" / "config.yaml"
    sound = file.read_text()
    for address in tried(addresses):
        file.write_text(f"{sound}remote:\n  store:\n    url: '{address}'\n    retries: 0\ncore:\n  remote: store\n")
        for verb in ("pull", "push"):
            failed = tracked(verb, code=None)
            assert failed.code, (address, failed)
        tracked("remote", "list", code=None)
    assert not proof.exists()
