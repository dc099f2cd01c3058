"""Runs that store the attention between words."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import daam_syntax as ds
from daam_syntax import runs
from daam_syntax.cli import options
from daam_syntax.errors import FileError, MemoryLimitError, TraceError
from daam_syntax.runs.arguments import STORED_AXES, STORED_RELATIONS
from daam_syntax.runs.store.stored_attention import attention_table, from_attention_table
from helpers.commands import run_here
from helpers.family_pipelines import make

PROMPTS = ["a red cat , a red owl", "a car"]  # a repeated word
SETTINGS = {"seeds": 2, "steps": 1, "height": 64, "width": 96, "batch_size": 2, "shard_size": 2}
RELATIONS = ("encoder", "text-text")


def draw(out, pipe, **changes):
    return runs.run(PROMPTS, out, pipe, **SETTINGS | {"relations": RELATIONS} | changes)


@pytest.fixture(scope="module")
def pipe():
    return make("SD3")


@pytest.fixture(scope="module")
def run(tmp_path_factory, pipe):
    return draw(tmp_path_factory.mktemp("attention") / "run", pipe)


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "copy")


def checks_of(run):
    problems = run.problems()
    return problems.loc[problems["stage"] == "check", "problem"].tolist()


def assert_close(stored, recorded):
    """Compare attention that was stored in 16 bits with what was recorded."""
    assert stored.groups == recorded.groups
    assert stored.sentence == recorded.sentence
    for name in ("relation", "encoder", "causal", "truncated_at"):
        assert getattr(stored, name) == getattr(recorded, name)
    np.testing.assert_allclose(stored.data, recorded.data, rtol=6e-4, atol=1e-7)


def test_stored_attention_is_that_of_a_trace(run, pipe):
    assert run.settings.relations == RELATIONS
    text = list(run.word_attention("text-text"))
    seeds = [0, 1, 0, 1]
    assert [each.prompt for each in text] == [p for p in PROMPTS for _ in range(2)]
    assert [each.provenance["seed"] for each in text] == seeds
    items = [(text[0].sentence, seed) for seed in (0, 1)]
    traced = ds.drawing.draw_batch(items, pipe, run.settings.drawing, RELATIONS)
    for number, image in enumerate(traced):
        *encoders, joint = image.attention
        assert_close(text[number], joint)
        stored = list(
            run.word_attention(
                "encoder", lambda row, n=number: row["prompt"] == PROMPTS[0] and row["seed"] == n
            )
        )
        assert len(stored) == len(encoders) == 3  # two CLIPs and a T5
        for each, recorded in zip(stored, encoders, strict=True):
            assert_close(each, recorded)
            assert each.provenance["prompt_id"] == image.prompt_id
            assert each.provenance["map_dtype"] == "float16"
    assert not np.array_equal(text[0].data, text[1].data)  # seeds differ in the denoiser


def test_maps_and_images_do_not_depend_on_it(run, pipe, tmp_path):
    plain = draw(tmp_path / "plain", pipe, relations=())
    assert not (plain.path / "attention").exists()
    for maps, reference in zip(run.maps(), plain.maps(), strict=True):
        np.testing.assert_array_equal(maps.data, reference.data)
    for (_, image), (_, reference) in zip(run.pil_images(), plain.pil_images(), strict=True):
        np.testing.assert_array_equal(image, reference)
    with pytest.raises(
        FileError, match=r"has no relation between words: .*relations=\['encoder'\]"
    ):
        next(plain.word_attention("encoder"))
    with pytest.raises(FileError, match="has encoder, text-text"):
        next(run.word_attention("image-image"))


def test_a_damaged_file_of_attention_is_named_and_its_shard_drawn_again(run, copy, pipe):
    file = copy / "attention" / "part-00001.parquet"
    for damage in (b"PAR1", None):
        file.write_bytes(damage) if damage else file.unlink()
        with pytest.raises(FileError, match=r"attention/part-00001"):
            list(runs.open_run(copy).word_attention("text-text"))
        assert len(list(runs.open_run(copy).maps())) == 4  # the other tables can still be read
        repaired = draw(copy, pipe)
        assert checks_of(repaired)[-1] == "damaged file"
        assert repaired.sessions[-1]["images"] == 2
        for relation in RELATIONS:
            pairs = zip(
                repaired.word_attention(relation), run.word_attention(relation), strict=True
            )
            for each, reference in pairs:
                np.testing.assert_array_equal(each.data, reference.data)


def test_a_finished_run_draws_nothing_and_a_lost_record_is_restored(copy, pipe, monkeypatch):
    (copy / "committed" / "part-00000.json").unlink()
    monkeypatch.setattr(type(pipe), "__call__", None)
    again = draw(copy, pipe)
    assert checks_of(again) == ["record restored"]
    assert set(again.records[0].files) == {
        "pairs",
        "words",
        "maps",
        "images",
        "attention",
        "problems",
    }


def test_the_relations_belong_to_the_identity_of_a_run(copy, pipe):
    for relations in ((), "encoder"):
        with pytest.raises(FileError, match=r"relations: \['encoder', 'text-text'\] before"):
            draw(copy, pipe, relations=relations)
    again = draw(copy, pipe, relations=("encoder",), overwrite=True)
    assert again.settings.relations == ("encoder",)
    assert len(list(again.word_attention("encoder"))) == 4 * 3


def test_the_plan_says_how_much_disk_it_takes(run):
    cost = runs.plan(1000, 2, run)
    written = sum(path.stat().st_size for path in (run.path / "attention").iterdir())
    assert cost.n_bytes["attention"] == written * 500
    assert "attention " in str(cost)


def test_its_size_grows_with_the_tokens_alone(run):
    """Neither steps, layers, nor heads are kept: a number for each pair of tokens takes two bytes."""
    for record in run.records:
        path = run.path / "attention" / f"part-{record.shard:05d}.parquet"
        rows = pq.read_table(path)
        for groups, values in zip(rows["groups"], rows["values"], strict=True):
            assert len(values) == len(json.loads(groups.as_py())) ** 2
        assert rows.schema.field("values").type == pa.list_(pa.float16())


def test_layers_and_heads_are_kept_if_asked(run, pipe, tmp_path):
    """Maps stay the same to the bit, and means over the axes are those that are stored without them."""
    axes = STORED_AXES
    kept = draw(tmp_path / "run", pipe, relation_axes=axes[::-1])
    assert kept.settings.relation_axes == axes
    for maps, reference in zip(kept.maps(), run.maps(), strict=True):
        np.testing.assert_array_equal(maps.data, reference.data)
    for relation in RELATIONS:
        pairs = list(zip(kept.word_attention(relation), run.word_attention(relation), strict=True))
        for each, averaged in pairs:
            assert each.axes == axes
            np.testing.assert_allclose(each.mean, averaged.mean, rtol=2e-3, atol=1e-6)
    items = [(pairs[0][0].sentence, seed) for seed in (0, 1)]
    traced = ds.drawing.draw_batch(items, pipe, run.settings.drawing, RELATIONS, axes)
    for (stored, _), image in zip(pairs, traced, strict=False):
        assert_close(stored, image.attention[-1])
        for axis in axes:
            np.testing.assert_array_equal(stored.data[axis], image.attention[-1].data[axis])
        selected = stored.select(heads=1)
        recorded = image.attention[-1].select(heads=1)
        np.testing.assert_allclose(selected.mean, recorded.mean, rtol=6e-4, atol=1e-7)
    with pytest.raises(FileError, match=r"relation_axes: .* before"):
        draw(tmp_path / "run", pipe)
    cost, plain = (runs.plan(1000, 2, each).n_bytes["attention"] for each in (kept, run))
    assert cost > plain
    columns = pq.read_table(kept.path / "attention" / "part-00000.parquet").to_pylist()
    for row in columns:
        sizes = [len(labels) for labels in json.loads(row["axes"]).values()]
        n_tokens = len(json.loads(row["groups"]))
        assert len(row["values"]) == np.prod(sizes) * n_tokens**2


def test_the_memory_of_kept_axes_is_limited(pipe):
    """Those of the relations are larger than those of heat maps, which are averaged all the same."""
    options = {"num_inference_steps": 1, "height": 64, "width": 96, "max_sequence_length": 24}
    spec = {"relations": "text-text", "relation_axes": ("layer", "head")}
    with ds.trace(pipe, **spec) as recording:
        pipe("a red cat", **options)
    (call,), (related,) = recording._recorder.finished, recording._recorder.related
    assert call.n_bytes < call.n_bytes + related.n_bytes <= recording.predicted_bytes
    size = recording.predicted_bytes
    with (
        pytest.raises(MemoryLimitError, match="record fewer relations"),
        ds.trace(pipe, **spec, max_bytes=size - 1),
    ):
        pipe("a red cat", **options)
    assert ds.attention.predict_memory(pipe, "a red cat", keep=(), **spec, **options) == size
    with ds.trace(pipe, relations="text-text") as averaged:
        pipe("a red cat", **options)
    assert averaged.predicted_bytes < size


def test_axes_that_cannot_be_kept_are_refused(tmp_path, pipe):
    with pytest.raises(ValueError, match=r"got \['step'\]: record steps with daam_syntax.trace"):
        draw(tmp_path, pipe, relation_axes="step")
    with pytest.raises(ValueError, match=r"to keep their head, but got none: name some of"):
        draw(tmp_path, pipe, relations=(), relation_axes="head")


def test_relations_that_cannot_be_stored_are_refused_before_anything_is_drawn(
    tmp_path, pipe, emoji_pipe
):
    with pytest.raises(ValueError, match=r"got \['text-image'\]: record others with daam_syntax"):
        draw(tmp_path / "a", pipe, relations="text-image")
    with pytest.raises(
        TraceError, match=r"attends from pixels alone: record relations=\('encoder',"
    ):
        runs.run(PROMPTS, tmp_path / "b", emoji_pipe, relations="text-text", **SETTINGS)
    assert not any((tmp_path / name / "pairs").exists() for name in "ab")


def test_rows_of_another_image_or_prompt_are_refused(run):
    (image,) = (row | {"sentence": None} for row in run.images().head(1).to_dict("records"))
    attention = next(run.word_attention("text-text"))
    rows = attention_table([attention], image, "float32")
    (same,) = from_attention_table(rows, image, attention.sentence)
    np.testing.assert_array_equal(same.data, attention.data)
    with pytest.raises(FileError, match="the attention has the seed"):
        from_attention_table(rows, image | {"seed": 9}, attention.sentence)
    groups = json.loads(rows["groups"][0].as_py())
    bad = [
        groups[:-1],
        [*groups[:-1], groups[-1] | {"kind": "wrong"}],
        [groups[0] | {"end": 10**6}, *groups[1:]],
        [groups[0] | {"positions": ["x"]}, *groups[1:]],
        "text",
    ]
    wrong_axes = [{"head": [0]} | {"layer": ["a"]}, {"head": [0, 1]}, {"x": [0]}, "text"]
    changes = [("groups", each) for each in bad] + [("axes", each) for each in wrong_axes]
    for column, each in changes:
        changed = rows.set_column(
            rows.schema.get_field_index(column), column, pa.array([json.dumps(each)])
        )
        with pytest.raises(FileError, match="do not fit together"):
            from_attention_table(changed, image, attention.sentence)


def test_analyze_returns_and_stores_it(emoji_pipe, tmp_path):
    options = {"steps": 1, "seeds": 2, "relations": "encoder", "overviews": False}
    memory = ds.analyze(PROMPTS[:1], emoji_pipe, **options)
    stored = ds.analyze(PROMPTS[:1], emoji_pipe, out=tmp_path, **options)
    for analysis in (memory, stored):
        assert [len(each) for each in analysis.attention] == [1, 1]
    (reference,) = ds.trace_text(emoji_pipe, PROMPTS[0])
    for (each,) in (*memory.attention, *stored.attention):
        np.testing.assert_allclose(each.data, reference.data, atol=1e-6)
    opened = list(ds.open_run(tmp_path).word_attention("encoder"))
    np.testing.assert_array_equal(opened[1].data, stored.attention[1][0].data)


def test_the_command_line_takes_relations(tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red cat\n")
    small = ("--steps", 1, "--height", 64, "--width", 64, "--relation", "encoder")
    small += ("--relation-axis", "layer")
    done = run_here("run", prompts, "--out", "run", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ds.open_run(tmp_path / "run").settings.relations == ("encoder",)
    assert ds.open_run(tmp_path / "run").settings.relation_axes == ("layer",)
    done = run_here("run", prompts, "--out", "no", "--relation", "image-image", cwd=tmp_path)
    assert done.returncode != 0
    assert "'encoder', 'refiner', 'text-text'" in done.stderr
    assert tuple(options.Relation) == STORED_RELATIONS
    assert tuple(options.RelationAxis) == STORED_AXES
