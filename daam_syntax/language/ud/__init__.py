"""Universal Dependencies: conversion of spaCy's English labels, the enhanced graph, and comparison of parses.

Imports ``language.sentence`` and ``language.tree``; knows no parser.
"""
