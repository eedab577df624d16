"""What the documentation says about this repository is true of it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kist.cli.topics import TOPICS
from kist.repo.options import KNOWN, REMOTE_OPTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CORE = ROOT / "core" / "src" / "kist"
PAGES = [
    path
    for path in sorted(DOCS.rglob("*.md"))
    if not {"_build", "changes", "example-plugin"} & set(path.relative_to(DOCS).parts)
]
EVERY_PAGE = [ROOT / "README.md", *PAGES, *sorted(ROOT.glob("plugins/*/README.md")), ROOT / "core" / "README.md"]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def anchors(text):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def first_block(text, heading):
    """The first code block of a section."""
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    match = re.search(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert match, f"'## {heading}' has a code block"
    return match[1].strip()


# ── links and paths ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found.read_text(encoding="utf-8")), target


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"^([\w/-]+)$", "".join(FENCE.findall((DOCS / "index.md").read_text())), re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES} - {"index"}
    assert {page for page in pages if not page.startswith("decisions/0")} == listed


def test_every_path_that_the_architecture_names_is_there():
    text = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    lives, _, where = text.partition("## Where do I change")
    named = re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.(?:py|toml|ini))`", lives.partition("## The life of an add")[2])
    assert len(named) > 25
    assert not [path for path in named if not (CORE / path).exists() and path != "core/src/kist"]
    named = re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|toml|ini))`", where)
    assert len(named) > 15
    assert not [path for path in named if not (ROOT / path).exists()]


def test_decisions_are_numbered_and_say_why():
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    for number, page in enumerate(pages, 1):
        text = page.read_text(encoding="utf-8")
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Choice", "Consequences"]


# ── completeness ─────────────────────────────────────────────────────────────────────────────────────────────────────


def rows(page):
    """The cells of every table row on a page, by their first cell."""
    lines = re.findall(
        r"^\| `([^`]+)` \|(.*)\|$", (DOCS / "reference" / page).read_text(encoding="utf-8"), re.MULTILINE
    )
    return {first: [cell.strip() for cell in rest.split(" | ")] for first, rest in lines}


def test_fragments_of_changes_are_named_as_the_page_says():
    """Else the changelog gives them the link of an issue that does not exist."""
    names = [path.name for path in (DOCS / "changes").glob("*/*.md")]
    assert names
    assert [name for name in names if not re.fullmatch(r"(\d+|\+[\w-]+)\.(feature|change|fix|removal)\.md", name)] == []


def test_every_setting_is_described():
    found = rows("options.md")
    remotes = {f"remote.<name>.{key}": one for key, one in REMOTE_OPTIONS.items()}
    assert set(found) == set(KNOWN) | set(remotes)
    for key, one in (KNOWN | remotes).items():
        kind, _, meaning, *rest = found[key]
        assert kind == one.kind, key
        assert meaning.startswith(one.help), key
        assert all(f"`{choice}`" in meaning for choice in one.choices or ()), key
        assert rest[-1] == ("yes" if one.tracked else ""), key
        if key in KNOWN:
            assert rest[0].strip("`") == (one.env or ""), key


def test_every_variable_is_described():
    _, text = TOPICS["environment"]
    told = set(re.findall(r"^  ([A-Z]\S+)  ", text(), re.MULTILINE))
    assert set(rows("environment.md")) == told


def test_every_variable_that_the_code_reads_is_described():
    sources = [*CORE.rglob("*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    read = {name for path in sources for name in re.findall(r"\bKIST_[A-Z]+(?:_[A-Z]+)*\b", path.read_text())}
    described = {name.partition("__")[0] for name in rows("environment.md")}
    assert read - described <= {"KIST_CONFIG"}


def test_every_method_of_repo_is_described():
    import inspect

    from kist import Repo

    page = (DOCS / "reference" / "python-api.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(?:Repo\.)?(\w+)\(([^`]*)\)` \|", page, re.MULTILINE))
    methods = {
        name: one
        for name in vars(Repo)
        if not name.startswith("_") and callable(one := getattr(Repo, name)) and not isinstance(one, property)
    }
    assert set(table) == set(methods)
    for name, method in methods.items():
        told = [word.strip() for word in table[name].split(",") if word.strip() not in ("", "*")]
        assert told == [one for one in inspect.signature(method).parameters if one != "self"], name


def test_words_are_explained():
    page = (DOCS / "explanation" / "concepts.md").read_text(encoding="utf-8")
    for word in ("repository", "workspace", "tracked output", "metafile", "manifest", "cache", "remote", "link type"):
        assert re.search(rf"^\| {word}", page, re.MULTILINE), word


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_readme_has_both_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    umbrella = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    comes = {re.split(r"[^a-z0-9-]", one)[0] for one in umbrella["dependencies"]}
    plugins = {f"kist-{path.parent.name}": path.parent for path in ROOT.glob("plugins/*/pyproject.toml")}
    # What the umbrella brings, and no provider's client: that is for who wants it. Tests want all there is.
    wanted = {"Quick start": comes & set(plugins), "Tests": set(plugins)}
    for heading, end in (("Quick start", "kist demo"), ("Tests", "pytest")):
        block = first_block(text, heading)
        assert "\n" not in block, f"'## {heading}' is one command"
        assert end in block.rpartition("&&")[2]
        assert "./core" in block
        assert set(re.findall(r"\./(plugins/[a-z0-9]+)", block)) == {name_of(plugins[one]) for one in wanted[heading]}


def test_readme_shows_every_kind_of_plugin_and_every_plugin():
    from kist import hookspecs, testing
    from kist.plugins.index import GROUPS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^\| ([\w ]+) \| (.*) \| `(kist_\w+)` \| `kist\.(\w+)` \| (.*) \| \[", text, re.MULTILINE)
    assert {group for *_, group, _ in kinds} == set(GROUPS) - {"hooks", "known"}
    for _, _, hook, _, contracts in kinds:
        assert hasattr(hookspecs, hook)
        assert set(re.findall(r"\w+", contracts)) <= set(testing.__all__)
    for path in ROOT.glob("plugins/*/pyproject.toml"):
        assert f"| `kist-{path.parent.name}` |" in text


def test_ci_runs_the_command_of_the_readme(tmp_path):
    script = (ROOT / ".ci" / "run").read_text()
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text(script)
    (tmp_path / "tests" / "servers").mkdir(parents=True)
    (tmp_path / "tests" / "servers" / "install.sh").write_text("echo installed\n")
    (tmp_path / "README.md").write_text(
        "# x\n\n```sh\nexit 1\n```\n\n## Tests\n\n```sh\n[[ $KIST_REQUIRE_SERVERS = 1 ]]; echo '== 2 passed in 1s =='; exit 7\n```\n\n```sh\nexit 2\n```\n"
    )
    done = subprocess.run(["bash", tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines()[-1] == "== 2 passed in 1s =="


def test_tox_knows_every_plugin_and_the_page_every_environment():
    from configparser import ConfigParser

    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    (factor,) = re.findall(r"^plugin-\{([\w,]+)\}$", tox["tox"]["env_list"], re.MULTILINE)
    assert set(factor.split(",")) == plugins
    page = (DOCS / "contributing.md").read_text(encoding="utf-8")
    names = {name for name in re.findall(r"^\w+$", tox["tox"]["env_list"], re.MULTILINE) if not name.startswith("py3")}
    names |= {section.removeprefix("testenv:") for section in tox.sections() if ":" in section}
    for name in names | {f"plugin-{plugin}" for plugin in plugins}:
        assert f"`{name}`" in page, name


def test_lowest_versions_are_the_declared_ones():
    def parsed(lines, between):
        found = (line.partition("#")[0].strip().partition(between) for line in lines)
        return {name.lower(): version for name, _, version in found if version}

    declared = {}
    for path in [ROOT / "core" / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        project = tomllib.loads(path.read_text())["project"]
        extras = project.get("optional-dependencies", {}).values()
        everything = [*project["dependencies"], *(one for extra in extras for one in extra)]
        declared |= parsed([one for one in everything if not one.startswith("kist-")], ">=")
    lowest = parsed((ROOT / "tests" / "lowest.txt").read_text().splitlines(), "==")
    assert set(lowest) == set(declared)
    for name, version in declared.items():
        assert lowest[name] == version or re.sub(r"(\.0)+$", "", lowest[name]) == re.sub(r"(\.0)+$", "", version), name


@pytest.mark.parametrize("page", ["first-repo.md", "share-data.md"])
def test_tutorials_work_as_they_are_written(page, tmp_path):
    """Runs every line that starts with ``$``, in one shell that ends with the first that fails."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (DOCS / "tutorial" / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) > 10
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kist").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kist "$@"\n')
    (tools / "kist").chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "kist",
        "GIT_AUTHOR_EMAIL": "kist@example.invalid",
        "GIT_COMMITTER_NAME": "kist",
        "GIT_COMMITTER_EMAIL": "kist@example.invalid",
        "KIST_SYSTEM_CONFIG": str(home / "system.yaml"),
        "PYTHONWARNINGS": "error",
    }
    folder = tmp_path / "here"
    folder.mkdir()
    script = "set -eux\n" + "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


LINES = ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2", "3.3", "3.4",
         "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "5", "6"]  # fmt: skip
"""The promises that integrity.md makes."""


def test_every_promise_names_its_tests():
    page = (DOCS / "explanation" / "integrity.md").read_text(encoding="utf-8")
    table = page.partition("## What is promised, and how it is tested\n")[2].partition("\n## ")[0]
    promised = re.findall(r"^\| ([\d.]+) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert [number for number, _, _ in promised] == LINES
    for number, _, named in promised:
        mark, marked = f"def test_{number.replace('.', '_')}_", 0
        for test in re.findall(r"`([^`]+)`", named):
            file, *names = test.split("::")
            text = (ROOT / file).read_text(encoding="utf-8")
            assert all(re.search(rf"(def|class) {name}\b", text) for name in names), test
            marked += f"def {names[-1]}_".startswith(mark) if names else mark in text
        assert marked, f"no test of line {number} has its number in its name"
