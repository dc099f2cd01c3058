"""Benchmarks, each run as ``python -m benchmarks.NAME`` from the root of the repository.

Every claim about speed, memory, or accuracy in the documentation comes from a module here. Each writes
``benchmarks/results/NAME.json``; ``benchmarks.report`` turns those files into ``docs/benchmarks.md``. Shared parts:
``side_by_side`` (timing alternatives in turn), ``peers`` (other packages), ``blocks`` and ``small_models`` (models with
random weights). Benchmarks may import the package but not the tests, and the package imports nothing from here.
"""
