"""Folders of anybody's images, captions, and masks."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.attribution import __main__ as command
from benchmarks.attribution import anybodys, tables
from benchmarks.attribution.folder import Target, read_folder
from benchmarks.attribution.mapping.methods import METHODS
from benchmarks.attribution.scenes import nouns_of
from benchmarks.attribution.scoring import AGAINST_MASKS, MIOU
from daam_syntax.emoji import scene
from daam_syntax.errors import FileError
from helpers.tiny_pipelines import make_sd
from helpers.tracing import make_image

TARGET = Target(8)
CAPTION = "a red cat and a red strawberry"
SIZE = (64, 96)  # height x width


def box(y0, y1, x0, x1, size=SIZE):
    mask = np.zeros(size, np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


LEFT, RIGHT = box(8, 56, 0, 40), box(8, 56, 50, 96)


def make_folder(path, images=("a.png",), masks=None, captions=None):
    """Write images of noise with their captions, and masks by name."""
    masks = {"cat": LEFT, "strawberry": RIGHT} if masks is None else masks
    for number, name in enumerate(images):
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        make_image(*SIZE, seed=number).save(path / name)
        folder = path / "masks" / name.split("/")[-1].rpartition(".")[0]
        folder.mkdir(parents=True)
        for word, mask in masks.items():
            Image.fromarray(mask).save(folder / f"{word}.png")
    rows = captions or [{"image": name, "caption": CAPTION} for name in images]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "captions.jsonl").write_text(lines, encoding="utf-8")
    return path


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_exact_scenes_come_back_as_they_were(tmp_path):
    wanted = {f"{seed}.png": scene(seed, n_objects=2) for seed in (3, 5)}
    for name, drawn in wanted.items():
        drawn.image.save(tmp_path / name)
        folder = tmp_path / "masks" / name.removesuffix(".png")
        folder.mkdir(parents=True)
        for obj in drawn.objects:
            word = drawn.sentence[obj.word].text
            Image.fromarray(obj.mask).save(folder / f"{word}.png")
    write_csv(
        tmp_path / "captions.csv",
        [{"image": name, "caption": drawn.caption} for name, drawn in wanted.items()],
    )
    for found, drawn in zip(read_folder(tmp_path, TARGET), wanted.values(), strict=True):
        expected = nouns_of(drawn)
        assert found.case.words == tuple(sorted(expected.case.words))
        np.testing.assert_array_equal(np.asarray(found.case.image), np.asarray(drawn.image))
        for thing in expected.things:
            same = next(each for each in found.things if each.word == thing.word)
            np.testing.assert_array_equal(same.mask, thing.mask)
            np.testing.assert_array_equal(same.others, thing.others)


def test_tables_list_masks_of_repeated_words_and_of_instances(tmp_path):
    make_folder(tmp_path, masks={})
    for name, mask in (("left", LEFT), ("right", RIGHT), ("more", box(0, 8, 0, 8))):
        Image.fromarray(mask // 255).save(tmp_path / f"{name}.png")  # 0 and 1
    rows = [("red#1", "left"), ("red#2", "right"), ("Cat", "left"), ("Cat", "more")]
    write_csv(
        tmp_path / "masks.csv",
        [{"image": "a.png", "word": word, "mask": f"{name}.png"} for word, name in rows],
    )
    (found,) = read_folder(tmp_path, TARGET)
    things = {thing.word: thing for thing in found.things}
    assert list(things) == [1, 2, 5]  # red, cat, and the second red
    np.testing.assert_array_equal(things[1].mask, LEFT > 0)
    np.testing.assert_array_equal(things[5].mask, RIGHT > 0)
    assert things[2].mask.sum() == (LEFT > 0).sum() + 64
    # What shares its pixels with a thing is not another thing.
    assert [other.sum() for other in things[2].others] == [(RIGHT > 0).sum()]
    assert len(things[5].others) == 2


def test_photos_are_fitted_with_their_masks(tmp_path):
    make_folder(tmp_path)
    (found,) = read_folder(tmp_path, Target(8, "crop", (32, 32)))
    assert found.case.image.size == (32, 32)
    strawberry = found.things[1].mask
    assert strawberry.shape == (32, 32)
    # The crop keeps columns 16 to 80, halved: columns 50 to 80 become 17 to 32.
    assert strawberry[16].tolist() == [False] * 17 + [True] * 15
    make_folder(tmp_path / "edge", masks={"cat": box(8, 56, 0, 10)})
    with pytest.raises(FileError, match="--fit resize, a larger --size, or leave the mask out"):
        read_folder(tmp_path / "edge", Target(8, "crop", (32, 32)))


PROBLEMS = [
    ("no table", "Expected a table captions.csv or captions.jsonl .* but there is none"),
    ("no mask", "a mask for at least one word of each image, but 'a.png' have none: add masks/a/"),
    ("missing mask", "Expected an image at .*gone.png .line 2 of masks.csv., but No such file"),
    ("size", r"to have the size of a.png, 64x96 .height x width., but it is 32x96: save it at"),
    ("word", "a word of the caption .*, but masks/a/dog.png is of 'dog': use one of its words"),
    ("twice", r"it has 'red' 2 times \(masks/a/red.png\): name red#1 to red#2"),
    ("third", "it has 'red' 2 times, and masks/a/red#3.png is of number 3"),
    ("empty", "not 0 in the mask masks/a/cat.png of 'cat', but it is empty: leave it out"),
    ("no image", "Expected an image at .*b.png .line 2 of captions.jsonl., but No such file"),
    (
        "not an image",
        "Expected an image at .*a.png .line 1 of captions.jsonl., but cannot identify",
    ),
    ("no caption", "as text, but line 1 of captions.jsonl has no 'caption'"),
    ("twice captioned", "line 2 of captions.jsonl has another one for 'a.png'"),
    ("not json", "Expected a table in UTF-8 at .*captions.jsonl"),
    ("other image", "of images that have a caption, but masks/z/cat.png is of 'z', which has none"),
    ("odd size", "multiples of 8, but a.png is 65x96 .* pass --fit crop or --fit resize"),
]


@pytest.mark.parametrize(("kind", "message"), PROBLEMS, ids=[kind for kind, _ in PROBLEMS])
def test_a_problem_is_one_line_that_says_what_to_do(tmp_path, kind, message):
    masks = {
        "no mask": {},
        "size": {"cat": LEFT[:32]},
        "word": {"dog": LEFT},
        "twice": {"red": LEFT},
        "third": {"red#3": LEFT},
        "empty": {"cat": 0 * LEFT},
    }.get(kind)
    both = [{"image": name, "caption": CAPTION} for name in ("a.png", "b.png")]
    captions = {
        "no image": both,
        "no caption": [{"image": "a.png", "caption": " "}],
        "twice captioned": [both[0], both[0]],
    }.get(kind)
    folder = make_folder(tmp_path, masks=masks, captions=captions)
    if kind == "no image":
        (folder / "masks" / "b").mkdir()
        Image.fromarray(LEFT).save(folder / "masks" / "b" / "cat.png")
    elif kind == "no table":
        (folder / "captions.jsonl").unlink()
    elif kind == "missing mask":
        write_csv(
            folder / "masks.csv", [{"image": "a.png", "word": "cat", "mask": "masks/gone.png"}]
        )
    elif kind == "not an image":
        (folder / "a.png").write_text("nothing")
    elif kind == "not json":
        (folder / "captions.jsonl").write_text("{")
    elif kind == "other image":
        (folder / "masks" / "z").mkdir()
        Image.fromarray(LEFT).save(folder / "masks" / "z" / "cat.png")
    elif kind == "odd size":
        make_image(65, 96).save(folder / "a.png")
    with pytest.raises(FileError, match=message) as found:
        read_folder(folder, TARGET)
    assert "\n" not in str(found.value)


def test_a_folder_gives_the_table_with_another_model(tmp_path, monkeypatch, capsys):
    """A tiny Stable Diffusion, images that are not square, a repeated word, and a word of two subwords."""
    masks = {"cat": LEFT, "strawberry": RIGHT, "red#2": RIGHT}
    folder = make_folder(tmp_path, [f"{letter}.png" for letter in "abcd"], masks)
    monkeypatch.setattr(command, "load_pipeline", lambda model: make_sd(77))
    out = tmp_path / "results.json"
    arguments = ["--folder", str(folder), "--model", "tiny", "--voting", "1", "--threads", "1"]
    arguments += ["--timesteps", "250", "--batch", "4"]
    monkeypatch.setattr("sys.argv", ["attribution", *arguments, "--out", str(out)])
    assert command.main() == 0
    results = json.loads(out.read_text(encoding="utf-8"))
    assert (results["scenes"], results["words"], results["not scored"]) == (4, 12, {})
    assert set(results["methods"]) == {each.name for each in METHODS}
    for method in results["methods"].values():
        assert set(method["scores"]) == set(AGAINST_MASKS)
        assert 0 <= method["scores"][MIOU]["low"] <= method["scores"][MIOU]["high"] <= 1
    assert capsys.readouterr().out.strip() == tables.report(results)
    # With fewer images, no half is left to learn from, which the table says.
    few = make_folder(tmp_path / "few", masks=masks)
    found = anybodys.measure_folder(
        make_sd(77),
        few,
        anybodys.Options(voting=1, voting_steps=1, timesteps=(250,), batch=4, progress=False),
    )
    assert list(found["not scored"]) == ["learned weights"]
    assert "Not scored: learned weights, because fewer than 4 images" in tables.report(found)


def test_the_command_ends_with_one_line(tmp_path, monkeypatch, capsys, sd):
    monkeypatch.setattr(command, "load_pipeline", lambda model: sd)
    monkeypatch.setattr("sys.argv", ["attribution", "--folder", str(tmp_path), "--threads", "1"])
    assert command.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: Expected a table captions.csv")
    assert len(error.splitlines()) == 1
