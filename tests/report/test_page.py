"""The page: whole, self-contained, escaped, honest."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from text_uda import report
from text_uda.errors import MissingPartError, SettingsError
from text_uda.report import build, paraphrase_examples

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }} $x$ & |"
VOID = {"meta", "input", "img"}


class Page(HTMLParser):
    """Tags and attributes in order; every tag is closed by its own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(runs, out: Path) -> str:
    assert build(runs, out) == out
    return out.read_text("utf-8")


def test_the_page_is_well_formed_and_small(study, tmp_path):
    text = page_of(study, tmp_path / "new" / "report.html")
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert len(text) < 400_000
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes} <= set(ids)
    assert set(re.findall(r'(?:href="|url\()#([\w-]+)', text)) <= set(ids)


def test_the_page_asks_the_network_for_nothing(study, tmp_path):
    text = page_of(study, tmp_path / "report.html")
    page = Page(text)
    assert not re.search(r"https?://|url\((?!#)|@import|src=", text)
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.tags)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object"}
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script is not None and policy is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_the_figures_are_there(study, tmp_path):
    text = Page(page_of(study, tmp_path / "report.html")).text
    assert "The test error is lowest with back-translation: 12.9\u00a0±\u00a02.1%" in text
    assert "2.1%, against 21.7\u00a0±\u00a01.5% with labels alone." in text
    for shown in ("21.7 ± 1.5", "−8.8 ± 3.1", "back-translation seed 2", "cbe4702a1b2c", "split-of-seed-1", "5,580"):
        assert shown in text


def test_what_the_seeds_do_not_show_is_said(make_run, tmp_path):
    runs = [make_run("none", seed, error=error) for seed, error in enumerate((20.0, 21.0, 22.0))]
    runs += [make_run("synonym", seed, error=error) for seed, error in enumerate((21.0, 19.0, 20.0))]
    assert "3 seeds do not show a difference" in page_of(runs, tmp_path / "report.html")
    assert "This is one seed" in page_of([runs[1], runs[4]], tmp_path / "report.html")
    assert "No method has a lower test error than labels alone, 20.0%. The closest is synonym, with" in page_of(
        [runs[0], runs[3]], tmp_path / "report.html"
    )


def test_everything_from_a_run_is_escaped(make_run, tmp_path):
    nasty = {"name": HOSTILE, "classes": [HOSTILE, "b"], "digest": HOSTILE}
    statuses = {"method": HOSTILE, "change_rate": 0.1, "usable": 0.5, "statuses": {HOSTILE: 1}}
    result = {"warnings": [HOSTILE, HOSTILE], "augmentation": statuses}
    shared = {"encoder": HOSTILE, "tune": HOSTILE, "code_revision": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    runs = []
    for seed in (0, 1):
        config = {"name": HOSTILE, "data": nasty, "objectives": [{"objective": HOSTILE, HOSTILE: HOSTILE}], **shared}
        runs.append(make_run("m", seed, folder=f"run <b>{seed}&", result=result, **config))
        config = json.loads((runs[-1] / "config.json").read_text())
        (runs[-1] / "config.json").write_text(json.dumps(config | {"method": HOSTILE}))
        example = {"source": HOSTILE, "paraphrase": f"x {HOSTILE}", "status": HOSTILE, "pivot": HOSTILE}
        (runs[-1] / "examples.jsonl").write_text(json.dumps(example) + "\n")
    page = Page(page_of(runs, tmp_path / "report.html"))
    tags = [tag for tag, _ in page.tags]
    assert "img" not in tags and tags.count("script") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count(HOSTILE) > 10  # as it was, {{ }} and all


def test_changed_words_are_marked(make_run, tmp_path):
    text = page_of([make_run("synonym", 0, texts=["A slight movies & <b> mess"])], tmp_path / "report.html")
    entry = text[text.index('class="entry"') :]
    assert "<del>slight movies</del> <ins>modest films</ins>" in re.sub(r"\s+", " ", entry)
    assert "&amp; &lt;b&gt;" in entry


def test_texts_of_the_same_source_stand_together(study, tmp_path):
    text = page_of(study, tmp_path / "report.html")
    text = text[text.index('id="pairs"') :]
    assert text.count('class="source"') == 4
    assert text.count('class="entry"') == 8


def test_long_texts_and_many_texts_are_cut_and_it_is_said(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(paraphrase_examples, "SOURCES", 5)
    texts = [f"text {index} " + "word " * 20_000 + "slight" for index in range(8)]
    text = page_of([make_run("synonym", 0, texts=texts)], tmp_path / "report.html")
    assert len(text) < 60_000
    assert text.count('class="source"') == 5
    assert "3 more are in the runs" in text and "19,853 more words" in text


def test_warnings_that_differ_by_numbers_alone_are_one_remark(make_run, tmp_path):
    warnings = [f"step {step}: collapsed" for step in range(1, 30)]
    one = make_run(result={"warnings": [*warnings, "other"]})
    text = page_of([one], tmp_path / "report.html")
    assert "28 more</summary>" in text and text.count("collapsed") == 29 and "<b>synonym seed 0.</b> other" in text
    two = make_run(seed=1, result={"warnings": ["step 7: collapsed, at 1.5%", "step 2: collapsed"]})
    text = page_of([one, two], tmp_path / "report.html")
    assert "<b>synonym seed 0 and 1 more run.</b> step 1: collapsed" in text
    assert "<p>synonym seed 1: step 2: collapsed</p>" in text and "<b>synonym seed 1.</b> step 7: collapsed, at" in text


def test_several_comparisons_on_one_page(make_run, tmp_path):
    classes = tuple(f"class {index}" for index in range(14))
    data = {"name": "wordnet-14", "classes": list(classes), "digest": "d"}
    runs = [make_run("none", 0), make_run("none", 0, classes=classes, data=data, labels=140, folder="other")]
    text = page_of(runs, tmp_path / "report.html")
    Page(text)
    assert "Training: wordnet-14, 140 labels" in text and "Training: movie-snippets, 40 labels" in text


def test_the_page_appears_whole_or_not_at_all(make_run, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("old")

    def full(path: Path, content: str) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(report, "write_whole", full)
    with pytest.raises(SettingsError, match=r"report\.html cannot be written .*No space left"):
        build([make_run()], out)
    assert out.read_text() == "old"


def test_a_folder_in_the_place_of_the_page(make_run, tmp_path):
    with pytest.raises(SettingsError, match="cannot be written"):
        build([make_run()], tmp_path)


def test_every_figure_has_a_name_and_its_numbers(study, tmp_path):
    text = page_of(study, tmp_path / "report.html")
    figures = re.findall(r'<figure class="chart.*?</figure>', text, re.DOTALL)
    assert len(figures) == 5  # error, development error, loss, rows in use, reliability
    for figure in figures:
        assert re.search(r'<svg [^>]*role="img" aria-label="[^"]{20,}"', figure)
        assert figure.count('<th scope="row">') > 1 and "<caption" in figure


def test_figures_take_their_colours_from_the_page(study, tmp_path):
    text = page_of(study, tmp_path / "report.html")
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--c1)" in drawn and "var(--soft)" in drawn
    assert not re.search(r"(fill|stroke): ?(#|black|white)", drawn) and "font-family" not in drawn


def test_the_same_runs_make_the_same_figures(study, tmp_path):
    first, second = (page_of(study, tmp_path / f"{name}.html") for name in "ab")
    assert first == second


def test_the_table_for_a_paper(study, tmp_path):
    text = Page(page_of(study, tmp_path / "report.html")).text
    assert report.markdown_table(study) in text


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_without_what_the_page_needs_the_extra_is_named(make_run, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "text_uda.report.drawing", raising=False)
    with pytest.raises(MissingPartError, match=r"text-uda\[report\]"):
        build([make_run()], tmp_path / "report.html")
