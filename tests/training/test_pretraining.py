"""Masked-language-model training: masks by hand, the loss of plain transformers, the same bytes after a kill."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.data import Rows, Split
from text_uda.errors import DataError, SettingsError
from text_uda.model.inputs import Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.masked_language_model import Vocabulary, head_is_positionwise, mask_tokens, masked_logits
from text_uda.model.packing import pack
from text_uda.model.pretrained import encoder_path, load_classifier
from text_uda.objectives import Supervised
from text_uda.runs.directory import RunDirectory
from text_uda.training.masked_language_modeling import HELD_OUT_DRAWS, MaskedLanguageModeling
from text_uda.training.pretraining import PretrainSettings, pretrain
from text_uda.training.row_sampling import TokenBudgetStream
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import NonFiniteError, train

WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
SPECIALS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
FAMILIES = {
    "bert": WIDTH,
    "roberta": WIDTH,
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16},
    "electra": WIDTH | {"embedding_size": 8},
    "modernbert": WIDTH,
    "deberta-v2": WIDTH | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product")
WORDS = ("good", "great", "fine", "best", "bad", "poor", "dull", "worst")
FRAMES = ("the {} was very {}", "this {} is not {} and it was for the actor", "it really was a {} as {} as that")
TEXTS = tuple(frame.format(thing, word) for frame in FRAMES for thing in THINGS for word in WORDS)


@pytest.fixture(scope="module")
def settings(tiny_bert: Path) -> PretrainSettings:
    return PretrainSettings(
        encoder=str(tiny_bert),
        steps=12,
        tokens_per_step=256,
        max_tokens=32,
        learning_rate=3e-3,
        evaluate_every=4,
        checkpoint_every=5,
        log_every=1,
    )


def decided(folder: Path) -> list:
    """All that the settings decide: weights, metrics, result; times are not that."""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    for record in (*metrics, result):
        for name in ("tokens_per_s", "seconds", "run", "model"):
            record.pop(name, None)
    return [(folder / "model" / "model.safetensors").read_bytes(), metrics, result]


# --- masks ------------------------------------------------------------------------------------------------------------

VOCABULARY = Vocabulary(mask_id=4, special=torch.arange(5), words=torch.arange(5, 60))


def tokens_of(rows: int, width: int) -> Tokens:
    """Row r has a first and a last token that are special, and r % 5 places of padding."""
    ids = torch.randint(5, 60, (rows, width), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    for row in range(rows):
        length = width - row % 5
        ids[row, 0], ids[row, length - 1] = 2, 3
        ids[row, length:], mask[row, length:] = 0, 0
    return Tokens(ids, mask)


def test_masks_are_the_papers():
    tokens = tokens_of(200, 52)
    words = 200 * (52 - 2 - 2)  # two special ones, and two places of padding on average
    masked = mask_tokens(tokens, VOCABULARY, rate=0.15, generator=torch.Generator().manual_seed(1))
    assert len(masked.positions) == words * 0.15
    before, after = tokens.input_ids.flatten(), masked.tokens.input_ids.flatten()
    assert torch.equal(masked.labels, before[masked.positions]) and masked.labels.min() >= 5, (
        "no special one, no padding"
    )
    elsewhere = torch.ones_like(before, dtype=torch.bool)
    elsewhere[masked.positions] = False
    assert torch.equal(before[elsewhere], after[elsewhere])
    stands = after[masked.positions]
    shares = [float(each.float().mean()) for each in (stands == 4, (stands != 4) & (stands != masked.labels))]
    assert shares == pytest.approx([0.8, 0.1], abs=0.025)
    assert set(stands.tolist()) <= {4, *range(5, 60)}, "no special token is drawn"
    assert len(set(stands.tolist())) > 40 and masked.positions.diff().min() > 0


def test_masks_depend_on_the_generator_alone_and_a_batch_has_one_at_least():
    tokens = Tokens(torch.tensor([[2, 7, 3], [2, 3, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]]))
    masked = mask_tokens(tokens, VOCABULARY, rate=0.01, generator=torch.Generator().manual_seed(1))
    assert masked.positions.tolist() == [1] and masked.labels.tolist() == [7]
    draw = [mask_tokens(tokens_of(9, 30), VOCABULARY, rate=0.3, generator=torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)]  # fmt: skip
    assert torch.equal(draw[0].tokens.input_ids, draw[1].tokens.input_ids)
    assert not torch.equal(draw[0].positions, draw[2].positions)


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens_per_step", [40, 100, 512, 10**6])
def test_each_row_once_an_epoch_and_about_as_many_tokens_in_each_step(tokens_per_step):
    lengths = np.random.default_rng(0).integers(3, 40, size=300)
    stream = TokenBudgetStream(lengths, tokens_per_step=tokens_per_step, seed=1, name="rows")
    steps = stream.steps_per_epoch
    assert steps == max(1, round(lengths.sum() / tokens_per_step))
    epochs = [[stream.take(epoch * steps + step) for step in range(steps)] for epoch in range(2)]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == list(range(300))
        assert all(len(rows) for rows in epoch)
        assert all(abs(lengths[rows].sum() - lengths.sum() / steps) < 40 for rows in epoch), "one row more or less"
    assert np.concatenate(epochs[0]).tolist() != np.concatenate(epochs[1]).tolist()
    again = TokenBudgetStream(lengths, tokens_per_step=tokens_per_step, seed=1, name="rows")
    assert again.take(2 * steps - 1).tolist() == epochs[1][-1].tolist(), "whatever was taken before"


# --- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_on_masked_places_alone_says_what_the_whole_says(family):
    """Packed where the family can be; the loss and its gradients are those of transformers with `labels`."""
    config = CONFIG_MAPPING[family](vocab_size=60, **SPECIALS, **FAMILIES[family])
    with seeded_torch(0):
        model = AutoModelForMaskedLM.from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.2)
    masked = mask_tokens(tokens_of(6, 20), VOCABULARY, rate=0.2, generator=torch.Generator().manual_seed(1))
    labels = torch.full(masked.tokens.input_ids.shape, -100).flatten()
    labels[masked.positions] = masked.labels
    expected = model(
        input_ids=masked.tokens.input_ids,
        attention_mask=masked.tokens.attention_mask,
        labels=labels.view_as(masked.tokens.input_ids),
    ).loss
    expected.backward()
    reference = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    pack(model)
    assert head_is_positionwise(model) and not model.training
    for cut in (True, False):
        said = masked_logits(model, masked.tokens, masked.positions, masked_only=cut)
        assert said.shape == (len(masked.positions), 60)
        loss = torch.nn.functional.cross_entropy(said, masked.labels)
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        loss.backward()
        scale = float(max(gradient.abs().max() for gradient in reference.values()))
        for name, parameter in model.named_parameters():
            if name in reference:
                torch.testing.assert_close(parameter.grad, reference[name], atol=2e-6 * scale, rtol=1e-4, msg=name)
        model.zero_grad()


def test_a_head_that_looks_at_other_places_is_run_whole():
    config = CONFIG_MAPPING["bert"](vocab_size=60, **SPECIALS, **WIDTH)
    with seeded_torch(0):
        model = AutoModelForMaskedLM.from_config(config)
    model.cls.register_forward_pre_hook(lambda _module, states: (states[0] - states[0].mean(dim=1, keepdim=True),))
    assert not head_is_positionwise(model)


@pytest.mark.parametrize("packed", [True, False])
def test_passes_give_the_loss_of_the_whole(packed, settings, tmp_path, monkeypatch):
    training = prepared(replace(settings, tokens_per_pass=64), tmp_path)
    training.module.eval()
    whole = training._masked(range(0, len(TEXTS), 3), "masks")  # of all three frames
    with torch.no_grad():
        expected = float(training._loss(whole))
        monkeypatch.setattr("text_uda.training.masked_language_modeling.is_packed", lambda _model: packed)
        parts = list(training._parts(whole))
        assert len(parts) > 5 and sum(len(part.labels) for part in parts) == len(whole.labels)
        sizes = [part.tokens.attention_mask.sum() if packed else part.tokens.input_ids.numel() for part in parts]
        assert max(sizes) <= 64
        assert sum(float(training._loss(part)) for part in parts) == pytest.approx(expected, rel=1e-5)


def prepared(settings: PretrainSettings, tmp_path: Path) -> MaskedLanguageModeling:
    directory = RunDirectory(tmp_path / "prepared")
    directory.open({"method": "pretrain"}, resume=True)
    return MaskedLanguageModeling(TEXTS, settings, directory, Accelerator(mixed_precision="no"))


def test_some_texts_are_held_out_by_what_they_say(settings, tmp_path):
    one = prepared(settings, tmp_path)
    other = MaskedLanguageModeling(TEXTS[::-1], replace(settings, seed=5), one.directory, one.accelerator)
    said = [{texts[index] for index in each.held_out} for texts, each in ((TEXTS, one), (TEXTS[::-1], other))]
    assert len(one.held_out) == 1 and said[0] == said[1]
    assert not set(one.held_out) & set(one.train) and len(one.train) == len(TEXTS) - 1


def test_the_draws_of_a_held_out_text_mask_different_tokens(settings, tmp_path, monkeypatch):
    run, masks = prepared(settings, tmp_path), []

    def record(part):
        masks.append((part.positions.tolist(), part.labels.tolist()))
        return torch.zeros(())

    monkeypatch.setattr(run, "_loss", record)
    run.evaluate(0)
    first, masks = masks, []
    run.evaluate(0)
    assert len(first) == HELD_OUT_DRAWS and masks == first
    assert len({str(mask) for mask in first}) > 1


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_it_learns_and_leaves_an_encoder(settings, tmp_path):
    out = tmp_path / "run"
    learning = replace(settings, steps=80, evaluate_every=40, warmup_steps=8)
    result = pretrain(TEXTS, settings=learning, out=out)
    assert result["perplexity"] < result["start_perplexity"] / 3 and result["new_head"]
    assert json.loads((out / "result.json").read_text()) == result and not (out / "checkpoints").exists()
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    looks = [record for record in metrics if record["kind"] == "dev"]
    assert [look["step"] for look in looks] == [0, 40, 80] and looks[-1]["loss"] == result["dev_loss"]
    assert sum(record.get("tokens", 0) for record in metrics) == result["tokens"]
    assert next(record["learning_rate"] for record in metrics if record["kind"] == "train") == pytest.approx(3e-3 / 8)
    assert encoder_path(str(out)) == str(out / "model")
    again = pretrain(TEXTS, settings=replace(learning, steps=1, encoder=str(out)), out=tmp_path / "on")
    assert again["start_dev_loss"] == pytest.approx(result["dev_loss"]) and not again["new_head"]


def test_the_classifier_begins_with_what_was_pretrained(settings, tiny_bert, tmp_path):
    out = tmp_path / "run"
    pretrain(TEXTS, settings=settings, out=out)
    plain = AutoModelForSequenceClassification.from_pretrained(out / "model")
    written = AutoModelForMaskedLM.from_pretrained(out / "model").bert.state_dict()
    ours = load_classifier(str(out), ("bad", "good"), seed=0).model
    source = load_classifier(str(tiny_bert), ("bad", "good"), seed=0).model.bert.state_dict()
    for model in (plain, ours):
        state = model.bert.state_dict()
        assert all(torch.equal(state[name], value) for name, value in written.items() if not name.startswith("pooler"))
        assert torch.equal(state["pooler.dense.weight"], source["pooler.dense.weight"]), "the encoder's own, untouched"
        assert not torch.equal(
            state["encoder.layer.0.output.dense.weight"], source["encoder.layer.0.output.dense.weight"]
        )
    rows = Rows(("a good film", "a bad plot"), (1, 0))
    split = Split("two", ("bad", "good"), rows, (), rows, rows, "0" * 32)
    tuning = TrainSettings(encoder=str(out), steps=2, labeled_batch=2)
    assert train(split, objectives=(Supervised(),), settings=tuning, out=tmp_path / "tuned")["steps"] == 2
    assert AutoTokenizer.from_pretrained(out / "model").truncation_side == "right"


def test_the_note_that_tokens_are_averaged_is_kept(settings, tiny_bert, tmp_path):
    path = tmp_path / "averaging"
    (path / "1_Pooling").mkdir(parents=True)
    for file in tiny_bert.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    pretrain(TEXTS, settings=replace(settings, encoder=str(path), steps=1), out=tmp_path / "run")
    assert load_classifier(str(tmp_path / "run"), ("a", "b"), seed=0).model.config.averaging_layer


@pytest.mark.parametrize("how", ["between checkpoints", "before the first", "time"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(how, settings, tmp_path, monkeypatch):
    torch.manual_seed(7)  # whatever the global state is
    pretrain(TEXTS, settings=settings, out=tmp_path / "whole")
    update = MaskedLanguageModeling.update

    def killed(self, step, batch):
        if step == (7 if how == "between checkpoints" else 3):
            raise KeyboardInterrupt
        return update(self, step, batch)

    if how == "time":
        with pytest.raises(Interrupted, match=r"after step 1 of 12 \(limit of 1e-09 minutes\); .*resumes from it"):
            pretrain(TEXTS, settings=settings, out=tmp_path / "killed", max_minutes=1e-9)
    else:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(MaskedLanguageModeling, "update", killed)
            pretrain(TEXTS, settings=settings, out=tmp_path / "killed")
    kept = [path.name for path in (tmp_path / "killed").glob("checkpoints/*")]
    assert kept == {"between checkpoints": ["step-00000005"], "time": ["step-00000001"]}.get(how, [])
    with pytest.raises(SettingsError, match="a pretraining run that is not finished"):
        load_classifier(str(tmp_path / "killed"), ("a", "b"), seed=0)
    pretrain(TEXTS, settings=settings, out=tmp_path / "killed")
    assert decided(tmp_path / "killed") == decided(tmp_path / "whole")


def test_another_seed_is_another_run_and_other_settings_are_refused(settings, tmp_path):
    for seed in (0, 1):
        pretrain(TEXTS, settings=replace(settings, seed=seed), out=tmp_path / str(seed))
    assert decided(tmp_path / "0")[0] != decided(tmp_path / "1")[0]
    with pytest.raises(SettingsError, match=r"\nmask_rate: 0\.15 in the run, 0\.2 now$"):
        pretrain(TEXTS, settings=replace(settings, mask_rate=0.2), out=tmp_path / "0")
    with pytest.raises(SettingsError, match=r"\ndata\.texts: "):
        pretrain(TEXTS[1:], settings=settings, out=tmp_path / "0")


@pytest.mark.parametrize("texts", [(), ("",), ("a film", "", "  ")])
def test_texts_with_nothing_to_hide(texts, settings, tmp_path):
    with pytest.raises(DataError, match="have a word that can be masked"):
        pretrain(texts, settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("token", ["mask_token", "pad_token"])
def test_an_encoder_that_lacks_a_token(token, settings, tiny_bert, tmp_path):
    path = tmp_path / "encoder"
    path.mkdir()
    for file in tiny_bert.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    config = json.loads((path / "tokenizer_config.json").read_text())
    config[token] = None
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=f"has no {token.replace('_', ' ')}"):
        pretrain(TEXTS, settings=replace(settings, encoder=str(path)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_else(settings, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(SettingsError, match="holds files that are not of a run"):
        pretrain(TEXTS, settings=settings, out=tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_loss_that_is_no_number_ends_the_run(settings, tmp_path, monkeypatch):
    loss = MaskedLanguageModeling._loss
    monkeypatch.setattr(MaskedLanguageModeling, "_loss", lambda self, part: loss(self, part) * float("nan"))
    with pytest.raises(NonFiniteError, match=r"the loss is not finite at step 1 .*lower the learning rate"):
        pretrain(TEXTS, settings=settings, out=tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "diverged.json").read_text())["rows"]["text"]
    assert rows and set(rows) <= set(range(len(TEXTS)))


def test_a_damaged_checkpoint_is_told_and_not_read(settings, tmp_path, caplog):
    settings = replace(settings, steps=2)
    with pytest.raises(Interrupted):
        pretrain(TEXTS, settings=settings, out=tmp_path / "run", max_minutes=1e-9)
    (file,) = (tmp_path / "run" / "checkpoints").glob("*/weights.safetensors")
    file.write_bytes(file.read_bytes()[:-8])
    resumed = pretrain(TEXTS, settings=settings, out=tmp_path / "run")
    assert "step-00000001 is damaged (weights.safetensors does not match its digest)" in caplog.text
    assert "training goes on from the start" in caplog.text
    whole = pretrain(TEXTS, settings=settings, out=tmp_path / "whole")
    assert resumed["model_files"] == whole["model_files"] and not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-20], None])
def test_metrics_that_are_lost_do_not_cost_the_checkpoint(settings, tmp_path, damage, caplog):
    settings = replace(settings, steps=2, log_every=1)
    whole = pretrain(TEXTS, settings=settings, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(TEXTS, settings=settings, out=tmp_path / "run", max_minutes=1e-9)
    directory = RunDirectory(tmp_path / "run")
    if damage is None:
        directory.metrics.unlink()
    else:
        directory.metrics.write_bytes(damage(directory.metrics.read_bytes()))
    resumed = pretrain(TEXTS, settings=settings, out=directory.path)
    assert resumed["model_files"] == whole["model_files"] and resumed["dev_loss"] == whole["dev_loss"]
    assert resumed["start_dev_loss"] is resumed["start_perplexity"] is None
    assert "metrics.jsonl" in caplog.text and "goes on from the checkpoint" in caplog.text
    assert [(record["kind"], record["step"]) for record in directory.read_metrics()] == [("train", 2), ("dev", 2)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mask_rate": 0.0}, "mask_rate=0.0: give a share between 0 and 1"),
        ({"mask_rate": 1.0}, "mask_rate=1.0"),
        ({"mask_rate": float("nan")}, "mask_rate=nan"),
        ({"steps": 0}, "steps=0: give a number above 0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"warmup_steps": -1}, "warmup_steps=-1: give 0 or more"),
        ({"tokens_per_step": 100}, "tokens_per_step=100: a text has up to max_tokens=256"),
        ({"keep_tokens": "middle"}, "choose first or last"),
        ({"precision": "fp64"}, "choose auto, fp32 or bf16"),
    ],
)
def test_settings_out_of_range(given, said):
    with pytest.raises(SettingsError, match=said):
        PretrainSettings(**given)
    with pytest.raises(SettingsError, match="max_minutes=0"):
        pretrain(TEXTS, out="never", max_minutes=0)
