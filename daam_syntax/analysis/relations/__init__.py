"""What relations add to the overlap of their words: summaries and regressions of pair tables.

``estimates`` turns an exchange of partners into estimates, ``streamed_estimates`` does so for tables in parts, and
``summary`` and ``regression`` are what a user calls. May import ``analysis.inference`` and everything below it.
"""
