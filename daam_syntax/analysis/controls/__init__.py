"""Controls: pairs that share everything with heads and their dependents except what is to be shown.

Each control rules out another explanation of why heads and dependents overlap; `kinds` lists them. A new control is a
module here and an entry there. May import ``analysis.tables`` and ``analysis.inference``.
"""
