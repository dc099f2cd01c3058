"""Following a pipeline while it generates images: what is attached to it, what is checked in each step.

The order of the modules, from the lowest: `attachable`, `running_call`, `skipped_attention` and `text_check`;
`observer`; `observer_context` and `controller`. This package may import ``pipeline_call``, ``texts``, ``families``,
``hooks`` and ``softmax``.
"""
