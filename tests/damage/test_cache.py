"""Every harm to a file of the cache is found by what reads it, never spread, named by verify, and mended."""

import pytest
from damage_support import FILES, cases, only_right, right

CASES = cases(FILES | {})


@pytest.fixture(params=CASES)
def harmed(site, request):
    find, harm = CASES[request.param]
    path, at = find(site, site.cache)
    harm(path, at)
    site.case = request.param
    return site


def test_2_3_verify_names_it_and_mends_it(harmed):
    kist = harmed.kist
    found = kist.json("verify", code=None)
    if "removed" not in harmed.case or "index" not in harmed.case:
        assert found.code == 8, "verify does not see it"
        assert found.data["damaged"] or found.data["missing"]
    kist.json("verify", "--repair")
    again = kist.json("verify").data
    assert (again["damaged"], again["missing"]) == ([], [])
    kist("checkout")
    assert right(kist.folder)


def test_2_1_what_reads_it_finds_it_and_pull_brings_it(harmed):
    kist = harmed.kist
    result = kist.json("checkout", code=None)
    assert result.code in (0, 8), result.out
    assert only_right(kist.folder)
    assert (result.code == 0) == right(kist.folder)
    kist("fetch")
    kist("checkout")
    assert right(kist.folder)
    assert kist.json("status").data["clean"]


def test_pull_alone_is_enough(harmed):
    harmed.kist("pull")
    assert right(harmed.kist.folder)


def test_2_1_it_is_not_sent(harmed):
    kist = harmed.kist
    pushed = kist.json("push", "-r", "second", code=None)
    read = kist.json("verify", "--remote", "second", code=None)
    assert read.data["damaged"] == []
    if pushed.code == 0:
        assert read.code == 0
    else:
        assert pushed.code in (8, 11)
        kist("verify", "--repair")
        kist("push", "-r", "second")
        kist("verify", "--remote", "second")
