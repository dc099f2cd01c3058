import numpy as np
import pytest
import torch

from daam_syntax.maps import bicubic


@pytest.mark.parametrize("size", [(16, 16), (64, 96), (5, 7), (3, 4), (9, 2)])
def test_bicubic_is_that_of_torch_clamped_at_zero(size):
    maps = np.random.default_rng(0).random((3, 5, 7))
    maps[0, :, 3:] = 0  # a sharp edge, where the kernel undershoots
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size=size, mode="bicubic", align_corners=False
    )[0].clamp(min=0)
    np.testing.assert_allclose(bicubic(maps, size), expected.numpy(), atol=1e-12)


def test_a_constant_stays_constant_and_mirrored_maps_mirrored():
    np.testing.assert_allclose(bicubic(np.full((3, 4), 0.7), (9, 8)), 0.7)
    maps = np.random.default_rng(1).random((3, 5))
    np.testing.assert_allclose(bicubic(maps[:, ::-1], (6, 13)), bicubic(maps, (6, 13))[:, ::-1])


def test_precision_and_empty_stacks():
    assert bicubic(np.ones((2, 3), np.float32), (4, 6)).dtype == np.float32
    assert bicubic(np.ones((2, 3), int), (4, 6)).dtype == np.float64
    assert bicubic(np.zeros((0, 2, 3)), (4, 6)).shape == (0, 4, 6)
