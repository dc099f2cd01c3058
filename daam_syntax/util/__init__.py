"""Small helpers that no room owns: shipped data, whole files, wording, progress, quiet libraries.

Imports nothing of the package but ``errors``.
"""
