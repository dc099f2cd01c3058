"""Attention from words to words: values, the tokens behind them, and files.

`WordAttention` is to attention between words what `HeatMaps` is to attention from pixels. Only ``maps/__init__.pyi``
and what uses these values import it.
"""
