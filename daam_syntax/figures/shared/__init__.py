"""Colors, axes, legends, labels and argument checks that all figures use.

May import ``language`` and ``maps``, and no other part of ``figures``.
"""
