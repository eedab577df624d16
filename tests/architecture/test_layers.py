"""Who may import whom, where third-party modules live, and how large things may be."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

HOMES = {
    "fsspec": ("kist.remotes.fsspec", "kist.filesystem"),
    "yaml": ("kist.util.yaml12",),
    "stevedore": ("kist.plugins",),
    "importlib.metadata": ("kist.plugins",),
    "pluggy": ("kist.plugins", "kist.hookspecs", "kist.__init__"),
    # What declares options; all else is slotted, which is made in a fiftieth of the time.
    "dataclasses": (
        "kist.abc.options",
        "kist.operations.remote_options",
        "kist.plugins.registry",
        "kist.remotes.fsspec",
        "kist.testing.mutants.registration",
    ),
    "argparse": ("kist.cli", "kist.testing.command", "kist.testing.mutants.command"),
    # Git; fresh interpreters for import checks; the steps of the demonstration.
    "subprocess": (
        "kist.repo.git_program",
        "kist.repo.git_objects",
        "kist.testing.registration",
        "kist.cli.commands.demo",
    ),
}

PUBLIC = ("kist.abc", "kist.model", "kist.errors", "kist.remotes", "kist.kit")
"""What plugins may import, beside names of kist itself."""

PROVIDERS = re.compile(
    r"(?<![a-z0-9])(s3|s3fs|aws|amazon|boto3?|botocore|minio|azure|az|abfs|adlfs|gdrive|gdrivefs|pydrive2?|gcs|gcsfs|gs|"
    r"google|dropbox|ssh|sftp|sshfs|paramiko|asyncssh|webdav|hdfs|oss)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Names of storage providers and of their clients, as whole words."""

DOCUMENTED = {("os", "_exit")}
"""Names that begin with an underscore and yet are documented."""


def layers(root):
    """The contract's layers, the highest first, as lists of siblings."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [[name.strip(" ()") for name in line.split("|")] for line in contract["layers"]]


def test_layers_hold(root):
    # A process of its own: it configures logging anew, which silences the loggers of whatever ran here before.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_make_no_exceptions(root):
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [contract["containers"] for contract in contracts] == [["kist"], ["kist.engine"]]
    for contract in contracts:
        assert contract["exhaustive"]
        assert not {"ignore_imports", "exhaustive_ignores"} & set(contract)


def is_in(name, homes):
    return any(name == home or name.startswith(f"{home}.") for home in homes)


@pytest.mark.parametrize("package", HOMES)
def test_restricted_imports_stay_home(core, package):
    found = []
    for module in core:
        name = "kist.__init__" if module.name == "kist" else module.name
        for imported, names, line in module.imports():
            wanted = {imported, *(f"{imported}.{one}" for one in names)}
            if any(is_in(one, [package]) for one in wanted) and not is_in(name, HOMES[package]):
                found.append(f"{module.path}:{line}")
    assert not found


def test_third_parties_are_the_declared_ones(core, root):
    settings = tomllib.loads((root / "core" / "pyproject.toml").read_text())["project"]
    required = settings["dependencies"] + [one for extra in settings["optional-dependencies"].values() for one in extra]
    names = {re.split(r"[^A-Za-z0-9-]", one)[0].lower() for one in required}
    modules = {"yaml" if name == "pyyaml" else name for name in names} | {"kist"} | sys.stdlib_module_names
    found = {
        f"{module.path}:{line}: {imported}"
        for module in core
        for imported, _, line in module.imports()
        if imported.partition(".")[0] not in modules
    }
    assert not found


def test_no_provider_is_named_in_the_core(root):
    found = []
    for path in sorted((root / "core").rglob("*")):
        if path.suffix not in {".py", ".md", ".toml", ".typed"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{path}:{number}: {match[1]}" for match in PROVIDERS.finditer(line)]
    assert not found


def test_plugins_import_only_what_is_public(plugins):
    found = []
    for module in plugins:
        own = module.name.partition(".")[0]
        for imported, names, line in module.imports():
            package = imported.partition(".")[0]
            if package == "kist":
                fine = is_in(imported, PUBLIC) or (
                    imported == "kist" and set(names) <= {"hookimpl", "Digest", "errors"}
                )
            else:
                fine = package == own or not package.startswith("kist_")
            if not fine:
                found.append(f"{module.path}:{line}: {imported}")
    assert not found


def test_no_private_names_of_others(core, plugins):
    found = []
    for module in [*core, *plugins]:
        imported = {}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                imported |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        for name, names, line in module.imports():
            private = [one for one in (*name.split("."), *names) if is_private(one)]
            found += [f"{module.path}:{line}: {one} of {name}" for one in private]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                pair = (imported[node.value.id], node.attr)
                if is_private(node.attr) and pair not in DOCUMENTED:
                    found.append(f"{module.path}:{node.lineno}: {'.'.join(pair)}")
    assert not found


def is_private(name):
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def test_files_are_short(core, plugins):
    lengths = {str(module.path): module.text.count("\n") for module in [*core, *plugins]}
    assert not {path: length for path, length in lengths.items() if length > 400}


def functions(module):
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length_of(function):
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_functions_are_short(core, plugins):
    found = {
        f"{module.path}:{one.lineno} {one.name}": length_of(one)
        for module in [*core, *plugins]
        for one in functions(module)
        if length_of(one) > 50
    }
    assert not found


def test_functions_take_few_arguments(core, plugins):
    found = []
    for module in [*core, *plugins]:
        for one in functions(module):
            given = one.args
            names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            if len([name for name in names if name not in ("self", "cls")]) > 6:
                found.append(f"{module.path}:{one.lineno} {one.name}")
    assert not found


def test_classes_have_few_public_methods(core, plugins):
    found = {}
    for module in [*core, *plugins]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name != "Repo" and not node.name.endswith(("Contract", "Tests")):
                methods = [
                    one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")
                ]
                called = [
                    one for one in methods if not any("property" in ast.dump(mark) for mark in one.decorator_list)
                ]
                if len(called) > 15:
                    found[f"{module.path}: {node.name}"] = len(called)
    assert not found


def test_complexity_is_never_excused(core, plugins):
    excuse = re.compile(r"noqa:.*\b(C901|PLR09\d\d|PLR0911|PLR1702)\b|noqa\s*$", re.IGNORECASE)
    found = [
        f"{module.path}:{number}"
        for module in [*core, *plugins]
        for number, line in enumerate(module.text.splitlines(), 1)
        if excuse.search(line)
    ]
    assert not found


def test_packages_state_their_layer(core, root):
    order = layers(root)
    place = {name: len(order) - position for position, siblings in enumerate(order) for name in siblings}
    stated = {}
    for module in core:
        if module.path.name == "__init__.py" and module.name.count(".") == 1:
            text = ast.get_docstring(module.tree) or ""
            match = re.match(r"Layer (\d+): .*?; may import (.+?)\.(\s|$)", text, re.DOTALL)
            assert match, f"{module.path}: the docstring begins 'Layer N: what it is; may import …'"
            package = module.name.removeprefix("kist.")
            stated[package] = int(match[1])
            for other in re.findall(r"kist\.(\w+)", match[2]):
                assert place[other] < place[package], f"{module.path}: {other} is not below"
    for one, number in stated.items():
        for other, second in stated.items():
            assert (number > second) == (place[one] > place[other]), (
                f"{one} and {other} state other layers than the contract"
            )
