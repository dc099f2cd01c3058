"""The number of images to draw together."""

from daam_syntax.runs.drawing.batch_size import fitting_images


def test_how_many_images_fit_into_memory():
    gb = 10**9
    assert fitting_images(free=10 * gb, at_rest=4 * gb, one=5 * gb, two=6 * gb) == 8
    assert fitting_images(free=10 * gb, at_rest=4 * gb, one=8 * gb, two=9 * gb) == 5
    assert fitting_images(free=gb, at_rest=4 * gb, one=6 * gb, two=8 * gb) == 1
    assert fitting_images(free=1000 * gb, at_rest=4 * gb, one=5 * gb, two=6 * gb) == 32
