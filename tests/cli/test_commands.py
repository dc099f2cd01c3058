"""The command line: output, errors, and exit codes."""

import functools
import json
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pandas as pd
import pytest

from daam_syntax import __version__, cli
from daam_syntax.studies import STUDIES
from helpers.commands import ENVIRONMENT, command, run, run_here
from helpers.synthetic_run import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def analyzed(folder):
    prompt = "a red cat chasing a small blue owl in the snow"
    done = run("analyze", prompt, "--seeds", 2, "--steps", 3, "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def test_analyze_prints_pairs_and_summary_and_nothing_else(analyzed, folder):
    assert "amod" in analyzed.stdout
    assert "iod, ioh: shared pixels" in analyzed.stdout  # every number is explained
    assert "diff.: difference from the same words with exchanged partners" in analyzed.stdout
    assert "unrelated" in analyzed.stdout
    assert "owl" in analyzed.stdout
    assert analyzed.stderr == ""
    out = folder / "out"
    for name in ("pairs.csv", "words.csv", "summary.csv", "manifest.json"):
        assert (out / name).stat().st_size > 0
    assert len(list((out / "images").glob("*.png"))) == 2
    assert len(list(out.glob("overview*.png"))) == 2
    words = pd.read_csv(out / "words.csv")
    assert len(words) == 22
    assert set(words["status"]) == {"mapped"}


def test_analyze_warns_of_words_that_the_model_was_not_trained_on(tmp_path):
    done = run_here("analyze", "a dragon and a cat", "--steps", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("daam-syntax: The embedded model was not trained on 'dragon': ")


def test_measure_computes_the_tables_again(analyzed, folder):
    out = folder / "out"
    before = pd.read_csv(out / "pairs.csv")
    schemes = ["--scheme", "ud", "--scheme", "enhanced"]
    done = run_here("measure", "out", "--threshold", "absolute:0.05", *schemes, cwd=folder)
    assert done.returncode == 0, done.stderr
    after = pd.read_csv(out / "pairs.csv")
    assert set(after["threshold"]) == {"absolute:0.05"}
    assert set(after["scheme"]) == {"ud", "enhanced"}
    after = after[after["scheme"] == "ud"]
    assert len(after) == len(before)
    assert not after["iou"].equals(before["iou"])
    views = json.loads((out / "manifest.json").read_text())["views"]
    assert (views["threshold"], views["schemes"]) == ("absolute:0.05", ["ud", "enhanced"])
    run_here("measure", "out", "--threshold", "relative:0.4", cwd=folder)
    pd.testing.assert_frame_equal(pd.read_csv(out / "pairs.csv"), before)


def test_prompts_from_a_file(folder):
    (folder / "prompts.txt").write_text("# two\na cat\na red car\n")
    done = run_here(
        "analyze",
        "--prompts",
        "prompts.txt",
        "--steps",
        1,
        "--guidance",
        1,
        "--height",
        64,
        "--width",
        96,
        "--threshold",
        "relative:0.3",
        "--out",
        "file",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(folder / "file" / "words.csv")["prompt"].unique().tolist() == [
        "a cat",
        "a red car",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", ""], "at least one word"),
        (["analyze", " \n"], "at least one word"),
        (["analyze"], "--prompts FILE"),
        (["analyze", "a cat", "--parser", "xx_none"], "spacy download xx_none"),
        (["analyze", "a cat", "--threshold", "median:2"], "relative:0.4"),
        (["analyze", "a cat", "--out", "/proc/none/out"], "Choose a folder"),
        (["analyze", "a cat", "--height", "63"], "multiple of 8"),
        (["analyze", "a cat", "--dtype", "int3"], "float32, float16, bfloat16"),
        (["analyze", "--prompts", "missing.txt"], "cannot be read"),
        (["analyze", "--prompts", "nouns"], "`daam-syntax prompts` lists them"),
        (["analyze", "a", "red", "cat"], 'write "a red cat" if that is one prompt'),
        (["study", "syntax"], "--out syntax/"),
        (["measure", "missing"], "daam-syntax analyze"),
    ],
)
def test_bad_input_is_one_line_on_stderr(arguments, message, tmp_path):
    check_refused(run_here(*arguments, cwd=tmp_path), message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no/such-model"], "could not be loaded"),
        (["--device", "abacus"], "cpu, cuda, mps"),
    ],
)
def test_library_messages_about_a_model_are_not_shown(arguments, message, tmp_path):
    check_refused(run("analyze", "a cat", *arguments, cwd=tmp_path), message)


def check_refused(done, message):
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("daam-syntax: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_where_a_prompt_is_expected_is_not_drawn(tmp_path):
    (tmp_path / "prompts.txt").write_text("a red cat\n")
    done = run_here("analyze", "prompts.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert "--prompts prompts.txt" in done.stderr


@pytest.mark.slow
def test_shipped_prompt_sets_are_accepted_like_files(tmp_path):
    done = run_here("analyze", "--prompts", "open", "--steps", 1, "--out", "open", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "open" / "words.csv")["prompt"].unique()) == 12


def test_study_without_a_name_lists_the_studies(tmp_path):
    done = run_here("study", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(STUDIES)


def test_report_shows_the_requested_measures(tmp_path):
    write_run(tmp_path / "run", ["a red cat", "a dog"])
    done = run_here("report", "run", "--threshold", "otsu", "--measure", "soft_iou", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "soft_iou" in done.stdout
    assert "iod" not in done.stdout


def test_a_prompt_that_looks_like_markup(folder):
    done = run_here(
        "analyze", "a[/b]cat [red]x$_$y[/red] :cat:", "--steps", 1, "--out", "m", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "a[/b]cat" in done.stdout


def test_an_interrupt_of_any_command_is_said(monkeypatch, capsys, tmp_path):
    """Typer itself ends with 130 and without a word."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("daam_syntax.runs.open_run", interrupted)
    monkeypatch.setattr("sys.argv", ["daam-syntax", "report", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "daam-syntax: interrupted\n"


@pytest.mark.parametrize("is_in_c", [False, True])
def test_an_interrupt_while_modules_are_imported_is_said(monkeypatch, capsys, is_in_c):
    """Modules in C end with an ImportError or SystemError that the interrupt caused."""

    class Importer:
        def find_spec(self, name, *_):
            if name == "daam_syntax.cli.application":
                try:
                    raise KeyboardInterrupt
                except KeyboardInterrupt as error:
                    if not is_in_c:
                        raise
                    raise ImportError("initialization failed") from error

    monkeypatch.delitem(sys.modules, "daam_syntax.cli.application", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Importer(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "daam-syntax: interrupted\n"


def test_a_missing_module_is_not_an_interrupt(monkeypatch):
    monkeypatch.setitem(sys.modules, "daam_syntax.cli.application", None)
    with pytest.raises(ImportError):
        cli.main()


@pytest.mark.slow
def test_an_interrupt_explains_how_to_resume(folder):
    process = subprocess.Popen(
        command("analyze", "a cat", "--seeds", 500, "--out", "i"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # A process started in the background, such as these tests, may ignore interrupts, and so do its children.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not list((folder / "i" / "committed").glob("*.json")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == (
        "daam-syntax: interrupted; repeat the command to resume what is in i"
    )
    assert stdout == ""
    done = run_here("measure", "i", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "of 500 images: run the same command again" in " ".join(done.stdout.split())
    assert json.loads((folder / "i" / "manifest.json").read_text())["status"] == "incomplete"


def test_help_shows_defaults_that_are_written_in_brackets(folder):
    done = run_here("analyze", "--help", cwd=folder)
    shown = " ".join(done.stdout.split())
    (name,) = re.findall(r"\[default: (en_core\w+)\]", shown)
    assert find_spec(name)  # a parser that is installed


def test_every_command_reads_a_folder_of_analyze(analyzed, folder):
    done = run_here("report", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 images" in done.stdout
    assert (folder / "out" / "report" / "index.html").exists()
    done = run_here("explore", "out", "--limit", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "The page with 1 image" in done.stdout
    (folder / "few.txt").write_text("a cat\na dog\n")
    parses = "\n\n".join(f"1\t{w}\t_\tNOUN\t_\t_\t0\troot\t_\t_" for w in ("cat", "dog"))
    (folder / "few.conllu").write_text(parses)
    for prompts in ("few.txt", "few.conllu"):
        done = run_here("plan", prompts, "--pilot", "out", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "2 images at" in done.stdout


def test_another_run_is_not_overwritten_by_default(analyzed, folder):
    done = run_here("analyze", "a dog", "--steps", 1, "--out", "out", cwd=folder)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert done.stderr.count("\n") == 1


def test_damaged_maps_are_reported_in_one_line(analyzed, folder):
    out = folder / "damaged"
    done = run_here("analyze", "a cat", "--steps", 1, "--out", out, cwd=folder)
    assert done.returncode == 0, done.stderr
    next((out / "maps").iterdir()).write_bytes(b"PK")
    done = run_here("measure", out, cwd=folder)
    assert done.returncode == 1
    assert "maps/part-00000.parquet, but it has 2 bytes" in done.stderr
    assert done.stderr.count("\n") == 1


def test_version(folder):
    done = run_here("--version", cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"daam-syntax {__version__}\n")


def test_the_package_runs_as_a_module(folder):
    """Where scripts are not on the path, ``python -m`` starts the program."""
    options = {"cwd": folder, "env": ENVIRONMENT, "capture_output": True, "text": True}
    done = subprocess.run(
        [sys.executable, "-m", "daam_syntax", "--version"], check=False, **options
    )
    assert (done.returncode, done.stdout) == (0, f"daam-syntax {__version__}\n")
