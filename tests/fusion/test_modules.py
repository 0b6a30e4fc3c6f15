"""The fusions on a model: the text alone at first, then its columns, whatever the batch and the inputs."""

from dataclasses import replace

import pytest
import torch

from text_uda.data.row_columns import OtherColumns, RowText
from text_uda.errors import SettingsError
from text_uda.fusion import ColumnsAlone, Early, Intermediate, Late
from text_uda.fusion.fitted_columns import ColumnRows, FittedColumns
from text_uda.fusion.fused_model import FittedFusion, open_fused, write_fused
from text_uda.model.classifier import Classifier, is_packed
from text_uda.model.inputs import Batch, Features
from text_uda.model.joined_columns import ATTRIBUTE
from text_uda.model.mixing import Mixing
from text_uda.model.pretrained import choose_trained_weights, load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import MixMatch, Supervised
from text_uda.objectives.supervised import annealed_cross_entropy, row_losses
from text_uda.training.step import Step

COLUMNS = OtherColumns.named(numeric="year", categorical="country")
ROWS = [RowText("good film " + "the " * (i % 5), COLUMNS, [float(i), ("es", "fr")[i % 2]]) for i in range(8)]
TUNES = ["head", "last:1", "all"]
JOINED = [Early(), Intermediate(), Late()]


@pytest.fixture
def made(tiny_bert):
    def make(fusion, tune, *, random=True):
        """A classifier, the same without its fusion, a batch with columns, and the plan."""
        torch.manual_seed(0)
        pretrained = load_classifier(str(tiny_bert), ["a", "b", "c"], seed=0, linear_head=tune == "head")
        model = pretrained.model.eval()
        choose_trained_weights(model, tune)
        torch.nn.init.normal_(Classifier(model)._last_linear.weight)
        tokens = TokenRows(ROWS, pretrained.tokenizer, max_tokens=16)
        text = Classifier(model)(tokens.batch(range(8)))
        plan = FittedFusion(fusion, FittedColumns.fit(ROWS))
        module = plan.attach(model, tune=tune, seed=0)
        if random:
            for weights in module.parameters():
                torch.nn.init.normal_(weights, std=0.3)
        batch = ColumnRows(tokens, plan.columns.encode(ROWS)).batch(range(8))
        return model, text, batch, plan

    return make


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("fusion", JOINED, ids=lambda fusion: fusion.name)
def test_at_first_the_logits_are_those_of_the_text_bit_for_bit(made, fusion, tune):
    model, text, batch, _ = made(fusion, tune, random=False)
    output = Classifier(model)(batch)
    assert torch.equal(output.logits, text.logits) and torch.equal(output.hidden, text.hidden)


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("fusion", [*JOINED, ColumnsAlone()], ids=lambda fusion: fusion.name)
def test_a_row_has_the_same_logits_alone_in_passes_and_from_embeddings(made, fusion, tune):
    model, text, batch, _ = made(fusion, tune)
    classifier = Classifier(model)
    output = classifier(batch)
    assert not torch.allclose(output.logits, text.logits, atol=0.05)
    if fusion.name in ("early", "intermediate"):  # objectives read the vector together with its columns
        assert torch.allclose(classifier.last_layer(output.hidden), output.logits, atol=1e-5)
    alone = classifier(batch.take(torch.tensor([3]), batch.lengths[3])).logits[0]
    in_passes = Classifier(model, tokens_per_pass=16)(batch).logits
    for other in (alone, in_passes[3], classifier(classifier.embed(batch)).logits[3]):
        assert torch.allclose(output.logits[3], other, atol=1e-5)
    shuffled = replace(batch, columns=batch.columns.flip(0))
    assert not torch.allclose(classifier(shuffled).logits, output.logits, atol=0.05)


@pytest.mark.parametrize("fusion", [*JOINED, ColumnsAlone()], ids=lambda fusion: fusion.name)
def test_features_of_a_frozen_encoder_give_the_logits_of_the_tokens(made, fusion):
    model, _, batch, _ = made(fusion, "head")
    classifier = Classifier(model)
    features = Features(classifier.encode(batch), batch.columns)
    assert torch.allclose(classifier(features).logits, classifier(batch).logits, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("tune", ["last:1", "all"])
@pytest.mark.parametrize("fusion", JOINED, ids=lambda fusion: fusion.name)
def test_mixed_rows_have_mixed_columns(made, fusion, tune, layer):
    model, _, batch, _ = made(fusion, tune)
    classifier, batch = Classifier(model), batch.take(torch.tensor([0, 5]))  # one text, other columns
    partner = Mixing(torch.zeros(2), torch.tensor([1, 0]), (2,))  # the partner alone
    plain = classifier(batch).logits
    assert not torch.allclose(plain, plain.flip(0), atol=0.01)
    assert torch.allclose(classifier(batch, mixing=partner, layer=layer).logits, plain.flip(0), atol=1e-5)


def test_rows_are_mixed_inside_a_frozen_encoder_that_runs_without_padding(made):
    model, _, batch, _ = made(Early(), "head")
    assert is_packed(model)
    classifier, batch = Classifier(model), batch.take(torch.tensor([0, 4]))  # of other lengths
    itself = Mixing(torch.full((2,), 0.5), torch.arange(2), (2,))
    plain = classifier(batch).logits
    assert torch.allclose(classifier(batch, mixing=itself, layer=1).logits, plain, atol=1e-5)


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("fusion", [*JOINED, ColumnsAlone()], ids=lambda fusion: fusion.name)
def test_every_weight_of_a_fusion_gets_a_gradient(made, fusion, tune):
    model, _, batch, _ = made(fusion, tune)
    Classifier(model)(batch).logits[:, 0].sum().backward()
    gradients = [weights.grad for weights in getattr(model, ATTRIBUTE).parameters()]
    assert gradients and all(gradient is not None and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("tune", TUNES)
def test_each_mode_of_late_fusion_has_the_supervised_loss_of_the_run(made, tune):
    model, text, batch, plan = made(Late(), tune)
    labels, rows = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]), torch.arange(8)
    of_columns = getattr(model, ATTRIBUTE).of_columns(batch.columns)
    trained = Batch(batch, labels, batch, batch, rows, rows)
    options = {"class_weights": torch.tensor([1.0, 2.0, 4.0]), "label_smoothing": 0.2}
    weighted = Supervised(class_weights=(1, 2, 4), label_smoothing=0.2)
    for objective, expected in ((weighted, options), (MixMatch(), {})):
        result = Step(model, (objective,), steps=10, unlabeled=8, fusion=plan)(trained, 0, 7)
        terms, own = result.terms, result.parts[type(objective).__name__]
        assert torch.allclose(result.loss, own + terms["text_loss"] + terms["columns_loss"])
        for name, logits in (("text_loss", text.logits), ("columns_loss", of_columns)):
            assert torch.allclose(terms[name], row_losses(logits, labels, **expected).mean(), atol=1e-4)
    terms = Step(model, (Supervised(tsa="linear"),), steps=10, fusion=plan)(trained, 0, 7).terms
    for name, logits in (("text_loss", text.logits), ("columns_loss", of_columns)):
        annealed, _ = annealed_cross_entropy(logits, labels, threshold=terms["tsa_threshold"])
        assert torch.allclose(terms[name], annealed, atol=1e-4)


def test_a_fused_model_refuses_texts_alone(made):
    model, _, batch, _ = made(Early(), "all")
    with pytest.raises(SettingsError, match="other columns of its row, and these are missing"):
        Classifier(model)(replace(batch, columns=None))


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("fusion", JOINED, ids=lambda fusion: fusion.name)
def test_a_folder_gives_the_model_back_and_transformers_refuses_it(made, fusion, tune, tmp_path):
    from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

    model, _, batch, plan = made(fusion, tune)
    write_fused(tmp_path, model, plan, tune=tune)
    again, plan_again = open_fused(tmp_path)
    assert plan_again == plan
    assert torch.allclose(Classifier(again.eval())(batch).logits, Classifier(model)(batch).logits, atol=1e-5)
    with pytest.raises(ValueError, match=r"opened by text_uda\.predict, not by pipeline"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"model\.safetensors"):
        BertForSequenceClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize("settings", [{"learning_rate": 0.0}, {"column_dropout": 1.0}, {"column_dropout": -0.1}])
def test_settings_out_of_range(settings):
    for fusion in (Early, Intermediate, Late, ColumnsAlone):
        with pytest.raises(SettingsError, match=next(iter(settings))):
            fusion(**settings)
