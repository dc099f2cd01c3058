"""What a folder of `analyze` or `run` survives: interruptions, damage, full disks, second writers, dying clusters.

``python -m benchmarks.survival [part ...]``, with the parts below, all if none is given. Each trial gives a command,
lets a fault happen, and gives the same command again. The trial is survived if the second command succeeds, and every
table, heat map, image, and page is identical to that of a command that nothing happened to. It is counted separately
whether the first one ended without a traceback, and with one line if it failed.

- ``signals``: SIGKILL, SIGTERM, and SIGINT (Ctrl-C) at random moments;
- ``damage``: each file of a finished folder flipped, cut, emptied, deleted, and replaced by that of another run;
- ``limits``: file systems of random sizes and numbers of files (needs the right to mount; left out otherwise), random
  limits on the size of a file, and on open files;
- ``writers``: a second command in the same folder, at a random moment;
- ``clusters``: a scheduler that outlives a run, and workers and schedulers that are killed (`run` only: `analyze` draws
  in one process).

Writes ``benchmarks/results/survival.json``, or where ``--out`` says. ``--trials`` is the number of trials of each
random kind.
"""
