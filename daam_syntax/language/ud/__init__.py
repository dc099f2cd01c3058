"""Universal Dependencies: conversion of ClearNLP trees, the enhanced graph, and comparison of parses.

Imports ``language.sentence``, ``language.tree`` and ``errors``; independent of any parser.
"""
