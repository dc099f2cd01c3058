"""The page of the explorer: its numbers in a JavaScript engine, and the whole page in a browser if there is one."""

import base64
import hashlib
import io
import json
from importlib import resources

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from py_mini_racer import MiniRacer

import daam_syntax as ds
from daam_syntax.analysis import measure_pairs
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps, bicubic, parse_threshold
from daam_syntax.maps.measures import (
    DEFAULT_PAIR_MEASURES,
    PAIR_MEASURES,
    PackedMasks,
    measure_masks,
)
from helpers.commands import run_here
from helpers.examples import SUBWORDS, make_maps, make_sentence
from helpers.explorer_pages import IMAGE, contents_of, needs_a_browser, shown, smooth_maps
from helpers.synthetic_run import write_run

MEASURES = ("iou", "iod", "ioh", "phi", "lift")


@pytest.fixture(scope="module")
def engine():
    engine = MiniRacer()
    engine.eval((resources.files("daam_syntax.explorer") / "numbers.js").read_text("utf-8"))
    return engine


class TestNumbers:
    @pytest.mark.parametrize("size", [(40, 60), (4, 60), (4, 6), (3, 5)])
    def test_maps_are_upscaled_as_in_python(self, engine, size):
        values = np.random.default_rng(1).random((4, 6), dtype=np.float32)
        values[2:, 3:] = 0  # the kernel overshoots below 0 here
        call = f"Array.from(upscale({values.ravel().tolist()}, [4, 6], {list(size)}))"
        made = np.array(json.loads(engine.eval(f"JSON.stringify({call})"))).reshape(size)
        np.testing.assert_allclose(made, bicubic(values, size), atol=1e-6)
        assert made.min() >= 0

    @pytest.mark.parametrize(
        "rule", ["relative:0.4", "absolute:0.15", "minmax:0.4", "quantile:0.8", "otsu"]
    )
    @pytest.mark.parametrize("kind", ["random", "with ties", "constant", "zero"])
    def test_masks_are_those_of_python(self, engine, rule, kind):
        rng = np.random.default_rng(2)
        values = {
            "random": rng.random((7, 5), dtype=np.float32),
            "with ties": rng.integers(0, 4, (7, 5)).astype(np.float32),
            "constant": np.full((7, 5), 0.3, np.float32),
            "zero": np.zeros((7, 5), np.float32),
        }[kind]
        name, _, value = rule.partition(":")
        numbers = f"Float32Array.from({values.ravel().tolist()})"
        mask = engine.eval(
            f"JSON.stringify(Array.from(makeMask({numbers}, '{name}', {value or 0})))"
        )
        np.testing.assert_array_equal(
            np.array(json.loads(mask), bool).reshape(7, 5), parse_threshold(rule).apply(values)
        )

    def test_overlap_is_that_of_python(self, engine):
        rng = np.random.default_rng(3)
        masks = rng.random((6, 9, 5)) < np.array([0.2, 0.5, 0.8, 0.5, 1.0, 0.0])[:, None, None]
        head, dependent = np.indices((6, 6)).reshape(2, -1)
        measures = [PAIR_MEASURES[name] for name in DEFAULT_PAIR_MEASURES]
        expected = measure_masks(PackedMasks(masks), head, dependent, measures)
        for row, pair in enumerate(zip(head, dependent, strict=True)):
            sides = [f"Uint8Array.from({masks[i].ravel().astype(int).tolist()})" for i in pair]
            found = json.loads(engine.eval(f"JSON.stringify(overlap({', '.join(sides)}))"))
            for name, value in found.items():  # JSON has no NaN: null
                np.testing.assert_allclose(np.nan if value is None else value, expected[name][row])


class TestPage:
    def test_it_holds_the_maps_the_tree_and_every_reason(self):
        sentence = make_sentence("red car , red zebra")
        data = smooth_maps()
        # The encoder stopped within "zebra": its word has no map.
        maps = HeatMaps(data.data[:5], SUBWORDS[:5], sentence, (40, 60), truncated_at=13)
        contents = contents_of(ds.explore(IMAGE, maps))
        (image,) = contents["images"]
        assert image["size"] == [40, 60]
        values = np.frombuffer(base64.b64decode(image["maps"]), "<f4")
        np.testing.assert_array_equal(values.reshape(4, 4, 6), maps.stack())
        assert image["mapped"] == [0, 1, 2, 3]
        assert list(image["reasons"]) == ["4"]
        assert image["reasons"]["4"].startswith("truncated: ")
        edges = contents["sentences"][0]["schemes"]["ud"]["edges"]
        assert [(e["head"], e["dependent"], e["relation"]) for e in edges] == [
            (1, 0, "amod"),
            (1, 2, "punct"),
            (1, 4, "conj"),
            (4, 3, "amod"),
        ]
        assert edges[2]["level"] > edges[3]["level"]

    def test_images_of_one_prompt_share_its_tree(self):
        maps = [smooth_maps().with_provenance(seed=seed) for seed in (0, 7)]
        contents = contents_of(ds.explore([IMAGE, Image.fromarray(IMAGE)], maps, threshold="otsu"))
        assert len(contents["sentences"]) == 1
        assert [p["label"] for p in contents["images"]] == [
            "image 0, seed 0",
            "image 1, seed 7",
        ]
        assert (contents["rule"], contents["value"]) == ("otsu", 0)

    def test_large_images_are_stored_as_jpeg_and_floats_are_colors(self):
        noise = np.random.default_rng(4).random((300, 300, 3))
        maps = [make_maps(image_size=(300, 300)), make_maps(image_size=(10, 10))]
        large, small = contents_of(ds.explore([noise, noise[:10, :10]], maps))["images"]
        assert large["source"].startswith("data:image/jpeg;base64,")
        assert small["source"].startswith("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(small["source"].partition(",")[2]))) as stored:
            np.testing.assert_allclose(np.asarray(stored) / 255, noise[:10, :10], atol=1 / 255)

    def test_a_prompt_cannot_inject_markup(self):
        bad = "</script><script>alert(1)</script> <img src=x onerror=alert(1)>"
        sentence = make_sentence(bad, [Edge(0, 1, "dep")])
        maps = HeatMaps(make_maps().data[:1], SUBWORDS[:1], sentence, (40, 60))
        page = ds.explore(IMAGE, maps)
        soup = BeautifulSoup(page.html, "html.parser")
        assert soup.title.string == bad
        assert [script.get("type") for script in soup.find_all("script")] == [
            "application/json",
            None,
        ]
        assert not soup.find_all("img")
        assert contents_of(page)["sentences"][0]["text"] == bad
        assert "<img" not in page._repr_html_()

    def test_it_loads_nothing_and_runs_its_own_script_only(self):
        page = ds.explore(IMAGE, smooth_maps())
        soup = BeautifulSoup(page.html, "html.parser")
        assert not soup.find_all(["link", "iframe"])
        assert not soup.find_all(src=True)
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        script = soup.find_all("script")[1].string
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
        )

    def test_arguments_that_do_not_fit_are_refused(self, tmp_path):
        maps = smooth_maps()
        with pytest.raises(ValueError, match="at least one of each, but got 2 and 1"):
            ds.explore([IMAGE, IMAGE], maps)
        with pytest.raises(ValueError, match="at least one of each, but got 0 and 0"):
            ds.explore([], [])
        with pytest.raises(ValueError, match=r"schemes .ud., but got 'native'"):
            ds.explore(IMAGE, maps, scheme="native")
        with pytest.raises(ThresholdError, match=r"relative:0\.4"):
            ds.explore(IMAGE, maps, threshold="half")
        with pytest.raises(ValueError, match=r"Image 0: .*40x60 pixels .* but got 8x8"):
            ds.explore(IMAGE[:8, :8], maps)
        with pytest.raises(ValueError, match="finite pixels, but got NaN"):
            ds.explore(np.full_like(IMAGE, np.nan, dtype=float), maps)
        with pytest.raises(ds.DaamSyntaxError, match="folder that exists"):
            ds.explore(IMAGE, maps).save(tmp_path / "no" / "page.html")


@needs_a_browser
class TestInABrowser:
    def rows(self, soup):
        return [
            [cell.get_text() for cell in row.find_all("td")]
            for row in soup.select("#pairs tbody tr")
        ]

    def test_its_table_is_that_of_measure_pairs(self, tmp_path):
        maps = smooth_maps()
        soup = shown(ds.explore(IMAGE, maps), tmp_path, "#ownScale=false")
        pairs = measure_pairs(maps)
        expected = [
            [
                *(row[name] for name in ("relation", "head", "dependent")),
                *(f"{row[name]:.3f}" for name in MEASURES),
            ]
            for _, row in pairs[pairs["kind"] == "dependency"].iterrows()
        ]
        *found, control = self.rows(soup)
        assert found == expected
        unrelated = pairs[pairs["kind"] == "unrelated"]
        assert control[0] == f"unrelated (mean of {len(unrelated)} pairs)"
        assert control[1:] == [f"{unrelated[name].mean():.3f}" for name in MEASURES]
        captions = [c.get_text() for c in soup.select("figcaption")]
        assert captions == [
            "image 0",
            "head: car",
            "dependent: red",
            f"shared: IoU {expected[0][3]}",
        ]
        largest = max(bicubic(values, (40, 60)).max() for values in maps.data.values)
        assert soup.find(id="top").get_text() == f"{largest:.2g}"
        assert soup.find(id="scale-note").get_text().startswith("mean attention probability; ")

    def test_the_address_chooses_and_reasons_are_shown(self, tmp_path):
        empty = smooth_maps()
        values = empty.data.copy()
        values[3] = 0  # the comma attends to nothing
        maps = HeatMaps(values, SUBWORDS, empty.sentence, (40, 60))
        address = "#head=1&dependent=4&rule=otsu"
        soup = shown(ds.explore(IMAGE, maps), tmp_path, address)
        chosen = soup.select("#pairs tr.chosen td")
        assert [cell.get_text() for cell in chosen][:3] == ["conj", "car", "zebra"]
        pairs = measure_pairs(maps, threshold="otsu")
        conj = pairs.loc[pairs["relation"] == "conj", "iou"].item()
        assert chosen[3].get_text() == f"{conj:.3f}"
        assert ["punct", "car", ",", "empty mask: ,"] in self.rows(soup)

    def test_arcs_words_and_points_respond(self, tmp_path):
        maps = [smooth_maps(), make_maps(image_size=(40, 60))]
        script = """
            const wait = () => new Promise((done) => setTimeout(done, 200));
            (async () => {
              await wait();
              const arc = document.querySelector('#arcs g[aria-label="amod: head zebra, dependent red"]');
              arc.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
              await wait();
              const canvas = document.querySelector("#panels canvas");
              const box = canvas.getBoundingClientRect();
              canvas.dispatchEvent(new MouseEvent("mousemove", {
                clientX: box.left + box.width * 0.99, clientY: box.top + 1 }));
              document.body.dataset.status = document.getElementById("status").textContent;
              document.body.dataset.arc = document.querySelector("#panels").textContent;
              document.querySelectorAll("#words button")[1].click();
              await wait();
              document.body.dataset.word = document.querySelector("#panels").textContent;
            })();
        """
        soup = shown(ds.explore([IMAGE, IMAGE], maps), tmp_path, "#image=1", script)
        assert soup.body["data-status"].startswith("Attention from the point (59, 0): car ")
        assert "head: zebradependent: redshared: IoU" in soup.body["data-arc"]
        assert soup.body["data-word"] == "image 1car"

    @pytest.mark.parametrize("width", [735, 900])
    def test_the_page_is_whole_in_a_frame_of_a_notebook(self, tmp_path, width):
        script = """
          setTimeout(() => {
            document.body.dataset.bottom = document.body.getBoundingClientRect().bottom;
          }, 1000);
        """
        page = ds.explore(IMAGE, smooth_maps())
        body = shown(page, tmp_path, "", script, width=width).body
        assert 0.8 * page.height < float(body["data-bottom"]) <= page.height

    def test_each_map_has_its_own_scale_at_first(self, tmp_path):
        maps = smooth_maps()
        soup = shown(ds.explore(IMAGE, maps), tmp_path)
        largest = [bicubic(maps[word].values, (40, 60)).max() for word in (1, 0)]
        assert soup.find(id="top").get_text() == "car {:.2g}, red {:.2g}".format(*largest)

    @pytest.mark.parametrize("width", [390, 735])
    def test_the_table_is_whole_on_a_phone_and_in_a_notebook(self, tmp_path, width):
        script = """
          const table = document.getElementById("numbers");
          document.body.dataset.columns = table.querySelectorAll("thead th").length;
          document.body.dataset.width = window.innerWidth;
          document.body.dataset.excess = table.scrollWidth - table.clientWidth;
        """
        page = ds.explore(IMAGE, smooth_maps())
        body = shown(page, tmp_path, "", script, width=width).body
        assert int(body["data-columns"]) == 8
        assert int(body["data-width"]) <= max(width, 500)  # the narrowest window of some versions
        assert int(body["data-excess"]) <= 0


def test_analyze_writes_a_page_for_each_prompt(emoji_pipe, tmp_path):
    prompts = ["a cat", "a red car"]
    ds.analyze(prompts, emoji_pipe, seeds=2, steps=1, out=tmp_path)
    pages = sorted(tmp_path.glob("explore-*.html"))
    assert len(pages) == 2
    assert all("seed 1" in page.read_text(encoding="utf-8") for page in pages)
    ds.analyze("an owl", emoji_pipe, steps=1, out=tmp_path, overwrite=True)
    assert len(list(tmp_path.glob("explore-*.html"))) == 1


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("explorer") / "run"
    return write_run(out, ["a b c", "d e", "f g"], seeds=3).path


class TestCommand:
    def test_a_stored_run_becomes_a_page(self, corpus, tmp_path):
        done = run_here("explore", corpus, "--prompt", "d e", "--out", "page.html", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "The page with 3 images is page.html; open it in a browser\n"
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        contents = json.loads(BeautifulSoup(page, "html.parser").find(id="contents").string)
        assert [s["text"] for s in contents["sentences"]] == ["d e"]
        assert [p["label"] for p in contents["images"]] == [
            f"image {n}, seed {n}" for n in range(3)
        ]

    def test_the_limit_bounds_the_number_of_images(self, corpus, tmp_path):
        run_here("explore", corpus, "--limit", 4, cwd=tmp_path)
        assert (corpus / "explore.html").read_text(encoding="utf-8").count("data:image/png") == 4

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--prompt", "x y"], "Expected stored images of 'x y' in "),
            (["--threshold", "half"], "Expected a threshold rule"),
            (["--scheme", "best"], "best"),
        ],
    )
    def test_errors_are_one_line(self, corpus, tmp_path, arguments, message):
        done = run_here("explore", corpus, *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
