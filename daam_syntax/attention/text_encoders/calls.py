"""The arguments with which a pipeline calls its own `encode_prompt`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daam_syntax.attention.families import Family
from daam_syntax.pipelines.devices import execution_device


def encode_arguments(
    pipe: Any, family: Family, prompt: str | Sequence[str], options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the arguments with which a pipeline itself calls `encode_prompt`: once, or once per encoder.

    Parameters
    ----------
    pipe, family
        The pipeline and its family.
    prompt
        The prompt or prompts, without guidance.
    options
        Arguments of the pipeline call that differ from its defaults.
    """
    own = inspect.signature(pipe.encode_prompt).parameters
    called = inspect.signature(pipe.__call__).parameters
    values: dict[str, Any] = {
        name: called[name].default
        for name in own
        if name in called and called[name].default is not inspect.Parameter.empty
    }
    fixed = {
        "prompt": prompt,
        "device": execution_device(pipe),
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    values |= {name: value for name, value in {**options, **fixed}.items() if name in own}
    # `TextEncoder.kept` also reads arguments that have a default, by name.
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {n: p.default for n, p in own.items() if p.kind == plain and n not in values}
    values |= {n: None if d is inspect.Parameter.empty else d for n, d in defaults.items()}
    if "text_encoder_index" in own:
        for index in range(len(family.encoders)):
            yield values | {"text_encoder_index": index}
    else:
        yield values
