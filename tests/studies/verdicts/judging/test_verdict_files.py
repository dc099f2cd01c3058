"""Files of verdicts in every format, and their join with images; what does not fit is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from daam_syntax.errors import FileError, StudyError
from daam_syntax.studies.verdicts.judging.failures import ANY, KINDS
from daam_syntax.studies.verdicts.judging.matching import match
from daam_syntax.studies.verdicts.judging.verdict_files import read_verdicts

NAN = float("nan")
FAILURES = [*KINDS, ANY]
PROMPTS = ("a photo of a bench", "a photo of a red car and a dog")
IMAGES = pd.DataFrame(
    [
        {"image": f"p{number}-{seed}", "prompt_id": f"p{number}", "prompt": prompt, "seed": seed}
        for number, prompt in enumerate(PROMPTS)
        for seed in range(2)
    ]
)


def joined(path, **options):
    return match(read_verdicts(path, **options), IMAGES)[FAILURES].to_numpy().tolist()


def same(found, expected):
    np.testing.assert_array_equal(found, expected)


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_people_write_verdicts_in_words(tmp_path):
    text = "prompt_id,seed,verdict\np1,1,missing + color\np0,0,right\np1,0,wrong\n"
    path = written(tmp_path, "people.csv", text)
    unknown = [NAN, NAN, NAN, NAN]
    expected = [[0, 0, 0, 0], unknown, [NAN, NAN, NAN, 1], [1, 0, 1, 1]]
    same(joined(path), expected)
    tabs = written(tmp_path, "people.tsv", text.replace(",", "\t"))
    same(joined(tabs), expected)
    lines = [{"prompt": PROMPTS[0], "seed": 1, "verdict": "fused"}]
    path = written(tmp_path, "people.jsonl", "\n".join(map(json.dumps, lines)))
    same(joined(path), [unknown, [0, 1, 0, 1], unknown, unknown])


def test_people_write_columns_of_0_and_1(tmp_path):
    text = f'prompt,seed,missing,color\n"{PROMPTS[0]}",0,0,\n"{PROMPTS[1]}",0,0,1\n"{PROMPTS[1]}",1,,\n'
    found = joined(written(tmp_path, "people.csv", text))
    same(found[0], [0, NAN, NAN, 0])
    same(found[2], [0, NAN, 1, 1])
    same(found[3], [NAN, NAN, NAN, NAN])


def test_vqascores_below_the_limit_are_failures_of_unknown_kind(tmp_path):
    path = written(tmp_path, "s.csv", "prompt_id,seed,vqascore\np0,0,0.81\np0,1,0.5\np1,0,0.49\n")
    same([row[-1] for row in joined(path)], [0, 0, 1, NAN])
    same([row[-1] for row in joined(path, pass_score=0.9)], [1, 1, 1, NAN])
    assert np.isnan(joined(path)[2][0])


def geneval(prompt, seed, reason, *include):
    return json.dumps(
        {
            "filename": f"out/0000{PROMPTS.index(prompt)}/samples/{seed:04d}.png",
            "tag": "two_object",
            "prompt": prompt,
            "correct": not reason,
            "reason": reason,
            "metadata": json.dumps({"tag": "two_object", "include": list(include)}),
            "details": "{}",
        }
    )


def test_results_of_geneval_name_what_is_missing_and_wrongly_colored(tmp_path):
    bench = {"class": "bench", "count": 1}
    car, dog = {"class": "car", "count": 1, "color": "red"}, {"class": "dog", "count": 1}
    color = "expected red car>=1, found 0 red; and 1 blue"
    lines = [
        geneval(PROMPTS[0], 0, "", bench),
        geneval(PROMPTS[0], 1, "expected bench>=1, found 0", bench),
        geneval(PROMPTS[1], 0, color, car, dog),
        geneval(PROMPTS[1], 1, f"{color}\nexpected dog>=1, found 0", car, dog),
    ]
    path = written(tmp_path, "results.jsonl", "\n".join(lines))
    same(joined(path), [[0, NAN, NAN, 0], [1, NAN, NAN, 1], [0, NAN, 1, 1], [1, NAN, 1, 1]])
    other = "expected dog left of target, found right of target"
    more = "expected bench<2, found 3"
    path = written(
        tmp_path,
        "other.jsonl",
        "\n".join([geneval(PROMPTS[1], 0, other, car, dog), geneval(PROMPTS[0], 0, more, bench)]),
    )
    found = joined(path)
    same(found[2], [0, NAN, 0, 1])
    same(found[0], [0, NAN, NAN, 1])


def tifa(**details):
    return {
        "tifa_average": 0.5,
        "question_details": {
            name.replace("_", "-"): {
                f"question {number}": {
                    "caption": caption,
                    "element_type": kind,
                    "scores": score,
                }
                for number, (kind, score) in enumerate(answers)
            }
            for name, (caption, answers) in details.items()
        },
    }


def test_results_of_tifa_belong_to_the_image_that_their_id_names(tmp_path):
    answers = [("object", 1), ("animal/human", 0), ("color", 1), ("activity", 0)]
    details = {"p1_0": (PROMPTS[1], answers), "p0_1": (PROMPTS[0], [("object", 1)])}
    path = written(tmp_path, "tifa.json", json.dumps(tifa(**details)))
    found = joined(path)
    same(found[2], [1, NAN, 0, 1])
    same(found[1], [0, NAN, NAN, 0])
    # By its caption, if this has only one image.
    details = {"coco": (PROMPTS[0], [("activity", 0)])}
    path = written(tmp_path, "tifa.json", json.dumps(tifa(**details)))
    one = IMAGES[IMAGES["seed"] == 0]
    same(match(read_verdicts(path), one)[FAILURES].to_numpy()[0], [NAN, NAN, NAN, 1])
    with pytest.raises(StudyError, match="fits 2 images, because it has no seed"):
        joined(path)


def test_rows_that_do_not_fit_one_to_one_are_all_named(tmp_path):
    rows = ["p0,0,right", "p0,0,wrong", "p9,0,right", "p1,7,right"]
    path = written(tmp_path, "people.csv", "\n".join(["prompt_id,seed,verdict", *rows]))
    with pytest.raises(StudyError) as error:
        joined(path)
    message = str(error.value)
    assert "one of the 4 images" in message
    assert "row 3 (prompt_id 'p0', seed 0) is a second verdict on the same image" in message
    assert "row 4 (prompt_id 'p9', seed 0) belongs to no image" in message
    assert "row 5 (prompt_id 'p1', seed 7) belongs to no image" in message


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "a.csv",
            "prompt_id,seed,verdict\np0,0,ugly\np0,x,right\n",
            r"row 2: verdict 'ugly'.*row 3",
        ),
        ("a.csv", "prompt_id,seed,missing\np0,0,2\n", "row 2: '2' as missing, not a number from 0"),
        ("a.csv", "prompt_id,seed,missing\np0,0,0.5\n", "row 2: '0.5' as missing, not 0 or 1"),
        ("a.csv", "prompt_id,seed,vqascore\np0,0,\n", "None as vqascore, not a number from 0 to 1"),
        ("a.csv", "prompt_id,seed,vqascore\np0,1.5,0.2\n", "'1.5' as seed, not a whole number"),
        ("a.csv", "prompt_id,seed\np0,0\n", "a table with the columns prompt_id, seed"),
        ("a.csv", "seed,verdict\n0,right\n", "a table with the columns seed, verdict"),
        ("a.csv", "prompt_id,seed,verdict,vqascore\np0,0,right,1\n", "verdict, vqascore"),
        ("a.csv", "prompt_id,seed,verdict\n", "but it has none"),
        ("a.pt", "", r"a file with the suffix \.pt"),
        ("a.json", "[]", "result of tifa_score_benchmark"),
        ("a.json", "{", "cannot be read"),
        ("a.jsonl", '{"correct": true}', "results of GenEval in .*line 1 is not"),
    ],
)
def test_other_files_are_refused(tmp_path, name, text, match):
    with pytest.raises(FileError, match=match):
        read_verdicts(written(tmp_path, name, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.csv"):
        read_verdicts(tmp_path / "none.csv")
