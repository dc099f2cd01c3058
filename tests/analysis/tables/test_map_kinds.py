"""Tables say what kind of maps they are of, and statistics refuse to mix kinds."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from daam_syntax.analysis import (
    PAIR_COLUMNS,
    attention_shares,
    binding_table,
    estimate_mean,
    exchange_partners,
    measure_pairs,
    measure_tables,
    regress,
    summarize,
    word_table,
)
from daam_syntax.language import parse
from daam_syntax.maps import HeatMaps, OutputMaps, Subword

SENTENCE = parse("a red cat and a blue dog")


def maps(cls=HeatMaps, seed=0, **provenance):
    rng = np.random.default_rng(seed)
    subwords = [Subword(t.index, t.text, t.start, t.end) for t in SENTENCE.tokens]
    data = xr.DataArray(rng.random((len(subwords), 8, 8)), dims=("token", "y", "x"))
    return cls(data, subwords, SENTENCE, (8, 8), provenance={"seed": seed, **provenance})


KINDS = {
    "softmax of output similarity": lambda seed: maps(OutputMaps, seed).softmax(range(7)),
    "refined attention": lambda seed: maps(seed=seed, refined={}),
    "attention from text to image": lambda seed: maps(seed=seed, relation="text-image"),
}


def test_tables_of_attention_are_plain():
    assert list(measure_pairs(maps())) == list(PAIR_COLUMNS)
    for table in (word_table(maps()), binding_table(maps()), attention_shares(maps())):
        assert "map_kind" not in table


@pytest.mark.parametrize("kind", KINDS)
def test_other_tables_name_the_kind(kind):
    made = KINDS[kind](0)
    pairs, words = measure_tables(made)
    tables = (measure_pairs(made), word_table(made), binding_table(made), attention_shares(made))
    for table in (pairs, words, *tables):
        assert table["map_kind"].eq(kind).all()
        assert list(table)[list(table).index("seed") + 1] == "map_kind"


@pytest.mark.parametrize(
    "use",
    [
        summarize,
        lambda pairs: regress(pairs, "phi"),
        lambda pairs: exchange_partners(pairs, "phi"),
        lambda pairs: estimate_mean(pairs, "phi"),
    ],
    ids=["summarize", "regress", "exchange_partners", "estimate_mean"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_refuse_mixed_tables_and_take_one_kind(kind, use):
    plain = measure_pairs([maps(seed=seed) for seed in range(3)])
    other = measure_pairs([KINDS[kind](seed) for seed in range(3)])
    mixed = pd.concat([plain, other], ignore_index=True)
    with pytest.raises(ValueError, match=r"the column map_kind has .*attention"):
        use(mixed)
    use(mixed[mixed["map_kind"] == kind])  # as the message says
    use(other)
