"""Progress in a terminal and in a log file."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

from daam_syntax.util.progress import ProgressLog
from helpers.commands import ENVIRONMENT


def _shown_in_a_terminal(script):
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", script], stderr=theirs, env=environment) as child:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # Linux raises when the other end is closed
            while part := os.read(ours, 1024):
                shown += part
    os.close(ours)
    assert child.returncode == 0
    return re.sub(rb"\x1b\[[\d;?]*[a-zA-Z]", b"", shown).decode()  # without colors


def test_a_terminal_shows_a_bar_with_rate_and_time_left():
    text = _shown_in_a_terminal("""
import time
from daam_syntax.util.progress import show_progress
with show_progress(True, 40, 10) as bar:
    for _ in range(10):
        time.sleep(0.06)
        bar.advance(2)
""")
    assert re.search(r"Drawing \S+ +\d\d/40 [\d.]+ images/s 0:00:0\d", text)
    assert "30/40" in text


def test_a_bar_counts_any_unit_and_changes_its_label():
    text = _shown_in_a_terminal("""
import time
from daam_syntax.util.progress import show_progress
with show_progress(True, 4, label="Parsing", unit="prompts") as bar:
    for _ in range(4):
        time.sleep(0.06)
        bar.advance()
    bar.describe("Checking")
""")
    assert re.search(r"Parsing \S+ +\d/4 \S+ prompts/s", text)
    assert re.search(r"Checking \S+ +4/4 [\d.]+ prompts/s", text)


def test_a_log_file_gets_rate_and_time_left_of_this_session():
    lines, now = [], iter([0.0, 30.0, 70.0, 70.0, 100.0])
    with ProgressLog(1000, 500, "Drawing", lines.append, lambda: next(now)) as shown:
        shown.advance(60)
        shown.advance(80)
    assert lines[0] == "Drawing: 640 of 1,000 images, 2 images/s, 00:03:00 left"


def test_a_log_file_names_the_unit_and_the_new_label():
    lines, now = [], iter([0.0, 60.0, 60.0])
    with ProgressLog(
        10, 0, "Parsing", lines.append, lambda: next(now, 60.0), unit="prompts"
    ) as shown:
        shown.describe("Checking")
        shown.advance()
    assert lines[0] == "Checking: 1 of 10 prompts, 0.0167 prompts/s, 00:09:00 left"


def test_a_high_rate_is_a_plain_number():
    lines, now = [], iter([0.0, 0.1, 0.1])
    with ProgressLog(4210, 0, "Checking", lines.append, lambda: next(now, 0.1)) as shown:
        shown.advance(4210)
    assert lines[-1].startswith("Checking: 4,210 of 4,210 images, 42,100 images/s")
