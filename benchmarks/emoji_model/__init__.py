"""How good are the embedded model and its annotator? ``python -m benchmarks.emoji_model``.

``prompts`` has held-out prompts of each kind; ``drawing`` generates their images; ``images`` scores them with the
``judge``; ``blind`` has them read by people; ``reconstruction`` scores the autoencoder and ``maps`` the heat maps;
``intervals`` has the statistics; ``card`` writes the model card. Drawing and judging images need neither spaCy nor a
trace.
"""
