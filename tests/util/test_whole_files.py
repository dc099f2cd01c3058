"""Files that are written whole, on systems that refuse to replace a file that is open."""

import errno
import os

import pytest

from daam_syntax.errors import FileError
from daam_syntax.util import whole_files
from daam_syntax.util.whole_files import whole_file


@pytest.fixture
def refusals(monkeypatch):
    """Let the first so many replacements be refused, as Windows does while a program has a file open."""
    left, real = [0], os.replace

    def replace(source, target):
        if left[0] > 0:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied", str(source))
        real(source, target)

    monkeypatch.setattr(whole_files, "_WAITS", (0, 0, 0))
    monkeypatch.setattr(os, "replace", replace)
    return left


def write(path, text):
    with whole_file(path) as partial:
        partial.write_text(text)


def test_a_file_that_is_open_for_a_moment_is_replaced(tmp_path, refusals):
    path = tmp_path / "pairs.csv"
    write(path, "old")
    refusals[0] = 3
    write(path, "new")
    assert path.read_text() == "new"


def test_a_file_may_have_the_longest_name_that_a_system_allows(tmp_path):
    path = tmp_path / f"{'a' * 251}.csv"
    write(path, "new")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_that_stays_open_is_one_line_that_says_what_to_do(tmp_path, refusals):
    path = tmp_path / "pairs.csv"
    write(path, "old")
    refusals[0] = 99
    with pytest.raises(FileError) as caught:
        write(path, "new")
    assert str(caught.value) == (
        f"Could not write {path}: Access is denied. Close the program that has it open, such as a spreadsheet, or "
        "choose another folder."
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    refusals[0] = 0  # the remedy: the program was closed
    write(path, "new")
    assert path.read_text() == "new"


def test_an_error_inside_names_the_file_that_was_asked_for(tmp_path):
    """A writer that writes whole files itself would name the temporary one."""
    path = tmp_path / "pairs.csv"
    with pytest.raises(FileError) as caught, whole_file(path) as partial:
        write(partial / "missing", "text")
    assert str(caught.value).startswith(f"Could not write {path}: No such file or directory. ")
    assert ".partial" not in str(caught.value)
