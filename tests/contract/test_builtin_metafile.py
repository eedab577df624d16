import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.builtin.yaml_metafile import YamlMetafile, kist_make_metafile_format
from kist.errors import MetafileError, MetafileSyntaxError, MetafileVersionError
from kist.model.digest import Digest
from kist.model.tracked import Metafile, TrackedOutput
from kist.testing.metafile import MetafileContract

DIGEST = "blake3:" + "6f" * 32
FULL = f"""\
# the data of the paper
format: kist/1
path: data   # beside this file
manifest: {DIGEST}
files: 100000
size: 461373440

labels: [a, b]  # mine
meta:
  owner: 'me'
"""


class TestYamlMetafile(MetafileContract):
    @pytest.fixture
    def metafile_format(self):
        return YamlMetafile()

    @pytest.fixture
    def newer_version(self):
        return FULL.replace("kist/1", "kist/2").encode()


@pytest.fixture
def form():
    return YamlMetafile()


def test_the_hook_makes_its_own_format_only():
    assert kist_make_metafile_format("kist").name == "kist"
    assert kist_make_metafile_format("other") is None


def test_a_new_metafile_is_short(form):
    digest = Digest.parse(DIGEST)
    directory = Metafile((TrackedOutput("data", digest, is_directory=True, files=3, size=5),))
    assert form.dumps(directory).decode() == f"format: kist/1\npath: data\nmanifest: {DIGEST}\nfiles: 3\nsize: 5\n"
    file = Metafile((TrackedOutput("a.bin", digest, is_directory=False, size=5),))
    assert form.dumps(file).decode() == f"format: kist/1\npath: a.bin\nfile: {DIGEST}\nsize: 5\n"
    assert form.loads(form.dumps(file), "x").outputs[0].files == 1


def test_comments_order_and_unknown_keys_survive_a_change(form):
    loaded = form.loads(FULL.encode(), "data.kist")
    assert loaded.outputs[0] == TrackedOutput(
        "data", Digest.parse(DIGEST), is_directory=True, files=100_000, size=461_373_440
    )
    assert loaded.extra == {"labels": ["a", "b"], "meta": {"owner": "me"}}
    output = TrackedOutput(
        "data", Digest.parse(DIGEST.replace("6f", "70")), is_directory=True, files=7, size=461_373_440
    )
    data = form.dumps(Metafile((output,), loaded.extra), FULL.encode())
    assert data.decode() == FULL.replace("6f", "70").replace("100000", "7")


def test_what_is_said_twice_over_is_not_rewritten(form):
    text = f"format: kist/1\npath: a\nfile: {DIGEST}\nexecutable: false\nfiles: 1\nsize: 0x10\n".encode()
    loaded = form.loads(text, "x")
    assert form.dumps(loaded, text) == text


def test_a_name_that_is_not_unicode_survives(form):
    name = os.fsdecode(b"caf\xe9")
    document = Metafile((TrackedOutput(name, Digest.parse(DIGEST), is_directory=False),))
    data = form.dumps(document)
    assert b"path_b64: Y2Fm6Q==" in data
    assert form.loads(data, "x") == document


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (FULL.replace("100000", "many"), 5, 8), (FULL.replace("100000", "-1"), 5, 8), (FULL.replace("blake3:", "blake3-"), 4, 11),
        (FULL.replace("kist/1", "other/1"), 2, 9), (FULL.replace("manifest: ", "file: x\nmanifest: "), 2, 1), (FULL + "size: 1\n", 11, 1),
        (FULL + "remote: [a]\n", 11, 9), (FULL + "links: copy\n", 11, 8), (FULL + "executable: 1\n", 11, 13), (FULL.replace("path: data", "name: data"), 2, 1),
        (FULL.replace("format", "Format"), 2, 1), (FULL + "path_b64: '%'\n", 11, 11),
    ],
)  # fmt: skip
def test_errors_point_at_the_value(form, text, line, column):
    with pytest.raises(MetafileSyntaxError) as caught:
        form.loads(text.encode(), "data.kist")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"data.kist:{line}:{column}: ")


def test_the_path_is_one_name_beside_the_metafile(form):
    with pytest.raises(MetafileError, match="one name"):
        form.loads(FULL.replace("path: data", "path: a/b").encode(), "x")
    with pytest.raises(MetafileError, match="not allowed"):
        form.loads((FULL + "path_b64: Li4=\n").encode(), "x")
    with pytest.raises(MetafileError):
        form.dumps(Metafile((TrackedOutput("a/b", Digest.parse(DIGEST), is_directory=False),)))


def test_versions(form):
    for version in ("kist/2", "kist/10"):
        with pytest.raises(MetafileVersionError) as caught:
            form.loads(FULL.replace("kist/1", version).encode(), "x")
        assert "pip install" in caught.value.hint
    for version in ("kist/0", "kist/01", "kist/x", "kist", "1"):
        with pytest.raises(MetafileSyntaxError):
            form.loads(FULL.replace("kist/1", version).encode(), "x")


def test_what_cannot_be_written_is_refused(form):
    output = TrackedOutput("a", Digest.parse(DIGEST), is_directory=False)
    for document in (
        Metafile(()),
        Metafile((output, output)),
        Metafile((output,), {"path": "b"}),
        Metafile((output,), {"x": object()}),
    ):
        with pytest.raises(MetafileError):
            form.dumps(document)


def test_a_broken_one_is_mended_by_the_next_write(form):
    document = Metafile((TrackedOutput("a", Digest.parse(DIGEST), is_directory=False),))
    for previous in (b"a: [", b"", b"- x\n", b"format: kist/1\npath: ../x\n"):
        assert form.loads(form.dumps(document, previous), "x") == document


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@given(
    texts.filter(lambda text: "/" not in text and "\0" not in text and "." not in text and "~" not in text),
    st.integers(0, 2**63 - 1),
    st.none() | texts,
    st.lists(texts, max_size=3).map(tuple),
    st.dictionaries(
        texts.map(lambda text: "x-" + text),
        st.none() | st.integers(-5, 5) | texts | st.lists(texts, max_size=2),
        max_size=3,
    ),
)
def test_round_trips_hold_for_any_values(path, size, remote, links, extra):
    form = YamlMetafile()
    document = Metafile(
        (TrackedOutput(path, Digest.parse(DIGEST), True, False, size % 100, size, remote, links),), extra
    )
    data = form.dumps(document)
    assert form.loads(data, "x") == document
    assert form.loads(form.dumps(document, FULL.encode()), "x") == document
    assert form.dumps(document, data) == data
