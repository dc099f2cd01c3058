"""Following a pipeline from its prompts to its images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from daam_syntax.attention.families import Family, TokenLayout, family_of
from daam_syntax.attention.families.layouts import CallSizes
from daam_syntax.attention.hooks.attention_hooks import AttentionHooks, OutputOverride
from daam_syntax.attention.hooks.method_wrapping import WrappedMethods
from daam_syntax.attention.observers.attachable import Attachable
from daam_syntax.attention.observers.running_call import RunningCall
from daam_syntax.attention.observers.skipped_attention import (
    refuse_missing,
    refuse_pipeline,
    refuse_skipping,
    refuse_tiles,
)
from daam_syntax.attention.observers.text_check import TextCheck
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.image_guidance import JointEncoding, has_image_guidance
from daam_syntax.attention.pipeline_call.prompt_encoding import PromptEncoding
from daam_syntax.attention.pipeline_call.provenance import provenance_of
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec, coming_timesteps
from daam_syntax.attention.pipeline_call.refusals import (
    refuse_compiled,
    refuse_unobserved_attention,
)
from daam_syntax.attention.pipeline_call.rows import (
    NO_ROWS,
    refuse_rows,
    rows_of,
)
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid


class PipelineObserver(Attachable):
    """Follows a pipeline and its denoiser, and keeps the state of the current pipeline call.

    While attached, it wraps methods of the pipeline (`starting`, `encoding`, `preparing` and `finishing` run around
    them) and receives the callbacks of `AttentionHooks`. Subclasses define what happens to the observed attention.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    spec
        What to record.
    override
        A function that may replace the output of each attention call, see `AttentionHooks`; None to change nothing.

    Attributes
    ----------
    family
        The pipeline's family.
    denoiser
        Its denoiser.
    attentions
        The denoiser's text attentions by module path.
    others
        Paths of other attention modules that are observed.
    keeps_outputs
        Whether attention calls come with their values and outputs.
    current
        The current pipeline call; None between calls.
    n_unfinished
        Number of calls that were interrupted.

    Raises
    ------
    TraceError
        If the pipeline's family is unknown, or the pipeline generates images without text.
    """

    _selects_steps = False
    """Whether the user can choose which steps to record."""

    def __init__(
        self, pipe: Any, spec: RecordingSpec, override: OutputOverride | None = None
    ) -> None:
        refuse_pipeline(pipe)
        self.family: Family = family_of(pipe)
        self._is_joint = not hasattr(pipe, "encode_prompt") and has_image_guidance(pipe)
        if not hasattr(pipe, "encode_prompt") and not self._is_joint:
            raise TraceError(
                "Expected a pipeline that generates images from prompts, but "
                f"{type(pipe).__name__} has no encode_prompt."
            )
        self.denoiser = self.family.denoiser_of(pipe)
        self.attentions = {
            path: module
            for path, module in self.denoiser.named_modules()
            if self.family.is_text_attention(path, module)
        }
        if not self.attentions:
            raise TraceError(
                f"Expected text attentions in the {self.family.denoiser} of {type(pipe).__name__}, but it has none: "
                "use a model that generates images from text."
            )
        self.others: tuple[str, ...] = ()
        self.keeps_outputs = False
        self._pipe = pipe
        self._spec = spec
        self._override = override
        self._encoding = PromptEncoding(pipe, self.family, spec)
        self._inputs: Mapping[str, Any] = {}
        self._rows = NO_ROWS
        self._requested_size: tuple[int, int] | None = None
        self._in_pipeline = False
        self._prepared: tuple[int, ...] | None = None  # height and width of the latents
        self._ran: set[str] = set()  # paths of the attentions in the current denoiser call
        self._text_check = TextCheck(self.family, selects_steps=self._selects_steps)
        self._running = RunningCall(pipe)
        # By sizes; each is found once per denoiser call, since finding it may read from an accelerator.
        self._layouts: dict[CallSizes, TokenLayout | list[TokenLayout] | None] = {}
        self._fitting: dict[int, Grid | None] = {}
        self._hooks: AttentionHooks | None = None
        self._wrapped: list[WrappedMethods] = []
        self.current: PipelineCall | None = None
        self.n_unfinished = 0

    @property
    def log_sum_exp_differences(self) -> dict[str, float]:
        """How far the log-sum-exp of each attention kernel is off, see `LogSumExpReader`; empty before it ran."""
        return {} if self._hooks is None else self._hooks.log_sum_exp_differences

    def _attach(self) -> None:
        others = {path: self.denoiser.get_submodule(path) for path in self.others}
        self._hooks = AttentionHooks(
            self.denoiser,
            self.attentions | others,
            self,
            self._override,
            keeps_outputs=self.keeps_outputs,
        )
        methods = WrappedMethods(self._pipe)
        sizes = WrappedMethods(getattr(self._pipe, "image_processor", None))
        self._wrapped = [methods, sizes]
        self._hooks.attach()
        methods.wrap("check_inputs", self.starting)
        sizes.wrap("classify_height_width_bin", self.choosing_size)
        if self._is_joint:
            methods.wrap("_encode_prompt", self.encoding_jointly)
        methods.wrap("encode_prompt", self.encoding)
        methods.wrap("prepare_latents", self.preparing)
        methods.wrap("prepare_intermediate_images", self.preparing)
        # Every pipeline calls this method last, so a pipeline call that gets here was not interrupted.
        methods.wrap("maybe_free_model_hooks", self.finishing)

    def _restore(self) -> None:
        self.discard_current()
        if self._hooks is not None:
            self._hooks.detach()
        for methods in self._wrapped:
            methods.restore()
        self._encoding.stop()

    def starting(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Discard an unfinished pipeline call when the next one checks its inputs."""
        self.discard_current()
        self._running.end()
        try:
            result = call()
        except BaseException:
            self._requested_size = None  # the size belongs to the pipeline call that just failed
            raise
        self._running.begin()
        return result

    def choosing_size(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Refuse a size with another aspect ratio than requested, because the image would be cropped."""
        height, width = call()
        requested = arguments["height"], arguments["width"]
        if height * requested[1] != width * requested[0]:
            raise TraceError(
                f"Expected an image of {requested[0]}x{requested[1]} (height x width), but "
                f"{type(self._pipe).__name__} would generate one of {height}x{width} and crop it, so its maps would "
                "not match its pixels: request that size, or pass use_resolution_binning=False."
            )
        self._requested_size = requested
        return height, width

    def encoding_jointly(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Start a pipeline call when its prompts and negative prompts are encoded into one tensor."""
        joint = JointEncoding(call, arguments)
        self.encoding(joint, arguments)
        return joint.whole

    def encoding(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Start a pipeline call when its prompts are encoded, or add further text to it."""
        if self.current is not None and self._encoding.is_more_of(self.current):
            return self._encoding.add(self.current, call, arguments)
        if self.current is not None and self._running.is_current():  # in a callback
            return self._encoding.beside(self.current, call, arguments)
        self.discard_current()
        requested_size, self._requested_size = self._requested_size, None
        # Looked up again, because the pipeline's denoiser may have been exchanged.
        denoiser = self.family.denoiser_of(self._pipe)
        refuse_compiled(denoiser, getattr(self._pipe, self.family.denoiser))
        refuse_skipping(denoiser, self.family.denoiser)
        self._running.encode()
        result, pipeline_call = self._encoding.begin(call, arguments)
        pipeline_call.image_size = requested_size
        self.current = pipeline_call
        return result

    def preparing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Read the number of images and the seeds when the pipeline prepares its latents."""
        self._in_pipeline = True
        pipeline_call = self.current
        if pipeline_call is not None and isinstance(arguments.get("batch_size"), int):
            # Some pipelines repeat the embeddings after encode_prompt; some that start from an image count
            # the prompts and the images of each prompt separately.
            n_images = arguments["batch_size"] * arguments.get("num_images_per_prompt", 1)
            pipeline_call.images_per_prompt = n_images // len(pipeline_call.prompts)
            pipeline_call.seeds = [None] * pipeline_call.n_images
        if pipeline_call is not None and arguments.get("latents") is None:
            pipeline_call.add_seeds(arguments.get("generator"))
        result = call()
        latents = result[0] if isinstance(result, tuple) else result
        is_image = isinstance(latents, Tensor) and latents.ndim == 4
        self._prepared = tuple(latents.shape[-2:]) if is_image else None
        return result

    def describe(
        self,
        seeds: Sequence[int | None],
        settings: Mapping[str, Any],
        timesteps: Sequence[float] | None,
    ) -> None:
        """Add to the provenance of the current pipeline call, and announce its timesteps."""
        pipeline_call = self._pipeline_call()
        if len(seeds) != pipeline_call.n_images:
            raise TraceError(
                f"Expected the seeds of {pipeline_call.n_images} images, but got {len(seeds)}."
            )
        pipeline_call.seeds = list(seeds)
        pipeline_call.settings |= settings
        if timesteps is not None:
            pipeline_call.expected = tuple(float(timestep) for timestep in timesteps)

    def finishing(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Close the pipeline call when the pipeline has finished."""
        result = call()
        pipeline_call, self.current = self.current, None
        self._running.end()
        if pipeline_call is None:
            return result
        if not pipeline_call.observed:
            raise TraceError(
                f"Expected to observe the {self.family.denoiser} of {type(self._pipe).__name__}, but it was replaced "
                "or compiled: start after changing the model, and before torch.compile or inside "
                'torch.compiler.set_stance("force_eager").'
            )
        self._text_check.check(pipeline_call, may_wait=True)
        self.call_finished(pipeline_call)
        return result

    @abstractmethod
    def call_finished(self, pipeline_call: PipelineCall) -> None:
        """Process a pipeline call that has finished."""

    def discard_current(self) -> None:
        """Discard a pipeline call that did not finish."""
        if self.current is not None and self.current.observed:
            self.n_unfinished += 1
        self.current = None
        self._inputs = {}
        self._in_pipeline = False
        self._prepared = None

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Read the timestep, the image size and the settings, and identify the rows of the prompts."""
        pipeline_call = self._pipeline_call()
        self._inputs = inputs
        if not pipeline_call.timesteps:
            refuse_tiles(self._pipe, self._prepared, inputs)
            pipeline_call.settings = provenance_of(self._pipe, self.family) | pipeline_call.settings
            if pipeline_call.image_size is None:
                pipeline_call.image_size = self.family.image_size(self._pipe, inputs)
            if pipeline_call.expected is None:
                pipeline_call.expected = coming_timesteps(self._pipe, self._in_pipeline)
        is_perturbed = getattr(self._pipe, "do_perturbed_attention_guidance", False)
        self._rows = rows_of(
            self.family,
            pipeline_call,
            inputs,
            is_perturbed=is_perturbed,
            has_image_guidance=has_image_guidance(self._pipe),
        )
        pipeline_call.guided |= self._rows.is_guided
        self._layouts.clear()
        self._fitting.clear()
        self._ran.clear()
        pipeline_call.timesteps.append(inputs[self.family.timestep])
        self._text_check.compare(pipeline_call, inputs, self._rows)

    @abstractmethod
    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Process the attention calls that a module made, after it ran."""

    def denoiser_returned(self) -> None:
        """Check that all text attentions were observed, and that the text is the reported one."""
        self._inputs = {}
        self._check_observed(self.attentions, "text attentions")
        pipeline_call = self._pipeline_call()
        self._text_check.end_step(pipeline_call, is_reported=self._reports_step())
        self._text_check.check(pipeline_call)

    def _reports_step(self) -> bool:
        """Whether anything is reported of the current step."""
        return True

    def _check_observed(self, expected: Iterable[str], kind: str) -> None:
        """Refuse a step in which some attentions did not run, if it is reported."""
        paths = list(expected)
        missing = [path for path in paths if path not in self._ran]
        if missing and self._rows.prompts is not None and self._reports_step():
            refuse_missing(
                missing,
                len(paths),
                kind,
                step=self._pipeline_call().drawn.n_steps - 1,
                selects_steps=self._selects_steps,
            )

    def _pipeline_call(self) -> PipelineCall:
        if self.current is None:
            raise TraceError(
                f"Expected a prompt before the {self.family.denoiser} of {type(self._pipe).__name__} runs, but the "
                "prompt is not known: inside the `with` block call the pipeline, or in your own loop call "
                "pipe.encode_prompt(prompt, ...) first and pipe.maybe_free_model_hooks() at the end."
            )
        return self.current

    def _layout(
        self, call: AttentionCall, text: EncodedText
    ) -> TokenLayout | list[TokenLayout] | None:
        """Return which queries of a call are pixels and which keys are a text; None if none are."""
        sizes = CallSizes(call.query.shape[-2], call.key.shape[-2], text.text_length)
        if sizes not in self._layouts:
            self._layouts[sizes] = self.family.layout(sizes, self._inputs)
        return self._layouts[sizes]

    def _text_call(
        self, path: str, module: nn.Module, calls: Sequence[AttentionCall], text: EncodedText
    ) -> tuple[AttentionCall, TokenLayout | list[TokenLayout]]:
        """Return the call with the text among the calls of a text attention, and its layout."""
        for call in calls:
            layout = self._layout(call, text)
            if layout is not None:
                break  # an IP-Adapter makes a second call, for its image
        else:
            refuse_unobserved_attention(
                path,
                module,
                calls,
                keys=f"{text.text_length} text keys",
                denoiser=self.family.denoiser,
            )
        self._check_rows(call)
        self._ran.add(path)
        self._pipeline_call().observed.add(path)
        return call, layout

    def _check_rows(self, call: AttentionCall) -> None:
        # Layers that perturb their attention make a call of its own for the perturbed rows.
        if call.query.shape[0] not in (self._rows.n, self._rows.n - self._rows.n_perturbed):
            refuse_rows(self.family, self._pipeline_call(), call.query.shape[0])

    def _grid(self, path: str, n_queries: int) -> Grid:
        if n_queries not in self._fitting:
            self._fitting[n_queries] = self.family.grid(self._pipe, self._inputs, n_queries)
        grid = self._fitting[n_queries]
        if grid is None:
            size = "x".join(map(str, self.family.image_size(self._pipe, self._inputs)))
            raise TraceError(
                f"Expected the {n_queries} pixels of {path} to form a grid of the {self.family.name} family for an "
                f"image of {size} (height x width), but they do not: this model divides the image differently; "
                "register a Family for it."
            )
        return grid
