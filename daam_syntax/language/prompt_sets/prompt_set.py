"""Sets of prompts: read, choose, sample and write them."""

from __future__ import annotations

import html
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daam_syntax.errors import FileError, ProblemKind, PromptError, RowProblem
from daam_syntax.language.prompt_sets.files.collecting import collect, without_broken_pairs
from daam_syntax.language.prompt_sets.files.formats import find_format
from daam_syntax.language.prompt_sets.files.records import (
    Record,
    Rows,
    dataset_records,
    given_records,
)
from daam_syntax.language.prompt_sets.pairs import PromptPair, find_pairs
from daam_syntax.language.prompt_sets.problems import refusal, require_order
from daam_syntax.language.prompt_sets.rows import Prompt, columns_of
from daam_syntax.language.prompt_sets.sampling import choose, groups_of
from daam_syntax.language.prompt_sets.templates import Template
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import OWN, checked

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    from spacy.language import Language


@checked(rows=OWN)
@dataclass(frozen=True, repr=False)
class PromptSet:
    """A sequence of distinct prompts with their columns.

    Iterating over a set yields the texts, so it can be passed wherever a list of prompts can.

    Attributes
    ----------
    rows
        The prompts, see `Prompt`.
    problems
        The problems of rows that were left out when the set was read.

    Raises
    ------
    PromptError
        If two prompts have the same text or the same id, or if something other than a `Prompt` is given.
    """

    rows: tuple[Prompt, ...]
    problems: tuple[RowProblem, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.rows, str) or not isinstance(self.rows, Iterable):
            raise TypeError(f"Expected rows that are Prompt values, but got {shown(self.rows)}.")
        object.__setattr__(self, "rows", tuple(self.rows))
        others = [row for row in self.rows if not isinstance(row, Prompt)]
        if others:
            raise PromptError(
                f"Expected rows that are Prompt values, but got {type(others[0]).__name__}; make a set from texts with "
                "PromptSet.from_records, or from a file with PromptSet.from_file."
            )
        object.__setattr__(self, "problems", tuple(self.problems))
        checked = collect(Record(n, row.values(), "row") for n, row in enumerate(self.rows, 1))
        if checked.problems:
            raise refusal("a set", checked.problems)

    # -- reading ------------------------------------------------------------------------------------------------

    @classmethod
    @checked
    def from_file(
        cls,
        path: str | Path,
        format: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        strict: bool = True,
    ) -> PromptSet:
        """Read prompts from a file.

        Parameters
        ----------
        path
            The file.
        format
            Name of its format, one of `FORMATS`; None to infer it from the suffix and the columns.
        columns
            The columns to read, and their names in the set: ``{"caption": "prompt"}``. If None, all columns are read;
            those that are not among `COLUMNS` become metadata, which `problems` says.
        strict
            Whether to refuse a file with any problem; a repeated prompt in a published set is not a problem. If False,
            rows that cannot be used are left out, and `problems` lists the reasons.

        Raises
        ------
        FileError
            If the file cannot be read, or its format is unknown.
        PromptFileError
            If the file has problems; the error lists all of them with line numbers.
        PromptError
            If the file has no usable prompt.
        """
        path = Path(path)
        chosen = find_format(path, format)
        tolerated: tuple[ProblemKind, ...] = ("repeat", "pair") if chosen.is_published else ()
        return cls._collected(chosen.read(path, columns), str(path), strict, tolerated)

    @classmethod
    @checked
    def from_records(
        cls,
        records: Iterable[str | Mapping[str, Any] | Prompt] | pd.DataFrame,
        *,
        strict: bool = True,
    ) -> PromptSet:
        """Make a set from texts, mappings or a table.

        Parameters
        ----------
        records
            Texts; or values of `Prompt`, or a set of them; or mappings from `COLUMNS` to values, in which ``slots``
            and ``metadata`` may be mappings; or a table, in which NaN is a missing value, an index with a name is a
            column, and other columns become metadata, which `problems` says.
        strict
            See `from_file`.

        Raises
        ------
        PromptError
            See `from_file`.
        """
        if isinstance(records, Mapping):
            raise PromptError(
                "Expected a list of prompts, but got a dict: put the dict of one prompt in a list, or make a table of "
                "a dict of columns with pandas.DataFrame(columns)."
            )
        if isinstance(records, PromptSet):
            records = records.rows
        require_order(records)
        return cls._collected(given_records(records), "the given rows", strict)

    @classmethod
    def from_dataset(
        cls,
        dataset: datasets.Dataset | str,
        *,
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        strict: bool = True,
    ) -> PromptSet:
        """Read prompts from a data set of the Hugging Face library ``datasets``.

        Parameters
        ----------
        dataset
            A data set, or the name of one on the Hub; its own code is not run.
        split
            The split to load, if `dataset` is a name.
        columns, strict
            See `from_file`; only the columns that are read are loaded.

        Raises
        ------
        FileError
            If ``datasets`` is not installed, or the data set does not exist.
        PromptError
            See `from_file`.
        """
        if isinstance(dataset, str):
            dataset = _load_dataset(dataset, split)
        names = getattr(dataset, "column_names", None)
        if not isinstance(names, list):
            raise FileError(
                f"Expected a data set with columns, but got {type(dataset).__name__}; choose one of its splits."
            )
        return cls._collected(dataset_records(dataset, columns), "the data set", strict)

    @classmethod
    @checked
    def from_template(
        cls,
        template: str,
        values: Mapping[str, Sequence[str]],
        *,
        n: int | None = None,
        exchange: str | None = None,
        seed: int = 0,
    ) -> PromptSet:
        """Fill the slots of a template; see `Template`.

        Parameters
        ----------
        template
            A text with slots: ``"a {color} {noun} on {place}"``.
        values
            Maps each list's name to its values.
        n
            Number of prompts, or pairs, to sample without replacement; None for all prompts.
        exchange
            A slot in which to make minimal pairs; requires `n`.
        seed
            Seed of the sample.

        Raises
        ------
        PromptError
            If the text is not a template, a list is missing, or there are fewer than `n` prompts or pairs.
        """
        filled = Template(template, values)
        if exchange is None:
            return cls(tuple(filled.prompts(n, seed)))
        if n is None:
            raise PromptError("Expected n, the number of pairs, but got none.")
        return cls(tuple(filled.pairs(exchange, n, seed)))

    @classmethod
    def _collected(
        cls, rows: Rows, source: str, strict: bool, tolerated: Sequence[ProblemKind] = ()
    ) -> PromptSet:
        found = collect(rows)
        refused = [
            problem
            for problem in found.problems
            if problem.kind == "file" or (strict and problem.kind not in (*tolerated, "column"))
        ]
        if refused:
            raise refusal(source, refused)
        if not found.rows:
            what = "; ".join(map(str, found.problems[:3])) or "it is empty"
            raise PromptError(
                f"Expected at least one usable prompt in {source}, but there is none: {what}"
            )
        return cls._of_checked(found.rows, found.problems)

    @classmethod
    def _of_checked(cls, rows: Iterable[Prompt], problems: Iterable[RowProblem] = ()) -> PromptSet:
        """Make a set of rows that were checked together, and need not be checked again."""
        made = object.__new__(cls)
        object.__setattr__(made, "rows", tuple(rows))
        object.__setattr__(made, "problems", tuple(problems))
        return made

    # -- writing ------------------------------------------------------------------------------------------------

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the prompts."""
        return tuple(row.text for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the columns that any prompt has; "" where a prompt lacks one."""
        import pandas as pd

        names = columns_of(self.rows)
        values = [row.values() for row in self.rows]
        return pd.DataFrame([[v.get(name, "") for name in names] for v in values], columns=names)

    @checked
    def to_file(self, path: str | Path, format: str | None = None) -> None:
        """Write the prompts to a file; `from_file` returns the same set.

        Parameters
        ----------
        path
            The file, which is replaced if it exists.
        format
            See `from_file`.

        Raises
        ------
        FileError
            If the file cannot be written, or not in this format.
        PromptError
            If the format cannot hold these prompts.
        """
        path = Path(path)
        chosen = find_format(path, format)
        if chosen.write is None:
            raise FileError(
                f"Expected a format that can be written, but {chosen.name} can only be read; write CSV."
            )
        chosen.write(path, self.rows)

    # -- choosing ------------------------------------------------------------------------------------------------

    @checked
    def where(self, keep: Callable[[Prompt], bool]) -> PromptSet:
        """Return the set of prompts for which a function returns true."""
        return self._of_checked(without_broken_pairs([row for row in self.rows if keep(row)]))

    @checked
    def pairs(self, *, minimal: bool = False) -> tuple[PromptPair, ...]:
        """Return the pairs, in the order of their first prompts.

        Parameters
        ----------
        minimal
            Whether to require that the prompts of a pair differ in exactly one word.

        Raises
        ------
        PromptError
            If there are no pairs, or some are not minimal; all of them are listed.
        """
        return find_pairs(self.rows, minimal=minimal)

    @checked
    def sample(self, n: int, *, seed: int = 0) -> PromptSet:
        """Return `n` prompts sampled without replacement, in the order of this set.

        Raises
        ------
        PromptError
            If the set has fewer prompts.
        """
        if not 1 <= n <= len(self):
            raise PromptError(f"Expected a sample of 1 to {len(self):,} prompts, but got {n:,}.")
        chosen = sorted(random.Random(seed).sample(range(len(self)), n))
        return self._of_checked(without_broken_pairs([self.rows[number] for number in chosen]))

    @checked
    def stratify(
        self,
        n: int,
        *,
        by: str,
        groups: Sequence[str] | None = None,
        seed: int = 0,
        parser: str | Language | None = None,
        scheme: str = "enhanced",
    ) -> Sample:
        """Return a sample with `n` prompts per group, or fewer for groups that are too small.

        If `by` is "relation" and the set lacks that column, the prompts are parsed. Each prompt is chosen for one
        relation in its parse, which becomes its column ``relation``; relations are assigned to fill as many places as
        possible.

        Parameters
        ----------
        n
            Prompts per group.
        by
            A column of `COLUMNS`.
        groups
            The groups; None for all.
        seed
            Seed of the sample.
        parser, scheme
            The parser, and the dependency scheme of the relations.

        Raises
        ------
        PromptError
            If no prompt has that column.
        ParserError
            If the parser cannot be loaded, or does not provide the scheme.
        """
        chosen, missing = choose(groups_of(self.rows, by, parser, scheme), n, groups, seed)
        rows = [
            replace(self.rows[number], relation=chosen[number])
            if by == "relation"
            else self.rows[number]
            for number in sorted(chosen)
        ]
        counts = Counter(chosen.values())
        wanted = groups or sorted(counts, key=lambda group: (-counts[group], group))
        return Sample(
            PromptSet(without_broken_pairs(rows)),
            {group: counts[group] for group in wanted},
            missing,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __repr__(self) -> str:
        first = repr(self.rows[0].text[:60]) if self.rows else "none"
        kept = ("pair", "column")
        n_out = len({problem.row for problem in self.problems if problem.kind not in kept})
        out = f", {n_out:,} rows left out" if n_out else ""
        return f"PromptSet({len(self):,} prompts, the first {first}{out})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.to_frame().to_html(max_rows=10)}"


@dataclass(frozen=True)
class Sample:
    """A sample with equal numbers of prompts per group, as far as possible.

    Attributes
    ----------
    prompts
        The sample, in the order of the original set.
    counts
        Maps each group to the number of its prompts in the sample.
    missing
        Maps each group with too few prompts to the number that it lacks.
    """

    prompts: PromptSet
    counts: Mapping[str, int]
    missing: Mapping[str, int]

    def __str__(self) -> str:
        lines = [f"{len(self.prompts):,} prompts"]
        for group, n in self.counts.items():
            lack = self.missing.get(group)
            lines.append(f"{group or '(none)'}: {n:,}" + (f", {lack:,} too few" if lack else ""))
        return "\n".join(lines)


def _load_dataset(name: str, split: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise FileError(
            f"Expected the package datasets to load {name!r}, but it is not installed; run `pip install datasets`."
        ) from error
    try:
        return datasets.load_dataset(name, split=split)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FileError(
            f"Expected a data set {name!r}, but it could not be loaded: {reason}"
        ) from error
