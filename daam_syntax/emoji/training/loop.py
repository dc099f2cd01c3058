"""The training loop: mixed precision, a learning-rate schedule, checkpoints, and a logged curve.

Models compute in bfloat16 where the device is fast at it. The optimizer keeps 32-bit weights, and their exponential
moving average is shipped. On a GPU, a step is recorded once as a CUDA graph and replayed: these models are so
small that launching their kernels one by one takes longer than running them.
"""

from __future__ import annotations

import copy
import csv
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from daam_syntax.emoji.training.devices import computing_dtype
from daam_syntax.util.whole_files import whole_file

Losses = Callable[[], dict[str, torch.Tensor]]

_WARM_UP_STEPS = 3  # before recording a graph: the optimizer and cuDNN allocate in the first ones


@dataclass(frozen=True)
class Session:
    """How long, where, and with which batches a stage trains.

    Attributes
    ----------
    steps, minutes
        Total numbers over all sessions; None for no limit of minutes. Training ends, and the learning rate has
        decayed, when the steps or the minutes are over, whichever comes first.
    batch
        Scenes in a batch.
    device
        A device of torch.
    threads
        Maximum number of threads on a CPU; one is used while other programs compute.
    graph
        Whether to replay steps as a CUDA graph; only on a GPU. Losses must then be computed on the GPU alone, from
        tensors that stay where they are.
    save_minutes
        Minutes between checkpoints.
    """

    steps: int
    minutes: float | None = None
    batch: int = 32
    device: torch.device = field(default_factory=partial(torch.device, "cpu"))
    threads: int = 1
    graph: bool = True
    save_minutes: float = 5.0


class Trainer:
    """Optimize modules until a number of steps or minutes is over, resuming from the last checkpoint.

    Parameters
    ----------
    modules
        Name to module; all parameters that require a gradient are trained.
    folder
        Folder of the checkpoint (``checkpoint.pt``) and the curve (``curve.csv``).
    session
        How long and where to train; the modules are moved to its device.
    learning_rate
        Peak learning rate, reached after `warm_up` steps. From `decay_from` (a share of the training) on, it decays
        to 2 % of the peak along a cosine.
    ema
        Decay of the moving average of the weights.

    Attributes
    ----------
    dtype
        Precision of the modules while they are trained.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        folder: Path,
        session: Session,
        *,
        learning_rate: float,
        warm_up: int = 100,
        decay_from: float = 0.0,
        weight_decay: float = 0.01,
        ema: float = 0.999,
    ) -> None:
        self.modules = modules
        self.folder = folder
        self.session = session
        self.device = session.device
        self.learning_rate = learning_rate
        self.warm_up = warm_up
        self.decay_from = decay_from
        self.ema_decay = ema
        self.dtype = computing_dtype(self.device)
        self.step = 0
        self.seconds = 0.0
        self._started: float | None = None
        self._sums: dict[str, torch.Tensor] = {}
        self._summed = 0
        folder.mkdir(parents=True, exist_ok=True)
        for module in modules.values():
            module.to(self.device)
        self._master = [p.detach().float().clone() for p in self._parameters()]
        self._ema = [p.clone() for p in self._master]
        self._weights = [p.detach() for p in self._master]
        for p in self._master:
            p.requires_grad_(True)
        for module in modules.values():
            module.to(self.dtype)
        on_gpu = self.device.type == "cuda"
        # A graph replays what it has recorded, so the learning rate that it reads has to be a tensor.
        self._rate_tensor = torch.zeros((), device=self.device) if on_gpu else None
        self._optimizer = torch.optim.AdamW(
            self._master,
            lr=0.0 if self._rate_tensor is None else self._rate_tensor,
            betas=(0.9, 0.99),
            weight_decay=weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self._resume()

    def _parameters(self) -> list[nn.Parameter]:
        return [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1: of the steps or of the minutes, whichever is larger."""
        limit = self.session.minutes
        minutes = self._seconds_so_far() / 60 / limit if limit else 0.0
        return min(1.0, max(self.step / max(1, self.session.steps), minutes))

    def _seconds_so_far(self) -> float:
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self.seconds + running

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.warm_up)
        done = max(0.0, (self.share - self.decay_from) / (1.0 - self.decay_from))
        return self.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

    def run(
        self,
        losses: Losses,
        *,
        log_every: int = 50,
        save_every: int | None = None,
        on_log: Callable[[], None] | None = None,
        on_save: Callable[[dict[str, nn.Module]], None] | None = None,
    ) -> None:
        """Train until the last step or minute.

        Parameters
        ----------
        losses
            Computes the losses of one batch; ``"loss"`` is minimized, and the others are only logged.
        log_every
            Steps between rows of the curve. In between, the host never waits for a GPU.
        save_every
            Steps between checkpoints; if None, the session's minutes are between them.
        on_log
            Called after each row of the curve, for instance to add training data.
        on_save
            Called after each checkpoint with copies of the modules that hold the averaged weights.
        """
        self._started = saved = time.perf_counter()
        on_gpu = self.device.type == "cuda"
        advance = (
            self._recorded(losses)
            if on_gpu and self.session.graph
            else lambda: self._update(losses)
        )
        while self.share < 1.0:
            if not on_gpu:
                _share_processors(self.session.threads)
            self._set_rate()
            advance()
            self._average()
            if self.step % log_every == 0:
                self._log()
                if on_log:
                    on_log()
            waited = time.perf_counter() - saved > 60 * self.session.save_minutes
            due = self.step % save_every == 0 if save_every else waited
            if due or self.share >= 1.0:
                self.save()
                if on_save:
                    on_save(self.averaged())
                saved = time.perf_counter()

    def _recorded(self, losses: Losses) -> Callable[[], None]:
        """Record a step as a CUDA graph, after a few ordinary ones; return its replay."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                self._set_rate()
                self._update(losses)
                self._average()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._update(losses)
        except RuntimeError as error:
            warnings.warn(
                f"The step could not be recorded as a CUDA graph; training without: {error}",
                stacklevel=3,
            )
            torch.cuda.synchronize()
            return lambda: self._update(losses)
        return graph.replay

    def _set_rate(self) -> None:
        rate = self._rate()
        if self._rate_tensor is not None:
            self._rate_tensor.fill_(rate)
            return
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _update(self, losses: Losses) -> None:
        """Compute the losses of a batch, add them to the sums, and take one step of the optimizer."""
        values = losses()
        for name, value in values.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros((), device=self.device)
            self._sums[name] += value.detach()
        values["loss"].backward()
        parameters: list[torch.Tensor] = [*self._parameters()]
        for master, p in zip(self._master, parameters, strict=True):
            master.grad = None if p.grad is None else p.grad.float()
            p.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self._master, 1.0)
        # The optimizer leaves out a step whose gradient is not finite.
        self._optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(parameters, self._weights)

    def _average(self) -> None:
        """Count the step, and let the averaged weights follow."""
        self.step += 1
        self._summed += 1
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self._ema, self._weights, 1 - decay)

    def averaged(self) -> dict[str, nn.Module]:
        """Return copies of the modules that hold the averaged weights, in 32 bits and in evaluation mode."""
        copies = {name: copy.deepcopy(module).float() for name, module in self.modules.items()}
        trained = [p for m in copies.values() for p in m.parameters() if p.requires_grad]
        with torch.no_grad():
            torch._foreach_copy_([p.data for p in trained], self._ema)
        return {name: module.eval() for name, module in copies.items()}

    def _log(self) -> None:
        """Write the mean losses since the last row, and begin new sums."""
        values = (torch.stack([*self._sums.values()]) / self._summed).tolist()
        torch._foreach_zero_([*self._sums.values()])
        self._summed = 0
        path = self.folder / "curve.csv"
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "seconds", "learning_rate", *self._sums])
            head = [self.step, f"{self._seconds_so_far():.0f}", f"{self._rate():.2e}"]
            writer.writerow([*head, *(f"{value:.5f}" for value in values)])

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the previous one intact."""
        state = {
            "step": self.step,
            "seconds": self._seconds_so_far(),
            "master": self._weights,
            "ema": self._ema,
            "optimizer": self._optimizer.state_dict()["state"],
        }
        with whole_file(self.folder / "checkpoint.pt") as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.step, self.seconds = state["step"], state["seconds"]
        torch._foreach_copy_(self._weights, state["master"])
        torch._foreach_copy_(self._ema, state["ema"])
        with torch.no_grad():
            torch._foreach_copy_([p.data for p in self._parameters()], self._weights)
        # Only the moments: settings such as the learning rate come from this session.
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        if self._rate_tensor is not None:
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate_tensor
        self._forget_curve_after(self.step)

    def _forget_curve_after(self, step: int) -> None:
        """Drop the rows that an interrupted run logged after its last checkpoint."""
        path = self.folder / "curve.csv"
        if not path.exists():
            return
        head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if int(row.partition(",")[0]) <= step]
        path.write_text("".join([head, *kept]), encoding="utf-8")


def _share_processors(threads: int) -> None:
    """Use `threads` threads while the machine is idle, and one while other programs compute.

    If one of several threads is descheduled, the others wait for it, and training is several times slower than
    with one thread. The number of running threads is known on Linux only; elsewhere, nothing changes.
    """
    load = Path("/proc/loadavg")
    if threads > 1 and load.exists():
        time.sleep(0.005)  # until our own threads stop spinning
        running = int(load.read_text(encoding="ascii").split()[3].partition("/")[0])
        torch.set_num_threads(threads if running <= 1 else 1)
