"""Small files that ask for much: refused at once, with file, line and column, whatever the command."""

import time

import pytest
from cli_support import tree

SECONDS = 20.0
"""Processor time that no command on a bomb may take, by far; those that explode take for ever."""

_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "aliases": _LAUGHS,
    "merge keys": "a: &a {x: 1}\nb:\n  <<: *a\n",
    "brackets": "a: " + "[" * 200_000,
    "braces": "a: " + "{x: " * 100_000,
    "indents": "".join(" " * depth + "a:\n" for depth in range(1500)),
    "questions": "? " * 200_000,
    "huge": "a: 1\n" + "# " + "x" * (5 << 20) + "\n",
    "huge scalar": f"a: {'x' * 200_000}\n",
    "huge number": f"size: {'9' * 100_000}\n",
    "many values": "a: [" + "1," * 1_000_000 + "]\n",
    "object": "a: !!python/object/apply:os.system ['touch evil']\n",
    "tag": "a: !<tag:yaml.org,2002:python/name:os.system> x\n",
    "documents": "---\na: 1\n---\nb: 2\n",
    "no text": b"\xff\xfe\x00",
    "NUL": b"a: \0\n",
    "byte order": b"\xef\xbb\xbfa: [\n",
    "doubles": "size: 1\nsize: 2\n",
}


def at_once(run, *words, code):
    began = time.process_time()
    result = run.json(*words, code=code)
    assert time.process_time() - began < SECONDS
    return result


@pytest.mark.parametrize("bomb", BOMBS)
def test_4_2_a_bomb_in_a_text_file_is_refused_at_once(tracked, bomb):
    text = BOMBS[bomb].encode() if isinstance(BOMBS[bomb], str) else BOMBS[bomb]
    metafile, config = (tracked.folder / "data.kist").read_bytes(), (tracked.folder / ".kist/config.yaml").read_bytes()
    (tracked.folder / "data.kist").write_bytes(metafile + text)
    for verb in ("status", "checkout"):
        error = at_once(tracked, verb, code=7).json["errors"][0]
        assert error["class"].startswith("Metafile")
        assert "data.kist" in error["message"]
    (tracked.folder / "data.kist").write_bytes(metafile)
    (tracked.folder / ".kist/config.yaml").write_bytes(config + text)
    error = at_once(tracked, "status", code=3).json["errors"][0]
    assert "config.yaml" in error["message"]
    assert not (tracked.folder / "evil").exists()


@pytest.mark.parametrize("name", ["data.kist", ".kist/config.yaml"])
def test_4_2_a_truncated_file_is_a_typed_error_or_means_less(tracked, tried, name):
    file = tracked.folder / name
    whole = file.read_bytes()
    before = tree(tracked.folder / "data")
    for size in tried(range(len(whole))):
        file.write_bytes(whole[:size])
        for verb in ("status", "checkout"):
            result = tracked.json(verb, code=None)
            assert result.code in (0, 1, 3, 5, 7, 8), (size, verb, result)
            assert size or result.code, "an empty file is never fine"
        assert tree(tracked.folder / "data") == before, size
    file.write_bytes(whole)
    assert tracked.json("status").data["clean"]
