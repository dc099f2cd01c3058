"""Terminals and pipes whose encoding lacks the characters of a prompt."""

import errno
import gc
import io
import os
import sys

import pandas as pd
import pytest

from daam_syntax.cli import main
from daam_syntax.cli.terminal import accept_any_text, show_problems
from daam_syntax.util.progress import show_progress


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "cp437"])
def test_tables_are_printed_in_every_encoding(monkeypatch, encoding):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", pipe)
    accept_any_text()
    columns = ("stage", "problem", "shard", "image", "message", "consequence")
    show_problems(pd.DataFrame([dict.fromkeys(columns, "-") | {"prompt": "a 🐈 東"}]))
    pipe.flush()
    written = pipe.buffer.getvalue().decode(encoding)
    shown = "🐈" if encoding == "utf-8" else "\\U0001f408"
    assert shown in written.replace("\n", "")


class Full(io.RawIOBase):
    """A file whose disk is full, or whose reader has gone."""

    def __init__(self, kind):
        self.kind = kind

    def writable(self):
        return True

    def write(self, _):
        raise OSError(self.kind, os.strerror(self.kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errno.ENOSPC, "daam-syntax: Expected to write the output, but No space left on device\n"),
        (errno.EIO, "daam-syntax: Expected to write the output, but Input/output error\n"),
        (errno.EPIPE, ""),  # such as `| head -1`
    ],
)
@pytest.mark.parametrize("arguments", [["prompts"], ["--version"]])
def test_output_that_cannot_be_written_is_one_line(monkeypatch, capsys, kind, message, arguments):
    monkeypatch.setattr(sys, "argv", ["daam-syntax", *arguments])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Full(kind))))
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (1, message)


def test_a_program_without_a_console(monkeypatch):
    """There, Python has no stdout and no stderr."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with show_progress(True, 3) as bar:
        bar.advance()
    accept_any_text()
    print("a 🐈", file=sys.stdout)
    print("a 🐈", file=sys.stderr)
    sys.stdout.close()
    sys.stderr.close()
