"""Generators of committed files, and the check that says which of them are out of date.

``python -m tools.check`` lists every generated file of the repository. `tools.generated` says how each is made; those
whose generator does not live here are made by a module beside them (``benchmarks/``, ``notebooks/``, ``docs/``,
``data/prompts/``). Tools may import the package, the benchmarks, and ``tests/helpers``; nothing imports tools except
their tests.
"""
