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
    margins = measures.binding_margin(shares, [0, 0, 0])
    np.testing.assert_allclose(margins, [1, -0.5, np.nan])
    assert np.isnan(measures.binding_margin(shares[:, :1], [0, 0, 0])).all()  # no other noun
    assert measures.binding_margin(np.zeros((0, 2)), []).shape == (0,)


def test_neglect_depends_on_the_strongest_blurred_pixel():
    # A 3 x 3 Gaussian of sigma 0.5 keeps (1 / (1 + 2 exp(-2)))^2 of a point.
    kept = 1 / (1 + 2 * np.exp(-2)) ** 2
    assert measures.neglect(box(1, 2, 2, 3)) == pytest.approx(1 - kept, abs=1e-6)
    assert measures.neglect(np.stack([EMPTY, np.full((4, 6), 0.3)])).tolist() == pytest.approx(
        [1, 0.7]
    )
