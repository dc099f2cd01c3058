"""Changes inside and outside a mask."""

import numpy as np
import pytest

from daam_syntax.studies.framework.comparisons import inside_and_outside


def test_inside_and_outside():
    change = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.5]])
    mask = np.array([[True, True, False], [False, False, False]])
    found = inside_and_outside(change, mask)
    assert found == {
        "inside": 2.0,
        "outside": 0.125,
        "difference": 1.875,
        "whole": 0.75,
        "area": pytest.approx(1 / 3),
        "reason": "",
    }
    empty = inside_and_outside(change, np.zeros_like(mask))
    assert np.isnan(empty["inside"])
    assert "empty" in empty["reason"]
