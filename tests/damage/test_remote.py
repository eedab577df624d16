"""Every harm to a file of a remote is found by what reads it, never spread, named by verify, and mended by a push."""

import pytest
from damage_support import REMOTE_FILES, cases, only_right, right

CASES = cases(REMOTE_FILES)


@pytest.fixture(params=CASES)
def harmed(site, request):
    find, harm = CASES[request.param]
    path, at = find(site, site.store)
    harm(path, at)
    site.case = request.param
    return site


def test_2_3_verify_names_it_and_a_push_mends_it(harmed):
    kist = harmed.kist
    found = kist.json("verify", "--remote", "store", code=None)
    assert found.code == 8, "verify does not see it"
    kist.json("push", "--repair")
    read = kist.json("verify", "--remote", "store").data
    assert (read["damaged"], read["missing"]) == ([], [])
    other = harmed.clone()
    other("pull")
    assert right(other.folder)


def test_2_1_what_reads_it_finds_it(harmed):
    other = harmed.clone()
    pulled = other.json("pull", code=None)
    assert only_right(other.folder)
    assert (pulled.code == 0) == right(other.folder)
    assert pulled.code in (0, 8, 10, 11)
    other.json("verify", code=None)
    assert other.json("verify", code=None).data["damaged"] == []
    harmed.kist("push", "--repair")
    other("pull")
    assert right(other.folder)
