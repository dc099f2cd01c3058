"""Maps of text outside the prompt, compared with an explicit softmax and with ordinary maps."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.errors import PromptError, TraceError
from helpers.attention_reference import CallsWithin, Reference, SeenCall, softmax_by_head
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import denoiser
from helpers.family_runs import draw as draw_case
from helpers.family_runs import pipeline as family_pipeline
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, GRIDS, OWL, draw

FOIL = "the blue strawberry"


@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_the_prompt_itself_has_its_ordinary_maps(pipe, guidance):
    options = {"guidance": guidance, "num_images_per_prompt": 2}
    untraced = draw(pipe, [CAT, OWL], **options)
    with trace(pipe, also=[OWL, CAT]) as recording:
        images = draw(pipe, [CAT, OWL], **options)
    assert torch.equal(images, untraced)
    ordinary = recording.heat_maps()
    for text, own in ((CAT, slice(0, 2)), (OWL, slice(2, 4))):
        maps = recording.heat_maps(of=text)
        assert [each.provenance["drawn_from"] for each in maps] == [CAT, CAT, OWL, OWL]
        for also, each in zip(maps[own], ordinary[own], strict=True):
            assert also.subwords == each.subwords
            np.testing.assert_allclose(also.data, each.data, atol=1e-6)
    stranger = recording.heat_maps(of=OWL)[0]
    assert np.abs(stranger[0].values - ordinary[0][0].values).max() > 1e-4


class OtherText(Reference):
    """A reference with the keys of another text."""

    def __init__(self, pipe, text):
        super().__init__(pipe.unet, GRIDS)
        self.text = pipe.encode_prompt([text], "cpu", 1, False)[0]

    def _hook(self, path):
        def hook(module, args, kwargs):
            with torch.no_grad():
                text = self.text.expand(len(args[0]), -1, -1)
                by_head = softmax_by_head(module, args[0], text)
                self.by_head.setdefault(path, []).append(by_head)

        return hook


def test_another_text_has_a_plain_softmax_of_its_own():
    pipe = make_sd()
    reference = OtherText(pipe, FOIL)
    untraced = reference.watch(lambda: draw(pipe, [CAT, OWL]))
    expected = reference.maps(slice(2, 4))
    with trace(pipe, also=FOIL) as recording:
        images = draw(pipe, [CAT, OWL])
    assert torch.equal(images, untraced)
    for row, maps in enumerate(recording.heat_maps(of=FOIL)):
        assert maps.prompt == FOIL
        assert [word.subwords for word in maps.words] == [(1,), (2,), (3, 4)]
        np.testing.assert_allclose(maps.data, expected[row, : len(maps.subwords)], atol=1e-6)


def test_kept_axes_and_memory():
    pipe = make_sd()
    with trace(pipe, also=[FOIL], keep=("step", "head")) as recording:
        draw(pipe, CAT)
    (maps,) = recording.heat_maps(of=FOIL)
    assert maps.axes == ("step", "head")
    (pipeline_call,) = recording._recorder.finished
    assert recording.predicted_bytes == pipeline_call.n_bytes
    assert pipeline_call.n_bytes == maps.nbytes + recording.heat_maps()[0].nbytes
    with trace(pipe, also=[FOIL]) as plain:
        draw(pipe, CAT)
    np.testing.assert_allclose(maps.stack(), plain.heat_maps(of=FOIL)[0].stack(), atol=1e-6)
    with pytest.raises(
        TraceError, match=r"traced besides the prompts, \['the blue strawberry'\], but"
    ):
        plain.heat_maps(of="a zebra")


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in ("PixArt-alpha", "PixArt-sigma", "Sana")],
    ids=lambda case: case.name,
)
def test_other_families(case, guided):
    """The reference takes the keys of the text from another pipeline call, since they do not depend on the image."""
    watch, foreign = (CallsWithin(denoiser(case), case.modules) for _ in range(2))
    untraced = watch.during(lambda: draw_case(case, [OWL], guided=guided, steps=2))
    foreign.during(lambda: draw_case(case, [FOIL], guided=False))
    with trace(family_pipeline(case.name), also=[FOIL, OWL]) as recording:
        assert torch.equal(draw_case(case, [OWL], guided=guided, steps=2), untraced)
    (maps,), (itself,), (plain,) = (recording.heat_maps(of=of) for of in (FOIL, OWL, None))
    shares = [
        SeenCall(call.query[-1:], of_text.key, of_text.mask, call.scale).shares()[0]
        for step in watch.steps
        for call, of_text in zip(step, foreign.steps[0], strict=True)
    ]
    kept = [subword.position for subword in maps.subwords]
    expected = torch.stack(shares).mean(dim=0)[:, kept].T.reshape(-1, *maps.grid)
    np.testing.assert_allclose(maps.data, expected, atol=1e-6)
    np.testing.assert_allclose(itself.data, plain.data, atol=1e-6)
    assert np.abs(maps[1].values - plain[1].values).max() > 1e-4


def test_texts_and_models_that_are_refused():
    with pytest.raises(PromptError):
        trace(make_sd(), also=[" "])
    for name in ("HunyuanDiT", "PRX", "Lumina-Next", "DeepFloyd IF", "Kandinsky 3"):
        with pytest.raises(
            TraceError,
            match=r"families UNet, PixArt, Sana, .*Z-Image, .*transforms the text before",
        ):
            trace(make(name), also=[FOIL])
