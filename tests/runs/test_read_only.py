"""Folders on a disk that refuses to write."""

import builtins
import errno
import io
import os

import pytest

from daam_syntax import runs
from daam_syntax.errors import FileError
from daam_syntax.explorer import explore
from daam_syntax.workflow import stored_analysis
from helpers.synthetic_run import write_run

PROMPTS = ["a red cat", "a dog"]


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """A finished run in the folder of somebody else; permissions do not hold for the superuser."""
    folder = write_run(tmp_path / "run", PROMPTS).path

    def refusing(function, writes):
        def call(path, *args, **kwargs):
            if writes(*args, *kwargs.values()) and str(path).startswith(str(folder)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *args, **kwargs)

        return call

    def is_mode_of_writing(mode="r", *others):
        return set(str(mode)) & set("wax+")

    def is_flag_of_writing(flags, *others):
        return flags & (os.O_RDWR | os.O_WRONLY)

    for module, name, writes in (
        (io, "open", is_mode_of_writing),
        (builtins, "open", is_mode_of_writing),
        (os, "open", is_flag_of_writing),
        (os, "mkdir", lambda *mode: True),
    ):
        monkeypatch.setattr(module, name, refusing(getattr(module, name), writes))
    return folder


def test_a_folder_that_cannot_be_written_can_be_read(read_only, tmp_path):
    run = runs.open_run(read_only)
    assert min(len(run.pairs()), len(run.words()), len(run.summarize())) > 0
    maps, images = list(run.maps()), [image for _, image in run.pil_images()]
    explore(images, maps).save(tmp_path / "page.html")
    assert (runs.report(run, tmp_path / "report") / "index.html").exists()


@pytest.mark.parametrize(
    "act",
    [
        runs.report,
        lambda folder: runs.open_run(folder).reanalyze(threshold="absolute:0.1"),
        stored_analysis,
        lambda folder: write_run(folder, PROMPTS),
    ],
    ids=["report", "reanalyze", "measure", "run"],
)
def test_what_writes_there_is_refused_in_one_line(read_only, act):
    with pytest.raises(FileError, match="Read-only file system") as refusal:
        act(read_only)
    assert "\n" not in str(refusal.value)
    assert str(read_only) in str(refusal.value)
