"""The scripts that distil a teacher into MarianMT models: from a text to translations, with a teacher of two rules."""

import json
import shutil
import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import MarianMTModel, MarianTokenizer

from text_uda.data.near_copies import essence
from text_uda.translate import apertium
from text_uda.translate.ctranslate2 import CTranslate2
from text_uda.translate.marian import Marian
from text_uda.translate.translator import Translation

SENTENCES = [
    f"The {one} {subject} likes the {other} {thing}."
    for one, subject, other, thing in product("good bad long old".split(), "film actor story scene".split(), repeat=2)
]


def load_script(name: str) -> ModuleType:
    spec = spec_from_file_location(name, Path(__file__).parents[2] / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


PAIRS, STUDENT, SCORE = (load_script(f"distill_{name}") for name in ("pairs", "translator", "score"))


@dataclass(frozen=True)
class Teacher:
    """Writes ö for o, and o for ö on the way back; it knows no `scene`."""

    direction: str
    mark_unknown: bool = False

    def settings(self) -> dict[str, Any]:
        return {"teacher": self.direction}

    def __call__(self, sentences: list[str]) -> list[Translation]:
        return [Translation(" ".join(map(self._word, sentence.split()))) for sentence in sentences]

    def _word(self, word: str) -> str:
        if "scene" in word or word.startswith("XQ"):
            return f"*{word}"
        return word.replace("o", "ö") if self.direction == "eng-spa" else word.replace("ö", "o")


def call(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object) -> str | None:
    """What it ends with where it is no success."""
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, words)])
    try:
        script.main()
    except SystemExit as end:
        return str(end.code)
    return None


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distillation")
    (folder / "text.txt").write_text("\n".join(SENTENCES), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PAIRS, "Apertium", Teacher)
        words = (
            "--out",
            folder / "pairs",
            "--text",
            folder / "text.txt",
            "--workers",
            1,
            "--vocabulary",
            400,
            "--mixed",
            0.2,
        )
        assert call(PAIRS, patch, *words) is None
    return folder / "pairs"


SMALL = ("--width", 32, "--encoder-layers", 1, "--decoder-layers", 1, "--batch-tokens", 512, "--evaluations", 4,
         "--learning-rate", 0.01, "--dropout", 0)  # fmt: skip


def distil(monkeypatch: pytest.MonkeyPatch, pairs: Path, out: Path, direction: str, *words: object) -> str | None:
    monkeypatch.setattr(STUDENT, "_seconds_a_step", lambda *_: 0.5)  # the measurement takes seconds
    return call(STUDENT, monkeypatch, "--pairs", pairs, "--direction", direction, "--out", out, *SMALL, *words)


def test_pairs_are_the_teachers_translations(pairs: Path):
    rows = pq.read_table(pairs / "pairs.parquet").to_pylist()
    assert {row["split"] for row in rows} == {"train", "dev", "test"}
    for row in rows:
        assert row["pivot"] == row["source"].replace("o", "ö") and row["back"] == row["source"]
    trained = {row["source"] for row in rows if row["split"] == "train"}
    assert trained.isdisjoint(row["source"] for row in rows if row["split"] != "train")
    assert any("XQ1" in sentence for sentence in trained)  # a stand-in is no unknown word
    mixed = [row["source"] for row in rows if row["origin"].startswith("mixed")]
    assert 0 < len(mixed) <= 0.2 * len(SENTENCES)
    record = json.loads((pairs / "pairs.json").read_text("utf-8"))
    assert record["pair"] == "eng-spa" and record["languages"] == ["en", "es"]


def test_no_sentence_of_a_test_row_is_trained_on(monkeypatch):
    test = set(SENTENCES[::2])
    texts = [("reviews", sentence, sentence in test) for sentence in SENTENCES]
    texts = [("others", f"{SENTENCES[0]} This one is new.", False), *texts]
    monkeypatch.setattr(PAIRS, "_texts", lambda _: texts)
    monkeypatch.setattr(PAIRS, "KEPT", 3)
    monkeypatch.setattr(PAIRS, "STAND_IN_SHARE", 0.0)
    of_split = {"train": [], "dev": [], "test": []}
    texts += [("others", SENTENCES[2].upper().replace(".", " !!"), False)]  # a near copy of a test sentence
    rows, held_out = PAIRS._sentences(None, None, "en")
    for sentence, _, split in rows:
        of_split[split].append(sentence)
    assert [len(of_split[split]) for split in ("train", "dev", "test")] == [126, 3, 3]
    assert set(of_split["test"]) <= test and test.isdisjoint(of_split["train"] + of_split["dev"])
    assert held_out == {essence(sentence) for sentence in test}


def test_no_translation_of_a_test_row_is_trained_on(tmp_path: Path, monkeypatch):
    """Nor a sentence with replaced words that is a near copy of one."""
    held_out, same_pivot, mixed = "The good film ends.", "The göod film ends.", "The gOod film ends!"
    rows = [(sentence, "x", "train") for sentence in (*SENTENCES, same_pivot)] + [(held_out, "x", "test")]
    monkeypatch.setattr(PAIRS, "_sentences", lambda *_: (rows, {essence(held_out)}))
    monkeypatch.setattr(
        PAIRS, "_mixed", lambda *_: [(mixed, "mixed x", "train"), ("A good actor.", "mixed x", "train")]
    )
    monkeypatch.setattr(PAIRS, "Apertium", Teacher)
    words = ("--out", tmp_path, "--text", "any", "--workers", 1, "--vocabulary", 400)
    assert call(PAIRS, monkeypatch, *words) is None
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    trained = {row["source"] for row in pairs if row["split"] == "train"}
    assert {"A good actor.", SENTENCES[0]} <= trained and not {held_out, same_pivot, mixed} & trained


@pytest.mark.parametrize(
    ("source", "marked", "fault"),
    [
        ("the old film", "la película vieja", None),
        ("the old film", "", "empty"),
        ("the old film", "la película *old", "unknown words"),
        ("the old film by one of us all", "la película vieja por uno de nos *all", None),
        ("the old film", "la #película vieja", "not generated"),
        ("the old film", "la @película vieja", "not generated"),
        ("the old film", "a b c d e f g h i", "length"),
        ("The old film", "the old film", "unchanged"),
        ("the XQ1 film", "la película *XQ1", None),
        ("the XQ1 film", "la película vieja", "stand-in"),
    ],
)
def test_which_translations_are_learned_from(source: str, marked: str, fault: str | None):
    assert PAIRS._fault(source, marked, 0.2) == fault


def test_a_checkpoint_of_the_published_layout(pairs: Path, tmp_path: Path, monkeypatch, capsys):
    for direction in ("eng-spa", "spa-eng"):
        assert distil(monkeypatch, pairs, tmp_path, direction, "--steps", 60, "--weights", "float16") is None
    curve = json.loads((tmp_path / "eng-spa.training" / "curve.json").read_text("utf-8"))
    assert [point["step"] for point in curve] == [15, 30, 45, 60]
    assert curve[-1]["dev_loss"] < 0.8 * curve[0]["dev_loss"] and curve[-1]["train_loss"] < curve[0]["train_loss"]
    test = [row for row in pq.read_table(pairs / "pairs.parquet").to_pylist() if row["split"] == "test"]
    folder, sentences = str(tmp_path / "eng-spa"), [row["source"] for row in test]
    translations = Marian(folder)(sentences, [0] * len(sentences))
    ours = [translation.text for translation in translations]
    assert all(ours) and len({*ours}) > 2
    tokenizer, model = MarianTokenizer.from_pretrained(folder), MarianMTModel.from_pretrained(folder, dtype="float32")
    start: Any = model.get_input_embeddings().weight
    assert not start[model.config.decoder_start_token_id].any()  # as CTranslate2 has it
    for sentence, translation in zip(sentences, translations, strict=True):
        ids: Any = model.generate(**tokenizer([sentence], return_tensors="pt"), max_length=120)  # type: ignore[operator]
        theirs = tokenizer.decode(ids[0], skip_special_tokens=True)
        assert theirs.startswith(translation.text) and (translation.status == "truncated" or theirs == translation.text)
    converted = CTranslate2(folder, precision="float32")(sentences, [0] * len(sentences))
    assert [translation.text for translation in converted] == ours

    score = ("--pairs", pairs, "--models", tmp_path, "--round-trips", 2)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert "pip install sacrebleu" in str(call(SCORE, monkeypatch, *score))
    figure = SimpleNamespace(score=87.65)

    def scored(ours: list[str], teachers: list[list[str]]) -> SimpleNamespace:
        references.append((ours, teachers))
        return figure

    references: list[tuple[list[str], list[list[str]]]] = []
    fake = SimpleNamespace(corpus_bleu=scored, corpus_chrf=scored)
    monkeypatch.setitem(sys.modules, "sacrebleu", fake)
    capsys.readouterr()
    assert call(SCORE, monkeypatch, *score) is None
    output = capsys.readouterr().out
    assert (ours, [[row["pivot"] for row in test]]) in references
    assert "Left out: 0 of which" in output
    assert f"| spa-eng | all | {len(test)} | 87.7 | 87.7 |" in output and output.count("  source: ") == 2
    assert call(SCORE, monkeypatch, *score, "--json") is None
    assert json.loads(capsys.readouterr().out)["round_trips"][0]["source"] == sentences[0]


def test_a_killed_training_comes_to_the_same_bytes(pairs: Path, tmp_path: Path, monkeypatch, capsys):
    words = ("--steps", 12, "--dropout", 0.2)
    assert distil(monkeypatch, pairs, tmp_path / "whole", "eng-spa", *words) is None
    evaluate, calls = STUDENT.Student.evaluate, list[int]()

    def killed_at_the_third(*arguments: Any) -> float:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(STUDENT.Student, "evaluate", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            distil(patch, pairs, tmp_path / "killed", "eng-spa", *words)
    assert not (tmp_path / "killed" / "eng-spa").exists()
    renumbered = tmp_path / "renumbered"
    shutil.copytree(pairs, renumbered)
    (renumbered / "vocab.json").write_text(json.dumps(json.loads((pairs / "vocab.json").read_text("utf-8")), indent=1))
    other = distil(monkeypatch, renumbered, tmp_path / "killed", "eng-spa", *words)
    assert "is of a run with pairs=" in str(other)
    differs = distil(monkeypatch, pairs, tmp_path / "killed", "eng-spa", *words, "--seed", 1)
    assert "is of a run with seed=0; choose another --out, or --no-resume" in str(differs)
    capsys.readouterr()
    assert distil(monkeypatch, pairs, tmp_path / "killed", "eng-spa", *words) is None
    assert "from step 6 to 12" in capsys.readouterr().out
    whole, resumed = (tmp_path / name / "eng-spa" / "model.safetensors" for name in ("whole", "killed"))
    assert resumed.read_bytes() == whole.read_bytes()
    assert distil(monkeypatch, pairs, tmp_path / "killed", "eng-spa", *words) is None
    assert "is finished; --no-resume starts again" in capsys.readouterr().out


def test_minutes_become_steps(pairs: Path, tmp_path: Path, monkeypatch, capsys):
    assert distil(monkeypatch, pairs, tmp_path, "eng-spa", "--minutes", 0.1) is None
    assert "0.500 s a step: 12 steps in 0.1 minutes" in capsys.readouterr().out


def test_what_is_refused_in_one_line(pairs: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "empty.txt").write_text("\n\n", "utf-8")
    words = ("--out", tmp_path / "pairs", "--workers", 1, "--text", tmp_path / "empty.txt")
    apertium._release.cache_clear()  # an earlier test may have found the direction
    monkeypatch.setattr("text_uda.translate.apertium.shutil.which", lambda _: None)
    assert "'eng-spa' is not installed" in str(call(PAIRS, monkeypatch, *words))
    assert "'eng-xyz' is not installed" in str(call(PAIRS, monkeypatch, *words, "--pair", "eng-xyz"))
    monkeypatch.setattr(PAIRS, "Apertium", Teacher)
    assert "distill_pairs: " in (error := str(call(PAIRS, monkeypatch, *words))) and "\n" not in error
    (tmp_path / "empty.txt").write_text("!\nscene\n", "utf-8")
    assert "no sentence of two words" in str(call(PAIRS, monkeypatch, *words))
    (tmp_path / "empty.txt").write_text("the scene scene\na scene\n", "utf-8")
    assert "no pair is left to train on" in str(call(PAIRS, monkeypatch, *words))
    missing = distil(monkeypatch, tmp_path, tmp_path, "eng-spa", "--steps", 1)
    assert missing == f"distill_translator: {tmp_path} has no pairs.json: make it with distill_pairs.py"
    for words in (("--steps", 0), ("--minutes", "nan"), ("--minutes", "inf"), ("--steps", 1, "--batch-tokens", -1)):
        assert "above 0" in str(distil(monkeypatch, pairs, tmp_path, "eng-spa", *words))
    assert "multiple of 32" in str(distil(monkeypatch, pairs, tmp_path, "eng-spa", "--steps", 1, "--width", 33))
    for name in ("pairs.parquet", "vocab.json", "shared.spm", "pairs.json"):
        damaged = tmp_path / f"damaged-{name}"
        shutil.copytree(pairs, damaged)
        (damaged / name).write_bytes((pairs / name).read_bytes()[:-9])
        assert "is not whole" in (error := str(distil(monkeypatch, damaged, tmp_path, "eng-spa", "--steps", 1)))
        assert "\n" not in error
    assert "are English" in str(call(PAIRS, monkeypatch, "--out", tmp_path / "pairs", "--pair", "spa-eng"))
    (tmp_path / "eng-spa").mkdir()
    assert "choose another --out" in str(distil(monkeypatch, pairs, tmp_path, "eng-spa", "--steps", 1, "--no-resume"))
    other = distil(monkeypatch, pairs, tmp_path, "eng-fra", "--steps", 1)
    assert other == "distill_translator: --direction eng-fra: the pairs are of eng-spa and spa-eng"
    assert "has no pairs.json" in str(call(SCORE, monkeypatch, "--pairs", tmp_path, "--models", tmp_path))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_torch(monkeypatch, smoothing: float):
    monkeypatch.setitem(STUDENT.ROWS, "cpu", 3)  # 7 rows in three parts
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(rows, 5, generator=generator, requires_grad=True) for rows in (7, 11))
    targets, pad = torch.tensor([1, 2, 3, 10, 4, 10, 0]), 10
    ours = STUDENT._HeadLoss.apply(hidden, weight, targets, pad, smoothing, torch.float32) / 5
    theirs = torch.nn.functional.cross_entropy(
        hidden @ weight.T, targets, ignore_index=pad, label_smoothing=smoothing, reduction="sum"
    )
    torch.testing.assert_close(ours, theirs / 5)
    gradients = [torch.autograd.grad(loss, (hidden, weight)) for loss in (ours, theirs / 5)]
    torch.testing.assert_close(*gradients)


def test_an_epoch_has_each_pair_once_within_the_budget():
    rng = np.random.default_rng(0)
    sides = [[np.full(rng.integers(1, 30), number) for number in range(200)] for _ in range(2)]
    pairs = STUDENT.Pairs(sides, 999, "cpu", 128, 0)
    for epoch in range(2):
        seen = []
        for step in range(epoch * len(pairs), (epoch + 1) * len(pairs)):
            source, target, tokens = pairs.batch(step)
            assert len(source) * max(source.shape[1], target.shape[1]) <= 128
            assert tokens == int((target != 999).sum())
            for row, ids in enumerate(source):
                number = int(ids[0])
                assert (ids[ids != 999] == number).sum() == len(sides[0][number])
                assert (target[row][target[row] != 999] == number).sum() == len(sides[1][number])
                seen.append(number)
        assert sorted(seen) == list(range(200))
    assert not torch.equal(pairs.batch(0)[0], pairs.batch(len(pairs))[0])
