"""How often does a diagnosis find what is off, and how often is it mistaken? ``python -m benchmarks.diagnosis``.

`drawing` draws prompts of the embedded world with the embedded model, whose maps count as good. `planting` plants
faults in them: shapes that cannot be an object's, one map for two words, words without attention, single steps, and
prompts with words that the encoder or the model does not know. The limits of the criteria were chosen by what `scoring`
shows of the first half of the prompts, and the rates are those of the second half. Writes
``benchmarks/results/diagnosis.json`` and the tables of ``docs/diagnosis.md`` (`page`).
"""
