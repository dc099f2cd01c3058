"""The training loop: mixed precision, a learning-rate schedule, checkpoints, and a logged curve.

Models compute in bfloat16, which is about twice as fast on CPUs that support it. The optimizer keeps 32-bit weights,
and their exponential moving average is shipped.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from daam_syntax.util.whole_files import whole_file


class Trainer:
    """Optimize modules for a number of steps, resuming from the last checkpoint.

    Parameters
    ----------
    modules
        Name to module; all parameters that require a gradient are trained.
    folder
        Folder of the checkpoint (``checkpoint.pt``) and the curve (``curve.csv``).
    steps
        Total number of steps over all sessions.
    learning_rate
        Peak learning rate, reached after `warm_up` steps. From `decay_from` (a share of the steps) on, it decays to
        2 % of the peak along a cosine.
    ema
        Decay of the moving average of the weights.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        folder: Path,
        *,
        steps: int,
        learning_rate: float,
        warm_up: int = 100,
        decay_from: float = 0.0,
        weight_decay: float = 0.01,
        ema: float = 0.999,
    ) -> None:
        self.modules = modules
        self.folder = folder
        self.steps = steps
        self.learning_rate = learning_rate
        self.warm_up = warm_up
        self.decay_from = decay_from
        self.ema_decay = ema
        self.step = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self._master = [p.detach().float().clone() for p in self._parameters()]
        self._ema = [p.clone() for p in self._master]
        for p in self._master:
            p.requires_grad_(True)
        for module in modules.values():
            module.to(torch.bfloat16)
        self._optimizer = torch.optim.AdamW(
            self._master, lr=0.0, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
        )
        self._resume()

    def _parameters(self) -> list[nn.Parameter]:
        return [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.warm_up)
        start = self.decay_from * self.steps
        done = max(0.0, (self.step - start) / max(1.0, self.steps - start))
        return (
            self.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, done))))
        )

    def run(
        self,
        losses: Callable[[], dict[str, torch.Tensor]],
        *,
        threads: int = 1,
        log_every: int = 50,
        save_every: int = 250,
        on_save: Callable[[], None] | None = None,
    ) -> None:
        """Train until the last step.

        Parameters
        ----------
        losses
            Computes the losses of one batch; ``"loss"`` is minimized, and the others are only logged.
        threads
            Maximum number of threads; one is used while other programs compute.
        log_every, save_every
            Steps between rows of the curve and between checkpoints.
        on_save
            Called after each checkpoint, while the modules hold the averaged weights.
        """
        sums: dict[str, float] = {}
        started = time.perf_counter()
        while self.step < self.steps:
            _share_processors(threads)
            values = losses()
            self._update(values["loss"])
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if self.step % log_every == 0:
                now = time.perf_counter()
                self.seconds += now - started
                started = now
                self._log({name: total / log_every for name, total in sums.items()})
                sums = {}
            if self.step % save_every == 0 or self.step == self.steps:
                self.save()
                if on_save:
                    self.with_average(on_save)

    def _update(self, loss: torch.Tensor) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        loss.backward()
        parameters: list[torch.Tensor] = [*self._parameters()]
        for master, p in zip(self._master, parameters, strict=True):
            master.grad = None if p.grad is None else p.grad.float()
            p.grad = None
        torch.nn.utils.clip_grad_norm_(self._master, 1.0)
        self._optimizer.step()
        self.step += 1
        with torch.no_grad():
            torch._foreach_copy_(parameters, self._master)
            decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self._ema, [p.detach() for p in self._master], 1 - decay)

    def with_average(self, action: Callable[[], None]) -> None:
        """Run `action` while the modules hold the averaged weights in 32 bits."""
        self._load(self._ema, torch.float32)
        try:
            action()
        finally:
            self._load(self._master, torch.bfloat16)

    def _load(self, weights: Iterable[torch.Tensor], dtype: torch.dtype) -> None:
        for module in self.modules.values():
            module.to(dtype)
        with torch.no_grad():
            for p, weight in zip(self._parameters(), weights, strict=True):
                p.copy_(weight)

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "curve.csv"
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "seconds", "learning_rate", *row])
            values = (f"{value:.5f}" for value in row.values())
            writer.writerow([self.step, f"{self.seconds:.0f}", f"{self._rate():.2e}", *values])

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the previous one intact."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "master": [p.detach() for p in self._master],
            "ema": self._ema,
            "optimizer": self._optimizer.state_dict(),
        }
        with whole_file(self.folder / "checkpoint.pt") as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        with torch.no_grad():
            for mine, saved in zip(self._master, state["master"], strict=True):
                mine.copy_(saved)
            for mine, saved in zip(self._ema, state["ema"], strict=True):
                mine.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        self._load(self._master, torch.bfloat16)
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
