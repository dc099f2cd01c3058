"""The methods: each maps the words of given images.

`methods` lists them, and has those that need no more than a recording, which `reading` makes; `relevance` lets
attention heads vote, `gradients` multiplies attention by the gradient of the loss, and `deletion` deletes words.
"""
