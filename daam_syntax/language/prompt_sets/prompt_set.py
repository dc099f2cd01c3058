"""Sets of prompts as plain values."""

from __future__ import annotations

import html
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daam_syntax.errors import FileError, PromptError
from daam_syntax.language.prompt_sets.files import table_reading
from daam_syntax.language.prompt_sets.files.collecting import collect, without_broken_pairs
from daam_syntax.language.prompt_sets.files.formats import find_format
from daam_syntax.language.prompt_sets.files.table_reading import Record, Rows
from daam_syntax.language.prompt_sets.pairs import PromptPair, find_pairs
from daam_syntax.language.prompt_sets.problems import Kind, RowProblem, refusal
from daam_syntax.language.prompt_sets.rows import Prompt, columns_of
from daam_syntax.language.prompt_sets.sampling import Sample, choose, groups_of
from daam_syntax.language.prompt_sets.templates import Template

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    from spacy.language import Language


@dataclass(frozen=True, repr=False)
class PromptSet:
    """Prompts in order, each once, with what is known of them.

    Iterating over a set gives the texts, so that it stands wherever prompts are asked for.

    Attributes
    ----------
    rows
        The prompts, see `Prompt`.
    problems
        What was wrong with rows of the file, and so is not among them.

    Raises
    ------
    PromptError
        If two prompts have the same text or the same id.
    """

    rows: tuple[Prompt, ...]
    problems: tuple[RowProblem, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        other = next((row for row in self.rows if not isinstance(row, Prompt)), None)
        if other is not None:
            raise PromptError(
                f"Expected rows that are Prompt values, but got {type(other).__name__}; make a set of texts with "
                "PromptSet.from_records, and of a file with PromptSet.from_file."
            )
        object.__setattr__(self, "problems", tuple(self.problems))
        checked = collect(Record(n, row.values(), "row") for n, row in enumerate(self.rows, 1))
        if checked.problems:
            raise refusal("a set", checked.problems)

    # -- from elsewhere ------------------------------------------------------------------------------------------

    @classmethod
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
            Name of its format, one of `FORMATS`; told from its suffix and columns if None.
        columns
            Which columns of the file are read, and what they are called here: ``{"caption": "prompt"}``. If None, all
            are, and must be those of `COLUMNS`.
        strict
            Whether to refuse a file in which anything is wrong; what stands twice in a published set is not wrong. If
            not strict, rows that cannot be used are left out, and `problems` says why.

        Raises
        ------
        FileError
            If it cannot be read, or its format is not known.
        PromptFileError
            If something is wrong with it; all problems are in the error, with line numbers.
        PromptError
            If it has no usable prompt.
        """
        path = Path(path)
        chosen = find_format(path, format)
        tolerated: tuple[Kind, ...] = ("repeat", "pair") if chosen.is_published else ()
        return cls._collected(chosen.read(path, columns), str(path), strict, tolerated)

    @classmethod
    def from_records(
        cls, records: Iterable[str | Mapping[str, Any]] | pd.DataFrame, *, strict: bool = True
    ) -> PromptSet:
        """Take prompts, or mappings from the names of `COLUMNS` to values.

        Parameters
        ----------
        records
            The rows; ``slots`` and ``metadata`` may be mappings of their own. Or a table with such columns, in
            which what is missing (NaN) is left out.
        strict
            See `from_file`.

        Raises
        ------
        PromptError
            See `from_file`.
        """
        return cls._collected(table_reading.records(records), "the given rows", strict)

    @classmethod
    def from_dataset(
        cls,
        dataset: datasets.Dataset | str,
        *,
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        strict: bool = True,
    ) -> PromptSet:
        """Take prompts from a data set of the Hugging Face library ``datasets``.

        Parameters
        ----------
        dataset
            A data set, or the name of one on the Hub; code that comes with it is not run.
        split
            Which part of a named one.
        columns, strict
            See `from_file`; columns that are not named are not loaded.

        Raises
        ------
        FileError
            If ``datasets`` is not installed, or there is no such data set.
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
        return cls._collected(table_reading.dataset_rows(dataset, columns), "the data set", strict)

    @classmethod
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
            A text with slots: ``"a {colour} {noun} on {place}"``.
        values
            List to its values.
        n
            How many prompts, or pairs, are sampled without replacement; all prompts if None.
        exchange
            A slot, to make minimal pairs that differ in it; `n` must be given then.
        seed
            Of the sample.

        Raises
        ------
        PromptError
            If it is no template, a list is missing, or there are not as many prompts or pairs.
        """
        filled = Template(template, values)
        if exchange is None:
            return cls(tuple(filled.prompts(n, seed)))
        if n is None:
            raise PromptError("Expected a number of pairs, n, but got none.")
        return cls(tuple(filled.pairs(exchange, n, seed)))

    @classmethod
    def _collected(
        cls, rows: Rows, source: str, strict: bool, tolerated: Sequence[Kind] = ()
    ) -> PromptSet:
        found = collect(rows)
        refused = [
            problem
            for problem in found.problems
            if problem.kind == "file" or (strict and problem.kind not in tolerated)
        ]
        if refused:
            raise refusal(source, refused)
        if not found.rows:
            what = "; ".join(map(str, found.problems[:3])) or "it is empty"
            raise PromptError(
                f"Expected at least one usable prompt in {source}, but there is none: {what}"
            )
        return cls(tuple(found.rows), tuple(found.problems))

    # -- to elsewhere --------------------------------------------------------------------------------------------

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts' texts."""
        return tuple(row.text for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with those columns of `COLUMNS` that some prompt has; "" where one has not."""
        import pandas as pd

        names = columns_of(self.rows)
        values = [row.values() for row in self.rows]
        return pd.DataFrame([[v.get(name, "") for name in names] for v in values], columns=names)

    def to_file(self, path: str | Path, format: str | None = None) -> None:
        """Write the prompts; `from_file` gives the same set.

        Parameters
        ----------
        path
            The file; an older one is replaced.
        format
            See `from_file`.

        Raises
        ------
        FileError
            If it cannot be written, or not in this format.
        PromptError
            If the format has no place for what is there.
        """
        path = Path(path)
        chosen = find_format(path, format)
        if chosen.write is None:
            raise FileError(
                f"Expected a format that can be written, but {chosen.name} is only read; write CSV."
            )
        chosen.write(path, self.rows)

    # -- choosing ------------------------------------------------------------------------------------------------

    def where(self, keep: Callable[[Prompt], bool]) -> PromptSet:
        """Return the prompts of which a function is true, as a set."""
        return PromptSet(without_broken_pairs([row for row in self.rows if keep(row)]))

    def pairs(self, *, minimal: bool = False) -> tuple[PromptPair, ...]:
        """Return the pairs, in the order of their first prompts.

        Parameters
        ----------
        minimal
            Whether to refuse pairs that do not differ in exactly one word.

        Raises
        ------
        PromptError
            If there is none, or one is refused; all such are named.
        """
        return find_pairs(self.rows, minimal=minimal)

    def sample(self, n: int, *, seed: int = 0) -> PromptSet:
        """Return `n` prompts without replacement, in the order of this set.

        Raises
        ------
        PromptError
            If there are not as many.
        """
        if not 1 <= n <= len(self):
            raise PromptError(f"Expected a sample of 1 to {len(self):,} prompts, but got {n:,}.")
        chosen = sorted(random.Random(seed).sample(range(len(self)), n))
        return PromptSet(without_broken_pairs([self.rows[number] for number in chosen]))

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
        """Return a sample with `n` prompts for each group, as far as there are so many.

        By "relation", prompts of a set without that column are parsed: each is taken for one of the relations in it,
        which then stands in its column ``relation``, so that as many places are filled as can be.

        Parameters
        ----------
        n
            Prompts for each group.
        by
            A column of `COLUMNS`.
        groups
            Which groups; all if None.
        seed
            Of the sample.
        parser, scheme
            What prompts are parsed with, and whose relations count.

        Raises
        ------
        PromptError
            If no prompt has such a column.
        ParserError
            If the parser cannot be loaded, or has no such scheme.
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
        n_out = len({problem.row for problem in self.problems if problem.kind != "pair"})
        out = f", {n_out:,} rows left out" if n_out else ""
        return f"PromptSet({len(self):,} prompts, the first {first}{out})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.to_frame().to_html(max_rows=10)}"


def _load_dataset(name: str, split: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise FileError(
            f"Expected the package datasets, to load {name!r}, but it is not installed; run `pip install datasets`."
        ) from error
    try:
        return datasets.load_dataset(name, split=split)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FileError(
            f"Expected a data set {name!r}, but it could not be loaded: {reason}"
        ) from error
