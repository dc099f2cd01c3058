"""Which map of a word should one trust? ``python -m benchmarks.attribution``.

Methods (`mapping`) map the words of images whose truth is known: scenes of the embedded world with exact masks, the
same scenes without a thing and with another thing in its place (`scenes`), or a folder of images, captions, and masks
(`folder`). `scoring` compares a map with a mask, `comparisons` methods with each other, and `tables` writes what was
found. The image is the sample: words are averaged within an image. Methods that learned from masks stand apart.

    python -m benchmarks.attribution                                  # the table of the documentation
    python -m benchmarks.attribution --folder FOLDER --model MODEL    # the same table for other images and models
"""
