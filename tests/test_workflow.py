import copy
import json
import pickle
import re
from dataclasses import replace

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
from daam_syntax.runs.store import locking
from daam_syntax.runs.store.manifest import read_manifest
from daam_syntax.runs.store.run_folder import RunFolder

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
    assert read_manifest(tmp_path)[0]["settings"]["schemes"] == schemes
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
    assert manifest["sessions"][0]["versions"]["torch"]
    assert manifest["settings"]["model"]["model"] == "emoji"
    run = ds.open_run(out)
    for stored, image, maps in zip(run.maps(), analysis.images, analysis.maps, strict=True):
        name = f"{maps.provenance['prompt_id']}-{maps.provenance['seed']}"
        np.testing.assert_array_equal(Image.open(out / "images" / f"{name}.png"), image)
        np.testing.assert_array_equal(stored.data, maps.data)
        assert Image.open(out / f"overview-{name}.png").width > 500
        assert (out / f"explore-{maps.provenance['prompt_id']}.html").stat().st_size > 0
    pd.testing.assert_frame_equal(run.pairs(), analysis.pairs)
    pd.testing.assert_frame_equal(run.summarize(), analysis.summary, check_dtype=False)
    index = (out / "index.html").read_text()
    assert all(prompt in index for prompt in {m.prompt for m in analysis.maps})
    shown = re.findall(r'<img class="overview" src="([^"]+)"', index)
    assert len(shown) == len({m.prompt for m in analysis.maps})
    assert all((out / name).is_file() for name in shown)
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
    assert read_manifest(tmp_path)[0]["status"] == "incomplete"
    assert len(list((tmp_path / "images").glob("*.png"))) == 1
    assert len(ds.open_run(tmp_path).records) == 1
    monkeypatch.setattr(type(emoji_pipe), "__call__", original)
    whole = ds.analyze(prompts, emoji_pipe, steps=2, out=tmp_path)
    assert read_manifest(tmp_path)[0]["status"] == "complete"
    alone = ds.analyze(prompts, emoji_pipe, steps=2)
    pd.testing.assert_frame_equal(whole.pairs, alone.pairs)


def test_another_analysis_in_the_folder_is_overwritten_only_on_request(tmp_path, emoji_pipe):
    ds.analyze("a cat", emoji_pipe, steps=2, out=tmp_path)
    with pytest.raises(
        FileError, match=r"prompt removed: 'a cat'; prompt added: 'a dog'.*--overwrite"
    ):
        ds.analyze("a dog", emoji_pipe, steps=2, out=tmp_path)
    again = ds.analyze("a dog", emoji_pipe, steps=2, out=tmp_path, overwrite=True)
    assert again.maps[0].prompt == "a dog"
    assert len(list((tmp_path / "maps").iterdir())) == 1
    for pattern in ("images/*.png", "overview-*.png", "explore-*.html"):
        assert len(list(tmp_path.glob(pattern))) == 1, pattern


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


def test_a_failed_start_keeps_the_earlier_analysis(tmp_path, emoji_pipe):
    ds.analyze("a cat", emoji_pipe, steps=1, out=tmp_path)
    with pytest.raises(ModelError):
        ds.analyze("a cat", "no/such-model", out=tmp_path, overwrite=True)
    with pytest.raises(ModelError, match="multiple of 8"):
        ds.analyze("a cat", emoji_pipe, height=63, out=tmp_path, overwrite=True)
    assert next(ds.open_run(tmp_path).maps()).prompt == "a cat"


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
        with pytest.raises(PromptError, match=rf"got {type(table).__name__}; (take|make) a"):
            ds.analyze(table, emoji_pipe)
    for seeds in (0, 1.5, True, [0, 0], [-1], [], "2", [0.5], {}):
        with pytest.raises(PromptError, match="number of images per prompt"):
            ds.analyze("a cat", emoji_pipe, seeds=seeds)
    for name, value in [
        *[("height", value) for value in (0, -64, 64.5, True, "64")],
        *[("width", value) for value in (-64, float("nan"))],
        *[("guidance", value) for value in (float("nan"), float("inf"), "4", True)],
    ]:
        for out in (None, tmp_path / "out"):
            with pytest.raises(ModelError, match=f"{name}.*but got"):
                ds.analyze("a cat", emoji_pipe, **{name: value}, out=out)
    assert not (tmp_path / "out").exists()
    for steps in (0, 2.5, "20", True):
        with pytest.raises(ModelError, match="whole number of denoising steps"):
            ds.analyze("a cat", emoji_pipe, steps=steps)
    with pytest.raises(PromptError, match="at least one prompt"):
        ds.analyze([], emoji_pipe)
    with pytest.raises(PromptError, match="'a cat' twice"):
        ds.analyze(["a cat", "a cat"], emoji_pipe)
    with pytest.raises(ThresholdError, match=r"relative:0\.4"):
        ds.analyze("a cat", emoji_pipe, threshold="median")
    with pytest.raises(ModelError, match="multiple of 8 pixels, but got 63; 64 would do"):
        ds.analyze("a cat", emoji_pipe, height=63)
    with pytest.raises(ModelError, match="'no/such-model' could not be loaded"):
        ds.load_pipeline("no/such-model")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Not a directory"):
        ds.analyze("a cat", emoji_pipe, out=tmp_path / "file" / "out")


@pytest.mark.parametrize("options", [{"dtype": "nope"}, {"device": "cpu"}, {"revision": "main"}])
def test_a_loaded_pipeline_takes_no_arguments_of_loading(tmp_path, emoji_pipe, options):
    out = tmp_path / "out"
    shown = "=".join(map(repr, *options.items())).replace("'", "", 2)
    for act in (
        lambda: ds.analyze("a cat", emoji_pipe, **options),
        lambda: ds.analyze("a cat", emoji_pipe, out=out, **options),
        lambda: ds.runs.run(["a cat"], out, emoji_pipe, **options),
    ):
        with pytest.raises(ModelError, match=f"{shown}.*which is loaded already: leave it out"):
            act()
    for act in (
        lambda: ds.analyze("a cat", out=out, dtype="nope"),
        lambda: ds.runs.run(["a cat"], out, dtype="nope"),
    ):
        with pytest.raises(ModelError, match="dtypes float32, float16, bfloat16, but got 'nope'"):
            act()
    assert not out.exists()


def test_tables_contain_no_formulas(tmp_path, emoji_pipe):
    ds.analyze("=1+1 a cat", emoji_pipe, steps=1, out=tmp_path, overviews=False)
    assert (
        ",'=1+1," in (tmp_path / "words.csv").read_text()
        or ",'=" in (tmp_path / "words.csv").read_text()
    )
    assert not list(tmp_path.glob("overview-*"))


def test_a_finished_analysis_is_read(stored, emoji_pipe, monkeypatch):
    """Nothing is drawn, and no file is written again; a view that was damaged or deleted is."""
    out, analysis = stored
    views = [path for path in out.rglob("*.*") if path.suffix in (".png", ".csv", ".html")]
    before = {path: path.stat().st_mtime_ns for path in views}
    contents = {path: path.read_bytes() for path in views}
    monkeypatch.setattr(type(emoji_pipe), "__call__", None)
    prompts = [PROMPT, "a red car and a red house"]
    settings = {"seeds": 2, "steps": 4, "height": 64, "width": 96}
    again = ds.analyze(prompts, emoji_pipe, out=out, **settings)
    pd.testing.assert_frame_equal(again.pairs, analysis.pairs)
    assert {path: path.stat().st_mtime_ns for path in views} == before
    (out / "pairs.csv").write_text("mine")
    next(out.glob("images/*.png")).unlink()
    ds.analyze(prompts, emoji_pipe, out=out, **settings)
    assert {path: path.read_bytes() for path in views} == contents


def test_other_rules_are_applied_to_the_stored_maps(tmp_path, emoji_pipe, monkeypatch):
    first = ds.analyze("a red cat on a bed", emoji_pipe, steps=1, out=tmp_path, overviews=False)
    monkeypatch.setattr(type(emoji_pipe), "__call__", None)
    rules = {"threshold": "absolute:0.05", "schemes": ["enhanced", "ud"]}
    again = ds.analyze(
        "a red cat on a bed", emoji_pipe, steps=1, out=tmp_path, overviews=False, **rules
    )
    assert set(again.pairs["threshold"]) == {"absolute:0.05"}
    assert set(again.pairs["scheme"]) == {"enhanced", "ud"}
    written = pd.read_csv(tmp_path / "pairs.csv")
    assert set(written["threshold"]) == {"absolute:0.05"}
    back = ds.analyze("a red cat on a bed", emoji_pipe, steps=1, out=tmp_path, overviews=False)
    pd.testing.assert_frame_equal(back.pairs, first.pairs)


def test_the_prompts_own_names_and_columns_come_along(tmp_path, emoji_pipe):
    rows = [
        {"id": "cat-1", "prompt": "a red cat", "category": "pets", "metadata.lang": "en"},
        {"id": "bus-1", "prompt": "a bus", "category": "vehicles"},
    ]
    prompts = ds.PromptSet.from_records(rows)
    stored = ds.analyze(prompts, emoji_pipe, steps=1, seeds=[3, 7], out=tmp_path, overviews=False)
    alone = ds.analyze(prompts, emoji_pipe, steps=1, seeds=[3, 7])
    for analysis in (stored, alone):
        assert [m.provenance["prompt_id"] for m in analysis.maps] == ["cat-1"] * 2 + ["bus-1"] * 2
        assert [m.provenance["seed"] for m in analysis.maps] == [3, 7, 3, 7]
        for table in (analysis.pairs, analysis.words):
            columns = table[["prompt_id", "category", "metadata.lang"]].drop_duplicates()
            assert set(columns.itertuples(index=False, name=None)) == {
                ("cat-1", "pets", "en"),
                ("bus-1", "vehicles", ""),
            }
    pd.testing.assert_frame_equal(stored.pairs, alone.pairs)
    assert sorted(path.name for path in tmp_path.glob("images/*.png")) == [
        "bus-1-3.png",
        "bus-1-7.png",
        "cat-1-3.png",
        "cat-1-7.png",
    ]
    assert (tmp_path / "explore-cat-1.html").exists()
    assert pd.read_csv(tmp_path / "pairs.csv")["category"].unique().tolist() == ["pets", "vehicles"]


def test_given_parses_are_used(tmp_path, emoji_pipe):
    nlp = spacy.load(ds.language.load_parser().path)
    doc, sentence = nlp("a red cat"), ds.parse("a dog on a bed")
    path = tmp_path / "own.conllu"
    ds.language.conllu.write([sentence], path)
    (read,) = ds.language.conllu.read(path)
    edited = replace(sentence, edges={"ud": sentence.edges["ud"][:1]}, root_indices={})
    found = ds.analyze([doc, edited, "a bus"], emoji_pipe, steps=1, out=tmp_path / "out")
    assert [maps.sentence for maps in found.maps] == [
        ds.parse(doc),
        edited,
        ds.parse("a bus"),
    ]
    for given in (path, [sentence], sentence):
        maps = ds.analyze(given, emoji_pipe, steps=1).maps
        assert [each.sentence for each in maps] == [read if given is path else sentence]
    (maps,) = ds.runs.run(path, tmp_path / "run", emoji_pipe, steps=1).maps()
    assert maps.sentence == read
    with pytest.raises(FileError, match="parses of the same prompts"):
        ds.runs.run([edited], tmp_path / "run", emoji_pipe, steps=1)


def test_a_failed_image_is_an_error_after_the_others_were_drawn(tmp_path, emoji_pipe, monkeypatch):
    decode, calls = emoji_pipe.vae.decode, iter(range(100))

    def overflowing(latents, *arguments, **named):
        decoded = decode(latents, *arguments, **named)
        if next(calls) == 0:
            decoded[0][0, 0, 0, 0] = float("nan")
        return decoded

    with monkeypatch.context() as patched:
        patched.setattr(emoji_pipe.vae, "decode", overflowing)
        with pytest.raises(ModelError, match=r"2 images, but 1 failed.*'a cat', seed 0.*NaN"):
            ds.analyze(["a cat", "a dog"], emoji_pipe, steps=1, out=tmp_path)
    assert [maps.prompt for maps in ds.open_run(tmp_path).maps()] == ["a dog"]
    assert len(ds.analyze(["a cat", "a dog"], emoji_pipe, steps=1, out=tmp_path).images) == 2


def test_a_second_analysis_in_the_folder_is_refused_at_once(tmp_path, emoji_pipe):
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(FileError, match="another process is writing there"),
    ):
        ds.analyze(["a cat"], emoji_pipe, out=tmp_path)


def test_the_lock_is_held_from_the_first_image_to_the_last_page(tmp_path, emoji_pipe, monkeypatch):
    """Another process could write between drawing and the views."""
    acquired = []
    acquire = locking.FileLock.acquire

    def counted(self, *args, **kwargs):
        acquired.append(str(self.lock_file))
        return acquire(self, *args, **kwargs)

    monkeypatch.setattr(locking.FileLock, "acquire", counted)
    ds.analyze(["a cat"], emoji_pipe, steps=1, out=tmp_path, overviews=False)
    assert acquired == [str(tmp_path / ".lock")]


def unpickled(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301


def test_what_is_returned_can_be_pickled_and_copied(stored):
    out, analysis = stored
    for value in (analysis, analysis.maps[0], ds.prompts("open"), ds.open_run(out)):
        for copied in (unpickled(value), copy.deepcopy(value)):
            assert type(copied) is type(value)
    again = unpickled(analysis)
    np.testing.assert_array_equal(again.maps[0].data, analysis.maps[0].data)
    assert again.maps[0].sentence == analysis.maps[0].sentence
    pd.testing.assert_frame_equal(unpickled(ds.open_run(out)).pairs(), again.pairs)
