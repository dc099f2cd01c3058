"""Read the log-sum-exp that an attention kernel computes for itself.

In joint attention only some keys are text, but the softmax is over all keys. Its denominator is by far the most
expensive part, and fused kernels compute it anyway. Torch chooses the kernel as always; a dispatch mode observes the
operator that ran and takes the log-sum-exp from its outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from daam_syntax.attention.softmax.logits import product_bits
from daam_syntax.attention.softmax.probabilities import AttentionCall, reference_logsumexp

# The position of each operator's argument that requests the log-sum-exp; None if it is always computed.
_REQUEST: Final[dict[str, int | None]] = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": None,
    "aten::_scaled_dot_product_flash_attention": None,
    "aten::_scaled_dot_product_efficient_attention": 4,
    "aten::_scaled_dot_product_cudnn_attention": 4,
}
_N_CHECKED: Final = 8  # queries of the first row whose log-sum-exp is compared
_TOLERANCE: Final = 2e-6  # relative to the log-sum-exp, or to 10 where that is smaller


class LogSumExpReader:
    """Runs attention calls, and returns the log-sum-exp of the logits where the kernel provides it.

    The first call of each kind (kernel, number format, number of features, mask, precision setting) is checked
    against logits computed in float32, for a few queries. A kind whose log-sum-exp is missing or differs is not
    used: the softmax is computed over all keys then.

    Attributes
    ----------
    differences
        The largest relative difference found in the checks, by kernel; infinity for kernels without a log-sum-exp.
    """

    def __init__(self) -> None:
        self.differences: dict[str, float] = {}
        self._is_right: dict[tuple[object, ...], bool] = {}

    def attend(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor | None]:
        """Call `scaled_dot_product_attention`, and return the log-sum-exp of the logits if the kernel provides it.

        Parameters
        ----------
        args, kwargs
            As for `scaled_dot_product_attention`.

        Returns
        -------
        Tensor
            The output of the function, which torch runs with the kernel of its own choice.
        Tensor or None
            The log-sum-exp over all keys; None if it is missing or not exact, or for cross-attention, whose keys are
            all text. *Shape:* ``(row, head, query)``
        """
        call = AttentionCall.from_arguments(args, kwargs)
        if not _may_be_joint(call):
            return scaled_dot_product_attention(*args, **kwargs), None
        with _KernelObserver() as observed:
            output = scaled_dot_product_attention(*args, **kwargs)
        if observed.logsumexp is None:
            self.differences.setdefault(observed.kernel or "math", float("inf"))
            return output, None
        n_queries = call.query.shape[2]
        logsumexp = observed.logsumexp.flatten(2)[..., :n_queries]  # some kernels pad the queries
        return output, logsumexp if self._check(observed.kernel, call, logsumexp) else None

    def _check(self, kernel: str, call: AttentionCall, logsumexp: Tensor) -> bool:
        kind = (
            kernel,
            call.query.dtype,
            call.query.shape[-1],
            call.mask is not None,
            product_bits(call.query.device),
        )
        if kind not in self._is_right:
            difference = _largest_difference(call, logsumexp)
            self._is_right[kind] = difference <= _TOLERANCE
            self.differences[kernel] = max(difference, self.differences.get(kernel, 0.0))
        return self._is_right[kind]


def _may_be_joint(call: AttentionCall) -> bool:
    """Return whether the keys may include pixels, and the kernel's log-sum-exp is exact as far as is known."""
    if call.query.ndim != 4 or call.is_causal:
        return False
    if call.query.device.type == "cpu" and call.query.dtype.itemsize < 4:
        return False  # the kernel approximates its exponentials there, to a relative error of 6e-5
    return call.key.shape[-2] >= call.query.shape[-2] > 1


@torch.no_grad()
def _largest_difference(call: AttentionCall, logsumexp: Tensor) -> float:
    step = max(1, call.query.shape[2] // _N_CHECKED)
    expected = reference_logsumexp(call, slice(None, None, step))
    found = logsumexp[:1, :, ::step].float()
    sees_keys = expected > -torch.inf  # kernels disagree on queries whose keys are all masked
    difference = (found - expected).abs() / expected.abs().clamp(min=10)
    largest = torch.where(sees_keys, difference, torch.zeros_like(expected)).amax()
    return float(torch.nan_to_num(largest, nan=torch.inf))


class _KernelObserver(TorchDispatchMode):
    """Keeps the log-sum-exp among the outputs of an attention operator.

    Where no gradient is needed, torch does not request it from some kernels, which compute it but do not store it; it
    is then requested. The output is the same: it does not depend on whether the denominator is stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernel = ""
        self.logsumexp: Tensor | None = None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func._schema.name
        if name not in _REQUEST:
            return func(*args, **(kwargs or {}))
        position = _REQUEST[name]
        if position is not None:
            args = (*args[:position], True, *args[position + 1 :])
        outputs = func(*args, **(kwargs or {}))
        self.kernel = name.removeprefix("aten::_scaled_dot_product_")
        self.logsumexp = outputs[1] if outputs[1].numel() else None
        return outputs
