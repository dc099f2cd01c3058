"""Maps by similarity of attention outputs: values, and files.

`OutputMaps` are not attention: their values are dot products, in units of the model, and may be negative. Only
``maps/__init__.pyi`` and what uses these values import it.
"""
