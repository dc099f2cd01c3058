"""Training of the embedded model and the annotator: ``python -m daam_syntax.emoji.training STAGE``.

`dataset` composes the scenes; `tokenizer`, `autoencoder`, `denoiser`, and `annotator` train the parts with the shared
`loop`; `shipping` copies the weights into ``data/``; `sprites` renders the artwork. May import ``emoji``, ``util``, and
what those import; nothing outside this folder imports it.
"""
