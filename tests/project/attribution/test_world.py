"""The benchmark in the embedded world, on two scenes, with the methods that need one recording."""

import pytest

from benchmarks.attribution import tables, world
from benchmarks.attribution.mapping.methods import LEARNED, METHODS, PLAIN
from benchmarks.attribution.scenes import COUNTERFACTUAL, KEPT, LOST, WITH, WITHOUT
from benchmarks.attribution.scoring import AGAINST_MASKS, MIOU


def test_methods_are_scored_in_the_embedded_world(emoji_pipe, monkeypatch):
    quick = [each for each in METHODS if each.name in (*world.SINGLE, "center")]
    monkeypatch.setattr(world, "METHODS", quick)
    monkeypatch.setattr(world, "N_VOTING", 2)
    monkeypatch.setattr(world, "VOTING_STEPS", 2)
    found = world.measure(emoji_pipe, 2, 1, progress=False)
    assert list(found["methods"]) == [each.name for each in quick]
    names = {*AGAINST_MASKS, *COUNTERFACTUAL, WITH, WITHOUT}
    for method in found["methods"].values():
        assert set(method["scores"]) == names
        scores = method["scores"]
        lost = scores[WITH]["mean"] - scores[WITHOUT]["mean"]
        assert scores[LOST]["mean"] == pytest.approx(lost)
        assert set(method["kept"]) == set(KEPT)
    assert set(found["winners"]) == {*AGAINST_MASKS, *COUNTERFACTUAL}
    assert LEARNED not in {each["best"] for each in found["winners"].values()}
    plain = found["methods"][PLAIN]["scores"]
    assert plain[MIOU]["mean"] > found["methods"]["center"]["scores"][MIOU]["mean"]
    assert found["methods"]["center"]["scores"][LOST]["mean"] == pytest.approx(0)
    assert found["generated images"]["nouns in the captions"] > 0
    assert tables.mask_table(found)
    assert tables.counterfactual_table(found)
