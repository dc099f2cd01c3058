"""Judge whether an image shows what its prompt says, by the annotator's regions, and measure how often the judge errs.

``faults`` lists what is wrong with an image, by ``regions`` (objects), ``geometry`` (relations and sizes) and
``places`` (backgrounds). ``spoiled`` draws scenes that are wrong on purpose; ``accuracy`` tests the annotator and the
judge on them.
"""
