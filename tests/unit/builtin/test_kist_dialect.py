"""The native dialect answers for its own marker."""

from kist.builtin.kist_dialect import KistDialect, kist_make_dialect


def test_hook_answers_for_its_marker_only():
    assert isinstance(kist_make_dialect(".kist"), KistDialect)
    assert kist_make_dialect(".git") is None
