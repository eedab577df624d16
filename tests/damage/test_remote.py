"""Every harm to a file of a remote is found by what reads it, never spread, named by verify, and mended by a push."""

import pytest
from damage_support import REMOTE, SMALL, fine, only_right, right
from remote_flows import found_by_pull, named_and_mended, not_relied_on

kinds = pytest.mark.parametrize("kind", REMOTE)


@kinds
def test_2_3_verify_names_it_and_a_push_mends_it(damages, kind):
    damages.each(REMOTE[kind], named_and_mended)


@kinds
def test_2_1_what_reads_it_finds_it(damages, kind):
    damages.each(REMOTE[kind], found_by_pull)


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
