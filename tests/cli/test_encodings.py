"""Terminals and pipes whose encoding lacks the characters of a prompt."""

import io
import sys

import pandas as pd
import pytest

from daam_syntax.cli.terminal import accept_any_text, show_problems


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
