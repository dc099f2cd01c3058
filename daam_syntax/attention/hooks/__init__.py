"""Hooks on modules, on methods, and on ``scaled_dot_product_attention``.

Imports only ``attention.softmax``; knows no pipeline and no family.
"""
