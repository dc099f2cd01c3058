"""Training of the embedded model and the annotator: ``python -m daam_syntax.emoji.training STAGE``.

The stages, in this order; each resumes from its checkpoints in ``--runs``::

    OLD=...                                      # the model of 64 x 64 pixels, from the history of the repository
    dataset --scenes 260000 --workers 14         # scenes of the seeds from 1,000,000 on
    autoencoder --start-from $OLD --minutes 1.4  # 128 x 128 pixels to 16 x 16 cells of 16 channels
    latents                                      # normalizes the autoencoder, and encodes the scenes
    annotator --minutes 0.6
    denoiser --start-from $OLD --minutes 5.3     # text encoder and UNet
    ship                                         # writes data/emoji-model and data/emoji-annotator

The minutes are those of one H200; the learning rate decays with them. The shipped autoencoder had 9,000 steps on a CPU
before (``--resume-from``; see the model card). On a CPU, leave the minutes out, give ``--batch`` and ``--steps``, and
expect days. ``decoder`` trains the decoder alone after ``latents``. The shipped denoiser was then trained
further, on new scenes among which the kinds that it drew badly are more frequent, while they were composed (minutes of
one H100)::

    dataset --scenes 250000 --first-seed 3000000 --workers 13 --weight "three objects=6" --weight and=3
            --weight "next to=2.5" --weight on=2.5 --weight big=3 --weight large=3 --weight tiny=2 --weight small=2
            --weight huge=2 --weight category=2 --weight bicycle=3
    latents --start-from data/emoji-model --until 250000    # encoded as they are by the shipped autoencoder
    denoiser --start-from data/emoji-model --learning-rate 5e-4 --minutes 8.4 --capacity 250000
    ship --only-denoiser

Weights are drawn with seed 0, and
a resumed training continues with the seed of its step. Results are not identical to the bit, because the number of
steps in a minute differs. ``sprites`` renders the artwork.

`architectures` builds the untrained parts, and `widening` starts them from those of smaller images; the trainings share
`loop`. May import ``emoji``, ``util``, and what those import; nothing else in the package imports this folder.
"""
