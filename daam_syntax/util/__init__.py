"""Small helpers that belong to no room: shipped data, whole files, wording, progress, library output, the version.

Imports nothing from the package except ``errors``.
"""
