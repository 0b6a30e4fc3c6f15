"""Similarity of meaning: the cosine of an encoder's features, computed once, kept beside the cache, and a filter."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from text_uda.augment.compose import Compose
from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model import frozen_encoder
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.objectives import UDA, Supervised
from text_uda.paraphrasing import similarity as module
from text_uda.paraphrasing.cache_access import mark_dissimilar, missing_paraphrases, paraphrase, read_paraphrases
from text_uda.paraphrasing.cached import Cached
from text_uda.paraphrasing.filters import Filters
from text_uda.paraphrasing.pairs import write_pairs
from text_uda.paraphrasing.similarity import Similarity, digest_of, pairs_of, recorded, summaries
from text_uda.runs.decisive_settings import changes
from text_uda.training.run_plan import plan_run
from text_uda.training.settings import TrainSettings
from translation_cache import Cache, Job, Paraphrase, export, merge, stats, verify

TEXTS = ["a good film", "the worst movie", "a dull plot", "is it art"]
OTHER = {
    "a good film": "a great film",
    "the worst movie": "review of the actor",
    "a dull plot": None,
    "is it art": "it",
}


@dataclass(frozen=True)
class Written(Job):
    unit: str = "text"

    def settings(self):
        return {"method": "written", "unit": self.unit}

    def __call__(self, sources, samples):
        texts = [OTHER[source.rstrip(".").lower()] for source in sources]
        return [Paraphrase(text, "ok" if text else "failed", scores={"change_rate": 0.25}) for text in texts]


@pytest.fixture(scope="module")
def encoder(spread_bert: Path) -> str:
    return str(spread_bert)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    paraphrase(TEXTS, Written(), tmp_path / "cache")
    return Cache(tmp_path / "cache")


PAIRS = [(source, text) for source, text in OTHER.items() if text is not None]


def by_hand(encoder: str) -> np.ndarray:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    cosines = []
    for pair in PAIRS:
        with torch.no_grad():
            one, other = (model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0] for text in pair)
        cosines.append(float(one @ other / one.norm() / other.norm()))
    return np.array(cosines)


def test_it_is_the_cosine_of_the_features(cache: Cache, encoder: str, caplog: pytest.LogCaptureFixture, monkeypatch):
    on_this_machine = {"auto": "bf16"}
    monkeypatch.setattr(frozen_encoder, "resolve_precision", lambda name, **_: on_this_machine.get(name, name))
    similarities = Similarity(cache, encoder).of(PAIRS)
    assert similarities == pytest.approx(by_hand(encoder), abs=1e-5), "in float32 on every machine"
    assert len(set(similarities.round(3))) == 3 and Similarity(cache, encoder).of([("same", "same")])[0] > 0.999
    assert "does not say that it is a sentence encoder" in caplog.text


def test_it_is_computed_once_and_kept_beside_the_cache(cache: Cache, encoder: str, monkeypatch, tmp_path: Path):
    assert np.isnan(Similarity(cache, encoder).known(PAIRS)).all()
    first = Similarity(cache, encoder).of(PAIRS)
    with monkeypatch.context() as patch:
        patch.setattr(FrozenEncoder, "rows", lambda *_, **__: pytest.fail("encoded again"))
        assert (Similarity(cache, encoder).of(PAIRS[::-1])[::-1] == first).all()
    [note] = (tmp_path / "cache" / "_scores").glob("*/encoder.json")
    assert json.loads(note.read_text())["encoder"] == encoder
    assert verify(cache)["damaged"] == [] and stats(cache)["rows"] == 4 and len(cache.fingerprints()) == 1
    assert verify(Cache(tmp_path / "cache"))["damaged"] == []
    merge(Cache(tmp_path / "other"), cache)
    assert Cache(tmp_path / "other").fingerprints() == cache.fingerprints()


def test_another_encoder_has_its_own(cache: Cache, encoder: str, tmp_path: Path):
    copy = shutil.copytree(encoder, tmp_path / "copy")
    assert Similarity(cache, str(copy)).folder == Similarity(cache, encoder).folder, "a path decides nothing"
    before = Similarity(cache, str(copy)).of(PAIRS)
    assert [one.encoder for one in recorded(cache)] == [str(copy)]
    scale_embeddings(copy)
    assert np.isnan(Similarity(cache, str(copy)).known(PAIRS)).all() and not list(recorded(cache))
    assert not np.allclose(Similarity(cache, str(copy)).of(PAIRS), before)
    (tmp_path / "cache" / "_scores" / "x").mkdir()
    (tmp_path / "cache" / "_scores" / "x" / "encoder.json").write_text("no json")
    shutil.rmtree(copy)
    assert not list(recorded(cache))


@pytest.mark.parametrize("content", ["no json", "[]", '{"encoder": 1}', "{}", "\\xff", "[" * 100_000])
def test_a_damaged_note_is_told_and_written_again(cache: Cache, encoder: str, content: str, caplog):
    similarity = Similarity(cache, encoder)
    similarity.compute([PAIRS])
    note = similarity.folder / "encoder.json"
    before = note.read_bytes()
    note.write_bytes(content.encode().decode("unicode_escape").encode("latin-1"))
    assert not list(recorded(cache)) and f"{note} is damaged" in caplog.text
    Similarity(cache, encoder).compute([PAIRS])
    assert note.read_bytes() == before and [one.encoder for one in recorded(cache)] == [encoder]


def statuses(cache: Cache, filters: Filters, texts: list[str] = TEXTS) -> list[str]:
    return [sample.status for [sample] in read_paraphrases(texts, Written(), cache, filters=filters)]


def test_a_filter_on_reading(cache: Cache, encoder: str, tmp_path: Path):
    low, middle, high = np.sort(Similarity(cache, encoder).of(PAIRS))
    assert statuses(cache, Filters(min_similarity=-1, similarity_encoder=encoder)) == ["ok", "ok", "failed", "ok"]
    filters = Filters(min_similarity=(low + middle) / 2, similarity_encoder=encoder)
    read = [sample for [sample] in read_paraphrases(TEXTS, Written(), cache, filters=filters)]
    for sample, source in zip(read, TEXTS, strict=True):
        if OTHER[source] is not None:
            value = sample.scores["similarity"]
            assert sample.status == ("ok" if value >= (low + middle) / 2 else "dissimilar")
            assert sample.text == OTHER[source], "it stays readable"
    assert [sample.status for sample in read].count("dissimilar") == 1
    assert statuses(cache, Filters(min_similarity=float(high), similarity_encoder=encoder)).count("ok") == 1
    pairs = write_pairs(TEXTS, Written(), cache, tmp_path / "pairs.arrow", filters=filters)
    assert [row["status"] for row in pairs] == [sample.status for sample in read]
    job = Cached(Written(), cache, filters)
    assert [made.status for made in job(TEXTS, [0] * 4)] == [sample.status for sample in read]
    assert job.settings()["filters"]["min_similarity"] == (low + middle) / 2


def test_what_is_recorded_has_the_encoder_and_not_its_name_alone(cache: Cache, encoder: str, tmp_path: Path):
    folder = shutil.copytree(encoder, tmp_path / "copy")
    middle = float(np.median(Similarity(cache, encoder).of(PAIRS)))
    job = Cached(Written(), cache, Filters(min_similarity=middle, similarity_encoder=str(folder)))
    composed = Compose(operations=(job,))
    paraphrase(TEXTS, composed, tmp_path / "composed")
    before = job.settings()
    assert json.loads(json.dumps(before)) == before == job.settings()
    scale_embeddings(folder)
    assert job.settings() != before
    assert missing_paraphrases(TEXTS, composed, tmp_path / "composed") == len(TEXTS)
    shutil.rmtree(folder)
    with pytest.raises(SettingsError, match="cannot open the encoder"):
        job.settings()
    packaged = Filters(min_similarity=0.5).settings()
    assert packaged["similarity_digest"] == digest_of("minilm-l6") and "similarity_encoder" not in packaged


def scale_embeddings(folder: Path) -> None:
    """Give the encoder other weights."""
    from transformers import BertModel

    model = BertModel.from_pretrained(folder)
    model.embeddings.word_embeddings.weight.data.mul_(-3)
    model.save_pretrained(folder)


def test_a_run_does_not_resume_with_another_encoder_of_the_similarity(cache: Cache, encoder: str, tmp_path: Path):
    folder = shutil.copytree(encoder, tmp_path / "copy")
    rows = Rows(tuple(TEXTS), (1, 0, 0, 1))
    split = Split("test", ("bad", "good"), rows, tuple(TEXTS), rows, rows, "0" * 32)
    filters = Filters(min_similarity=-1, similarity_encoder=str(folder))

    def config() -> dict:
        settings = TrainSettings(encoder=encoder, steps=1)
        plan = plan_run(split, [Supervised(), UDA()], None, Written(), cache, filters, settings)
        return plan.config(split, settings, name="run", steps=1)

    before = config()
    assert changes(before, config()) == []
    scale_embeddings(folder)
    [line] = changes(before, config())
    assert "filters.similarity_digest" in line


def test_of_a_text_the_similarity_is_the_least_of_its_sentences(cache: Cache, encoder: str, tmp_path: Path):
    job, text = Written("sentence"), "A good film. The worst movie."
    paraphrase([text], job, tmp_path / "sentences")
    of = Similarity(Cache(tmp_path / "sentences"), encoder).of(
        [("A good film.", "a great film"), ("The worst movie.", "review of the actor")]
    )
    for least, expected in ((-1, min(of)), (float(of.mean()), max(of))):
        filters = Filters(min_similarity=least, similarity_encoder=encoder)
        [[sample]] = read_paraphrases([text], job, tmp_path / "sentences", filters=filters)
        assert sample.status == "ok" and sample.scores["similarity"] == expected
    assert sample.scores["fallback_rate"] == 0.5
    [[sample]] = read_paraphrases([text], job, tmp_path / "sentences")
    assert "similarity" not in sample.scores


def test_without_the_filter_nothing_is_encoded(cache: Cache, monkeypatch):
    monkeypatch.setattr(module, "encoder_digest", lambda _: pytest.fail("an encoder was read"))
    assert statuses(cache, Filters(min_change=0.1)) == ["ok", "ok", "failed", "ok"]
    names = {"accept", "max_length_ratio", "min_change", "max_change"}
    assert Filters(min_change=0.1).settings().keys() == names, "as in records of earlier versions"


@pytest.mark.parametrize(
    ("filters", "match"),
    [
        ({"min_similarity": 80}, "min_similarity=80: give a number from -1 to 1"),
        ({"similarity_encoder": "x"}, "decides only with min_similarity"),
    ],
)
def test_filters_that_make_no_sense(filters: dict, match: str):
    with pytest.raises(SettingsError, match=match):
        Filters(**filters)


def test_an_encoder_that_is_not_there(cache: Cache, tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot open the encoder"):
        statuses(cache, Filters(min_similarity=0.5, similarity_encoder=str(tmp_path / "nowhere")))


def test_summaries(cache: Cache, encoder: str):
    [entry] = summaries(cache, similarity := Similarity(cache, encoder))
    values = similarity.known(PAIRS)
    assert entry["paraphrases"] == 3 and entry["method"] == "written" and entry["words_kept"] == 0.75
    assert entry["similarity"]["50%"] == pytest.approx(np.median(values))
    assert entry["below"]["0.9"] == np.mean(values < 0.9)


def test_an_export_with_a_bound(cache: Cache, encoder: str, tmp_path: Path):
    similarity = Similarity(cache, encoder)
    low, middle, _ = np.sort(similarity.of(PAIRS))
    export(cache, tmp_path / "all.jsonl")
    bound = (low + middle) / 2
    filters = Filters(min_similarity=bound)
    export(cache, tmp_path / "some.jsonl", restatus=lambda table: mark_dissimilar(table, similarity, filters))
    before, after = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("all.jsonl", "some.jsonl")
    )
    value = dict(zip(PAIRS, similarity.of(PAIRS).tolist(), strict=True))
    for one, other in zip(before, after, strict=True):
        is_below = value.get((one["source"], one["paraphrase"]), 1) < bound
        assert other == one | ({"status": "dissimilar"} if is_below else {})
    assert [row["status"] for row in after].count("dissimilar") == 1


def test_features_that_are_no_numbers(cache: Cache, encoder: str, monkeypatch):
    assert Filters(min_similarity=-1).too_dissimilar(np.array([np.nan, -1, 1])).tolist() == [True, False, False]
    assert Filters().too_dissimilar(np.array([np.nan, -1])).tolist() == [False, False]
    rows = FrozenEncoder.rows

    def broken(self, texts, **more):
        features = rows(self, texts, **more)
        features.values[[text == "it" for text in texts]] = torch.nan
        return features

    monkeypatch.setattr(FrozenEncoder, "rows", broken)
    with pytest.raises(SettingsError, match="gives 'is it art', or its paraphrase, features that are no numbers"):
        Similarity(cache, encoder).compute([PAIRS])
    assert np.isnan(Similarity(cache, encoder).known(PAIRS)).all(), "none is kept"


def test_only_usable_pairs_in_blocks(monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr(module, "_BLOCK", 2)
    rows = [("a", "b", "ok"), ("c", None, "empty"), ("d", "e", "numbers"), ("f", "g", "ok"), ("h", "i", "language")]
    table = pa.table(dict(zip(("source", "paraphrase", "status"), map(list, zip(*rows, strict=True)), strict=True)))
    blocks = pairs_of(table, ("ok", "numbers"))
    assert list(blocks) == list(blocks) == [[("a", "b")], [("d", "e"), ("f", "g")], []]
