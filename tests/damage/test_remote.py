"""Every harm to a file of a remote is found by what reads it, never spread, named by verify, and mended by a push."""

import pytest
from damage_support import REMOTE, SMALL, fine, only_right, right

kinds = pytest.mark.parametrize("kind", REMOTE)


def named_and_mended(site, harm):
    """Verify finds it and says who needs it; a push sends it again."""
    kist = site.kist
    found = fine(kist.json("verify", "--remote", "store", code=None), 8)
    assert found.code == 8, "verify does not see it"
    named = [*found.data["damaged"], *found.data["missing"]]
    assert all(one["paths"] or one["digest"].startswith("pack:") for one in named), named
    kist.json("push", "--repair")
    read = kist.json("verify", "--remote", "store").data
    assert (read["damaged"], read["missing"]) == ([], [])
    other = site.clone()
    other("pull")
    assert right(other.folder)


@kinds
def test_2_3_verify_names_it_and_a_push_mends_it(damages, kind):
    damages.each(REMOTE[kind], named_and_mended)


def found_by_pull(site, harm):
    """A pull takes nothing that is wrong, and brings the rest."""
    other = site.clone()
    fetched = fine(other.json("fetch", code=None), 8, 10, 11)
    assert fine(other.json("verify", code=None), 8).data["damaged"] == []
    pulled = fine(other.json("pull", code=None), 8, 10, 11)
    assert only_right(other.folder)
    assert (fetched.code == 0) == (pulled.code == 0)
    assert (pulled.code == 0) == right(other.folder)
    assert fine(other.json("verify", code=None), 8).data["damaged"] == []
    site.kist("push", "--repair")
    other("pull")
    assert right(other.folder)


@kinds
def test_2_1_what_reads_it_finds_it(damages, kind):
    damages.each(REMOTE[kind], found_by_pull)


def not_relied_on(site, harm):
    """A push of another version relies on nothing that is damaged."""
    kist = site.kist
    kist("checkout")
    (kist.folder / "data" / "z" / "one.txt").write_bytes(b"another\n")
    kist("commit")
    fine(kist.json("push", code=None), 8, 10, 11)
    read = fine(kist.json("verify", "--remote", "store", code=None), 8)
    if read.code:
        kist("push", "--repair")
        kist("verify", "--remote", "store")


@kinds
def test_2_1_a_push_relies_on_nothing_that_is_damaged(damages, kind):
    """A new version beside the damaged one: what it needs is there, or the push says what is not."""

    damages.each(REMOTE[kind], not_relied_on)


@pytest.mark.parametrize("kind", SMALL)
def test_2_1_small_files_of_a_remote(damages, kind):
    def check(site, harm):
        kist = site.kist
        path = SMALL[kind][0](site, site.store) if harm != "removed" else None
        other = site.clone()
        pulled = fine(other.json("pull", code=None), 5, 7, 8, 10, 11)
        assert only_right(other.folder)
        assert (pulled.code == 0) == right(other.folder)
        if kind == "kist-remote" and path is not None:  # it says what the place is: only a person knows which it is
            refused = kist.json("push", "--repair", code=None)
            assert refused.code == 10
            path.unlink()
        if kind == "condemned" and path is not None:  # what it says nobody else knows: a gc begins it anew
            refused = fine(kist.json("push", "--repair", code=None), 8, 10)
            assert refused.code, "a push goes by what nobody can read"
            kist("gc", "-r", "store", "-f", "-w")
        kist("push", "--repair")
        kist("verify", "--remote", "store")
        third = site.clone("third")
        third("pull")
        assert right(third.folder)

    damages.each(SMALL[kind], check)
