"""Small inputs of the commands: a data set, texts, a random encoder and a random translator."""

import json
import shutil
from pathlib import Path

TEXTS = 12_000
GOOD, BAD = ("good", "great", "fine", "best", "love"), ("bad", "poor", "dull", "worst", "hate")
THINGS = ("film", "movie", "plot", "story", "actor", "scene", "phone", "product")


def write_inputs(folder: Path) -> None:
    """reviews.csv, texts.txt, and a random BERT of 2 layers, 32 wide."""
    from transformers import BertConfig, BertModel, BertTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    rows = [
        f"{frame.format(thing, word)},{label}\n"
        for frame in ("the {} was {}", "this {} is very {}", "that {} was {}", "the {} is {}")
        for thing in THINGS
        for label, words in (("bad", BAD), ("good", GOOD))
        for word in words
    ]
    (folder / "reviews.csv").write_text("text,label\n" + "".join(rows), "utf-8")
    (folder / "texts.txt").write_text("\n".join(texts()) + "\n", "utf-8")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*"the this that is was very".split(), *GOOD, *BAD, *THINGS]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(folder / "encoder")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "encoder")


def texts() -> list[str]:
    return [f"the {THINGS[number % 8]} number {number} was {GOOD[number % 5]} and long" for number in range(TEXTS)]


def write_marian(folder: Path) -> None:
    """A random MarianMT model of one layer, with pieces of the texts."""
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(texts()[:200]), model_prefix=str(folder / "source"), vocab_size=60,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    source = (folder / "source.model").rename(folder / "source.spm")
    shutil.copyfile(source, folder / "target.spm")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(source))
    names = ["</s>", "<unk>", *(pieces.id_to_piece(index) for index in range(pieces.get_piece_size())), "<pad>"]
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    MarianTokenizer(
        source_spm=str(source), target_spm=str(folder / "target.spm"), vocab=str(folder / "vocab.json"),
        source_lang="en", target_lang="es",
    ).save_pretrained(folder)  # fmt: skip
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=128,
        pad_token_id=vocabulary["<pad>"], eos_token_id=0, decoder_start_token_id=vocabulary["<pad>"],
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)
