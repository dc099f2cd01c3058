"""Verdicts on images: kinds of failures, the annotator's verdicts, files of verdicts, and errors of judges.

It imports nothing else of the study.
"""
