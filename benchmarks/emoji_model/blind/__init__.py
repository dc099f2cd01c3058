"""Blind readings: ``sheet`` makes a sheet of shuffled images, ``reading`` scores what somebody wrote about them."""
