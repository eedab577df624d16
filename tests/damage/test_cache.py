"""Every harm to a file of the cache is found by what reads it, never spread, named by verify, and mended."""

import pytest
from cache_flows import brought_from_workspace, found_by_checkout, named_and_mended, not_sent, pulled, without_remotes
from damage_support import CACHE

kinds = pytest.mark.parametrize("kind", CACHE)


@kinds
def test_2_3_verify_names_it_and_mends_it(damages, kind):
    damages.each(CACHE[kind], named_and_mended, "cache")


@kinds
def test_2_1_what_reads_it_finds_it_and_fetch_brings_it(damages, kind):
    damages.each(CACHE[kind], found_by_checkout, "cache")


@kinds
def test_2_3_pull_alone_is_enough(damages, kind):
    damages.each(CACHE[kind], pulled, "cache")


@kinds
def test_2_1_it_is_not_sent(damages, kind):
    damages.each(CACHE[kind], not_sent, "cache")


@kinds
def test_2_3_the_workspace_has_a_copy(damages, kind):
    """Without any remote: what the workspace holds comes back from there, manifests included."""

    damages.each(CACHE[kind], brought_from_workspace, "cache", without_remotes)


def test_2_1_an_index_that_is_gone_takes_nothing_with_it(damages):
    """One of two, so that the packs of the other kind are still listed."""

    damages.each(CACHE["index"], named_and_mended, "cache", only="removed")
