"""What the tests of the command line share: running ``kist``, Git, files, damage, and the published JSON schemas."""

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kist.cli.main import main

ROOT = Path(__file__).parents[2]
SCHEMAS = json.loads((ROOT / "docs" / "reference" / "json-schemas.json").read_text())


@dataclass(frozen=True)
class Result:
    """What one run gave."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def data(self):
        return self.json["data"]

    @property
    def classes(self):
        return [error["class"] for error in self.json["errors"]]


class Kist:
    """Runs ``kist`` in this process, in a folder."""

    def __init__(self, folder, capsys, monkeypatch):
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch

    def __call__(self, *words, code=0, folder=None):
        self._monkeypatch.chdir(folder or self.folder)
        self._capsys.readouterr()
        returned = main([str(word) for word in words])
        result = Result(returned, *self._capsys.readouterr())
        assert code in (None, returned), f"kist {words} returned {returned}:\n{result.out}\n{result.err}"
        return result

    def json(self, *words, code=0, folder=None):
        """Run with ``--json`` and check the envelope against the published schema."""
        result = self(*words, "--json", code=code, folder=folder)
        check_schema(result.json)
        assert result.json["ok"] == (not result.json["errors"])
        if result.json["errors"]:
            assert result.code == max(error["exit_code"] for error in result.json["errors"])
        return result


def git(folder, *words):
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def write(folder, files):
    """Write files: path -> text, bytes, or None to delete."""
    for name, content in files.items():
        path = Path(folder, name)
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(folder):
    """Path -> content of all files below a folder."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


DATA = {"data/a.txt": "one\n", "data/sub/b.txt": "two\n", "data/sub/c.bin": bytes(range(256)) * 20}


def commit(folder, name):
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", name)
    git(folder, "tag", "-f", name)


def clone(kist, name="clone"):
    """A Git clone beside the repository."""
    target = kist.folder.parent / name
    git(kist.folder.parent, "clone", "-q", str(kist.folder), name)
    return target


def cache_of(folder):
    """The cache of a repository inside Git."""
    return Path(folder, ".git", "kist", "cache")


def stored_files(folder):
    """Files that hold objects in a cache or on a remote, the largest first."""
    found = [path for name in ("objects", "packs") for path in Path(folder, name).rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: -path.stat().st_size)


def damage(path, at=None):
    """Flip a bit of a stored file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    position = len(data) // 3 if at is None else at
    data[position] ^= 1
    path.write_bytes(data)


# ── schemas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def conforms(value, schema, where="data"):
    """What is wrong with a value by a JSON schema of the few words that ours use, as a list of sentences.

    Stricter than the standard in one thing: a property that the schema does not name is wrong.
    """
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fits = any(isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds)
    if not fits and not (isinstance(value, bool) and "boolean" in kinds):
        return [f"{where}: {value!r:.60} is not of type {kinds}"]
    if "enum" in schema and value is not None and value not in schema["enum"]:
        return [f"{where}: {value!r:.60} is not one of {schema['enum']}"]
    if isinstance(value, int) and value < schema.get("minimum", value):
        return [f"{where}: {value} is too small"]
    if isinstance(value, list) and "items" in schema:
        return [wrong for at, one in enumerate(value) for wrong in conforms(one, schema["items"], f"{where}[{at}]")]
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        known = schema.get("properties", {})
        wrong = [f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, one in value.items():
            if name in known:
                wrong += conforms(one, known[name], f"{where}.{name}")
            elif "additionalProperties" in schema:
                wrong += conforms(one, schema["additionalProperties"], f"{where}.{name}")
            else:
                wrong.append(f"{where}: {name} is not in the schema")
        return wrong
    return []


def schemas_of(verb):
    """The schemas that the data of a verb may have: one, or one for each of its sub-verbs."""
    found = [schema for name, schema in SCHEMAS["data"].items() if name.split(" ")[0] == verb]
    assert found, f"no schema is published for {verb}"
    return found


def check_schema(document):
    """Check a whole envelope.

    Raises:
        AssertionError: it does not fit what is published.
    """
    wrong = conforms(document, SCHEMAS["envelope"], "envelope")
    assert not wrong, wrong
    if document["data"] is None:
        assert document["errors"]
        return
    tried = [conforms(document["data"], schema) for schema in schemas_of(document["command"])]
    assert [] in tried, min(tried, key=len)


def make_socket(path):
    """Make a socket at a path, however long that is."""
    before = os.getcwd()
    os.chdir(path.parent)  # the name of a socket may be 107 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(before)
