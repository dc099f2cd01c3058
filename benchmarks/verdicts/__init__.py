"""Does overlap predict a wrong image of the embedded model? ``python -m benchmarks.verdicts``.

Runs the study ``verdicts`` with its defaults (the set of prompts ``hard``, three images each), which takes a few
minutes of one core, and writes ``benchmarks/results/verdicts.json`` and the results in ``docs/verdicts.md`` (`page`).
``--limit 40`` takes the first 40 prompts and writes nothing.
"""
