import copy
import json

import numpy as np
import pandas as pd
import pytest
import spacy
import torch
from PIL import Image

import daam_syntax as ds
from daam_syntax.analysis import PAIR_COLUMNS, WORD_COLUMNS
from daam_syntax.errors import FileError, ModelError, ParserError, PromptError, ThresholdError
from daam_syntax.language.prompt_sets.prompt_lists import check_prompts
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.analysis_folder import AnalysisFolder

PROMPT = "a red cat chasing a small blue owl in the snow"


@pytest.fixture(scope="module")
def stored(tmp_path_factory, emoji_pipe):
    out = tmp_path_factory.mktemp("analysis")
    prompts = [PROMPT, "a red car and a red house"]
    return out, ds.analyze(prompts, emoji_pipe, seeds=2, steps=4, height=64, width=96, out=out)


def test_every_image_pair_and_word_has_a_row(stored):
    _, analysis = stored
    assert [image.size for image in analysis.images] == [(96, 64)] * 4
    assert [m.provenance["seed"] for m in analysis.maps] == [0, 1, 0, 1]
    assert list(analysis.pairs.columns) == list(PAIR_COLUMNS)
    assert list(analysis.words.columns) == list(WORD_COLUMNS)
    edges = {m.prompt: len(m.sentence.edges["ud"]) for m in analysis.maps}
    found = analysis.pairs[analysis.pairs["kind"] == "dependency"].groupby("prompt").size()
    assert found.to_dict() == {prompt: 2 * n for prompt, n in edges.items()}
    assert len(analysis.words) == 2 * sum(len(ds.parse(p)) for p in edges)
    assert analysis.summary["relation"].iloc[0] == "unrelated"
    assert analysis.pairs["iou"].between(0, 1).all()


def test_each_scheme_has_its_own_rows(emoji_pipe, tmp_path):
    prompt = "a cat on a bed and a tree"
    schemes = ["enhanced", "native"]
    analysis = ds.analyze(prompt, emoji_pipe, steps=1, schemes=schemes, out=tmp_path)
    edges = analysis.maps[0].sentence.edges
    found = analysis.pairs[analysis.pairs["kind"] == "dependency"].groupby("scheme").size()
    assert found.to_dict() == {scheme: len(edges[scheme]) for scheme in schemes}
    assert {"nmod:on", "pobj"} <= set(analysis.pairs["relation"])
    assert AnalysisFolder(tmp_path).manifest()["schemes"] == schemes
    with pytest.raises(ParserError, match="schemes native, ud, enhanced, but got 'stanford'"):
        ds.analyze(prompt, emoji_pipe, schemes="stanford")


def test_a_parser_without_universal_dependencies_is_refused_before_drawing(emoji_pipe):
    nlp = spacy.blank("de")
    parser = nlp.add_pipe("parser")
    for label in ("sb", "oa", "ROOT"):
        parser.add_label(label)
    nlp.initialize()
    with pytest.raises(ParserError, match="have native; choose one of these schemes"):
        ds.analyze("eine Katze", "no model is loaded", parser=nlp)
    analysis = ds.analyze("eine Katze", emoji_pipe, steps=1, parser=nlp, schemes="native")
    assert set(analysis.pairs["scheme"]) == {"native"}


def test_an_analysis_has_a_short_representation(stored):
    _, analysis = stored
    assert repr(analysis).startswith("Analysis(2 prompts, 4 images, ")
    assert "unrelated" in analysis._repr_html_()


def test_the_two_reds_are_two_words(stored):
    _, analysis = stored
    maps = analysis.maps[2]
    assert maps.sentence.find("red") == (1, 5)
    assert not np.array_equal(maps[1].values, maps[5].values)


def test_maps_are_probabilities_over_all_tokens(stored):
    _, analysis = stored
    for maps in analysis.maps:
        total = maps.data.sum("token")
        assert float(total.max()) < 1.05  # the rest is padding; resizing can overshoot slightly
        assert float(maps.data.min()) >= 0


def test_the_folder_has_everything(stored):
    out, analysis = stored
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["provenance"]["versions"]["torch"]
    assert manifest["provenance"]["model"] == "emoji"
    names = manifest["settings"]["names"]
    for name, image, maps in zip(names, analysis.images, analysis.maps, strict=True):
        np.testing.assert_array_equal(Image.open(out / "images" / f"{name}.png"), image)
        loaded = HeatMaps.load(out / "maps" / f"{name}.npz")
        np.testing.assert_array_equal(loaded.data, maps.data)
        assert Image.open(out / f"overview-{name}.png").width > 500
    pairs = pd.read_csv(out / "pairs.csv", keep_default_na=False, na_values=[""])
    assert pairs["head"].tolist() == analysis.pairs["head"].tolist()
    np.testing.assert_allclose(pairs["iou"], analysis.pairs["iou"])
    assert len(pd.read_csv(out / "words.csv")) == len(analysis.words)
    assert len(pd.read_csv(out / "summary.csv")) == len(analysis.summary)


def test_an_interrupted_analysis_is_resumed(tmp_path, emoji_pipe, monkeypatch):
    drawn = []
    original = type(emoji_pipe).__call__

    def counting(self, *args, **kwargs):
        if len(drawn) == 1:
            raise KeyboardInterrupt
        drawn.append(args)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(type(emoji_pipe), "__call__", counting)
    prompts = ["a cat", "a dog"]
    with pytest.raises(KeyboardInterrupt):
        ds.analyze(prompts, emoji_pipe, steps=2, out=tmp_path)
    assert AnalysisFolder(tmp_path).manifest()["status"] == "running"
    assert len(list((tmp_path / "maps").glob("*.npz"))) == 1
    monkeypatch.setattr(type(emoji_pipe), "__call__", original)
    whole = ds.analyze(prompts, emoji_pipe, steps=2, out=tmp_path)
    assert AnalysisFolder(tmp_path).manifest()["status"] == "complete"
    alone = ds.analyze(prompts, emoji_pipe, steps=2)
    pd.testing.assert_frame_equal(whole.pairs, alone.pairs)


def test_another_analysis_in_the_folder_is_overwritten_only_on_request(tmp_path, emoji_pipe):
    ds.analyze("a cat", emoji_pipe, steps=2, out=tmp_path)
    with pytest.raises(FileError, match=r"other settings \(names, prompts\).*--overwrite"):
        ds.analyze("a dog", emoji_pipe, steps=2, out=tmp_path)
    again = ds.analyze("a dog", emoji_pipe, steps=2, out=tmp_path, overwrite=True)
    assert again.maps[0].prompt == "a dog"
    assert len(list((tmp_path / "maps").iterdir())) == 1


def test_an_analysis_is_not_resumed_with_another_model(tmp_path, emoji_pipe):
    from diffusers import StableDiffusionPipeline

    ds.analyze("a cat", emoji_pipe, steps=1, out=tmp_path)
    other = StableDiffusionPipeline(**emoji_pipe.components, requires_safety_checker=False)
    other.unet = copy.deepcopy(emoji_pipe.unet)
    other.set_progress_bar_config(disable=True)
    with torch.no_grad():
        next(other.unet.parameters()).mul_(0.5)
    with pytest.raises(FileError, match="fingerprint"):
        ds.analyze("a cat", other, steps=1, out=tmp_path)


def test_files_of_another_origin_are_left_alone(tmp_path, emoji_pipe):
    holiday = tmp_path / "images" / "holiday.png"
    holiday.parent.mkdir()
    holiday.write_bytes(b"mine")
    with pytest.raises(FileError, match=r"daam-syntax did not write, for instance .*holiday\.png"):
        ds.analyze("a cat", emoji_pipe, steps=1, out=tmp_path, overwrite=True)
    assert holiday.read_bytes() == b"mine"
    holiday.unlink()
    ds.analyze("a cat", emoji_pipe, steps=1, out=tmp_path)
    holiday.write_bytes(b"mine")
    ds.analyze("a dog", emoji_pipe, steps=1, out=tmp_path, overwrite=True)
    assert holiday.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../../../holiday", "/etc/x", "a/b", 7, None])
def test_names_never_leave_the_folder(tmp_path, emoji_pipe, name):
    out = tmp_path / "a" / "b" / "c"
    ds.analyze("a cat", emoji_pipe, steps=1, out=out)
    holiday = tmp_path / "holiday.png"
    holiday.write_bytes(b"mine")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["settings"]["names"].append(name)
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FileError, match=r"manifest\.json.*an image named"):
        ds.analyze("a dog", emoji_pipe, steps=1, out=out, overwrite=True)
    assert holiday.read_bytes() == b"mine"


def test_a_failed_start_keeps_the_earlier_analysis(tmp_path, emoji_pipe):
    ds.analyze("a cat", emoji_pipe, steps=1, out=tmp_path)
    with pytest.raises(ModelError):
        ds.analyze("a cat", "no/such-model", out=tmp_path, overwrite=True)
    with pytest.raises(ModelError, match="multiple of 4"):
        ds.analyze("a cat", emoji_pipe, height=63, out=tmp_path, overwrite=True)
    assert AnalysisFolder(tmp_path).maps()[0].prompt == "a cat"


def test_a_model_from_a_folder(tmp_path, emoji_pipe):
    emoji_pipe.save_pretrained(tmp_path / "model")
    from_folder = ds.analyze("a cat", tmp_path / "model", steps=2, guidance=4.0)
    embedded = ds.analyze("a cat", emoji_pipe, steps=2)
    pd.testing.assert_frame_equal(from_folder.pairs, embedded.pairs)
    assert from_folder.maps[0].provenance["model"] == str(tmp_path / "model")


def test_maps_do_not_scale_with_steps_or_guidance(emoji_pipe):
    def total(**settings):
        maps = ds.analyze("a red cat", emoji_pipe, **settings).maps[0]
        return float(maps.data.sum("token").mean())

    totals = [total(steps=2), total(steps=5), total(steps=2, guidance=1.0)]
    assert max(totals) / min(totals) < 1.3


@pytest.mark.parametrize(
    "prompt",
    [
        "cat " * 60,
        "😀 🐈 🦉",
        "ein Käse 東京 кот",
        "cafe\u0301 au lait",
        "<b>a cat</b> & [dog] {owl} (fox:1.3)",
        "one",
        "two  spaces\nand a line",
    ],
    ids=["too long", "emoji", "mixed scripts", "NFD", "markup", "one word", "white space"],
)
def test_unusual_prompts_give_complete_results(prompt, emoji_pipe, tmp_path):
    analysis = ds.analyze(prompt, emoji_pipe, steps=1, out=tmp_path)
    assert len(analysis.words) == len(ds.parse(prompt))
    assert analysis.words["status"].isin(["mapped", "truncated", "unaligned"]).all()
    unmapped = analysis.words[analysis.words["status"] != "mapped"]
    assert (unmapped["reason"] != "").all()
    if prompt.startswith("cat cat"):
        assert (analysis.words["status"] == "truncated").sum() >= 30
        assert analysis.pairs["reason"].str.contains("truncated").any()
    else:
        assert set(unmapped["word"].str.strip()) <= {""}
    assert len(list(tmp_path.glob("overview-*.png"))) == 1


def test_a_long_prompt_that_ends_like_a_file_is_a_prompt():
    prompt = " ".join(["a red cat and"] * 40) + " prompts.txt"  # too long for a file name
    assert check_prompts(prompt) == [prompt]


def test_errors_of_input_say_what_to_do(emoji_pipe, tmp_path):
    with pytest.raises(PromptError, match="at least one word"):
        ds.analyze("  ", emoji_pipe)
    for table in (pd.DataFrame({"prompt": ["a cat"]}), None, 3):
        with pytest.raises(PromptError, match=rf"got {type(table).__name__}; take a column"):
            ds.analyze(table, emoji_pipe)
    for seeds in (0, 1.5, [0, 1]):
        with pytest.raises(PromptError, match="number of images per prompt"):
            ds.analyze("a cat", emoji_pipe, seeds=seeds)
    for steps in (0, 2.5, "20"):
        with pytest.raises(ModelError, match="whole number of denoising steps"):
            ds.analyze("a cat", emoji_pipe, steps=steps)
    with pytest.raises(PromptError, match="at least one prompt"):
        ds.analyze([], emoji_pipe)
    with pytest.raises(PromptError, match="'a cat' twice"):
        ds.analyze(["a cat", "a cat"], emoji_pipe)
    with pytest.raises(ThresholdError, match=r"relative:0\.4"):
        ds.analyze("a cat", emoji_pipe, threshold="median")
    with pytest.raises(ModelError, match="multiple of 4 pixels, but got 63; 64 would do"):
        ds.analyze("a cat", emoji_pipe, height=63)
    with pytest.raises(ModelError, match="'no/such-model' could not be loaded"):
        ds.load_pipeline("no/such-model")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Not a directory"):
        ds.analyze("a cat", emoji_pipe, out=tmp_path / "file" / "out")


def test_tables_contain_no_formulas(tmp_path):
    folder = AnalysisFolder(tmp_path / "new")
    folder.write_table("words", pd.DataFrame({"word": ["=1+1", "a"], "mean": [-0.5, 1 / 3]}))
    assert (tmp_path / "new" / "words.csv").read_bytes() == (
        f"word,mean\n'=1+1,-0.5\na,{1 / 3}\n".encode()
    )
