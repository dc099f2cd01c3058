"""Checks of the arguments of public functions: annotations and what they allow, ranges, messages."""
