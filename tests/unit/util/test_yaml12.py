import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.util.yaml12 import YAMLError, dump, load, parse
from kist.util.yaml_edit import Document
from kist.util.yaml_values import flow, read_simple, resolve

FULL = """\
# top
format: kist/1   # the format
path: data
manifest: blake3:6f1c
files: 100000
labels: [a, b]
meta:
  # inner
  x: 'quoted'  # c
  y:
    - 1
    - z: 2

# tail
"""


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("0777", 777), ("08", 8), ("0o17", 15), ("0x1F", 31), ("yes", "yes"), ("on", "on"), ("1_000", "1_000"),
        ("12:30:00", "12:30:00"), ("2020-01-01", "2020-01-01"), ("1e3", 1000.0), (".5", 0.5), ("-.inf", -math.inf),
        ("~", None), ("", None), ("''", ""), ("+12", 12), ("-0", 0), ("1.", 1.0), ("True", True), ("'true'", "true"),
        ("9223372036854775807", 2**63 - 1), ("kist/1", "kist/1"), ("blake3:00ff", "blake3:00ff"), ("|\n  a\n  b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_scalars_have_the_meaning_of_the_core_schema(text, meaning):
    value = load(f"a: {text}\n")["a"]
    assert value == meaning and type(value) is type(meaning)
    assert parse(f"a: {text}\n").data["a"] == meaning


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: *x", 1, "aliases"), ("a: &x 1", 1, "anchors"), ("a: &x [1]", 1, "anchors"), ("a: !!python/object 1", 1, "tags"),
        ("b: 1\na: !!map {}", 2, "tags"), ("<<: {a: 1}", 1, "merge"), ("a: 1\na: 2", 2, "twice"), ("a: " + "[" * 40 + "]" * 40, 1, "nested"),
        ("[" * 30_000, 1, "nest"), ("- " * 2000 + "a", 1, "nested"), ("a: 9223372036854775808", 1, "smaller"), ("a: b: c", 1, "mapping values"),
        ("a:\n\t- x", 2, "token"), ("a: 'x", 1, "end of stream"), ("\0", 1, "character"), ("a: é\x01", 1, "character"),
        ("--- 1\n--- 2", 2, "second document"), ("%TAG ! x:\n---\na: 1", 1, "tags"), ("1.5: x", 1, "key"), ("true: x", 1, "key"),
        ("[a]: b", 1, "key"), ("? {a: b}\n: c", 1, "key"), ("a: " + "x" * 70_000, 1, "longer"), ("? " + "k" * 2000 + "\n: 1", 1, "key"),
        ("- a\n" * 300_000, 250_000, "values"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_gives_an_error_with_its_place(text, line, word):
    with pytest.raises(YAMLError, match=word) as caught:
        load(text)
    assert caught.value.line == line
    assert caught.value.column >= 1


def test_size_and_encoding_are_limited():
    with pytest.raises(YAMLError, match="larger than"):
        load(b"a: 1\n" * 100, max_size=400)
    with pytest.raises(YAMLError, match="UTF-8") as caught:
        load(b"a: 1\nb: \xff\n")
    assert (caught.value.line, caught.value.column) == (2, 4)


def test_an_error_can_point_at_a_value():
    parsed = parse("a: 1\nb:\n  c: [1, x]\n")
    error = parsed.error("must be a number", ("b", "c", 1))
    assert (error.line, error.column, error.text) == (3, 10, "  c: [1, x]")
    assert parsed.error("missing", ("b", "none")).line == 3


AWKWARD = [
    "yes", "no", "1", "1.0", "0x1", "0xABC", "1e5", "a b", "a: b", "a #b", "#a", "-", "- a", "", " ", " a", "a ", "é", "\0", "a\nb",
    "null", "~", "2020-01-01", "12:30", "=", "<<", "!x", "&a", "*a", "%a", "@a", "`a", "y", "N", ".5", ".", ".git", "/abs", "a,b",
    "[a]", "{", "blake3:aa", "a:b:c:", ":a", "🎉", "\x85", "\u2028", "\ufeff", "'", '"', "\\", "a  b", ".inf", "0b1", "1__0", "?", "? a", "|", ">",
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_survives_a_round_trip(text):
    for data in ({"k": text}, {text: text}, {"k": [text, {text: [text]}]}):
        written = dump(data)
        assert parse(written).data == data, written
        assert load(written) == data, written
        assert load(f"x: {flow(data)}\n") == {"x": data}


def test_text_that_is_not_unicode_cannot_be_written():
    with pytest.raises(ValueError, match="Unicode"):
        dump({"a": "\udcff"})


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(AWKWARD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
mappings = st.dictionaries(st.sampled_from(["a", "b", "c", "d e", "1", "-"]), plain, max_size=5)


@given(mappings)
def test_whatever_is_written_is_read_back(data):
    written = dump(data)
    assert (parse(written).data or {}) == data
    assert (load(written) or {}) == data
    assert dump(data) == written


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab:-[]{}#'\"|>&*!%?, \n\t0.~<é\0\x85"), max_size=60) | st.text(max_size=80))
def test_any_text_gives_data_or_a_typed_error(text):
    try:
        value = load(text)
    except YAMLError:
        return
    assert value is None or isinstance(value, (bool, int, float, str, list, dict))


@given(st.binary(max_size=80))
def test_any_bytes_give_data_or_a_typed_error(data):
    with contextlib.suppress(YAMLError):
        load(data)


lines = st.sampled_from(["a: 1", "b: x/y", "  c: 2", "  d:", "    e: blake3:00", "b:", "# note", "", "  # x", "a: null", "true: 1", "x: 08", "y: a:", 'q: "12"', 'q: "a # b: c"', '"q": 1', 'q: "a\\n"', 'q: "x" ', "x: 99999999999999999999"])  # fmt: skip


@given(st.lists(lines, max_size=8))
def test_the_simple_reader_agrees_with_the_parser(chosen):
    text = "\n".join(chosen) + "\n"
    simple = read_simple(text)
    if simple is not None:
        assert simple == parse(text).data


def test_the_simple_reader_takes_what_kist_writes():
    assert read_simple("format: kist/1\npath: data/x\nmanifest: blake3:6f1c\nfiles: 3\n") == {
        "format": "kist/1", "path": "data/x", "manifest": "blake3:6f1c", "files": 3,
    }  # fmt: skip
    assert read_simple("core:\n  remote: s\n# c\nremote:\n  s:\n    url: ../y\n") == {
        "core": {"remote": "s"},
        "remote": {"s": {"url": "../y"}},
    }
    assert read_simple('core:\n  id: "0c1e"\n') == {
        "core": {"id": "0c1e"}
    }  # as an id that begins with a digit is written
    for other in ("", 'a: "\\t"\n', "a: [1]\n", "a: 'x'\n", "a:\n", "a: 1\n b: 2\n", "a: x # y\n", "- a\n"):
        assert read_simple(other) is None


def test_edits_leave_the_rest_as_it_is():
    document = Document(FULL)
    document.set(("files",), 5)
    document.set(("meta", "x"), "new")
    document.set(("labels",), ["q", "a,b"])
    document.set(("remote",), "store")
    assert document.text == FULL.replace("100000", "5").replace("'quoted'", "new").replace(
        "[a, b]", '[q, "a,b"]'
    ).replace("    - z: 2\n", "    - z: 2\nremote: store\n")


def test_keys_are_removed_with_the_mappings_that_get_empty():
    document = Document(FULL)
    assert document.remove(("labels",))
    assert document.remove(("meta", "y"))
    assert not document.remove(("meta", "y"))
    assert document.text == FULL.replace("labels: [a, b]\n", "").replace("  y:\n    - 1\n    - z: 2\n", "")
    assert document.remove(("meta", "x"))
    assert "meta" not in document.data
    for key in list(document.data):
        document.remove((key,))
    assert document.data == {} and "# tail" in document.text


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("", ("a", "b"), 1, "a:\n  b: 1\n"),
        ("# only a note\n", ("a",), 1, "# only a note\na: 1\n"),
        ("{}\n", ("a",), 1, "a: 1\n"),
        ("a: 1", ("b",), 2, "a: 1\nb: 2"),
        ("a: 1\r\nb: 2\r\n", ("b",), 3, "a: 1\r\nb: 3\r\n"),
        ("a: 1\r\n", ("b", "c"), 3, "a: 1\r\nb:\r\n  c: 3\r\n"),
        ("a:\nb: 2\n", ("a",), "x", "a: x\nb: 2\n"),
        ("a: {b: 1, c: [2]}\n", ("a", "c"), 3, "a: {b: 1, c: 3}\n"),
        ("a: {b: 1}\n", ("a", "c"), 3, "a: {b: 1, c: 3}\n"),
        ("a: |\n  long\n  text\n\nb: 1\n", ("a",), "short", "a: short\n\nb: 1\n"),
        ("a:\n  b: 1\n", ("a",), "flat", "a: flat\n"),
        ("a: 1\n", ("a",), {"b": [1]}, "a:\n  b:\n    - 1\n"),
        ("x:\n    y: 1 # c\n# end", ("x", "z"), "é", 'x:\n    y: 1 # c\n    z: "é"\n# end'),
        ("a: 'it''s'\n", ("a",), "it's", "a: 'it''s'\n"),
        ("- x: 1\n" and "l:\n  - x: 1\n    y: 2\n", ("l", 0, "y"), 3, "l:\n  - x: 1\n    y: 3\n"),
    ],
)  # fmt: skip
def test_layouts_that_are_edited_in_place(before, path, value, after):
    document = Document(before)
    document.set(path, value)
    assert document.text == after
    assert document.get(path) == value


def test_a_layout_that_cannot_be_edited_is_written_anew():
    document = Document("? a\n: 1\n? b\n: 2\n")
    document.set(("a",), {"c": 1})
    assert document.data == {"a": {"c": 1}, "b": 2}
    document = Document("{a: 1, b: 2}")
    document.remove(("a",))
    assert document.data == {"b": 2}


def test_setting_below_a_scalar_or_reading_a_list_is_refused():
    with pytest.raises(YAMLError, match="mapping"):
        Document("a: 1\n").set(("a", "b"), 1)
    with pytest.raises(YAMLError, match="mapping"):
        Document("- a\n")


keys = st.lists(st.sampled_from(["a", "b", "c", "d e"]), min_size=1, max_size=3).map(tuple)


@settings(max_examples=200)
@given(mappings, st.lists(st.tuples(keys, st.none() | plain), max_size=5))
def test_edits_always_have_the_meaning_that_was_asked_for(data, edits):
    document = Document(dump(data))
    for path, value in edits:
        before = document.data
        try:
            document.set(path, value)
        except YAMLError:
            assert document.data == before
            continue
        except ValueError as exc:
            assert "nested" in str(exc)
            continue
        assert document.get(path) == value
        assert {key: one for key, one in document.data.items() if key != path[0]} == {
            key: one for key, one in before.items() if key != path[0]
        }
        assert document.remove(path)
        assert document.get(path) is None


def test_numbers_are_bounded():
    assert resolve("-9223372036854775807") == -(2**63) + 1
    for text in ("9" * 5000, "0x" + "f" * 40, "9223372036854775808"):
        with pytest.raises(ValueError, match="2\\^63"):
            resolve(text)
