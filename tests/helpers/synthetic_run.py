"""Runs that the package writes, but with random heat maps instead of a model."""

from unittest import mock

import numpy as np
import xarray as xr
from PIL import Image

from daam_syntax.drawing.traced_images import TracedImage
from daam_syntax.language import Edge, PromptSet, prompt_id
from daam_syntax.maps import HeatMaps, Subword
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs import open_run
from daam_syntax.runs.drawing import shard_drawer
from daam_syntax.runs.drawing.parses import Parses
from daam_syntax.runs.drawing.sessions import DrawnShard, Session
from daam_syntax.runs.drawing.shard_drawer import ShardDrawer
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.run_folder import RunFolder, Wanted
from daam_syntax.runs.store.shards import ShardPlan
from helpers.examples import make_sentence

SETTINGS = RunSettings(
    DrawingSettings(), {"model": "none"}, "by hand", ("relative:0.4",), ("ud",), None, True
)


def sentence_of(text):
    """Return a parse in which every word depends on the previous one."""
    n = text.count(" ")
    return make_sentence(text, [Edge(i, i + 1, "dep") for i in range(n)])


def made_up(items, pipe, settings, relations=(), relation_axes=()):
    """Return what `draw_batch` returns, with random maps."""
    traced = []
    for sentence, seed in items:
        name = prompt_id(sentence.text)
        random = np.random.default_rng([int(name, 16), seed])
        values = random.random((len(sentence), 4, 6), dtype=np.float32)
        subwords = [Subword(t.index + 1, t.text, t.start, t.end) for t in sentence.tokens]
        maps = HeatMaps(
            xr.DataArray(values, dims=("token", "y", "x")),
            subwords,
            sentence,
            (4, 6),
            provenance={"prompt_id": name, "seed": seed},
        )
        image = Image.fromarray((values[0] * 255).astype(np.uint8)).convert("RGB")
        traced.append(TracedImage(name, seed, image, maps))
    return traced


def write_run(
    out, prompts, seeds=1, batch_size=2, shard_size=4, settings=SETTINGS, overwrite=False
):
    """Write a run of prompts whose words are separated by single spaces."""
    folder = RunFolder(out)
    chosen = prompts if isinstance(prompts, PromptSet) else PromptSet.from_records(prompts)
    parses = Parses(chosen, given={text: sentence_of(text) for text in chosen})
    plan = ShardPlan.of(len(chosen), seeds, batch_size, shard_size)
    with folder.locked(), mock.patch.object(shard_drawer, "draw_batch", made_up):
        wanted = Wanted(settings.as_dict(), plan, chosen, parses.digest([]))
        found = folder.start(wanted, overwrite=overwrite)
        session = Session(folder, chosen, found=found)
        drawer = ShardDrawer(None, settings, plan)

        def draw(missing, advance):
            for shard in missing:
                work, stamp = folder.shards.new_work(), session.planned(shard).stamp
                prompts = parses.shard(plan.prompts(shard))
                yield DrawnShard(shard, work, drawer.draw(stamp, prompts, work, advance))

        session.draw(draw, progress=False)
    return open_run(out)
