"""The vocabulary: which tokens may stand for each other, with each kind of tokenizer, on the CPU and on tensors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from text_uda.augment.uniform import Uniform
from text_uda.augment.vocabulary import Groups, load_vocabulary, random_bits
from text_uda.keyed_random import Key

GROUPS = Groups([range(10, 20), range(30, 33), [40]], never_drawn=[5])  # 40 has none to stand for it


def test_who_has_another_one_in_its_group():
    assert [i for i in range(60) if GROUPS.switchable([i])] == [5, *range(10, 20), *range(30, 33)]
    ids = torch.arange(60)[None]
    assert ids[GROUPS.on(ids.device).of(ids).switchable].tolist() == [5, *range(10, 20), *range(30, 33)]


@pytest.mark.parametrize("index", [10, 15, 19, 30, 31, 5])
def test_others_are_uniform_over_the_group_without_the_token_itself(index):
    members = range(30, 33) if index >= 30 else range(10, 20)
    others = [member for member in members if member != index]
    draws = Key(index).draws("other")
    ids = torch.full((80, 50), index)
    on = GROUPS.on(ids.device)
    in_step = on.others(on.of(ids), random_bits(ids.shape, torch.Generator().manual_seed(index)))
    for drawn in (torch.tensor([GROUPS.other(index, draws) for _ in range(4000)]), in_step.flatten()):
        found = torch.bincount(drawn, minlength=60)
        assert found.sum() == found[others].sum(), "never the token itself, nor one outside"
        assert chisquare(found[others].numpy()).pvalue > 1e-3


def test_no_groups_at_all():
    none, ids = Groups([]), torch.tensor([[0, 1, 7]])
    on = none.on(ids.device)
    assert none.switchable([0, 1, 7]) == [] and not on.of(ids).switchable.any()
    assert on.others(on.of(ids), random_bits(ids.shape, torch.Generator())).shape == ids.shape


def test_word_pieces(tiny_bert: Path):
    own = load_vocabulary(str(tiny_bert))
    index = own.tokenizer.convert_tokens_to_ids
    groups = {name: set(own.groups.members[own.groups.start[i] :][: own.groups.options[i] + 1])
              for name, i in (("begins", index("film")), ("goes on", index("##ing")))}  # fmt: skip
    assert index("the") in groups["begins"] and index("##s") in groups["goes on"] and index("<") in groups["begins"]
    assert not groups["begins"] & groups["goes on"] and own.texts[index("##ing")] == "ing"
    special = own.tokenizer.all_special_ids
    assert not own.groups.switchable(special), "an unknown word in a text stays"
    assert own.all_tokens.switchable(special) == [special.index(own.tokenizer.unk_token_id)], "in the step it is a word"
    assert set(range(len(own.tokenizer))) - set(own.all_tokens.members.tolist()[:-1]) == set(special)
    assert load_vocabulary(str(tiny_bert)) is own, "read once"


def of_kind(kind: str, folder: Path) -> str:
    """A tokenizer that marks the beginnings of words, with a few tokens that may not come into a text."""
    words = ["good", "film", "the", "plot"]
    marker = {"byte-level": "Ġ", "sentencepiece": "▁"}[kind]
    letters = sorted({*"".join(words), *pre_tokenizers.ByteLevel.alphabet()} - {marker})
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<0x0A>", "madeupword0001", marker, *letters]
    pieces += [marker + word for word in words] + words
    scores = [(piece, 0.0 if len(piece) > 2 else -9.0) for piece in dict.fromkeys(pieces)]
    made = Tokenizer(models.Unigram(scores, unk_id=3))
    if kind == "byte-level":
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    else:
        made.normalizer = normalizers.Replace("\n", " ")
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
def test_tokenizers_that_mark_the_beginning(kind: str, tmp_path: Path):
    name = of_kind(kind, tmp_path)
    own = load_vocabulary(name)
    written = {own.texts[index] for index in own.texts}
    assert {"good", "film"} <= written and not {"<0x0A>", "madeupword0001", "", "\ufffd"} & written
    text = "  the good film\n the plot  "
    made = Uniform(tokenizer=name, rate=1.0)([text], [0])[0]
    assert made.text is not None and made.text != text and made.scores["token_rate"] > 0.5
    assert [part for part in made.text if part.isspace()] == [part for part in text if part.isspace()]
    assert len(made.text.split()) == 5, "spaces stay where they are"


def test_the_same_in_another_process(tiny_bert: Path):
    """Whose sets have another order."""
    name, texts = str(tiny_bert), ["a good film", "the PLOT,\n\twas not bad!", "worst story of the actor"] * 5
    code = f"""if True:
        from text_uda.augment.switchout import SwitchOut
        from text_uda.augment.uniform import Uniform
        name = {name!r}
        jobs = [SwitchOut(tokenizer=name), SwitchOut(tokenizer=name, rate=None, tau=2), Uniform(tokenizer=name)]
        print(ascii([job({texts!r}, list(range(15))) for job in jobs]))"""
    own: list[str] = []
    exec(code, {"print": own.append})
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, text=True)
    assert there.stdout.strip() == own[0] and "ok" in own[0]
