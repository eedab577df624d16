import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kist.errors import MetafileError
from kist.util.paths import (
    absolute,
    check_path,
    check_paths,
    collisions,
    display,
    fold,
    inside,
    is_reserved,
    json_path,
    nearest,
    parents,
    parts,
    relative_to,
    to_bytes,
    to_text,
)  # fmt: skip

REFUSED = [
    b"", b"/a", b"a//b", b"a/", b"/", b"a/../b", b"..", b".", b"./a", b"a/.", b"a/..", b"a\0b", b"\0", b".git/x", b"x/.GIT", b".Git", b"x/.g\xe2\x80\x8cit/y",
    b"GIT~1", b"kist~2/x", b".kist", b".kist ", b".kist.", b".git. .", ".\u212aist".encode(), b".ki\xef\xac\x86/x", b"x" * 256, b"a/" * 256 + b"a", b"a" * 200 + b"/" + b"b" * 4000,
    b".git:x", b"a/.git::$INDEX_ALLOCATION/x", b"\xef\xbb\xbf.git", "\u200e.git".encode(),
]  # fmt: skip
ALLOWED = [
    b"a", b"a/b/c", b".gitignore", b"a.git", b".kistignore", b"data.kist", b"a/.hidden/..x/...", b"git", b"\xff\xfe", b"a:b\\c", b"x~1", b"a\nb", b" ", b"x" * 255,
    b"a/" * 255 + b"a", "é/ü".encode(), b".gi", b"-rf", b"con", b"\xe2\x80\x8cx", b"digit~1",
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED)
def test_paths_that_lead_elsewhere_are_refused(path):
    for check in (check_path, parts, lambda one: check_paths([b"ok", one, b"z"]), lambda one: check_paths([one])):
        with pytest.raises(MetafileError) as caught:
            check(path)
        assert caught.value.message.isprintable()
        assert caught.value.exit_code == 7


@pytest.mark.parametrize("path", ALLOWED)
def test_other_names_are_allowed(path):
    check_path(path)
    check_paths([path, b"x/" + path] if len(path) < 500 else [path])
    assert b"/".join(parts(path)) == path


def test_nothing_is_fine():
    check_paths([])


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    b"a",
                    b".",
                    b"..",
                    b"",
                    b".git",
                    b"g",
                    b"kist~1",
                    b".k",
                    b"\xe2\x80\x8c",
                    b".\xe2\x84\xaaist",
                    b"\xff",
                    b"\0",
                ]
            ),
            min_size=1,
            max_size=4,
        ).map(b"/".join),
        max_size=5,
    )
)
@example([b"a", b""])
@example([b"digit~1"])
def test_the_bulk_check_agrees_with_the_single_one(paths):
    def single():
        for path in paths:
            check_path(path)

    outcomes = []
    for check in (single, lambda: check_paths(paths)):
        try:
            check()
            outcomes.append(None)
        except MetafileError as exc:
            outcomes.append(exc.message)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("con", True),
        ("CON.txt", True),
        ("com1", True),
        ("lpt²", True),
        ("a:b", True),
        ("a\\b", True),
        ("a.", True),
        ("a ", True),
        ("\x01", True),
        ("console", False),
        ("com10", False),
        ("a.b", False),
    ],
)
def test_windows_has_rules_of_its_own(monkeypatch, name, device):
    monkeypatch.setattr("kist.util.paths._WINDOWS", True)
    if device:
        with pytest.raises(MetafileError):
            check_paths([b"x/" + name.encode()])
    else:
        check_paths([b"x/" + name.encode()])


def test_folds_tell_what_clashes():
    assert fold(b"A/B") == fold(b"a/b")
    assert fold("é".encode()) == fold(b"E\xcc\x81")
    assert fold("ß".encode()) == fold(b"SS")
    assert fold(b"\xff") == b"\xff"
    assert collisions([b"A/x", b"a/y", b"b", b"B/c", b"\xc3\xa9", b"e\xcc\x81", b"z"]) == [
        (b"A", b"a"), (b"B", b"b"), (b"e\xcc\x81", b"\xc3\xa9"),
    ]  # fmt: skip
    assert collisions([b"a/b/c", b"a/b/d", b"a/c"]) == [] == collisions([])


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_what_is_shown_is_harmless_and_json_is_json(path):
    assert display(path).isprintable()
    told = json.loads(json.dumps(json_path(path)))
    if "path_b64" in told:
        import base64

        assert base64.b64decode(told["path_b64"]) == path
    else:
        assert told["path"].encode() == path


def test_display():
    assert display(b"a\x1b[31m\xff\xe2\x80\xaex\n") == "a\\x1b[31m\\xff\\u202ex\\n"
    assert display("é \udcff") == "é \\xff"
    assert to_bytes(to_text(b"\xff/a")) == b"\xff/a"


def test_targets_are_resolved_by_text_alone():
    assert absolute(b"../x/./y/", b"/a/b") == b"/a/x/y"
    assert absolute(b"/q", b"/a") == b"/q" == absolute(b"//q", b"/a")
    assert absolute(b"", b"/a") == b"/a"
    assert relative_to(b"/a/x/y", b"/a") == b"x/y"
    assert relative_to(b"/a", b"/a") == b""
    assert relative_to(b"/ab", b"/a") is None
    assert relative_to(b"/ab", b"/") == b"ab"
    assert inside(b"a/b", b"a") and inside(b"a", b"a") and inside(b"a", b"") and not inside(b"ab", b"a")
    assert parents(b"a/b/c") == [b"a", b"a/b"] and parents(b"a") == []
    assert is_reserved(b".GIT") and not is_reserved(b".gitmodules")
    assert nearest("stauts", ["status", "add"]) == "status" and nearest("zzz", ["status"]) is None
