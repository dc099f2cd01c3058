"""Recording the attention of a pipeline call: sums by layer, self-attention for refined maps, and the memory limit.

`recorder` is the observer behind a trace. May import ``pipeline_call`` and everything below it; only ``tracing``
imports this package.
"""
