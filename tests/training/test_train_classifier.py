"""Training from end to end on a tiny encoder: what it leaves, that it learns, what it refuses."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from text_uda.augment.cutoff import Cutoff
from text_uda.data import Rows, Split
from text_uda.errors import SettingsError
from text_uda.model.inputs import Tokens
from text_uda.objectives import UDA, FlexMatch, Supervised
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.paraphrasing.filters import Filters
from text_uda.runs.kept_predictions import unpacked
from text_uda.training.metrics import MACHINE_METRICS
from text_uda.training.settings import TrainSettings
from text_uda.training.step import Step
from text_uda.training.train_classifier import NonFiniteError, train
from translation_cache import Cache, Job, Paraphrase, digest

GOOD = ("good", "great", "fine", "best", "love")
BAD = ("bad", "poor", "dull", "worst", "not")
PLAIN = (Supervised(), UDA())  # without a threshold each row counts from the first step on
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product")


def texts(words: tuple[str, ...], frame: str) -> list[str]:
    return [frame.format(thing, word) for thing in THINGS for word in words]


def rows(frame: str) -> Rows:
    bad, good = texts(BAD, frame), texts(GOOD, frame)
    return Rows(tuple(bad + good), (0,) * len(bad) + (1,) * len(good))


@pytest.fixture(scope="module")
def split() -> Split:
    labeled = Rows(tuple(f"the film was {word}" for word in BAD + GOOD), (0,) * len(BAD) + (1,) * len(GOOD))
    unlabeled = rows("this {} is very {}").texts
    return Split("test", ("bad", "good"), labeled, unlabeled, rows("that {} was {}"), rows("the {} is {}"), "0" * 32)


@dataclass(frozen=True)
class Reframe(Job):
    """Another frame around the same words: an augmentation that needs nothing installed."""

    frame: str = "the {} really was {}"

    def settings(self) -> dict:
        return {"method": "reframe", "version": 1, "seed": 0, "unit": "text", "frame": self.frame}

    def __call__(self, sources, samples):
        made = []
        for source in sources:
            words = source.split()
            made.append(Paraphrase(text=self.frame.format(words[1], words[-1]), scores={"change_rate": 0.5}))
        return made


@pytest.fixture(scope="module")
def cache(split: Split, tmp_path_factory) -> Cache:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    paraphrase(split.unlabeled, Reframe(), cache)
    return cache


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> TrainSettings:
    return TrainSettings(
        encoder=str(tiny_bert),
        steps=12,
        labeled_batch=4,
        max_tokens=32,
        evaluate_every=4,
        checkpoint_every=5,
        log_every=1,
    )


def run_of(folder: Path) -> dict[str, bytes]:
    """Everything that a run decides, by file; times and speeds are not that."""
    found = {"model": (folder / "model" / "model.safetensors").read_bytes()}
    for name in ("metrics.jsonl", "result.json"):
        lines = (folder / name).read_text().splitlines()
        kept = [line for line in lines if 'seconds"' not in line and '"run"' not in line]
        records = [json.loads(line) for line in kept] if name == "metrics.jsonl" else kept
        for record in records:
            if isinstance(record, dict):
                for of_the_machine in MACHINE_METRICS:
                    record.pop(of_the_machine, None)
        found[name] = json.dumps(records).encode()
    return found


def test_it_learns_and_leaves_what_it_promises(split, cache, settings, tmp_path):
    out = tmp_path / "run"
    learning = replace(settings, steps=150, learning_rate=2e-3, evaluate_every=25)
    result = train(split, augmentation=Reframe(), cache=cache, settings=learning, out=out)
    assert result["dev_error"] < 25 and result["test_error"] < 35, "chance is 50"
    assert json.loads((out / "result.json").read_text()) == result
    assert result["augmentation"]["usable"] == 1.0 and result["augmentation"]["change_rate"] == 0.5
    assert sum(map(sum, result["confusion"])) == len(split.test.texts)
    config = json.loads((out / "config.json").read_text())
    assert config["data"]["test_digest"] == split.test_digest and config["data"]["unlabeled"] == len(split.unlabeled)
    assert config["data"]["digest"] == split.digest and config["cache_digest"] == digest(cache, Reframe().settings())
    kinds = [json.loads(line)["kind"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert kinds.count("train") == 150 and kinds.count("dev") == 6
    assert not (out / "checkpoints").exists()
    answers = pipeline("text-classification", str(out / "model"))(list(split.test.texts))
    wrong = sum(a["label"] != split.classes[y] for a, y in zip(answers, split.test.labels, strict=True))
    assert 100 * wrong / len(answers) == pytest.approx(result["test_error"]), "the model saved is the one chosen by dev"
    right = [a["label"] == split.classes[y] for a, y in zip(answers, split.test.labels, strict=True)]
    assert unpacked(result["test_correct"], len(answers)).tolist() == right
    assert sum(place["count"] for place in result["calibration"]["bins"]) == len(answers)
    said = dict(zip(split.test.texts, answers, strict=True))
    examples = [json.loads(line) for line in (out / "test_examples.jsonl").read_text().splitlines()]
    assert len(examples) == len(answers)
    for example in examples:
        assert example["predicted"] == said[example["text"]]["label"]
        assert example["probability"] == pytest.approx(said[example["text"]]["score"], abs=1e-4)


def test_a_head_on_a_frozen_encoder(split, cache, settings, tmp_path):
    head = replace(settings, tune="head", steps=60, learning_rate=1e-2)
    train(split, augmentation=Reframe(), cache=cache, settings=head, out=tmp_path / "run")
    saved = pipeline("text-classification", str(tmp_path / "run" / "model")).model
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(settings.encoder)
    layer = "encoder.layer.1.output.dense.weight"
    assert torch.equal(saved.bert.get_parameter(layer), encoder.get_parameter(layer))


def test_supervised_alone_needs_no_cache(split, settings, tmp_path):
    result = train(split, objectives=(Supervised(tsa="linear"),), settings=settings, out=tmp_path / "run")
    assert result["augmentation"] is None


def test_the_same_call_gives_the_same_bytes_and_another_seed_does_not(split, cache, settings, tmp_path):
    calls = {"first": settings, "again": settings, "other": replace(settings, seed=1)}
    torch.manual_seed(7)  # whatever the global state is
    for name, each in calls.items():
        train(split, objectives=PLAIN, augmentation=Reframe(), cache=cache, settings=each, out=tmp_path / name)
        torch.rand(3)
    first, again, other = (run_of(tmp_path / name) for name in calls)
    assert first == again and first["model"] != other["model"]


def test_a_finished_run_is_only_read(split, settings, tmp_path):
    call = {"objectives": (Supervised(),), "settings": settings, "out": tmp_path / "run"}
    first = train(split, **call)
    model = tmp_path / "run" / "model" / "model.safetensors"
    written = model.stat().st_mtime_ns
    assert train(split, **call) == first and model.stat().st_mtime_ns == written
    train(split, **call, resume=False)
    assert model.stat().st_mtime_ns != written


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"augmentation": None}, "pass an augmentation"),
        ({"cache": None}, "pass an augmentation"),
        ({"augmentation": Reframe("the {} is not {}")}, "frame"),
    ],
)
def test_pairs_that_are_not_there_are_refused_before_anything_is_written(
    split, cache, settings, tmp_path, change, said
):
    call = {"augmentation": Reframe(), "cache": cache, "settings": settings, "out": tmp_path / "run"} | change
    with pytest.raises(SettingsError, match=said):
        train(split, **call)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_the_run(split, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(Supervised, "__call__", nan_loss)
    said = r"loss of Supervised is not finite at step 1 \(.*supervised nan.*labeled rows \d+, .*learning rate"
    with pytest.raises(NonFiniteError, match=said):
        train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "diverged.json").read_text())["rows"]["labeled"]
    assert len(rows) == settings.labeled_batch and set(rows) <= set(range(len(split.labeled.texts)))


def test_not_a_number_names_the_objective_and_its_rows_and_the_last_checkpoint_stays(
    split, cache, settings, tmp_path, monkeypatch
):
    call = UDA.__call__

    def broken(self, context, batch):
        loss = call(self, context, batch)
        return loss if context.step < 7 else loss._replace(total=loss.total * float("inf"))

    monkeypatch.setattr(UDA, "__call__", broken)
    arguments = {"augmentation": Reframe(), "cache": cache, "settings": settings, "out": tmp_path / "run"}
    with pytest.raises(NonFiniteError, match=r"loss of UDA is not finite at step 8 .*unlabeled rows \d+"):
        train(split, **arguments)
    kept = json.loads((tmp_path / "run" / "diverged.json").read_text())
    assert kept["step"] == 8 and len(kept["rows"]["unlabeled"]) == settings.unlabeled_batch()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000005"]
    monkeypatch.undo()
    assert train(split, **arguments)["steps"] == 12, "and from there the same command goes on"


def test_a_gradient_that_is_no_number_ends_the_run_before_it_reaches_the_weights(
    split, settings, tmp_path, monkeypatch
):
    """The square root of zero: a loss of zero, and no gradient that one could follow."""

    def steep(self, context, batch):
        from text_uda.objectives import Loss

        logits = context.views["labeled"].logits
        return Loss((logits - logits.detach()).square().sum().sqrt(), {})

    monkeypatch.setattr(Supervised, "__call__", steep)
    with pytest.raises(NonFiniteError, match="the gradient is not finite at step 1 "):
        train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")


def nan_loss(self, context, batch):
    from text_uda.objectives import Loss

    return Loss(context.views["labeled"].logits.sum() * float("nan"), {"supervised": float("nan")})


@dataclass(frozen=True)
class Half(Reframe):
    """Every other text has no usable paraphrase."""

    def __call__(self, sources, samples):
        pairs = zip(sources, super().__call__(sources, samples), strict=True)
        return [each if len(source) % 2 else Paraphrase("", status="empty") for source, each in pairs]


def test_texts_without_a_usable_paraphrase_are_no_rows_that_are_remembered(split, settings, tmp_path, monkeypatch):
    cache, usable = Cache(tmp_path / "cache"), [len(text) % 2 == 1 for text in split.unlabeled]
    paraphrase(split.unlabeled, Half(), cache)
    seen, forward = set(), Step.forward

    def spy(self, batch, *others):
        seen.update(batch.unlabeled_rows.tolist())
        assert len(self.get_buffer("objective_1_known")) == sum(usable)
        return forward(self, batch, *others)

    monkeypatch.setattr(Step, "forward", spy)
    objectives = (Supervised(), FlexMatch())
    train(split, objectives=objectives, augmentation=Half(), cache=cache, settings=settings, out=tmp_path / "run")
    assert 0 < sum(usable) < len(usable) and seen == set(range(sum(usable)))


def test_a_collapse_is_told(split, cache, settings, tmp_path, caplog):
    collapsing = replace(settings, learning_rate=0.5, steps=8)  # far too high
    result = train(
        split,
        objectives=(UDA(temperature=0.1),),
        augmentation=Reframe(),
        cache=cache,
        settings=collapsing,
        out=tmp_path / "r",
    )
    assert result["warnings"] and "collapsed" in result["warnings"][0]
    assert "collapsed" in caplog.text


# --- the second view is made in the step ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noise:
    """Every third token another word: an augmentation of ids that needs nothing installed."""

    tokenizer: str | None = None

    def settings(self) -> dict:
        return {"method": "noise", "version": 1, "unit": "text"}

    def on_tokens(self, tokens: Tokens, generator: torch.Generator) -> Tokens:
        draws = torch.rand(tokens.input_ids.shape, generator=generator, device=tokens.input_ids.device)
        other = torch.randint(60, 100, draws.shape, generator=generator, device=draws.device)
        inner = (tokens.input_ids > 4) & (draws < 0.3)  # the first five are special
        return Tokens(torch.where(inner, other, tokens.input_ids), tokens.attention_mask)


IN_STEP = {"ids": Noise(), "span": Cutoff(rate=0.3), "feature": Cutoff(kind="feature", rate=0.3)}


def metrics_of(folder: Path) -> list[dict]:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == "train"]


@pytest.mark.parametrize("name", IN_STEP)
def test_without_a_cache_the_step_makes_the_view(name, split, settings, tmp_path):
    out = tmp_path / "run"
    result = train(split, objectives=PLAIN, augmentation=IN_STEP[name], settings=settings, out=out)
    config = json.loads((out / "config.json").read_text())
    assert config["augmentation"] == IN_STEP[name].settings() and config["cache_digest"] is None
    assert config["in_step"] == ("tokens" if name == "ids" else "embeddings")
    assert result["augmentation"] is None and not (out / "examples.jsonl").exists()
    records = metrics_of(out)
    assert len(records) == 12 and all(0.1 < record["changed"] < 0.5 and record["uda"] > 0 for record in records)


def test_unlabeled_texts_are_learnt_from(split, settings, tmp_path):
    """The weights move by the view alone, and to other places for another view."""
    models = {}
    for name, augmentation in IN_STEP.items():
        train(split, objectives=(UDA(),), augmentation=augmentation, settings=settings, out=tmp_path / name)
        models[name] = (tmp_path / name / "model" / "model.safetensors").read_bytes()
    assert len(set(models.values())) == len(models)


@pytest.mark.parametrize("name", ["ids", "span"])
def test_a_run_that_was_killed_draws_the_same_views(name, split, settings, tmp_path, monkeypatch):
    call = {"objectives": PLAIN, "augmentation": IN_STEP[name], "settings": settings}
    for out in ("whole", "again"):
        train(split, **call, out=tmp_path / out)
    forward = Step.forward

    def killed(self, batch, step, *others):
        if step == 7:
            raise KeyboardInterrupt
        return forward(self, batch, step, *others)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Step, "forward", killed)
        train(split, **call, out=tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoints" / "step-00000005").exists()
    train(split, **call, out=tmp_path / "killed")
    assert run_of(tmp_path / "whole") == run_of(tmp_path / "killed") == run_of(tmp_path / "again")


def test_with_a_weight_of_zero_the_view_does_not_matter(split, settings, tmp_path):
    """To the bit, dropout and all: making a view draws from its own generator alone."""
    for name, augmentation in {"first": Cutoff(rate=0.3), "other": Cutoff(kind="feature")}.items():
        train(split, objectives=(Supervised(), UDA(weight=0.0)), augmentation=augmentation, settings=settings,
              out=tmp_path / name)  # fmt: skip
    first, other = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("first", "other"))
    assert first == other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"augmentation": Reframe()}, "needs pairs: .*Cutoff.*reframe generates paraphrases offline"),
        ({"cache": "somewhere"}, "cutoff is not a translation_cache.Job, so it cannot use a cache"),
        ({"filters": Filters()}, "filters select"),
        ({"settings": TrainSettings(tune="head")}, r"tune='head'.*last:N"),
        ({"settings": TrainSettings(samples=2)}, "samples=2"),
    ],
)
def test_what_the_step_cannot_do_is_refused_before_anything_is_written(split, settings, tmp_path, change, said):
    call = {"augmentation": Cutoff(), "settings": settings, "out": tmp_path / "run"} | change
    with pytest.raises(SettingsError, match=said):
        train(split, **call)
    assert not (tmp_path / "run").exists()


def test_tokens_of_another_encoder_are_refused(split, settings, tiny_bert, tmp_path):
    for name, said in {"other": "has another vocabulary: set tokenizer", "same": None}.items():
        shutil.copytree(tiny_bert, tmp_path / name)
        if said is None:
            train(split, augmentation=Noise(str(tmp_path / name)), settings=settings, out=tmp_path / "run")
            continue
        file = tmp_path / name / "tokenizer.json"
        file.write_text(file.read_text().replace('"film"', '"cinema"'))
        with pytest.raises(SettingsError, match=said):
            train(split, augmentation=Noise(str(tmp_path / name)), settings=settings, out=tmp_path / "run")


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"tune": "first"}, {"learning_rate": -1.0}, {"precision": "fp8"}, {"keep_tokens": "middle"}]
)
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainSettings(**wrong)


def test_in_bf16_the_weights_move_and_stay_float32(split, cache, settings, tmp_path):
    weights = {}
    for precision in ("bf16", "fp32"):
        out = tmp_path / precision
        chosen = replace(settings, precision=precision, steps=3)
        train(split, objectives=PLAIN, augmentation=Reframe(), cache=cache, settings=chosen, out=out)
        weights[precision] = load_file(out / "model" / "model.safetensors")
    for name, value in weights["fp32"].items():
        assert weights["bf16"][name].dtype == torch.float32
        torch.testing.assert_close(weights["bf16"][name], value, atol=2e-4, rtol=0, msg=name)
    assert any(not torch.equal(weights["bf16"][name], value) for name, value in weights["fp32"].items())
