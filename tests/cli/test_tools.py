"""plugins, version, help, completion: what needs no repository."""

import subprocess

import pytest
from cli_support import write

from kist.cli.catalog import COMMANDS
from kist.cli.topics import TOPICS, exit_codes
from kist.util.version import VERSION


def test_plugins_are_listed_without_importing_any(kist, site):
    site.install("kist-toy", {"hashers": {"toy": "toy_raises"}}, {"toy_raises": "raise RuntimeError('imported')"})
    plugins = {one["distribution"]: one for one in kist.json("plugins").data["plugins"]}
    assert plugins["kist-toy"]["keys"] == [
        {"group": "kist.hashers", "key": "toy", "module": "toy_raises", "state": "used"}
    ]
    assert plugins["kist-core"]["version"] == VERSION
    text = kist("plugins").out
    assert "kist-toy 1.0" in text
    assert "toy" in text


def test_blocked_and_conflicting_plugins_are_told(kist, site, monkeypatch):
    for name in ("kist-one", "kist-two"):
        site.install(name, {"hashers": {"toy": "toy_x"}})
    result = kist("plugins")
    assert "plugins.prefer.hashers.toy" in result.err
    monkeypatch.setenv("KIST_PLUGINS_BLOCK", "kist-two")
    states = {
        one["distribution"]: one["keys"][0]["state"]
        for one in kist.json("plugins").data["plugins"]
        if one["distribution"] in ("kist-one", "kist-two")
    }
    assert states == {"kist-one": "used", "kist-two": "blocked"}


def test_version(kist):
    assert kist("--version").out == f"kist {VERSION}\n"
    data = kist.json("version").data
    assert data["kist"] == VERSION
    assert data["plugins"]["kist-core"] == VERSION
    assert VERSION in kist("version").out


def test_help_of_everything(kist):
    assert "usage: kist VERB" in kist("--help").out
    text = kist("help").out
    assert all(topic in text for topic in TOPICS)
    for word in COMMANDS:
        assert f"usage: kist {word}" in kist("help", word).out
        assert f"usage: kist {word}" in kist(word, "--help").out
    for topic in TOPICS:
        assert kist.json("help", topic).data["text"]
    assert "usage: kist remove" in kist("help", "rm").out


def test_help_of_nothing_names_the_nearest(kist):
    for word, meant in (("psuh", "push"), ("exit-code", "exit-codes")):
        assert kist.json("help", word, code=2).json["errors"][0]["hint"] == f"did you mean 'kist help {meant}'?"


def test_exit_codes_are_all_explained(kist):
    text = kist("help", "exit-codes").out
    assert all(f"{code:>5}  {meaning}" in text for code, meaning, _ in exit_codes())
    assert {code for code, _, _ in exit_codes()} >= {*range(14), 130}


def test_unknown_verbs_and_options_name_the_nearest(kist):
    error = kist.json("stauts", code=2).json["errors"][0]
    assert (error["class"], error["hint"]) == ("UsageError", "did you mean 'kist status'?")
    assert "--dry-run" in kist.json("add", "--dryrun", "x", code=2).json["errors"][0]["hint"]
    assert "--default" in kist("remote", "add", "--defalt", "a", "b", code=2).err
    assert "'list'" in kist("remote", "lst", code=2).err
    kist(code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(kist, shell):
    assert "kist completion" in kist("completion", shell).out
    assert kist.json("completion", shell).data["shell"] == shell


def test_completion_needs_a_shell_that_it_knows(kist):
    kist("completion", code=2)
    assert "bash" in kist("completion", "bsh", code=2).err


def complete(kist, *words, folder=None):
    return kist("completion", "--candidates=" + "\n".join(words), folder=folder).out.splitlines()


def test_candidates(shared):
    write(shared.folder, {"other/x.txt": "1"})
    shared("add", "other")
    assert complete(shared, "pu") == ["pull", "push"]
    assert "--dry-run" in complete(shared, "push", "--d")
    assert complete(shared, "push", "-r", "") == ["store"]
    assert complete(shared, "remote", "ad") == ["add"]
    assert complete(shared, "remote", "add", "--de") == ["--debug", "--default"]
    assert complete(shared, "remote", "remove", "") == ["store"]
    assert complete(shared, "remote", "modify", "store", "fs") == ["fsync"]
    assert complete(shared, "status", "") == ["data", "other"]
    assert complete(shared, "status", "data/") == ["data/a.txt", "data/sub/"]
    assert complete(shared, "checkout", "da") == ["data"]
    assert complete(shared, "status", "data/s", folder=shared.folder) == ["data/sub/"]
    assert "core.remote" in complete(shared, "config", "core.")
    assert complete(shared, "help", "exit") == ["exit-codes"]
    assert complete(shared, "trash", "re") == ["restore"]
    assert complete(shared, "add", "x") == []


def test_candidates_outside_of_a_repository(kist):
    assert complete(kist, "status", "") == []
    assert "status" in complete(kist, "")


def test_bash_completes(shared, tmp_path):
    import os
    import shutil
    import sys

    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = tmp_path / "script"
    script.write_text(shared("completion", "bash").out)
    program = tmp_path / "bin" / "kist"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kist "$@"\n')
    program.chmod(0o755)
    command = (
        f"source {script}; COMP_WORDS=(kist push -r ''); COMP_CWORD=3; _kist_complete; echo ${{COMPREPLY[@]}}; "
        "COMP_WORDS=(kist che); COMP_CWORD=1; _kist_complete; echo ${COMPREPLY[@]}"
    )
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-c", command], cwd=shared.folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["store", "checkout"], done.stderr
