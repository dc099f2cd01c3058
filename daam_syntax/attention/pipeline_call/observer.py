"""Following a pipeline from its prompts to its images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import torch
from torch import nn

from daam_syntax.attention.families import Family, TokenLayout, family_of
from daam_syntax.attention.families.layouts import CallSizes
from daam_syntax.attention.hooks.attention_hooks import AttentionHooks, OutputOverride
from daam_syntax.attention.hooks.method_wrapping import WrappedMethods
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.prompt_encoding import PromptEncoding
from daam_syntax.attention.pipeline_call.provenance import describe_pipeline, fresh_seed
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec, coming_timesteps
from daam_syntax.attention.pipeline_call.refusals import refuse_compiled, refuse_silent_attention
from daam_syntax.attention.pipeline_call.rows import NO_ROWS, refuse_rows, rows_of
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


class PipelineObserver(ABC):
    """Follows a pipeline and its denoiser, and knows what is being drawn.

    It is told of the pipeline's calls (`starting`, `encoding`, `preparing`, `finishing`) and listens to a `AttentionHooks`. What
    it does with the attention that it hears, its subclasses say.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    request
        What is to be recorded.
    answer
        What the denoiser is handed instead of what its attention calls return, see `AttentionHooks`.

    Attributes
    ----------
    family
        The pipeline's family.
    denoiser
        Its denoiser.
    attentions
        The denoiser's text attentions by path.
    others
        Paths of other modules that are listened to.
    current
        What is being drawn; None between drawings.
    n_unfinished
        How many drawings were interrupted.

    Raises
    ------
    TraceError
        If the pipeline's family is not known, or it draws without text.
    """

    busy: WeakSet[nn.Module] | None = None
    """The denoisers at which one of this kind is at work, where there may be only one at a time."""
    refusal = ""
    """What is said to a second one."""

    def __init__(
        self, pipe: Any, request: RecordingSpec, answer: OutputOverride | None = None
    ) -> None:
        self.family: Family = family_of(pipe)
        if not hasattr(pipe, "encode_prompt"):
            raise TraceError(
                f"Expected a pipeline that draws from prompts, but {type(pipe).__name__} has no "
                "encode_prompt."
            )
        self.denoiser = self.family.denoiser_of(pipe)
        self.attentions = {
            path: module
            for path, module in self.denoiser.named_modules()
            if self.family.is_text_attention(path, module)
        }
        if not self.attentions:
            raise TraceError(
                f"Expected text attentions in the {self.family.denoiser} of {type(pipe).__name__}, but "
                "it has none: a model without text has no words to follow."
            )
        self.others: tuple[str, ...] = ()
        self._pipe = pipe
        self._request = request
        self._answer = answer
        self._encoding = PromptEncoding(pipe, self.family, request)
        self._inputs: Mapping[str, Any] = {}
        self._rows = NO_ROWS
        self._asked_size: tuple[int, int] | None = None
        self._in_pipeline = False
        self._timestep = 0.0
        self.current: PipelineCall | None = None
        self.n_unfinished = 0

    @property
    def is_at_work(self) -> bool:
        """Whether one of this kind is at work on the denoiser."""
        return self.busy is not None and self.denoiser in self.busy

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Follow the pipeline inside a ``with`` block; afterwards it is as it was.

        Raises
        ------
        TraceError
            If only one of this kind may be at work, and one is.
        """
        if self.is_at_work:
            raise TraceError(self.refusal)
        others = {path: self.denoiser.get_submodule(path) for path in self.others}
        tap = AttentionHooks(self.denoiser, self.attentions | others, self, self._answer)
        methods = WrappedMethods(self._pipe)
        sizes = WrappedMethods(getattr(self._pipe, "image_processor", None))
        with ExitStack() as undo:
            undo.callback(self.give_up)
            undo.callback(tap.detach)
            undo.callback(methods.restore)
            undo.callback(sizes.restore)
            if self.busy is not None:
                undo.callback(self.busy.discard, self.denoiser)
                self.busy.add(self.denoiser)
            tap.attach()
            methods.wrap("check_inputs", self.starting)
            sizes.wrap("classify_height_width_bin", self.choosing_size)
            methods.wrap("encode_prompt", self.encoding)
            methods.wrap("prepare_latents", self.preparing)
            methods.wrap("prepare_intermediate_images", self.preparing)
            # Every pipeline calls this last, so a drawing that gets here was not interrupted.
            methods.wrap("maybe_free_model_hooks", self.finishing)
            yield

    def starting(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Note that a call of the pipeline begins."""
        self.give_up()
        try:
            return call()
        except BaseException:
            self._asked_size = None  # of this call, which has just ended
            raise

    def choosing_size(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Refuse to draw in another shape than was asked for, since the picture would be cropped."""
        height, width = call()
        asked = arguments["height"], arguments["width"]
        if height * asked[1] != width * asked[0]:
            raise TraceError(
                f"Expected a picture of {asked[0]}x{asked[1]} (height x width) to be drawn as it is, "
                f"but {type(self._pipe).__name__} would draw one of {height}x{width} and crop it, so "
                "that its maps would not lie on it: ask for that size, or draw with "
                "use_resolution_binning=False."
            )
        self._asked_size = asked
        return height, width

    def encoding(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Start a drawing when the pipeline encodes its prompts, or take in further text."""
        if self.current is not None and self._encoding.is_more_of(self.current):
            return self._encoding.add(self.current, call, arguments)
        self.give_up()
        asked_size, self._asked_size = self._asked_size, None
        # Asked anew: the denoiser may have been exchanged.
        refuse_compiled(
            self.family.denoiser_of(self._pipe), getattr(self._pipe, self.family.denoiser)
        )
        result, drawing = self._encoding.begin(call, arguments)
        drawing.image_size = asked_size
        self.current = drawing
        return result

    def preparing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Read the number of images and the seeds when the pipeline prepares its latents."""
        self._in_pipeline = True
        generator = arguments.get("generator")
        drawing = self.current
        if drawing is not None and isinstance(arguments.get("batch_size"), int):
            # Some pipelines repeat the embeddings only after they were made; some that begin with a
            # picture count the prompts and the images of each apart.
            n_images = arguments["batch_size"] * arguments.get("num_images_per_prompt", 1)
            drawing.images_per_prompt = n_images // len(drawing.prompts)
            drawing.seeds = [None] * drawing.n_images
        if drawing is not None and arguments.get("latents") is None:
            n_images = drawing.n_images
            if isinstance(generator, list) or n_images == 1:
                generators = generator if isinstance(generator, list) else [generator]
                if len(generators) == n_images:  # else the pipeline itself refuses
                    drawing.seeds = [fresh_seed(each) for each in generators]
            else:
                # One generator for several images: no image can be drawn again from it alone.
                drawing.settings["batch_seed"] = fresh_seed(generator)
        return call()

    def describe(
        self,
        seeds: Sequence[int | None],
        settings: Mapping[str, Any],
        timesteps: Sequence[float] | None,
    ) -> None:
        """Add to the provenance of the current drawing, and to what is known of its steps."""
        drawing = self._drawing()
        if len(seeds) != drawing.n_images:
            raise TraceError(
                f"Expected the seeds of {drawing.n_images} images, but got {len(seeds)}."
            )
        drawing.seeds = list(seeds)
        drawing.settings |= settings
        if timesteps is not None:
            drawing.expected = tuple(float(timestep) for timestep in timesteps)

    def finishing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Close the drawing when the pipeline has come to its end."""
        result = call()
        drawing, self.current = self.current, None
        if drawing is None:
            return result
        if not drawing.heard:
            raise TraceError(
                f"{type(self._pipe).__name__} drew, but its {self.family.denoiser} was not heard: "
                "it was replaced or compiled. Begin before torch.compile, or inside "
                'torch.compiler.set_stance("force_eager"), and after changing the model.'
            )
        self.finished_drawing(drawing)
        return result

    @abstractmethod
    def finished_drawing(self, drawing: PipelineCall) -> None:
        """Take a drawing that has come to its end."""

    def give_up(self) -> None:
        """Discard a drawing that did not come to its end."""
        if self.current is not None and self.current.heard:
            self.n_unfinished += 1
        self.current = None
        self._inputs = {}
        self._in_pipeline = False

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Note the timestep, the size, how the pipeline is set, and which rows are of the prompts."""
        drawing = self._drawing()
        self._inputs = inputs
        if not drawing.timesteps:
            drawing.settings = describe_pipeline(self._pipe, self.family) | drawing.settings
            if drawing.image_size is None:
                drawing.image_size = self.family.image_size(self._pipe, inputs)
            if drawing.expected is None:
                drawing.expected = coming_timesteps(self._pipe, self._in_pipeline)
        self._rows = rows_of(self.family, drawing, inputs)
        drawing.guided |= self._rows.is_guided
        self._timestep = float(torch.as_tensor(inputs[self.family.timestep]).flatten()[0])
        if self._timestep not in drawing.timesteps:
            drawing.timesteps.append(self._timestep)

    @abstractmethod
    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Take the attention calls that a module made, after it ran."""

    def denoiser_returned(self) -> None:
        """Check that all text attentions were heard."""
        self._inputs = {}
        self._check_heard(self.attentions, "text attentions")

    def _check_heard(self, listened: Iterable[str], kind: str) -> None:
        paths, heard = list(listened), self._drawing().heard
        missing = [path for path in paths if path not in heard]
        if missing:
            raise TraceError(
                f"Expected to hear {len(paths)} {kind}, but these were silent: "
                f"{', '.join(missing)}. Blocks that were compiled, replaced or are skipped by a "
                "cache cannot be heard: trace before torch.compile, or inside "
                'torch.compiler.set_stance("force_eager"), and switch such caches off.'
            )

    def _drawing(self) -> PipelineCall:
        if self.current is None:
            raise TraceError(
                f"The {self.family.denoiser} of {type(self._pipe).__name__} ran, but the prompt "
                "is not known: inside a trace call the pipeline, or in a loop of your own first "
                "pipe.encode_prompt(prompt, ...) and at the end pipe.maybe_free_model_hooks()."
            )
        return self.current

    def _split(
        self, call: AttentionCall, text: EncodedText
    ) -> TokenLayout | list[TokenLayout] | None:
        """Return which queries of a call are pixels and which keys are a text; None if none are."""
        sizes = CallSizes(call.query.shape[-2], call.key.shape[-2], text.text_length)
        return self.family.layout(sizes, self._inputs)

    def _text_call(
        self, path: str, module: nn.Module, calls: Sequence[AttentionCall], text: EncodedText
    ) -> tuple[AttentionCall, TokenLayout | list[TokenLayout]]:
        """Return the call to the text among those that a text attention made, and how it is laid out."""
        for call in calls:
            split = self._split(call, text)
            if split is not None:
                break  # an IP-Adapter makes a second call, for its image
        else:
            refuse_silent_attention(
                path,
                module,
                calls,
                keys=f"{text.text_length} text keys",
                denoiser=self.family.denoiser,
            )
        self._check_rows(call)
        self._drawing().heard.add(path)
        return call, split

    def _check_rows(self, call: AttentionCall) -> None:
        if call.query.shape[0] != self._rows.n:
            refuse_rows(self.family, self._drawing(), call.query.shape[0])

    def _grid(self, path: str, n_queries: int) -> Grid:
        grid = self.family.grid(self._pipe, self._inputs, n_queries)
        if grid is None:
            size = "x".join(map(str, self.family.image_size(self._pipe, self._inputs)))
            raise TraceError(
                f"Expected the {n_queries} pixels of {path} to form a grid of the "
                f"{self.family.name} family for an image of {size} (height x width), but they do "
                "not: this model divides the image differently and needs a Family of its own."
            )
        return grid


class ObserverContext:
    """What follows a pipeline inside a ``with`` block; afterwards the pipeline is as it was."""

    def __init__(self, follower: PipelineObserver) -> None:
        self._work = follower.at_work
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self._undo.enter_context(self._work())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._undo.close()
