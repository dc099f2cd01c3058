"""Findings of a diagnosis: what is off, how far, what it means, and what to try."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args, overload

from daam_syntax.util.arguments.checks import checked

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "truncated",
    "unknown",
    "untrained",
    "special tokens",
    "identical",
    "flat",
    "scattered",
    "border",
    "steps",
    "blacked out",
]
"""What can be off.

- "truncated": the text encoder did not read the word, or not all of it.
- "unknown": the tokenizer has no token for the word.
- "untrained": the word is not among those that the model was trained on.
- "special tokens": start, end, and padding get all attention.
- "identical": two occurrences of one word have the same map.
- "flat", "scattered", "border": the map has no pattern, no coherent one, or one that runs along the border.
- "steps": the maps are of too few steps, or of early or late ones alone.
- "blacked out": the image is black.
"""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """One thing that is off.

    Attributes
    ----------
    kind
        One of `KINDS`.
    words
        Indices of the words that it concerns; empty if it concerns the image as a whole.
    texts
        Texts of these words.
    measure
        What was measured.
    values
        The measured values: one for each word, or one for all of them together.
    limit
        The value beyond which it counts as a fault; the value itself does not.
    meaning
        What it means for the maps.
    remedy
        What to try.
    """

    kind: Kind
    words: tuple[int, ...]
    texts: tuple[str, ...]
    measure: str
    values: tuple[float, ...]
    limit: float
    meaning: str
    remedy: str

    @property
    def summary(self) -> str:
        """The kind and the words, such as ``flat: 'a' (0), 'the' (3)``."""
        named = [f"{text!r} ({word})" for word, text in zip(self.words, self.texts, strict=True)]
        return f"{self.kind}: {', '.join(named)}" if named else self.kind

    @property
    def evidence(self) -> str:
        """What was measured, with the values and the limit."""
        values = ", ".join(f"{value:.3g}" for value in self.values)
        return f"{self.measure} {values} (limit {self.limit:.3g})"

    def __str__(self) -> str:
        return f"{self.summary}\n    {self.evidence}\n    {self.meaning}\n    Try: {self.remedy}"


@dataclass(frozen=True, repr=False)
class Diagnosis(Sequence[Finding]):
    """What is off with the maps of one image: a sequence of findings, empty if nothing was found.

    Attributes
    ----------
    prompt
        The prompt.
    findings
        What was found, in the order of `KINDS`.
    unchecked
        Kinds that could not be checked, each with the reason.
    """

    prompt: str
    findings: tuple[Finding, ...]
    unchecked: Mapping[Kind, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of the findings, each once."""
        return tuple(dict.fromkeys(finding.kind for finding in self.findings))

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    @checked
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def to_frame(self) -> pd.DataFrame:
        """Return the findings as a table.

        Returns
        -------
        pandas.DataFrame
            One row per finding and word; one row for a finding that concerns the image as a whole, with the word -1.
            Columns: ``kind``, ``word`` (index), ``text``, ``measure``, ``value``, ``limit``, ``meaning``, ``remedy``.
        """
        import pandas as pd

        columns = ("kind", "word", "text", "measure", "value", "limit", "meaning", "remedy")
        rows = [row for finding in self.findings for row in _rows(finding)]
        types = {"word": int, "value": float, "limit": float}
        return pd.DataFrame(rows, columns=columns).astype(types)

    @property
    def line(self) -> str:
        """All findings in one line; "" if there is none."""
        if not self.findings:
            return ""
        return f"Something may be off: {'; '.join(finding.summary for finding in self.findings)}."

    @property
    def _head(self) -> str:
        n_checked = len(KINDS) - len(self.unchecked)
        return f"Diagnosis of {self.prompt!r}: {len(self.findings) or 'nothing'} found, {n_checked} kinds checked"

    def __repr__(self) -> str:
        left_out = [f"  not checked: {kind}: {why}" for kind, why in self.unchecked.items()]
        return "\n".join([self._head, *(f"- {finding}" for finding in self.findings), *left_out])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{html.escape(each.summary)}</b><br>{html.escape(each.meaning)}<br>"
            f"Try: {html.escape(each.remedy)}<br><small>{html.escape(each.evidence)}</small></li>"
            for each in self.findings
        )
        left_out = "; ".join(f"{kind}: {why}" for kind, why in self.unchecked.items())
        small = f"<small>Not checked: {html.escape(left_out)}</small>" if left_out else ""
        return f"<div>{html.escape(self._head)}<ul>{items}</ul>{small}</div>"


def _rows(finding: Finding) -> list[tuple[object, ...]]:
    words = finding.words or (-1,)
    values = finding.values if len(finding.values) == len(words) else finding.values * len(words)
    return [
        (
            finding.kind,
            word,
            text,
            finding.measure,
            value,
            finding.limit,
            finding.meaning,
            finding.remedy,
        )
        for word, text, value in zip(words, finding.texts or ("",), values, strict=True)
    ]
