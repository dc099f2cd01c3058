"""The heat maps of one video: those of each latent frame, and the frames of the video that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.heatmaps import HeatMaps
from daam_syntax.maps.map_weights import MapWeights
from daam_syntax.maps.selection import HeadSelection, LayerSelection, StepSelection
from daam_syntax.maps.videos import video_storage
from daam_syntax.util.arguments.checks import OWN, checked


class VideoMaps:
    """The heat maps of one video.

    A model of videos draws *latent* frames, each of which becomes one or several frames of the video. The pixels of a
    latent frame have maps of their own, ``video.frames[0]``, which are `HeatMaps` like those of an image, for every
    measure and figure. Functions that expect the maps of one image do not take a whole video: whether frames are
    compared one by one, together, or averaged is a decision. `daam_syntax.analysis.measure_frames` does the first two,
    and `average` the last.

    Parameters
    ----------
    frames
        Heat maps of each latent frame, all with the same prompt, subwords, grid, and kept axes.
    drawn
        Numbers of the frames of the video, from 0, that each latent frame becomes: consecutive ranges.

    Raises
    ------
    ValueError
        If the frames do not fit together.

    Examples
    --------
    >>> with trace(pipe) as recording:  # doctest: +SKIP
    ...     images = pipe("a red cat", num_frames=13, output_type="np").frames[0]
    >>> (video,) = recording.video_maps()  # doctest: +SKIP
    >>> video.frames[1]["cat"]  # the map of "cat" in images[1:5]  # doctest: +SKIP
    """

    @checked
    def __init__(self, frames: Sequence[HeatMaps], drawn: Sequence[range]) -> None:
        self.frames = tuple(frames)
        self.drawn = tuple(drawn)
        if problem := self._problem():
            raise ValueError(f"Expected the frames of one video, but {problem}.")
        self.frames = tuple(
            each.with_provenance(frame=number, drawn_frames=[numbers[0], numbers[-1]])
            for number, (each, numbers) in enumerate(zip(self.frames, self.drawn, strict=True))
        )

    def _problem(self) -> str:
        if not self.frames or len(self.drawn) != len(self.frames):
            return f"there are {len(self.frames)} latent frames and {len(self.drawn)} ranges of drawn ones"
        starts = [0, *(numbers.stop for numbers in self.drawn)]
        if any(
            (numbers.start, numbers.step) != (start, 1) or not numbers
            for numbers, start in zip(self.drawn, starts, strict=False)
        ):
            return f"the drawn frames are not consecutive: {list(self.drawn)}"
        first, *others = self.frames
        alike = ("sentence", "subwords", "grid", "axes", "image_size")
        differing = {
            name for each in others for name in alike if getattr(each, name) != getattr(first, name)
        }
        return f"they differ in {', '.join(sorted(differing))}" if differing else ""

    def __getattr__(self, name: str) -> Any:
        if name in ("subwords", "truncated_by") or hasattr(HeatMaps, name):
            raise AttributeError(
                f"Expected HeatMaps, to use their {name}, but got {self.described}."
            )
        raise AttributeError(f"VideoMaps has no attribute {name!r}.")

    def __getitem__(self, word: object) -> NoReturn:
        raise TypeError(f"Expected HeatMaps, for the map of {word!r}, but got {self.described}.")

    def __contains__(self, word: object) -> NoReturn:
        raise TypeError(f"Expected HeatMaps, to look for {word!r}, but got {self.described}.")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"Expected HeatMaps, or a list of them, but got {self.described}.")

    @property
    def described(self) -> str:
        """What messages say where the maps of an image are expected."""
        return (
            f"VideoMaps, which have {len(self.frames)} latent frames: choose one (video.frames[0]), measure them with "
            "daam_syntax.analysis.measure_frames, or average them (video.average())"
        )

    @property
    def n_drawn(self) -> int:
        """Number of frames of the video."""
        return self.drawn[-1].stop

    @checked
    def latent_frame(self, drawn: int) -> int:
        """Return the number of the latent frame that becomes a frame of the video.

        Raises
        ------
        ValueError
            If there is no such frame.
        """
        for number, numbers in enumerate(self.drawn):
            if drawn in numbers:
                return number
        raise ValueError(f"Expected a frame from 0 to {self.n_drawn - 1}, but got {drawn}.")

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.sentence.text

    @property
    def sentence(self) -> Sentence:
        """The parsed prompt."""
        return self.frames[0].sentence

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of each frame, in pixels."""
        return self.frames[0].image_size

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest grid of a frame."""
        return self.frames[0].grid

    @property
    def mapped(self) -> tuple[int, ...]:
        """Indices of the words that have maps."""
        return self.frames[0].mapped

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Model, seed, steps, scheduler, and so on; that of a frame also has ``frame`` and ``drawn_frames``."""
        own = ("frame", "drawn_frames")
        return {name: value for name, value in self.frames[0].provenance.items() if name not in own}

    @cached_property
    def data(self) -> xr.DataArray:
        """All subword maps, dims ``(token, [step], [layer], [head], frame, y, x)``; see `HeatMaps.data`.

        Further coordinates: ``frame`` (number of the latent frame, from 0), with ``first_drawn`` and ``last_drawn``,
        the numbers of the first and the last frame of the video that it becomes.
        """
        return self._joined([each.data for each in self.frames])

    @property
    def mean(self) -> np.ndarray:
        """Mean over all kept axes except frames. *Shape:* ``(token, frame, y, x)``."""
        return np.stack([each.mean for each in self.frames], axis=1)

    @checked
    def stack(self, indices: Iterable[int] | None = None) -> np.ndarray:
        """Return word maps as one array; see `HeatMaps.stack`. *Shape:* ``(word, frame, y, x)``."""
        chosen = None if indices is None else list(indices)
        return np.stack([each.stack(chosen) for each in self.frames], axis=1)

    @checked(word=OWN)
    def word_array(self, word: int | str) -> xr.DataArray:
        """Return the maps of a word, dims ``([step], [layer], [head], frame, y, x)``; see `HeatMaps.word_array`."""
        return self._joined([each.word_array(word) for each in self.frames])

    def _joined(self, arrays: Sequence[xr.DataArray]) -> xr.DataArray:
        frame = xr.Variable("frame", np.arange(len(self.frames)))
        joined = xr.concat(arrays, dim=frame, coords="minimal", compat="override", join="override")
        return joined.transpose(..., "frame", "y", "x").assign_coords(
            first_drawn=("frame", [numbers[0] for numbers in self.drawn]),
            last_drawn=("frame", [numbers[-1] for numbers in self.drawn]),
        )

    def average(self) -> HeatMaps:
        """Return the maps averaged over the latent frames, those of an image as long as nothing moves."""
        mean = np.mean([each.mean for each in self.frames], axis=0)
        drawn = [0, self.n_drawn - 1]
        return self.frames[0].with_values(mean, frame="mean", drawn_frames=drawn)

    @checked
    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> VideoMaps:
        """Return the maps of some steps, layers, and attention heads; see `HeatMaps.select`."""
        return self._each([f.select(steps=steps, layers=layers, heads=heads) for f in self.frames])

    @checked
    def weighted(self, weights: MapWeights) -> VideoMaps:
        """Return weighted means over steps, layers, or attention heads; see `HeatMaps.weighted`."""
        return self._each([each.weighted(weights) for each in self.frames])

    @checked
    def with_sentence(self, sentence: Sentence) -> VideoMaps:
        """Return the same recording under another parse of the prompt; see `HeatMaps.with_sentence`."""
        return self._each([each.with_sentence(sentence) for each in self.frames])

    def with_provenance(self, **provenance: Any) -> VideoMaps:
        """Return the same maps with entries added to the provenance, or replaced in it."""
        return self._each([each.with_provenance(**provenance) for each in self.frames])

    def _each(self, frames: Sequence[HeatMaps]) -> VideoMaps:
        return VideoMaps(frames, self.drawn)

    @checked
    def save(self, path: str | Path) -> None:
        """Write the maps to one compressed ``.npz`` file; an error leaves no partial file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        video_storage.write_video(Path(path), [each._parts() for each in self.frames], self.drawn)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> VideoMaps:
        """Read the maps of a video that `save` wrote.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or does not hold the maps of a video.
        """
        with video_storage.opened_video(Path(path)) as (frames, drawn):
            return cls([HeatMaps(**parts) for parts in frames], drawn)

    def __repr__(self) -> str:
        (y, x), (height, width) = self.grid, self.image_size
        return (
            f"VideoMaps({self.prompt!r}: {len(self.frames)} latent frames for {self.n_drawn} drawn ones, "
            f"grid {y} x {x}, frames {height} x {width})"
        )
