"""Shares of attention, binding, and neglect, worked out by hand on boxes."""

import numpy as np
import pytest

from daam_syntax.maps import measures
from helpers.examples import box

A, B = box(0, 2, 0, 4), box(0, 2, 2, 6)  # 8 pixels each, 4 shared
EMPTY = np.zeros((4, 6))


def test_shares_and_margin_by_hand():
    maps = np.stack([A, box(0, 2, 0, 4) + box(2, 4, 0, 4, value=3.0), EMPTY])
    regions = np.stack([A > 0, box(2, 4, 0, 6) > 0, EMPTY > 0])
    shares = measures.region_shares(maps, regions)
    np.testing.assert_allclose(shares[:2, :2], [[1, 0], [0.25, 0.75]])
    assert np.isnan(shares[2]).all()  # no mass
    assert np.isnan(shares[:, 2]).all()  # no region
    np.testing.assert_allclose(measures.region_shares(maps * 9, regions), shares)
    own, other = (share(shares, [0, 0, 0]) for share in (measures.own_share, measures.other_share))
    np.testing.assert_allclose(own, [1, 0.25, np.nan])
    np.testing.assert_allclose(other, [0, 0.75, np.nan])


def test_a_margin_by_hand():
    # On 24 pixels: the own region has 8, two others 4 and 2, the background 10.
    regions = np.stack([A > 0, box(2, 4, 0, 2) > 0, box(3, 4, 4, 6) > 0])
    # 8, 2, and 1 of the mass in the regions, and half a unit on each pixel of the background.
    regional = A + 0.5 * (regions[1] | regions[2])
    modifier = np.where(regions.any(axis=0), regional, 0.5)
    np.testing.assert_allclose(
        measures.region_shares(modifier[None], regions), [[8 / 16, 2 / 16, 1 / 16]]
    )
    excess = measures.excess_shares(modifier[None], regions)
    np.testing.assert_allclose(
        excess, [[4 / 16, 0, 0]], atol=1e-12
    )  # at half a unit, 8 pixels have 4 of 16
    np.testing.assert_allclose(measures.excess_shares(7 * modifier[None], regions), excess)
    assert measures.binding_margin(excess, [0]) == pytest.approx(4 / 16)
    assert measures.binding_margin(excess, [1]) == pytest.approx(-2 / 16)  # the mean of 4/16 and 0
    assert np.isnan(measures.binding_margin(excess[:, :1], [0]))  # no other noun
    without = np.stack([regions[0], EMPTY > 0, regions[2]])  # a noun without a region
    excess = measures.excess_shares(A[None], without)
    assert measures.binding_margin(excess, [0]) == pytest.approx(1)
    assert np.isnan(measures.binding_margin(excess, [1]))
    full = np.stack([A > 0, A == 0])
    assert np.isnan(measures.excess_shares(modifier[None], full)).all()  # no background
    assert measures.binding_margin(np.zeros((0, 2)), []).shape == (0,)


AREAS = np.stack([box(0, 1, 0, 2) > 0, box(1, 4, 0, 3) > 0, box(0, 3, 4, 6) > 0])  # 2, 9, and 6


@pytest.mark.parametrize("own", range(3))
def test_the_margin_of_a_flat_modifier_is_zero_whatever_the_areas(own):
    excess = measures.excess_shares(np.full((1, 4, 6), 0.2), AREAS)
    assert measures.binding_margin(excess, [own]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("own", range(3))
def test_the_margin_of_a_modifier_at_a_random_place_is_zero_on_average(own):
    modifier = box(0, 2, 0, 2) + box(0, 1, 0, 1)
    everywhere = np.stack([np.roll(modifier, (y, x), (0, 1)) for y in range(4) for x in range(6)])
    margins = measures.binding_margin(measures.excess_shares(everywhere, AREAS), [own] * 24)
    assert margins.mean() == pytest.approx(0, abs=1e-7)
    assert np.ptp(margins) > 0.5


@pytest.mark.parametrize("own", range(3))
def test_the_margin_of_a_modifier_on_a_random_noun_is_zero_on_average(own):
    margins = measures.binding_margin(measures.excess_shares(AREAS.astype(float), AREAS), [own] * 3)
    assert margins.mean() == pytest.approx(0, abs=1e-12)
    assert margins[own] == 1


def test_neglect_depends_on_the_strongest_blurred_pixel():
    # A 3 x 3 Gaussian of sigma 0.5 keeps (1 / (1 + 2 exp(-2)))^2 of a point.
    kept = 1 / (1 + 2 * np.exp(-2)) ** 2
    assert measures.neglect(box(1, 2, 2, 3)) == pytest.approx(1 - kept, abs=1e-6)
    assert measures.neglect(np.stack([EMPTY, np.full((4, 6), 0.3)])).tolist() == pytest.approx(
        [1, 0.7]
    )
