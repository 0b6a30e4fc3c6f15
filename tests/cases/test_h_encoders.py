"""Encoders with other positions, padding sides and layer groups: each trains and opens again with the same logits, or
is refused by name before the first step."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, PreTrainedTokenizerFast, pipeline
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.data import Rows, Split
from text_uda.data.row_columns import OtherColumns, RowText
from text_uda.errors import SettingsError
from text_uda.fusion import Early, Intermediate, Late
from text_uda.fusion.fitted_columns import ColumnRows, FittedColumns
from text_uda.fusion.fused_model import FittedFusion
from text_uda.fusion.trial import check_fusion_works
from text_uda.model.capabilities import check_accepts_embeddings, check_layers_can_be_mixed
from text_uda.model.classifier import is_packed, logits
from text_uda.model.inputs import Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.pretrained import check_tune, load_classifier, load_masked_language_model, max_positions
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import LogisticRegression, Supervised
from text_uda.runs.prediction import predict
from text_uda.tasks.train_tasks import train_tasks
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = "the a film plot was is good great bad dull and very not really so it".split()
POSITIONS = 24

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": POSITIONS,
}
OFFSET = SIZES | {"max_position_embeddings": POSITIONS + 2}  # positions start after that of the pad token, 1


@dataclass(frozen=True)
class Family:
    """A kind of encoder, and what it can do."""

    sizes: Mapping[str, Any] = field(default_factory=lambda: SIZES)
    positions: int | None = POSITIONS
    head: bool = True
    """Its head can be trained by itself."""
    layers: bool = True
    """Its layers can be trained by themselves."""
    packed: bool = False
    embeddings: bool = True
    mixes: bool = True
    early: bool = True
    """Columns can join the input of a layer."""


MODERN = SIZES | {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 0, "sep_token_id": 2}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
FAMILIES = {
    "bert": Family(packed=True),
    "roberta": Family(OFFSET, packed=True),
    "xlm-roberta": Family(OFFSET, packed=True),
    "camembert": Family(OFFSET, packed=True),
    "distilbert": Family(
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": POSITIONS}, packed=True
    ),
    "electra": Family(SIZES | {"embedding_size": 8}, packed=True),
    "modernbert": Family(MODERN, packed=True, head=False),
    "mpnet": Family(OFFSET),
    "longformer": Family(OFFSET | {"attention_window": 4}, embeddings=False, mixes=False),
    "albert": Family(SIZES | {"embedding_size": 8}, layers=False, mixes=False, early=False),
    "deberta": Family(SIZES | {"pooler_hidden_size": 16}),
    "deberta-v2": Family(SIZES | RELATIVE | {"pooler_hidden_size": 16, "position_biased_input": False}),
    "xlnet": Family(
        {"d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 16}, positions=None, head=False, mixes=False, early=False
    ),
    "big_bird": Family(SIZES | {"block_size": 2, "num_random_blocks": 1}),
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the folder of a random encoder of a family, with a tokenizer that knows words and has no length."""
    root = tmp_path_factory.mktemp("encoders")

    def folder(name: str, sizes: Mapping[str, Any] | None = None) -> Path:
        path = root / name
        if path.exists():
            return path
        vocabulary = {token: index for index, token in enumerate([*SPECIALS, *WORDS])}
        specials = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
        new_config: Any = CONFIG_MAPPING[name]
        config = new_config(
            vocab_size=len(vocabulary), **specials, **(FAMILIES[name].sizes if sizes is None else sizes)
        )
        with seeded_torch(0):
            model = AutoModel.from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim > 1:
                        parameter.normal_(0, 0.3)
        model.save_pretrained(path)
        backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        backend.pre_tokenizer = Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
        ends_in_class = name == "xlnet"  # <cls> comes last, as a segment of its own
        backend.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
            single="$A:0 </s>:0 <s>:2" if ends_in_class else "<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        names = ["input_ids", "token_type_ids", "attention_mask"] if ends_in_class else ["input_ids", "attention_mask"]
        PreTrainedTokenizerFast(
            tokenizer_object=backend,
            **dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIALS, strict=True)),
            cls_token="<s>",
            sep_token="</s>",
            padding_side="left" if ends_in_class else "right",
            model_input_names=names,
        ).save_pretrained(path)
        return path

    return folder


def long_texts(count: int, first: str) -> Rows:
    """Texts of 3 to 40 words; the shorter ones are padded in a batch, the longer ones exceed the positions."""
    words = [[WORDS[(row * 7 + i * i) % len(WORDS)] for i in range(2 + row * 5 % 39)] for row in range(count)]
    return Rows(tuple(" ".join([first, *each]) for each in words), tuple(row % 2 for row in range(count)))


@pytest.fixture(scope="module")
def split() -> Split:
    labeled, dev, test = long_texts(8, "the"), long_texts(4, "a"), long_texts(12, "it")
    return Split("test", ("bad", "good"), labeled, long_texts(4, "so").texts, dev, test, "0" * 32)


def settings_for(folder: Path, tune: str) -> TrainSettings:
    return TrainSettings(encoder=str(folder), tune=tune, steps=2, labeled_batch=4, learning_rate=1e-2, max_tokens=30)


def check_opens_again(run: Path, texts: tuple[str, ...], *, length: int) -> None:
    """transformers alone gives the labels and probabilities of `predict`, one by one and in padded batches."""
    classify: Any = pipeline("text-classification", str(run / "model"), top_k=None)
    assert classify.tokenizer.model_max_length == length and classify.tokenizer.truncation_side == "left"
    expected = [prediction["probabilities"] for prediction in predict(run, texts)]
    for options in ({}, {"batch_size": 5}):
        for scores, ours in zip(classify(list(texts), truncation=True, **options), expected, strict=True):
            assert {score["label"]: score["score"] for score in scores} == pytest.approx(ours, abs=1e-4)
    assert len({round(row["good"], 6) for row in expected}) > 1, "the texts are not all alike to the model"


@pytest.mark.parametrize("name", FAMILIES)
def test_it_trains_and_opens_again_with_the_same_predictions(name, folder_of, split, tmp_path):
    family, run = FAMILIES[name], tmp_path / "run"
    train(split, objectives=(Supervised(),), settings=settings_for(folder_of(name), "all"), out=run)
    check_opens_again(run, split.test.texts, length=min(30, family.positions or 30))


@pytest.mark.parametrize("name", FAMILIES)
def test_two_tasks_share_it_and_open_again(name, folder_of, split, tmp_path):
    """In one pass, or in one of each task where the head is not separable."""
    settings, out = settings_for(folder_of(name), "all"), tmp_path / "run"
    train_tasks({"one": split, "other": split}, objectives=(Supervised(),), settings=settings, out=out)
    check_opens_again(out / "tasks" / "other", split.test.texts, length=min(30, FAMILIES[name].positions or 30))
    one, other = (load_file(out / "tasks" / task / "model" / "model.safetensors") for task in ("one", "other"))
    differ = {key for key, value in one.items() if not torch.equal(value, other[key])}
    layers = {key for key in one if "layer" in key or "embedding" in key}
    assert layers and not layers & differ and differ


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("tune", ["head", "last:1"])
def test_parts_of_it_train_or_are_refused_by_name(name, tune, folder_of, split, tmp_path):
    family, run, settings = FAMILIES[name], tmp_path / "run", settings_for(folder_of(name), tune)
    if family.head if tune == "head" else family.layers:
        train(split, objectives=(Supervised(),), settings=settings, out=run)
        check_opens_again(run, split.test.texts, length=min(30, family.positions or 30))
    else:
        with pytest.raises(SettingsError, match=f"'{name}'.*use --tune"):
            train(split, objectives=(Supervised(),), settings=settings, out=run)
        assert not run.exists()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_baseline_fits_or_refuses_it_by_name(name, folder_of, split, tmp_path):
    run, settings = tmp_path / "run", settings_for(folder_of(name), "head")
    if FAMILIES[name].head:
        train(split, objectives=(LogisticRegression(),), settings=settings, out=run)
        check_opens_again(run, split.test.texts, length=min(30, FAMILIES[name].positions or 30))
    else:
        with pytest.raises(SettingsError, match=f"'{name}'"):
            train(split, objectives=(LogisticRegression(),), settings=settings, out=run)


@pytest.mark.parametrize("fusion", [Early(), Intermediate(), Late()], ids=lambda fusion: fusion.name)
@pytest.mark.parametrize("name", FAMILIES)
def test_columns_join_their_row_or_are_refused_by_name(name, fusion, folder_of):
    columns = OtherColumns.named(numeric="year")
    texts = [RowText(text, columns, [float(row)]) for row, text in enumerate(long_texts(5, "the").texts)]
    pretrained = load_classifier(str(folder_of(name)), ["bad", "good"], seed=0)
    model = pretrained.model.eval()
    plan = FittedFusion(fusion, FittedColumns.fit(texts))
    module = plan.attach(model, tune="all", seed=0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    if fusion.name == "early" and not FAMILIES[name].early:
        with pytest.raises(SettingsError, match=rf"early fusion .* '{name}' model.*use --fusion intermediate or late"):
            check_fusion_works(model, plan)
        return
    check_fusion_works(model, plan)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        for weights in module.parameters():
            torch.nn.init.normal_(weights, std=0.3)
        tokens = TokenRows(texts, pretrained.tokenizer, max_tokens=20)
        batch = ColumnRows(tokens, plan.columns.encode(texts)).batch(range(5))
        together = logits(model, batch)
        for row in range(5):
            assert torch.allclose(logits(model, batch.take(torch.tensor([row]))), together[row], atol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_reads_as_many_tokens_as_it_has_positions(name, folder_of):
    """Tried on a row of that length, and on a longer one where there is a table of positions."""
    family = FAMILIES[name]
    model = load_classifier(str(folder_of(name)), ("a", "b"), seed=0).model
    positions = max_positions(model)
    assert positions == family.positions
    if positions is None:
        return
    for length in (positions, positions + 1):
        row = Tokens(torch.full((1, length), 7), torch.ones(1, length, dtype=torch.long))
        if length == positions:
            logits(model, row)
        elif name not in ("modernbert", "deberta-v2"):  # these compute relative positions
            with pytest.raises((IndexError, RuntimeError)):
                logits(model, row)


@pytest.mark.parametrize("name", FAMILIES)
def test_fast_paths_are_those_that_change_nothing(name, folder_of):
    """Packed rows, embeddings in place of tokens and mixing inside the encoder, or an error that names the encoder."""
    family = FAMILIES[name]
    model = load_classifier(str(folder_of(name)), ("a", "b"), seed=0).model
    assert is_packed(model) == family.packed
    with seeded_torch(1):
        ids = torch.randint(5, len(WORDS), (4, 12))
    mask = (torch.arange(12)[None] < torch.tensor([12, 5, 3, 9])[:, None]).long()
    rows = Tokens(torch.where(mask.bool(), ids, 1), mask)
    with torch.no_grad():
        assert torch.allclose(logits(model.eval(), rows), logits(model, rows, padded=True), atol=1e-4)
    for check, works in ((check_accepts_embeddings, family.embeddings), (check_layers_can_be_mixed, family.mixes)):
        if works:
            check(model)
        else:
            with pytest.raises(SettingsError, match=name):
                check(model)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("convbert", SIZES | {"embedding_size": 16}),
        ("fnet", SIZES),
        ("mobilebert", SIZES | {"embedding_size": 16, "intra_bottleneck_size": 16}),
    ],
)
def test_an_encoder_whose_padding_decides_is_refused_by_name(name, sizes, folder_of, split, tmp_path):
    settings = settings_for(folder_of(name, sizes), "all")
    with pytest.raises(SettingsError, match=f"'{name}' model.*(padding|cannot classify)"):
        train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run")


@pytest.mark.parametrize("load", [load_classifier, load_masked_language_model])
def test_an_encoder_without_a_table_of_words_is_refused_by_name(load, folder_of):
    folder = folder_of("canine", SIZES)
    arguments = (str(folder), ("a", "b")) if load is load_classifier else (str(folder),)
    with pytest.raises(SettingsError, match=r"canine"):
        load(*arguments, seed=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_side_of_the_padding_is_the_model_s_whatever_its_tokenizer_says(name, folder_of, split, tmp_path):
    """The saved folder carries it: batches of `pipeline` give the predictions of `predict`."""
    encoder, run = tmp_path / "encoder", tmp_path / "run"
    shutil.copytree(folder_of(name), encoder)
    path = encoder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"padding_side": "right" if config["padding_side"] == "left" else "left"}))
    train(split, objectives=(Supervised(),), settings=settings_for(encoder, "all"), out=run)
    check_opens_again(run, split.test.texts, length=min(30, FAMILIES[name].positions or 30))


def test_predictions_of_block_sparse_attention_do_not_depend_on_earlier_texts(folder_of, tmp_path):
    """A BigBird changes its attention for good at the first short batch."""
    loaded = load_classifier(str(folder_of("big_bird")), ("a", "b"), seed=0)
    loaded.model.save_pretrained(tmp_path / "model")
    loaded.tokenizer.save_pretrained(tmp_path / "model")
    classify: Any = pipeline("text-classification", str(tmp_path / "model"), top_k=None)
    text = " ".join(WORDS[(i * i) % len(WORDS)] for i in range(POSITIONS - 2))
    before = classify(text)
    classify("a")
    assert classify(text) == before


def test_too_many_layers_are_refused_from_the_configuration_alone(folder_of):
    with pytest.raises(SettingsError, match="has 3 layers"):
        check_tune(str(folder_of("bert")), "last:99")
    with pytest.raises(SettingsError, match=r"share their weights.*--tune head or --tune all"):
        check_tune(str(folder_of("albert")), "last:1")
    for tune in ("head", "all", "last:3"):
        check_tune(str(folder_of("bert")), tune)
