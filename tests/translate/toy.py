"""A toy pair of languages and a tiny MarianMT of each direction, trained for real: small enough for a minute."""

import json
import random
import re
from itertools import product
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

# Of each word of the first language the words of the second; what stands together means the same.
NOUNS = {
    "film": ("filmo", "kino"),
    "actor": ("aktoro", "rolulo"),
    "story": ("rakonto", "historio"),
    "scene": ("sceno", "bildo"),
}
ADJECTIVES = {
    "good": ("bona", "brava"),
    "bad": ("malbona", "fusa"),
    "long": ("longa", "vasta"),
    "old": ("olda", "malnova"),
}
VERBS = {"likes": ("amas", "satas"), "sees": ("vidas", "spektas")}
SYNONYMS = {"film": "movie", "good": "fine", "story": "tale", "long": "lengthy"}
"""Of the first language, which the second has the same words for: what a sampled way back may choose from."""
END = 0
RATE = 5e-3


def sentences() -> list[str]:
    """All that can be said: `the good film likes the old actor`."""
    parts = product(ADJECTIVES, NOUNS, VERBS, ADJECTIVES, NOUNS)
    return [f"the {one} {subject} {verb} the {other} {thing}" for one, subject, verb, other, thing in parts]


def meaning(sentence: str) -> str:
    """Synonyms as one word."""
    back = {synonym: word for word, synonym in SYNONYMS.items()}
    return " ".join(back.get(word, word) for word in sentence.split())


def _there(sentence: str, choose: random.Random) -> str:
    """Into the second language: the adjective behind its noun, and of two words one, mostly the first."""
    words = NOUNS | ADJECTIVES | VERBS
    parts = re.fullmatch(r"(?:the (\w+) (\w+)|the (XQ1)) (\w+) the (\w+) (\w+)", sentence)
    assert parts is not None
    one, subject, name, verb, other, thing = parts.groups()
    order = ["la", *([name] if name else [subject, one]), verb, "la", thing, other]
    return " ".join(choose.choices(words[word], (3, 1))[0] if word in words else word for word in order)


def _pairs(sentences: list[str], seed: int) -> list[tuple[str, str]]:
    choose = random.Random(seed)
    made = []
    for sentence in sentences:
        foreign = _there(sentence, choose)
        said = " ".join(SYNONYMS[w] if w in SYNONYMS and choose.random() < 0.25 else w for w in sentence.split())
        made.append((said, foreign))
    return made


def _tokenizer(folder: Path, texts: list[str]) -> MarianTokenizer:
    import sentencepiece

    folder.mkdir(parents=True)
    words = sorted({word for text in texts for word in text.split()})
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(folder / "source"),
        vocab_size=len(words) + 40,
        model_type="unigram",
        character_coverage=1.0,
        hard_vocab_limit=False,
        user_defined_symbols=[f"▁XQ{number}" for number in (1, 2)],
        minloglevel=2,
    )
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    vocabulary = {"</s>": END, "<unk>": 1}
    for index in range(pieces.get_piece_size()):
        vocabulary.setdefault(pieces.id_to_piece(index), len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        source_lang="aa",
        target_lang="bb",
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def train(folder: Path, pairs: list[tuple[str, str]], *, steps: int, seed: int) -> Path:
    """A checkpoint in `folder` that translates the first of each pair into the second."""
    texts = [text for pair in pairs for text in pair]
    tokenizer = _tokenizer(folder, texts)
    pad = tokenizer.pad_token_id
    config = MarianConfig(
        vocab_size=len(tokenizer), d_model=64, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_position_embeddings=128,
        pad_token_id=pad, eos_token_id=END, decoder_start_token_id=pad, activation_function="swish",
        scale_embedding=True, dropout=0.0, init_std=0.12, num_beams=6, max_length=5,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MarianMTModel(config).train()
    sources, targets = (
        torch.nn.utils.rnn.pad_sequence([torch.tensor(tokenizer(text)["input_ids"]) for text in side], True, pad)
        for side in zip(*pairs, strict=True)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(pairs), (64,), generator=generator)
        source, target = sources[chosen], targets[chosen]
        begun = torch.cat([torch.full((len(chosen), 1), pad), target[:, :-1]], 1)
        logits = model(input_ids=source, attention_mask=(source != pad).long(), decoder_input_ids=begun).logits
        loss = cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=pad)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval().save_pretrained(folder)
    return folder


def both_ways(folder: Path, *, steps: int) -> tuple[Path, Path]:
    """The models there and back."""
    named = [f"the XQ1 {verb} the {other} {thing}" for verb, other, thing in product(VERBS, ADJECTIVES, NOUNS)]
    there = [pair for seed in range(4) for pair in _pairs([*sentences(), *named * 16], seed)]
    back = [(foreign, said) for said, foreign in there]
    return train(folder / "aa-bb", there, steps=steps, seed=0), train(folder / "bb-aa", back, steps=steps, seed=1)
