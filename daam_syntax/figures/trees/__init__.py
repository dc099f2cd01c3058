"""Figures of dependency trees: arcs, arcs over images, graphs.

Imports the shared modules of ``figures``.
"""
