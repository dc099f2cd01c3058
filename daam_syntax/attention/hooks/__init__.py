"""Hooks on modules, on methods of one object, and on ``scaled_dot_product_attention``.

Independent of pipelines and families. Imports only ``attention.softmax``.
"""
