"""MarianMT checkpoints as they lie on the hub, tiny and random: the files and fields of several years."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from conftest import LINES
from transformers import MarianConfig, MarianMTModel

WIDTH = 32
FIELDS_OF_2020: dict[str, Any] = {
    "_num_labels": 3, "add_bias_logits": False, "add_final_layer_norm": False, "architectures": ["MarianMTModel"],
    "bos_token_id": 0, "classif_dropout": 0.0, "classifier_dropout": 0.0, "decoder_layerdrop": 0.0,
    "encoder_layerdrop": 0.0, "extra_pos_embeddings": 2, "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, "is_encoder_decoder": True,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}, "max_length": 512, "normalize_before": False,
    "normalize_embedding": False, "num_beams": 6, "num_hidden_layers": 2, "scale_embedding": True,
    "static_position_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What is particular to one kind of published checkpoint."""

    weights: str = "pytorch_model.bin"
    """Or `legacy`, the same name in the format of torch before 1.6; or `model.safetensors`."""
    config: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] | None = None
    """Of generation_config.json, which 2020 did not have."""
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"target_lang": "es", "source_lang": "en"})
    languages: tuple[str, ...] = ()
    extra_targets: int | None = None
    """Separate vocabularies, with so many more tokens in that of the translations than in that of the sources."""
    half: bool = False
    positions: bool = True
    """Whether the files have the sinusoids; transformers leaves them out of what it saves today."""
    seed: int = 8
    """Of the random weights: one that gives translations of several tokens and lengths."""


LAYOUTS = {
    "2020": Layout("legacy", FIELDS_OF_2020 | {"activation_function": "swish"}),
    "ROMANCE": Layout(
        config=FIELDS_OF_2020 | {"activation_function": "swish"},
        tokenizer={"target_lang": "ROMANCE", "source_lang": "en"},
        languages=(">>fr<<", ">>pt_br<<", ">>lad_Latn<<", ">>es_419<<"),
        seed=21,
    ),
    "tatoeba": Layout(
        config={"activation_function": "relu", "scale_embedding": True, "torch_dtype": "float16", "max_length": 512,
                "normalize_embedding": False, "static_position_embeddings": True},
        generation={"num_beams": 4, "max_length": 512, "forced_eos_token_id": 0, "bos_token_id": 0},
        tokenizer={"source_lang": "eng", "target_lang": "cat+oci+spa", "separate_vocabs": False,
                   "tokenizer_class": "MarianTokenizer", "unk_token": "<unk>", "eos_token": "</s>",
                   "pad_token": "<pad>", "model_max_length": 512, "sp_model_kwargs": {},
                   "special_tokens_map_file": None},
        languages=(">>cat<<", ">>oci<<", ">>spa<<"),
        half=True,
        seed=69,
    ),
    "separate": Layout(
        config={"activation_function": "swish", "scale_embedding": True, "share_encoder_decoder_embeddings": False},
        tokenizer={"source_lang": "en", "target_lang": "es", "separate_vocabs": True},
        extra_targets=0,
        seed=40,
    ),
    "separate, of two sizes": Layout(
        config={"activation_function": "gelu", "share_encoder_decoder_embeddings": False},
        tokenizer={"source_lang": "en", "target_lang": "es", "separate_vocabs": True},
        languages=(">>es<<", ">>pt<<"),
        extra_targets=7,
        seed=48,
    ),
    "separate, untied": Layout(
        "model.safetensors",
        config={"activation_function": "gelu_new", "share_encoder_decoder_embeddings": False,
                "tie_word_embeddings": False},
        tokenizer={"source_lang": "en", "target_lang": "es", "separate_vocabs": True},
        extra_targets=0,
        seed=31,
    ),
    "without positions": Layout(
        "model.safetensors",
        config={"activation_function": "swish", "scale_embedding": True},
        positions=False,
        seed=18,
    ),
}  # fmt: skip


def publish(folder: Path, layout: Layout, change: Callable[[MarianMTModel], None] = lambda model: None) -> Path:
    """Write such a checkpoint into `folder`; `change` changes its weights first."""
    folder.mkdir(parents=True)
    source, target = _words(folder, "source", LINES[:3]), _words(folder, "target", LINES[3:])
    vocabulary = _numbers([*layout.languages, *source] if layout.extra_targets is not None else
                          [*layout.languages, *source, *target])  # fmt: skip
    pad = vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    size = len(vocabulary)
    if layout.extra_targets is not None:
        of_translations = _numbers(list(target))
        fillers = (f"▁palabra{number}" for number in range(1000))
        while len(of_translations) < pad:
            of_translations[next(fillers)] = len(of_translations)
        of_translations["<pad>"] = pad
        for _ in range(layout.extra_targets):
            of_translations[next(fillers)] = len(of_translations)
        size = len(of_translations)
        (folder / "target_vocab.json").write_text(json.dumps(of_translations))
    (folder / "tokenizer_config.json").write_text(json.dumps(layout.tokenizer))
    fields = {
        "vocab_size": len(vocabulary), "decoder_vocab_size": size, "d_model": WIDTH, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48, "max_position_embeddings": 32, "pad_token_id": pad, "eos_token_id": 0,
        "decoder_start_token_id": pad, "init_std": 0.15, "dropout": 0.1,
    }  # fmt: skip
    written = {"model_type": "marian", **fields, "bad_words_ids": [[pad]], **layout.config}
    (folder / "config.json").write_text(json.dumps(written))
    if layout.generation is not None:
        generation = {**layout.generation, "bad_words_ids": [[pad]], "decoder_start_token_id": pad, "eos_token_id": 0}
        (folder / "generation_config.json").write_text(json.dumps(generation | {"pad_token_id": pad}))
    _write_weights(folder, layout, MarianConfig.from_pretrained(folder), change)
    return folder


def by_its_converter(checkpoint: Path, folder: Path, precision: str) -> bytes:
    """The weights as CTranslate2 itself converts a checkpoint: earlier versions kept these."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(checkpoint)).convert(str(folder), quantization=precision, force=True)
    return (folder / "model.bin").read_bytes()


def _write_weights(folder: Path, layout: Layout, config: MarianConfig, change: Callable[[MarianMTModel], None]) -> None:
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(layout.seed)
        model = MarianMTModel(config)
        _spread(model, layout.positions)
    change(model)
    weights = {name: weight.clone() for name, weight in (model.half() if layout.half else model).state_dict().items()}
    tied = getattr(config, "tie_word_embeddings", True)
    if not layout.positions:
        weights = {name: weight for name, weight in weights.items() if "embed_positions" not in name}
    if layout.weights == "model.safetensors":
        save_file(weights, folder / layout.weights, metadata={"format": "pt"})
        return
    if layout.weights == "legacy" and tied:
        del weights["lm_head.weight"]  # of 2020: the output layer was no module yet
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=layout.weights != "legacy")


@torch.no_grad()
def _spread(model: MarianMTModel, positions: bool) -> None:
    """Positions of random vectors, and sharp distributions: else a random model repeats one token, and beams tie."""
    for side in (model.model.encoder, model.model.decoder) if positions else ():
        side.embed_positions.weight.normal_(0, 3)
    model.model.decoder.layers[-1].final_layer_norm.weight.mul_(4)
    model.final_logits_bias.normal_()
    model.final_logits_bias[0, model.config.eos_token_id] = 3.0  # so that translations come to an end


def _words(folder: Path, side: str, lines: list[str]) -> list[str]:
    """Train a SentencePiece model whose pieces are words, the same on every run."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 20), model_prefix=str(folder / side), model_type="word", use_all_vocab=True,
        vocab_size=len({word for line in lines for word in line.split()}) + 3, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / f"{side}.model").rename(folder / f"{side}.spm")
    (folder / f"{side}.vocab").unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
    return [pieces.id_to_piece(number) for number in range(3, pieces.get_piece_size())]


def _numbers(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(["</s>", "<unk>", *tokens]))}
