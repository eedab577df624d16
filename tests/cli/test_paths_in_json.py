"""Names that are not UTF-8 in JSON: escaped, with the exact bytes beside them, wherever the schemas have a path."""

import os
from base64 import b64decode

import pytest
from cli_support import SCHEMAS, commit

NAME = b"d\xff"


@pytest.fixture
def odd(repo):
    place = os.fsencode(repo.folder) + b"/" + NAME
    os.mkdir(place)
    with open(place + b"/f\xfe", "w") as file:
        file.write("content")
    repo("add", os.fsdecode(NAME))
    commit(repo.folder, "v1")
    return repo


def declared(schema, where=""):
    """Every place in a schema where a path stands without room for its bytes."""
    if isinstance(schema, dict):
        names = schema.get("properties")
        if isinstance(names, dict) and "path" in names and "path_b64" not in names:
            yield where
        for name, one in schema.items():
            yield from declared(one, f"{where}/{name}")


def test_every_path_has_room_for_its_bytes():
    assert list(declared(SCHEMAS)) == []


def check(items, wanted=NAME):
    assert [b64decode(one["path_b64"]) for one in items] == [wanted]


def test_outputs_versions_and_errors(odd):
    name = os.fsdecode(NAME)
    check(odd.json("add", name).data["outputs"])
    check(odd.json("status").data["outputs"])
    check(odd.json("log").data["versions"])
    with open(os.path.join(odd.folder, name, os.fsdecode(b"f\xfe")), "a") as file:
        file.write("more")
    check(odd.json("status").data["changes"], NAME + b"/f\xfe")
    check(odd.json("commit", "--dry-run").data["outputs"])
    odd("checkout", "--force")
    check(odd.json("trash", "list").data["entries"], NAME + b"/f\xfe")
    check(odd.json("add", name + "/nope", code=2).json["errors"], NAME + b"/nope")
