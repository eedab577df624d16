"""The native dialect's names are those of the format's description."""

from kist.builtin.kist_dialect import KistDialect, kist_make_dialect
from kist.model.digest import Digest

DIGEST = Digest("sha256", "ab" + "01" * 31)


def test_object_key():
    store = KistDialect().store
    assert store.object_keys(DIGEST) == (f"objects/sha256/ab/{'01' * 31}",)
    assert store.parse_key(store.object_keys(DIGEST)[0]) == DIGEST


def test_other_keys():
    store = KistDialect().store
    for key in ("packs/abcd", "objects/sha256/ab", "objects/sha256/ab/0g", f"objects/sha256/ab/{'0' * 61}", ""):
        assert store.parse_key(key) is None


def test_hook_answers_for_its_marker_only():
    assert isinstance(kist_make_dialect(".kist"), KistDialect)
    assert kist_make_dialect(".git") is None
