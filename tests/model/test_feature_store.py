"""Features of a frozen encoder are made once for all runs and commands, and never of another encoder."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from text_uda.cache_dir import home
from text_uda.data import Rows, Split
from text_uda.model import frozen_encoder
from text_uda.model.feature_store import FeatureStore, Shard, features_folder, keys_of
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import LogisticRegression, Supervised
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train

TEXTS = ["a good film", "the worst movie with the best actor", "love", "a good film", "really bad plot", ""]


def encoder(
    folder: Path,
    kept: Path | None = None,
    *,
    classes=("a", "b"),
    seed: int = 0,
    linear_head: bool = False,
    max_tokens: int = 32,
    **options: Any,
) -> FrozenEncoder:
    made = load_classifier(str(folder), classes, seed=seed, linear_head=linear_head)
    return FrozenEncoder(made.model, made.tokenizer, folder=kept, max_tokens=max_tokens, **options)


def values(frozen: FrozenEncoder, texts=TEXTS) -> torch.Tensor:
    return frozen.rows(texts).batch(range(len(texts))).values


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_another_command_encodes_what_is_new(tiny_bert, tmp_path):
    first = encoder(tiny_bert, tmp_path)
    expected = values(first)
    assert first.encoded == 5 and len(files(tmp_path)) == 1
    again = encoder(tiny_bert, tmp_path, classes=("x", "y", "z"))  # other classes have the same encoder
    assert torch.equal(values(again), expected) and again.encoded == 0
    assert torch.equal(values(again, [*TEXTS, "dull"])[:6], expected) and again.encoded == 1
    assert torch.equal(values(first, [*TEXTS, "dull"])[:6], expected)
    assert first.encoded == 5, "it finds what others wrote"
    assert len(files(tmp_path)) == 2


def test_without_a_folder_it_remembers_too(tiny_bert, tmp_path):
    frozen, kept = encoder(tiny_bert), encoder(tiny_bert, tmp_path)
    assert torch.equal(values(frozen), values(kept)) and torch.equal(values(frozen), values(frozen))
    assert frozen.encoded == 5


def test_what_decides_a_feature_has_a_folder_of_its_own(tiny_bert, tmp_path):
    def digest(folder: Path = tiny_bert, **options) -> str:
        return encoder(folder, **options).digest

    assert encoder(tiny_bert, seed=1).digest == digest(), "whatever its head began with"
    assert encoder(tiny_bert, linear_head=True).digest == digest(), "and of whichever form that is"
    digests = [digest(), digest(max_tokens=5), digest(keep_tokens="first"), digest(precision="bf16")]
    other = tmp_path / "other"
    shutil.copytree(tiny_bert, other)
    weights = load_file(other / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += 0.5
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    digests.append(digest(other))
    shutil.copytree(tiny_bert, other, dirs_exist_ok=True)
    assert digest(other) == digests[0], "wherever it lies"
    config = other / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    digests.append(digest(other))
    shutil.copytree(tiny_bert, other, dirs_exist_ok=True)
    words = other / "tokenizer.json"
    words.write_text(words.read_text().replace('"film"', '"flim"'))
    digests.append(digest(other))
    assert len(set(digests)) == len(digests)


def test_bf16_is_near_and_is_float32(tiny_bert):
    exact, near = values(encoder(tiny_bert)), values(encoder(tiny_bert, precision="bf16"))
    assert near.dtype == torch.float32 and not torch.equal(exact, near)
    assert torch.nn.functional.cosine_similarity(exact, near).min() > 0.999


def test_a_kill_loses_no_more_than_a_block(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen_encoder, "_TEXTS_PER_SHARD", 2)
    frozen, encode = encoder(tiny_bert, tmp_path), frozen_encoder.encode
    calls: list[int] = []

    def killed(model, tokens):
        calls.append(len(tokens))
        if sum(calls) > 4:
            raise KeyboardInterrupt
        return encode(model, tokens)

    monkeypatch.setattr(frozen_encoder, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        frozen.rows(TEXTS)
    monkeypatch.setattr(frozen_encoder, "encode", encode)
    seen = []
    again = encoder(tiny_bert, tmp_path)
    again.rows(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert again.encoded == 1 and seen == [(0, 1), (1, 1)]


def test_progress_is_one_for_all_blocks(tiny_bert, monkeypatch):
    monkeypatch.setattr(frozen_encoder, "_TEXTS_PER_SHARD", 2)
    seen = []
    encoder(tiny_bert).rows(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert (seen[0], seen[-1]) == ((0, 5), (5, 5)) and seen == sorted(seen)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"cut short",
        lambda whole: b"",
        lambda whole: whole[:-80],
        lambda whole: bytes(len(whole)),
        lambda whole: whole[:600] + bytes(len(whole) - 600),  # after a power cut: the header, then zeros
        lambda whole: whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:],
    ],
)
def test_what_is_damaged_is_set_aside_and_made_anew(tiny_bert, tmp_path, damage, caplog):
    expected = values(encoder(tiny_bert, tmp_path))
    [file] = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    again = encoder(tiny_bert, tmp_path)
    assert torch.equal(values(again), expected) and again.encoded == 5
    assert "is damaged" in caplog.text and [*file.parent.glob("*.damaged")]
    assert file.read_bytes() == whole
    last = encoder(tiny_bert, tmp_path)
    assert torch.equal(values(last), expected) and last.encoded == 0


def test_a_file_of_an_earlier_version_is_encoded_again(tiny_bert, tmp_path, caplog):
    expected = values(encoder(tiny_bert, tmp_path))
    [file] = files(tmp_path)
    save_file(load_file(file), file)  # without a digest
    again = encoder(tiny_bert, tmp_path)
    assert torch.equal(values(again), expected) and again.encoded == 5
    assert "damaged" not in caplog.text and not [*file.parent.glob("*.damaged")]


def test_files_of_another_width_or_kind_are_not_ours(tmp_path):
    keys = keys_of(["a"])
    raw = torch.from_numpy(keys.view(np.uint8).reshape(-1, 16).copy())
    save_file({"features": torch.ones(1, 3), "keys": raw}, tmp_path / "width.safetensors")
    save_file({"other": torch.ones(1, 2)}, tmp_path / "kind.safetensors")
    store, into = FeatureStore(tmp_path), torch.zeros(1, 2)
    assert store.take(keys, into).tolist() == [True] and not into.any()


def test_where_nothing_can_be_written_memory_does(tiny_bert, tmp_path):
    (tmp_path / "file").write_text("")
    frozen = encoder(tiny_bert, tmp_path / "file")
    assert torch.equal(values(frozen), values(encoder(tiny_bert))) and frozen.encoded == 5
    frozen.rows(TEXTS)
    assert frozen.encoded == 5


def test_rows_are_found_by_their_whole_keys():
    keys = keys_of([f"text {number}" for number in range(1000)])
    shard = Shard.of(keys, torch.arange(1000.0)[:, None])
    chosen = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(shard.features[torch.from_numpy(shard.find(keys[chosen]))][:, 0].numpy(), chosen)
    assert (shard.find(keys_of(["other", "another"])) == -1).all()
    assert (Shard.of(keys[:0], torch.empty(0, 1)).find(keys) == -1).all()
    ends_in_zero = np.array([b"a" * 15 + b"\0", b"a" * 14 + b"\0\0"], dtype="S16")
    assert Shard.of(ends_in_zero, torch.zeros(2, 1)).find(ends_in_zero).tolist() == [1, 0]


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXT_UDA_FEATURES", "off")
    assert features_folder() is None
    monkeypatch.setenv("TEXT_UDA_FEATURES", str(tmp_path))
    assert features_folder() == tmp_path
    monkeypatch.delenv("TEXT_UDA_FEATURES")
    assert features_folder() == home() / "features"


@pytest.fixture
def head(tiny_bert) -> tuple[Split, TrainSettings]:
    labeled = Rows(("a good film", "a bad film"), (1, 0))
    split = Split("toy", ("bad", "good"), labeled, (), Rows(("so bad",), (0,)), Rows(("the best",), (1,)), "0" * 32)
    return split, TrainSettings(encoder=str(tiny_bert), tune="head", steps=2, labeled_batch=2)


def encoded_by(monkeypatch) -> list[int]:
    calls: list[int] = []
    encode = frozen_encoder.encode
    monkeypatch.setattr(
        frozen_encoder, "encode", lambda model, tokens: calls.append(len(tokens)) or encode(model, tokens)
    )
    return calls


def test_runs_share_an_encoder_that_has_encoded_nothing_yet(head, tiny_bert, tmp_path, monkeypatch):
    """It was dropped once: it had a length, 0, and so was false."""
    split, settings = head
    calls, frozen = encoded_by(monkeypatch), encoder(tiny_bert, max_tokens=settings.max_tokens)
    for seed in (0, 1):
        own = replace(settings, seed=seed)
        train(split, objectives=(Supervised(),), settings=own, out=tmp_path / str(seed), frozen=frozen)
    assert frozen.encoded == sum(calls) == 4


def test_an_encoder_of_other_numbers_is_not_taken(head, tiny_bert, tmp_path):
    split, settings = head
    frozen = encoder(tiny_bert, max_tokens=settings.max_tokens, precision="bf16")
    train(split, objectives=(Supervised(),), settings=settings, out=tmp_path / "run", frozen=frozen)
    assert frozen.encoded == 0


@pytest.mark.parametrize("method", [Supervised(), LogisticRegression()])
@pytest.mark.parametrize("other", ["tokens", "side", "weights"])
def test_an_encoder_of_other_features_is_not_taken(method, other, head, tiny_bert, tmp_path):
    split, settings = head
    folder, options = tiny_bert, {"max_tokens": settings.max_tokens}
    if other == "tokens":
        options["max_tokens"] = 3
    elif other == "side":
        options["keep_tokens"] = "first"
    else:
        folder = tmp_path / "another"
        shutil.copytree(tiny_bert, folder)
        model = AutoModel.from_pretrained(folder)
        torch.nn.init.normal_(model.encoder.layer[0].output.dense.weight)
        model.save_pretrained(folder)
    call = {"objectives": (method,), "settings": settings}
    expected = train(split, **call, out=tmp_path / "own")
    frozen = encoder(folder, **options)
    result = train(split, **call, out=tmp_path / "run", frozen=frozen)
    assert frozen.encoded == 0 and result["test_error"] == expected["test_error"]


def test_how_many_tokens_a_tokenizer_lets_through_decides(tiny_bert, tmp_path):
    """It may be fewer than max_tokens."""
    folder = tmp_path / "short"
    shutil.copytree(tiny_bert, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 4
    tokenizer.save_pretrained(folder)
    assert encoder(folder).digest != encoder(tiny_bert).digest
    assert encoder(folder).digest == encoder(tiny_bert, max_tokens=4).digest


def test_commands_share_a_folder(head, tmp_path, monkeypatch):
    split, settings = head
    monkeypatch.setenv("TEXT_UDA_FEATURES", str(tmp_path / "features"))
    calls = encoded_by(monkeypatch)
    for seed in (0, 1):
        train(split, objectives=(Supervised(),), settings=replace(settings, seed=seed), out=tmp_path / str(seed))
    assert sum(calls) == 4


def test_features_of_an_earlier_version_that_cannot_be_removed_are_kept_in_memory(tmp_path, monkeypatch):
    keys, features = np.sort(keys_of(["a", "b"])), torch.ones(2, 3)
    FeatureStore(tmp_path).add(keys, features)
    (path,) = tmp_path.iterdir()
    save_file(load_file(path), path)  # without a digest

    def refuse(path: Path, **_named: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    store, into = FeatureStore(tmp_path), torch.zeros(2, 3)
    assert store.take(keys, into).all()
    store.add(keys, features)
    assert not store.take(keys, into).any() and into.equal(features)
