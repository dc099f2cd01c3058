"""Null worlds and true worlds: every documented way to a claim, tried where the truth is known.

In a null world the overlap of words depends on anything but how they are related: on their parts of speech, their
places, the length of the prompt. A recipe that finds a relation there makes an error. In a true world, relations have
an effect of known size, and a recipe should find it.

``prompts`` arranges the words of real prompts, ``pair_worlds`` and ``map_worlds`` draw overlaps and maps for them,
``studies`` draws a study of a world, and ``worlds`` lists all worlds. ``recipes`` lists all ways to a claim,
``study_pages`` and ``image_pages`` the pages of studies. ``scoring`` counts errors, ``running`` simulates in parallel,
and ``page`` writes the tables.
"""
