"""A valid call of each public function and method, whose arguments a test exchanges one by one for hostile values."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import daam_syntax as ds
from daam_syntax import analysis, emoji, maps
from daam_syntax.maps.word_attention.token_groups import group_tokens
from helpers.examples import SUBWORDS, box, make_maps, make_other_maps, make_sentence
from helpers.figure_data import (
    IMAGE,
    make_curves,
    make_profile,
    make_similarities,
    make_summary,
    make_sweep,
    make_words,
)
from helpers.simulated import phrase_pairs, random_pairs, sentence_rows, sides
from helpers.synthetic_run import sentence_of, write_run
from helpers.tiny_pipelines import make_sd
from helpers.video_data import make_video

Call = tuple[Callable[..., Any], dict[str, Any]]


class Values:
    """Values that the calls share, each made when it is first used."""

    @cached_property
    def maps(self) -> ds.HeatMaps:
        return make_maps(image_size=(40, 60), provenance={"prompt_id": "a", "seed": 0})

    @cached_property
    def both(self) -> list[ds.HeatMaps]:
        return [self.maps, make_other_maps()]

    @cached_property
    def sentence(self) -> ds.Sentence:
        return make_sentence()

    @cached_property
    def video(self) -> ds.VideoMaps:
        return make_video(image_size=(40, 60))

    @cached_property
    def output(self) -> ds.OutputMaps:
        data = xr.DataArray(np.arange(192.0).reshape(8, 4, 6), dims=("token", "y", "x"))
        return ds.OutputMaps(data, SUBWORDS, self.sentence, (4, 6))

    @cached_property
    def attention(self) -> ds.WordAttention:
        groups = group_tokens(SUBWORDS)
        values = np.full((len(groups), len(groups)), 1 / len(groups))
        data = xr.DataArray(values, dims=("query", "key"))
        return ds.WordAttention(data, groups, self.sentence, relation="encoder")

    @cached_property
    def image_attention(self) -> maps.ImageAttention:
        data = xr.DataArray(
            np.full((4, 6, 4, 6), 1 / 24), dims=("query_y", "query_x", "key_y", "key_x")
        )
        return maps.ImageAttention(data, (4, 6))

    @cached_property
    def weights(self) -> ds.MapWeights:
        return ds.MapWeights(xr.DataArray([1.0], dims="layer", coords={"layer": ["a"]}))

    @cached_property
    def by_layer(self) -> ds.HeatMaps:
        data = self.maps.data.expand_dims(layer=["a"], axis=1)
        return ds.HeatMaps(data, SUBWORDS, self.sentence, (4, 6))

    @cached_property
    def two_encoders(self) -> ds.HeatMaps:
        rows = [
            replace(subword, encoder=name) for name in ("first", "second") for subword in SUBWORDS
        ]
        data = xr.concat([self.maps.data] * 2, "token")
        limits = {"first": None, "second": None}
        return ds.HeatMaps(data, rows, self.sentence, (4, 6), truncated_at=limits)

    @cached_property
    def two_words(self) -> ds.HeatMaps:
        data = self.maps.data[:3]
        return ds.HeatMaps(data, SUBWORDS[:3], self.sentence, (4, 6), truncated_at=7)

    @cached_property
    def kept(self) -> maps.KeptMaps:
        return maps.KeptMaps.from_array(self.maps.data)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return ds.measure_pairs(self.maps)

    @cached_property
    def drawn(self) -> pd.DataFrame:
        return random_pairs(np.random.default_rng(0), n_prompts=4, n_images=1)

    @cached_property
    def two_images(self) -> pd.DataFrame:
        return random_pairs(np.random.default_rng(0), n_prompts=4, n_images=2)

    @cached_property
    def crossed(self) -> ds.PromptSet:
        return ds.prompts("crossed")

    @cached_property
    def crossed_pairs(self) -> pd.DataFrame:
        pair = self.crossed.pairs()[0]
        texts = (pair.first.text, pair.second.text)
        return pd.concat([_edges(ds.parse(text), f"p{n}", n) for n, text in enumerate(texts)])

    @cached_property
    def phrases(self) -> pd.DataFrame:
        table = phrase_pairs(n_prompts=4, n_images=2)
        return table.assign(iou=np.random.default_rng(0).random(len(table)))

    @cached_property
    def sides(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return sides(self.drawn)

    @cached_property
    def prompts(self) -> ds.PromptSet:
        rows = [{"prompt": "a red cat", "category": "x"}, {"prompt": "a dog", "category": "y"}]
        return ds.PromptSet.from_records(rows)

    @cached_property
    def pipe(self) -> Any:
        return make_sd()

    @cached_property
    def traced(self) -> Any:
        with ds.trace(self.pipe, relations="encoder") as recording:
            self.pipe("a red cat", num_inference_steps=1, output_type="latent")
        return recording

    @cached_property
    def folder(self) -> Path:
        return Path(tempfile.mkdtemp())

    @cached_property
    def run(self) -> ds.runs.Run:
        return write_run(self.folder / "run", ["a red cat", "one house"])

    @cached_property
    def scene(self) -> emoji.Scene:
        return emoji.scene(0)


def table_calls(v: Values) -> dict[str, Call]:
    """Return calls of the room analysis."""
    related, control = v.sides
    both = {"pairs": related, "control": control}
    pilot = analysis.VarianceComponents(0.1, 0.01, 0.02, 10, 20)
    swept = analysis.sweep(v.maps, values=[0.4, 0.5])
    return {
        "measure_pairs": (analysis.measure_pairs, {"maps": v.maps}),
        "measure_frames": (analysis.measure_frames, {"videos": v.video}),
        "measure_tables": (analysis.measure_tables, {"maps": v.maps}),
        "word_table": (analysis.word_table, {"maps": v.maps}),
        "binding_table": (analysis.binding_table, {"maps": v.maps}),
        "attention_shares": (analysis.attention_shares, {"maps": v.maps}),
        "normalize_over_tokens": (analysis.normalize_over_tokens, {"maps": v.maps}),
        "remove_mean_map": (analysis.remove_mean_map, {"maps": v.maps}),
        "exchange_roles": (analysis.exchange_roles, {"pairs": v.pairs}),
        "designated_pairs": (
            analysis.designated_pairs,
            {"pairs": v.crossed_pairs, "prompts": v.crossed},
        ),
        "cross_prompt_pairs": (analysis.cross_prompt_pairs, {"maps": v.both}),
        "permuted_pairs": (analysis.permuted_pairs, {"maps": v.maps}),
        "shifted_pairs": (analysis.shifted_pairs, {"maps": v.maps}),
        "match_pairs": (analysis.match_pairs, {"pairs": v.phrases}),
        "dose_table": (analysis.dose_table, {"pairs": v.pairs}),
        "exchange_partners": (analysis.exchange_partners, {"pairs": v.pairs}),
        "estimate_mean": (analysis.estimate_mean, {"pairs": related, "n_resamples": 99}),
        "estimate_difference": (analysis.estimate_difference, {**both, "n_resamples": 99}),
        "prompt_means": (analysis.prompt_means, {"pairs": related, "measure": "iou"}),
        "balance": (analysis.balance, both),
        "variance_components": (
            analysis.variance_components,
            dict(zip(("pairs", "control"), sides(v.two_images), strict=True)),
        ),
        "power_table": (analysis.power_table, {"pilot": pilot, "n_simulations": 10}),
        "relation_components": (
            analysis.relation_components,
            {"pairs": v.phrases, "relation": "amod"},
        ),
        "estimate_relations": (analysis.estimate_relations, {"pairs": v.pairs}),
        "regress": (analysis.regress, {"pairs": v.phrases}),
        "summarize": (analysis.summarize, {"pairs": v.pairs, "n_resamples": 99}),
        "adjust_p": (analysis.adjust_p, {"p": [0.01, 0.2]}),
        "cliffs_delta": (analysis.cliffs_delta, {"first": [1.0, 2], "second": [2.0, 3]}),
        "paired_dz": (analysis.paired_dz, {"differences": [1.0, 2, 4]}),
        "least_p": (analysis.least_p, {"n_clusters": 4}),
        "sweep": (analysis.sweep, {"maps": v.maps, "values": [0.4, 0.5]}),
        "sweep_auc": (analysis.sweep_auc, {"swept": swept}),
        "sweep_curves": (analysis.sweep_curves, {"swept": swept, "n_resamples": 99}),
        "table_notes": (analysis.table_notes, {"table": v.pairs}),
        "to_csv": (analysis.to_csv, {"table": v.pairs}),
        "to_html": (analysis.to_html, {"table": v.pairs}),
        "to_latex": (analysis.to_latex, {"table": v.pairs}),
        "to_markdown": (analysis.to_markdown, {"table": v.pairs}),
        "write_table": (
            analysis.write_table,
            {"table": v.pairs, "path": v.folder / "table.csv"},
        ),
        "SimulatedStudy": (analysis.SimulatedStudy, {}),
        "SimulatedStudy.true_mean": (analysis.SimulatedStudy().true_mean, {"side": 0}),
        "SimulatedStudy.draw": (
            analysis.SimulatedStudy().draw,
            {"n_studies": 1, "rng": np.random.default_rng(0)},
        ),
        "SimulatedStudy.tables": (
            analysis.SimulatedStudy().tables,
            {"n_studies": 1, "rng": np.random.default_rng(0)},
        ),
        "Exchange.sides": (
            analysis.exchange_partners(v.pairs).sides,
            {"relation": "amod"},
        ),
        "Regression.estimate": (
            analysis.regress(v.phrases).estimate,
            {"term": "relation[amod]"},
        ),
    }


def figure_calls(v: Values) -> dict[str, Call]:
    """Return calls of the rooms figures and explorer."""
    from matplotlib import pyplot as plt

    f = ds.figures
    images = [IMAGE] * 9
    figure, _ = plt.subplots()
    return {
        "overlay": (f.overlay, {"image": IMAGE, "heat_map": v.maps["zebra"]}),
        "overview": (f.overview, {"image": IMAGE, "maps": v.maps}),
        "arcs_with_overlays": (f.arcs_with_overlays, {"image": IMAGE, "maps": v.maps}),
        "word_grid": (f.word_grid, {"images": IMAGE, "maps": v.maps}),
        "word_matrix": (f.word_matrix, {"maps": v.maps}),
        "frame_grid": (f.frame_grid, {"images": images, "video": v.video}),
        "animate": (
            f.animate,
            {"images": images, "video": v.video, "word": "zebra", "path": v.folder / "a.gif"},
        ),
        "dependency_arcs": (f.dependency_arcs, {"sentence": v.sentence}),
        "dependency_graph": (
            f.dependency_graph,
            {"sentence": v.sentence, "pairs": v.pairs},
        ),
        "attention_arcs": (f.attention_arcs, {"attention": v.attention}),
        "attention_matrix": (f.attention_matrix, {"attention": v.attention}),
        "breadth_by_pos": (f.breadth_by_pos, {"words": make_words()}),
        "containment": (f.containment, {"pairs": v.pairs}),
        "deletion_curves": (f.deletion_curves, {"curves": make_curves()}),
        "forest": (f.forest, {"summary": make_summary()}),
        "overlap_profile": (f.overlap_profile, {"profile": make_profile()}),
        "threshold_sweep": (f.threshold_sweep, {"sweep": make_sweep()}),
        "similarity_scatter": (f.similarity_scatter, {"table": make_similarities()}),
        "paper": (lambda **options: entered(f.paper(**options)), {}),
        "save": (f.save, {"figure": figure, "path": v.folder / "a.png", "dpi": 20}),
        "explore": (ds.explore, {"images": IMAGE, "maps": v.maps}),
        "Page.save": (ds.explore(IMAGE, v.maps).save, {"path": v.folder / "a.html"}),
    }


def map_calls(v: Values) -> dict[str, Call]:
    """Return calls of the room maps, except its measures."""
    heat_map = v.maps["zebra"]
    return {
        "HeatMap": (
            ds.HeatMap,
            {"values": np.ones((4, 6)), "label": "a", "indices": (0,), "image_size": (4, 6)},
        ),
        "HeatMap.resize": (heat_map.resize, {}),
        "HeatMap.mask": (heat_map.mask, {}),
        "HeatMaps": (
            ds.HeatMaps,
            {
                "data": v.maps.data,
                "subwords": SUBWORDS,
                "sentence": v.sentence,
                "image_size": (4, 6),
            },
        ),
        "HeatMaps.encoder": (v.two_encoders.encoder, {"name": "first"}),
        "HeatMaps.__getitem__": (v.maps.__getitem__, {"word": 1}),
        "HeatMaps.__contains__": (v.maps.__contains__, {"word": 1}),
        "Diagnosis.__getitem__": (v.maps.diagnose().__getitem__, {"index": slice(0, 1)}),
        "SoftMeasure.__call__": (
            maps.measures.pearson,
            {"first": v.maps.stack()[:1], "second": v.maps.stack()[1:2]},
        ),
        "HeatMaps.word": (v.maps.word, {"word": 1}),
        "HeatMaps.stack": (v.maps.stack, {}),
        "HeatMaps.word_array": (v.maps.word_array, {"word": 1}),
        "HeatMaps.select": (v.maps.select, {}),
        "HeatMaps.weighted": (v.by_layer.weighted, {"weights": v.weights}),
        "HeatMaps.subword": (v.maps.subword, {"row": 0}),
        "HeatMaps.special": (v.maps.special, {"kind": "start"}),
        "HeatMaps.lacks": (v.maps.lacks, {"kind": "start"}),
        "HeatMaps.phrase": (v.maps.phrase, {"words": [0, 1]}),
        "HeatMaps.subtree": (v.maps.subtree, {"word": 1}),
        "HeatMaps.with_sentence": (v.maps.with_sentence, {"sentence": v.sentence}),
        "HeatMaps.with_values": (v.maps.with_values, {"values": v.maps.data}),
        "HeatMaps.diagnose": (v.maps.diagnose, {}),
        "HeatMaps.save": (v.maps.save, {"path": v.folder / "a.npz"}),
        "HeatMaps.load": (ds.HeatMaps.load, {"path": v.folder / "a.npz"}),
        "MapWeights": (ds.MapWeights, {"values": v.weights.values}),
        "MapWeights.nonzero": (v.weights.nonzero, {"axis": "layer"}),
        "MapWeights.save": (v.weights.save, {"path": v.folder / "a.json"}),
        "MapWeights.load": (ds.MapWeights.load, {"path": v.folder / "a.json"}),
        "OutputMaps": (
            ds.OutputMaps,
            {
                "data": v.output.data,
                "subwords": SUBWORDS,
                "sentence": v.sentence,
                "image_size": (4, 6),
            },
        ),
        "OutputMaps.similarity": (v.output.similarity, {"word": 1}),
        "OutputMaps.word_array": (v.output.word_array, {"word": 1}),
        "OutputMaps.softmax": (v.output.softmax, {"words": [0, 1]}),
        "OutputMaps.select": (v.output.select, {}),
        "OutputMaps.with_sentence": (v.output.with_sentence, {"sentence": v.sentence}),
        "OutputMaps.save": (v.output.save, {"path": v.folder / "b.npz"}),
        "OutputMaps.load": (ds.OutputMaps.load, {"path": v.folder / "b.npz"}),
        "VideoMaps": (ds.VideoMaps, {"frames": v.video.frames, "drawn": v.video.drawn}),
        "VideoMaps.latent_frame": (v.video.latent_frame, {"drawn": 0}),
        "VideoMaps.stack": (v.video.stack, {}),
        "VideoMaps.word_array": (v.video.word_array, {"word": 1}),
        "VideoMaps.select": (v.video.select, {}),
        "VideoMaps.weighted": (
            ds.VideoMaps([v.by_layer] * 3, v.video.drawn).weighted,
            {"weights": v.weights},
        ),
        "VideoMaps.with_sentence": (v.video.with_sentence, {"sentence": v.sentence}),
        "VideoMaps.save": (v.video.save, {"path": v.folder / "c.npz"}),
        "VideoMaps.load": (ds.VideoMaps.load, {"path": v.folder / "c.npz"}),
        "WordAttention": (
            ds.WordAttention,
            {
                "data": v.attention.data,
                "groups": v.attention.groups,
                "sentence": v.sentence,
                "relation": "encoder",
            },
        ),
        "WordAttention.between": (v.attention.between, {"query": 0, "key": 1}),
        "WordAttention.remainder": (v.attention.remainder, {"query": 0}),
        "WordAttention.select": (v.attention.select, {}),
        "WordAttention.with_sentence": (v.attention.with_sentence, {"sentence": v.sentence}),
        "WordAttention.save": (v.attention.save, {"path": v.folder / "d.npz"}),
        "WordAttention.load": (ds.WordAttention.load, {"path": v.folder / "d.npz"}),
        "ImageAttention": (
            maps.ImageAttention,
            {"data": v.image_attention.data, "pixel_grid": (4, 6)},
        ),
        "ImageAttention.from_region": (
            v.image_attention.from_region,
            {"region": np.ones((4, 6), bool)},
        ),
        "ImageAttention.among_words": (v.image_attention.among_words, {"maps": v.two_words}),
        "KeptMaps": (maps.KeptMaps, {"parts": v.kept.parts, "keeps_layers": False}),
        "KeptMaps.from_array": (maps.KeptMaps.from_array, {"data": v.maps.data}),
        "KeptMaps.labels": (maps.KeptMaps.from_array(v.by_layer.data).labels, {"name": "layers"}),
        "KeptMaps.array": (v.kept.array, {}),
        "KeptMaps.tokens": (v.kept.tokens, {"rows": [0]}),
        "KeptMaps.select": (v.kept.select, {}),
        "LayerMaps": (maps.LayerMaps, {"layers": ("a",), "values": v.maps.data}),
        "Subword": (maps.Subword, {"position": 0, "text": "a", "start": 0, "end": 1}),
        "Threshold": (maps.Threshold, {"rule": "relative", "value": 0.4}),
        "Threshold.apply": (
            maps.Threshold("relative", 0.4).apply,
            {"maps": np.ones((1, 4, 6))},
        ),
        "TokenGroup": (maps.TokenGroup, {"kind": "text", "text": "a", "positions": (0,)}),
        "align": (maps.align, {"sentence": v.sentence, "subwords": SUBWORDS}),
        "bicubic": (maps.bicubic, {"maps": np.ones((1, 4, 6)), "size": (8, 8)}),
        "each_image": (lambda **given: list(maps.each_image(**given)), {"maps": v.maps}),
        "fit_image": (ds.fit_image, {"image": IMAGE, "maps": v.maps}),
        "learn_weights": (
            ds.learn_weights,
            {"maps": [v.by_layer], "masks": [{1: box(0, 2, 2, 6) > 0}], "axes": ["layer"]},
        ),
        "parse_threshold": (maps.parse_threshold, {"rule": "otsu"}),
    }


def measure_calls(v: Values) -> dict[str, Call]:
    """Return calls of the measures."""
    from daam_syntax.maps import measures

    words = v.maps.stack()
    masks = words > 0.5
    packed = measures.PackedMasks(masks)
    one = np.array([0])
    shared = {"shared": 1, "head_area": 2, "dependent_area": 3}
    two = {"first": words[:1], "second": words[1:2]}
    calls: dict[str, Call] = {}
    for name in ("dice", "iod", "ioh", "iou"):
        calls[name] = (getattr(measures, name), shared)
    for name in ("lift", "log_lift", "phi"):
        calls[name] = (getattr(measures, name), {**shared, "n_pixels": 24})
    for name in ("area_90", "effective_area", "entropy", "gini", "moran", "spread", "neglect"):
        calls[name] = (getattr(measures, name), {"maps": words})
    for name in (
        *("bhattacharyya", "centroid_distance", "cosine", "earth_movers", "jensen_shannon"),
        *("offset_x", "offset_y", "pearson", "soft_iod", "soft_ioh", "soft_iou", "spearman"),
    ):
        calls[name] = (getattr(measures, name), two)
    for name in (
        *("auroc", "average_precision", "best_iou", "best_threshold", "pointing_game"),
        *("threshold_miou", "excess_shares", "region_shares"),
    ):
        calls[name] = (getattr(measures, name), {"maps": words, "masks": masks})
    shares = np.array([[0.5, 0.5]])
    return calls | {
        "mask_iou": (measures.mask_iou, {"first": masks, "second": masks}),
        "log_area_ratio": (measures.log_area_ratio, {"head_area": 1, "dependent_area": 2}),
        "is_constant": (measures.is_constant, {"maps": words}),
        "intersections": (measures.intersections, {"masks": masks}),
        "own_share": (measures.own_share, {"shares": shares, "own": [0]}),
        "other_share": (measures.other_share, {"shares": shares, "own": [0]}),
        "binding_margin": (measures.binding_margin, {"excess": shares, "own": [0]}),
        "choose": (measures.choose, {"names": "iou", "registry": measures.PAIR_MEASURES}),
        "measure_maps": (
            measures.measure_maps,
            {"words": words, "head": one, "dependent": one, "measures": []},
        ),
        "measure_masks": (
            measures.measure_masks,
            {"masks": packed, "head": one, "dependent": one, "measures": []},
        ),
        "PackedMasks": (measures.PackedMasks, {"masks": masks}),
        "PackedMasks.joined": (measures.PackedMasks.joined, {"parts": [packed]}),
        "PackedMasks.shared": (packed.shared, {"first": one, "second": one}),
    }


def language_calls(v: Values) -> dict[str, Call]:
    """Return calls of the room language."""
    lang = ds.language
    template = {"template": "a {color} cat", "values": {"color": ["red", "blue"]}}
    return {
        "parse": (ds.parse, {"prompt": "a red cat"}),
        "parse_many": (lang.parse_many, {"prompts": ["a red cat"]}),
        "load_parser": (lang.load_parser, {}),
        "prompts": (ds.prompts, {"name": "crossed"}),
        "compare_parses": (ds.compare_parses, {"a": v.sentence, "b": v.sentence}),
        "check_prompt": (lang.check_prompt, {"prompt": "a"}),
        "check_prompts": (lang.check_prompts, {"prompts": ["a"]}),
        "check_schemes": (lang.check_schemes, {"schemes": "ud"}),
        "detect_labels": (lang.detect_labels, {"labels": ["amod"]}),
        "from_doc": (lang.from_doc, {"doc": lang.load_parser()("a red cat")}),
        "prompt_id": (lang.prompt_id, {"prompt": "a"}),
        "related_things": (lang.related_things, {"sentence": ds.parse("a cat on a bed")}),
        "Token": (
            lang.Token,
            {"index": 0, "text": "a", "lemma": "a", "pos": "X", "tag": "", "start": 0, "end": 1},
        ),
        "Edge": (lang.Edge, {"head": 0, "dependent": 1, "relation": "amod"}),
        "Span": (lang.Span, {"start": 0, "end": 1, "root": 0}),
        "Sentence": (
            ds.Sentence,
            {"text": v.sentence.text, "tokens": v.sentence.tokens, "edges": v.sentence.edges},
        ),
        "Sentence.__getitem__": (v.sentence.__getitem__, {"index": 0}),
        "Sentence.edges_of": (v.sentence.edges_of, {"scheme": "ud"}),
        "Sentence.roots": (v.sentence.roots, {"scheme": "ud"}),
        "Sentence.graph": (v.sentence.graph, {"scheme": "ud"}),
        "Sentence.subtree": (v.sentence.subtree, {"index": 1, "scheme": "ud"}),
        "Sentence.tree_distance": (
            v.sentence.tree_distance,
            {"first": 0, "second": 1, "scheme": "ud"},
        ),
        "Sentence.find": (v.sentence.find, {"text": "red"}),
        "Sentence.index": (v.sentence.index, {"word": "car"}),
        "Sentence.from_dict": (ds.Sentence.from_dict, {"values": v.sentence.to_dict()}),
        "Prompt": (lang.Prompt, {"text": "a red cat"}),
        "PromptSet": (ds.PromptSet, {"rows": v.prompts.rows}),
        "PromptSet.from_file": (
            ds.PromptSet.from_file,
            {"path": _prompts_file(v.folder)},
        ),
        "PromptSet.from_records": (ds.PromptSet.from_records, {"records": ["a red cat"]}),
        "PromptSet.from_template": (ds.PromptSet.from_template, template),
        "PromptSet.to_file": (v.prompts.to_file, {"path": v.folder / "out.csv"}),
        "PromptSet.where": (v.prompts.where, {"keep": bool}),
        "PromptSet.pairs": (ds.prompts("crossed").pairs, {}),
        "PromptSet.sample": (v.prompts.sample, {"n": 1}),
        "PromptSet.stratify": (v.prompts.stratify, {"n": 1, "by": "category"}),
    }


def model_calls(v: Values) -> dict[str, Call]:
    """Return calls of the rooms attention, drawing, emoji, and pipelines."""
    a = ds.attention
    one = {"images": [v.scene.image.resize((64, 64))], "prompts": ["a red cat"]}
    image = {"pipe": v.pipe, "image": one["images"][0], "prompt": "a red cat", "timesteps": [500]}
    edit = a.Edit(words=(1,))

    def within(context: Callable[..., Any]) -> Callable[..., Any]:
        def call(**options: Any) -> Any:
            with context(**options) as entered:
                v.pipe("a red cat", num_inference_steps=1, output_type="latent")
            return entered

        return call

    def reuse(**options: Any) -> Any:
        with a.record_attention(v.pipe) as recorded:
            v.pipe("a red cat", num_inference_steps=1, output_type="latent")
        return within(a.reuse_attention)(**{"recorded": recorded, **options})

    traced = v.traced
    observed: list[Any] = []
    within(a.observe)(pipe=v.pipe, callback=observed.append)
    seen = next(each for each in observed if each.grid is not None)
    with a.trace(v.pipe) as described:
        v.pipe("a red cat", num_inference_steps=1, output_type="latent")
        describe = described.describe_call

    return {
        "Edit": (a.Edit, {"words": (1,)}),
        "Edit.with_equal_mass": (edit.with_equal_mass, {}),
        "Edit.with_random_words": (edit.with_random_words, {"among": [1, 2, 3], "seed": 0}),
        "StateEdit": (a.StateEdit, {"words": 1, "padding": True}),
        "StateEdit.with_words": (a.StateEdit(1, padding=True).with_words, {"words": 2}),
        "trace": (within(a.trace), {"pipe": v.pipe}),
        "Trace.heat_maps": (traced.heat_maps, {}),
        "Trace.describe_call": (describe, {"seeds": [0]}),
        "Trace.word_attention": (traced.word_attention, {"relation": "encoder"}),
        "ObservedAttention.prompt_index": (seen.prompt_index, {"image": 0}),
        "ObservedAttention.word_keys": (seen.word_keys, {"image": 0, "word": 1}),
        "ObservedAttention.kind_keys": (seen.kind_keys, {"image": 0, "kind": "start"}),
        "ObservedAttention.probabilities": (seen.probabilities, {"image": 0}),
        "intervene": (within(a.intervene), {"pipe": v.pipe, "edits": edit}),
        "observe": (within(a.observe), {"pipe": v.pipe, "callback": len}),
        "record_attention": (within(a.record_attention), {"pipe": v.pipe}),
        "reuse_attention": (reuse, {"pipe": v.pipe}),
        "overflow": (a.overflow, {"prompts": "a red cat", "pipe": v.pipe}),
        "predict_memory": (a.predict_memory, {"pipe": v.pipe, "prompt": "a red cat"}),
        "text_limits": (a.text_limits, {"pipe": v.pipe}),
        "trace_image": (a.trace_image, image),
        "trace_images": (a.trace_images, {"pipe": v.pipe, **one, "timesteps": [500]}),
        "trace_output_maps": (a.trace_output_maps, {"pipe": v.pipe, **one, "timesteps": [500]}),
        "trace_text": (a.trace_text, {"pipe": v.pipe, "prompts": "a red cat"}),
        "trace_encoder": (
            a.trace_encoder,
            {"model": v.pipe.text_encoder, "tokenizer": v.pipe.tokenizer, "prompts": "a cat"},
        ),
        "family_of": (a.family_of, {"pipe": v.pipe}),
        "DrawingSettings": (ds.pipelines.DrawingSettings, {}),
        "DrawingSettings.for_pipeline": (
            ds.pipelines.DrawingSettings().for_pipeline,
            {"pipe": v.pipe},
        ),
        "draw": (
            lambda **options: list(ds.drawing.draw(**options)),
            {
                "sentences": [sentence_of("a red cat")],
                "pipe": v.pipe,
                "seeds": [0],
                "settings": ds.pipelines.DrawingSettings(steps=1),
            },
        ),
        "generator_seed": (ds.drawing.generator_seed, {"prompt": "a", "seed": 0}),
        "ObjectSpec": (emoji.ObjectSpec, {"noun": "cat"}),
        "SceneSpec": (emoji.SceneSpec, {"objects": v.scene.spec.objects}),
        "draw_scene": (
            emoji.draw_scene,
            {"spec": v.scene.spec, "rng": np.random.default_rng(0)},
        ),
        "scene": (emoji.scene, {"seed": 0}),
        "without_object": (emoji.without_object, {"drawn": emoji.scene(1), "index": 0}),
        "with_other_object": (
            emoji.with_other_object,
            {"drawn": emoji.scene(1), "index": 0, "noun": "car"},
        ),
        "write_caption": (emoji.write_caption, {"spec": v.scene.spec}),
        "load_pipeline": (ds.load_pipeline, {}),
    }


def run_calls(v: Values) -> dict[str, Call]:
    """Return calls of the rooms runs, studies, and workflow."""
    return {
        "open_run": (ds.open_run, {"path": v.run.path}),
        "Run.reanalyze": (v.run.reanalyze, {}),
        **{
            f"Run.{name}": (partial(_listed, getattr(v.run, name)), {"where": None})
            for name in ("maps", "numbered_maps", "pil_images")
        },
        "Run.pairs": (v.run.pairs, {"columns": ["iou"]}),
        "Run.words": (v.run.words, {"columns": None}),
        "Run.table": (v.run.table, {"table": "pairs"}),
        "Run.shards": (v.run.shards, {"table": "pairs"}),
        "Run.summarize": (v.run.summarize, {"by": ["relation"]}),
        "plan": (ds.runs.plan, {"prompts": 10, "seeds": 1, "pilot": v.run}),
        "report": (ds.runs.report, {"run": v.run, "out": v.folder / "report.html"}),
        "load_study": (ds.studies.load_study, {"name": "words"}),
    }


ROOMS = (
    table_calls,
    figure_calls,
    map_calls,
    measure_calls,
    language_calls,
    model_calls,
    run_calls,
)


def _listed(method: Callable[..., Any], **options: Any) -> list[Any]:
    return list(method(**options))


def entered(context: Any) -> None:
    """Enter a context, and leave it."""
    with context:
        pass


def _edges(sentence: ds.Sentence, prompt: str, image: int) -> pd.DataFrame:
    edges = [(e.head, e.dependent, e.relation) for e in sentence.edges_of("ud")]
    pos = [token.pos for token in sentence.tokens]
    rows = sentence_rows(pos, edges, prompt=prompt, image=image)
    heads, dependents = (
        [sentence[i].text for i in rows[f"{role}_index"]] for role in ("head", "dependent")
    )
    return rows.assign(prompt=sentence.text, head=heads, dependent=dependents)


def _prompts_file(folder: Path) -> Path:
    path = folder / "prompts.csv"
    path.write_text("prompt\na red cat\n", encoding="utf-8")
    return path


@cache
def calls() -> dict[str, Call]:
    """Return all calls by name; a name of several rooms is the same function."""
    values = Values()
    return {name: call for room in ROOMS for name, call in room(values).items()}
