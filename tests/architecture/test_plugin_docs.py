"""What authors of plugins read agrees with the code."""

import inspect
import re
import tomllib

from kist import hookspecs
from kist.plugins.index import GROUPS


def fields(kind):
    return inspect.signature(kind).parameters.values()


def words(text):
    return re.sub(r"\s+", " ", text.replace("`", "")).strip().lower()


def hooks():
    return {name: one for name, one in vars(hookspecs).items() if name.startswith("kist_")}


def sections(function):
    """The parts of a hook's docstring by their headings."""
    text = inspect.getdoc(function)
    found = dict(re.findall(r"^(Args|Returns|Raises|Example):\n((?:    .*\n?)+)", text, re.MULTILINE))
    match = re.search(r"Called: (.+?)\.? Selection: (first|all)\b", re.sub(r"\s+", " ", text))
    assert match, f"{function.__name__}: the docstring says when it is called, and which results count"
    return found | {"Called": match[1], "Selection": match[2]}


def test_specs_are_complete():
    for name, function in hooks().items():
        found = sections(function)
        assert set(found) == {"Called", "Selection", "Args", "Returns", "Raises", "Example"}, name
        documented = re.findall(r"^    (\w+):", found["Args"], re.MULTILINE)
        assert documented == list(inspect.signature(function).parameters), name
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty
        assert function.kist_spec["firstresult"] == (found["Selection"] == "first"), name


def test_reference_has_every_hook(root):
    page = (root / "docs" / "reference" / "hooks.md").read_text()
    parts = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(parts) == set(hooks())
    for name, function in hooks().items():
        signature = str(inspect.signature(function)).replace("'", "")
        assert f"def {name}{signature}\n" in parts[name], f"{name}: the signature differs"
        text = words(parts[name].replace("- **", " ").replace(":**", ":"))
        found = sections(function)
        for heading in ("Called", "Selection", "Returns", "Example"):
            assert words(f"{heading}: {found[heading]}").rstrip(".") in text, f"{name}: {heading} differs"
        for heading in ("Args", "Raises"):
            for one, meaning in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", found[heading], re.MULTILINE):
                assert words(f"{one}: {meaning}") in text, f"{name}: {one} differs"


def test_kinds_are_all_described(root):
    page = (root / "docs" / "reference" / "plugin-kinds.md").read_text()
    for group in GROUPS:
        assert f"`kist.{group}`" in page or f'"kist.{group}"' in page, group
    for name in hooks():
        if name.startswith(("kist_make_", "kist_open_", "kist_remote_", "kist_add_command")):
            assert f"`{name}`" in page, name
    from kist import testing

    for contract in (name for name in testing.__all__ if name.endswith("Contract")):
        assert f"`{contract}`" in page, contract


def test_a_remote_can_be_written_from_its_section(root):
    from kist.abc import Capabilities, Remote, RemoteScope, RemoteURL

    section = (root / "docs" / "reference" / "plugin-kinds.md").read_text().partition("\n## Remote\n")[2]
    section = section.partition("\n## ")[0]
    for name in (name for name in vars(Remote) if not name.startswith("_") and name != "capabilities"):
        assert f"`{name}(" in section, name
    for name in Remote.__abstractmethods__:
        arguments = str(inspect.signature(getattr(Remote, name), eval_str=False)).partition(" ->")[0]
        plain = re.sub(r": '[^']*'( = )?", lambda found: "=" if found[1] else "", arguments).replace("(self, ", "(")
        plain = re.sub(r"<kist\.abc\.progress\.NullProgress object at \w+>", "NullProgress()", plain)
        assert f"`{name}{plain}`".replace("'", '"').replace("(self)", "()") in section, (name, plain)
    for one in (one for kind in (Capabilities, RemoteURL, RemoteScope) for one in fields(kind)):
        assert f"`{one.name}`" in section, one.name
    for one in fields(Capabilities):
        assert f"| `{one.name}` | `{one.default!r}` |" in section, one.name


def test_tutorial_shows_the_example_as_it_is(root):
    folder = root / "docs" / "tutorial" / "example-plugin"
    page = (root / "docs" / "tutorial" / "write-a-remote.md").read_text()
    shown = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    files = [*folder.glob("src/*/*.py"), *folder.glob("tests/test_*.py"), folder / "pyproject.toml"]
    assert set(shown) == {path.relative_to(folder).as_posix() for path in files}
    for path in files:
        assert shown[path.relative_to(folder).as_posix()] == path.read_text(), path


def test_example_entry_points_are_those_of_the_kinds(root):
    settings = tomllib.loads((root / "docs" / "tutorial" / "example-plugin" / "pyproject.toml").read_text())
    assert set(settings["project"]["entry-points"]) == {"kist.remotes", "kist.hashers"}
