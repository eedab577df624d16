"""What a plugin's remote answers is looked at once, at the border."""

import pytest

from kist.abc import Capabilities, ObjectInfo
from kist.errors import ContractViolation, RemoteObjectNotFound
from kist.plugins.checked_remote import CheckedRemote
from kist.remotes.memory import MemoryRemote
from kist.remotes.wrapping import has_own


def answering(method, answer):
    """A remote of which one method always gives the same."""
    return type("Odd", (MemoryRemote,), {method: lambda *_, **__: answer})()


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("stat", ["a"], ObjectInfo("a", "1")),
        ("stat", ["a"], ObjectInfo("a", 1, mtime="yesterday")),
        ("stat", ["a"], ObjectInfo(b"a", 1)),
        ("open", ["a"], "/tmp/a"),
        ("exists_many", [["a"]], None),
        ("exists_many", [["a", "b"]], {"a": True}),
        ("get_many", [[]], None),
        ("put_many", [[]], None),
        ("put_many", [[]], {"a": "it did not work"}),
        ("delete_many", [["a"]], ["a"]),
        ("describe_access", [], [("only one",)]),
        ("identity", [], None),
        ("sweep", [], None),
    ],
)
def test_another_kind_of_answer_is_the_distributions_defect(method, arguments, answer):
    remote = CheckedRemote(answering(method, answer), "kist-odd")
    with pytest.raises(ContractViolation, match=rf"^kist-odd: Odd\.{method} gave .*, not "):
        getattr(remote, method)(*arguments)


@pytest.mark.parametrize("capabilities", [None, Capabilities(max_concurrency=0), Capabilities(max_object_size="1G")])
def test_capabilities_are_looked_at_when_it_is_opened(capabilities):
    remote = MemoryRemote()
    remote.capabilities = capabilities
    with pytest.raises(ContractViolation, match=r"kist-odd: MemoryRemote\.capabilities gave"):
        CheckedRemote(remote, "kist-odd")


def test_a_file_that_did_not_come(tmp_path):
    remote = CheckedRemote(answering("get_file", None), "kist-odd")
    with pytest.raises(ContractViolation, match=r"Odd\.get_file of a returned without its file"):
        remote.get_file("a", tmp_path / "a")


class Pieces:
    """A stream that knows no more than reading."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.closed = False

    def read(self, size=-1):
        return self.pieces.pop(0)

    def close(self):
        self.closed = True


@pytest.mark.parametrize("piece", [None, "text", b"more than four"])
def test_a_stream_that_gives_something_else(piece):
    with CheckedRemote(answering("open", Pieces(b"good", piece)), "kist-odd").open("a") as stream:
        assert stream.read(4) == b"good"
        with pytest.raises(ContractViolation, match=r"kist-odd: Odd\.open gave"):
            stream.read(4)


def test_right_answers_pass(tmp_path):
    remote = CheckedRemote(MemoryRemote(), "kist-odd")
    remote.put_bytes("a", b"1")
    assert remote.stat("a").size == 1
    assert [info.key for info in remote.list()] == ["a"]
    assert remote.exists_many(["a", "b"]) == {"a": True, "b": False}
    remote.get_file("a", tmp_path / "a")
    assert remote.get_many([("b", tmp_path / "b")])["b"].key == "b"
    assert remote.put_many([("c", tmp_path / "a")]) == {}
    assert remote.open("c").read() == b"1"
    assert (remote.identity(), remote.describe_access(), remote.sweep()) == ("", [], 0)
    remote.copy("a", "d")
    assert remote.delete_many(["a", "c"]) == {}
    with pytest.raises(RemoteObjectNotFound):
        remote.stat("a")
    plain = Pieces(b"x", b"")
    with CheckedRemote(answering("open", plain), "kist-odd").open("a") as stream:
        assert stream.readable()
        assert stream.read() == b"x"
    assert plain.closed


def test_what_the_remote_has_of_its_own_is_still_known():
    assert has_own(CheckedRemote(MemoryRemote(), "kist-odd"), "put_bytes") == has_own(MemoryRemote(), "put_bytes")
