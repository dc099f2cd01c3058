"""Readability of figures: every text is inside, large enough, and does not overlap another."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg

SMALLEST = 6  # points


def drawn_texts(figure):
    """Return all visible texts; labels of ticks outside the limits exist but are not drawn."""
    found = list(figure.texts) + [figure._suptitle] * (figure._suptitle is not None)
    for ax in figure.findobj(lambda a: hasattr(a, "get_xlabel")):
        found += ax.texts
        found += [ax.title]
        legend = ax.get_legend()
        found += legend.get_texts() if legend else []
        if ax.axison:
            found += [
                ax.xaxis.label,
                ax.yaxis.label,
                *tick_labels(ax.xaxis),
                *tick_labels(ax.yaxis),
            ]
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text()]


def tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_major_ticks()
    return [t for k in ticks if low <= k.get_loc() <= high for t in (k.label1, k.label2)]


def assert_readable(figure):
    """Draw a figure and check that its texts can be read."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = drawn_texts(figure)
    assert texts
    boxes = {text: text.get_window_extent(renderer) for text in texts}
    for text, box in boxes.items():
        assert text.get_fontsize() >= SMALLEST, f"{text} is smaller than {SMALLEST} points"
        inside = box.x0 >= -1 and box.y0 >= -1
        inside &= box.x1 <= figure.bbox.width + 1 and box.y1 <= figure.bbox.height + 1
        assert inside, f"{text} at {box.extents} leaves {figure.bbox.extents}"
    for one, other in combinations(texts, 2):
        # Bounding boxes of slanted texts can overlap where the texts do not.
        if one.get_rotation() % 90 == other.get_rotation() % 90 == 0:
            shared = boxes[one].intersection(boxes[one], boxes[other])
            apart = shared is None or min(shared.width, shared.height) < 1.5
            assert apart, f"{one} covers {other}"
