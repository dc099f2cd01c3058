"""Prompts that are longer than the text encoder reads, beside what traces find when they are drawn."""

WORDS = "the red cat and the blue owl and the strawberry and a red owl"
