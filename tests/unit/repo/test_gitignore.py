import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.repo.gitignore import BEGIN, END, edit, hiding_rules, pattern, update

names = st.binary(min_size=1, max_size=8).filter(lambda name: b"/" not in name and b"\0" not in name)


def block(*names):
    return b"\n".join([BEGIN, *names, END]) + b"\n"


def test_the_block_is_sorted_and_the_rest_stays():
    data = edit(b"*.pyc", add=[b"data", b"b"])
    assert data == b"*.pyc\n" + block(b"/b", b"/data")
    data = edit(data + b"# after\n", add=[b"a"])
    assert data == b"*.pyc\n" + block(b"/a", b"/b", b"/data") + b"# after\n"
    assert edit(data, add=[b"a"], remove=[b"none"]) is data
    assert edit(data, remove=[b"a", b"b", b"data"]) == b"*.pyc\n# after\n"
    assert edit(b"", remove=[b"x"]) == b""


def test_rules_of_the_user_are_never_removed():
    assert edit(b"/data\n", remove=[b"data"]) == b"/data\n"


def test_line_ends_and_doubled_blocks():
    assert edit(b"x\r\n", add=[b"a"]) == b"x\r\n" + block(b"/a").replace(b"\n", b"\r\n")
    doubled = block(b"/a", b"<<<<<<< ours") + b"mid\n" + block(b"/b")
    assert edit(doubled, add=[b"c"]) == block(b"/a", b"/b", b"/c") + b"<<<<<<< ours\nmid\n"


@given(st.binary(max_size=60), st.lists(names, max_size=4), st.lists(names, max_size=4))
def test_edits_are_idempotent_and_undone(data, add, remove):
    once = edit(data, add=add, remove=remove)
    assert edit(once, add=add) == once
    cleared = edit(once, remove=[*add])
    assert edit(cleared, remove=[*add]) == cleared


@pytest.fixture
def repo(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_rule_hides_exactly_its_name(repo):
    odd = [b"da ta", b"*x", b"[a]", b"!not", b"#no", b"end ", b"back\\slash", "é".encode(), b"\xff", b"tab\t", b"a?"]
    assert update(repo, add=odd)
    assert not update(repo, add=odd)
    from kist.repo.revisions import Git

    assert len(Git(repo).ignored(odd)) == len(odd)
    assert Git(repo).ignored([b"data", b"xx", b"a", b"sub/da ta", b"end", b"aa"]) == {}
    assert update(repo, remove=odd)
    assert not (repo / ".gitignore").exists()


def test_rules_that_hide_a_metafile_are_found(repo):
    (repo / ".gitignore").write_text("*.pyc\n*.kist\n!good.kist\n")
    assert hiding_rules(repo, ["data.kist", "good.kist", "sub/x.kist"]) == {
        "data.kist": ".gitignore:2: *.kist",
        "sub/x.kist": ".gitignore:2: *.kist",
    }
    assert hiding_rules(repo, []) == {}


def test_pattern_of_a_folder():
    assert pattern(b"data", directory=True) == b"/data/"
