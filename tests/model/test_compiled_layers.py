"""Compiled layers that run as graphs, by dynamo's tracing on a CPU: a stand-in for the kernel, and no CUDA graph.

tests/gpu/test_compiled_layers.py has the graphs themselves.
"""

from itertools import pairwise

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from text_uda.model.classifier import Classifier, layers
from text_uda.model.compiled_layers import _CompiledForward, compile_layers
from text_uda.model.inputs import pad
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.packing import filled, pack
from text_uda.model.segments import Segments

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),  # dynamo looks at it
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method"),  # inductor imports what uses it
]


def attend(query, key, value, segments, _options):
    rows = torch.bucketize(torch.arange(len(query)), segments.starts[1:].long(), right=True)
    heads = (tensor.transpose(0, 1) for tensor in (query, key, value))
    return scaled_dot_product_attention(*heads, attn_mask=rows[:, None] == rows).transpose(0, 1)


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr("text_uda.model.compiled_layers.attend_varlen", attend)
    monkeypatch.setattr("text_uda.model.compiled_layers.fits_kernel", lambda _query: True)
    monkeypatch.setattr(_CompiledForward, "can_replay", lambda self: not self.awaits_backward)


def new_classifier(kind: str) -> Classifier:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    if kind == "modernbert":
        sizes |= {"local_attention": 512, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2}
    with seeded_torch(0):
        config = CONFIG_MAPPING[kind](vocab_size=60, num_labels=3, pad_token_id=0, **sizes)
        model = AutoModelForSequenceClassification.from_config(config).eval()
    pack(model)
    return Classifier(model)


def rows_of(lengths: list[int]):
    generator = torch.Generator().manual_seed(sum(lengths))
    return pad([torch.randint(3, 60, (length,), generator=generator).numpy() for length in lengths], pad_id=0)


def gradients(classifier: Classifier) -> torch.Tensor:
    return torch.cat([w.grad.flatten() for w in classifier.model.parameters() if w.grad is not None])


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_logits_and_gradients_are_those_of_layers_that_are_not_compiled(kind, stand_in):
    plain, compiled = new_classifier(kind), new_classifier(kind)
    counters.clear()
    compile_layers(layers(compiled.model), backend="eager", graphs=True)
    for lengths in ([5, 30, 12], [7] * 20, [31, 2]):
        rows = rows_of(lengths)
        logits = []
        for classifier in (plain, compiled):
            classifier.model.zero_grad()
            with torch.no_grad():
                targets = classifier(rows).logits
            logits.append(classifier(rows).logits)
            (logits[-1].pow(2).sum() + targets.sum()).backward()
        torch.testing.assert_close(logits[1], logits[0], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(gradients(compiled), gradients(plain), atol=1e-4, rtol=1e-4)
    assert not counters["graph_break"]


def test_a_pass_before_the_backward_of_another_is_no_graph(stand_in):
    """Two passes in one backward: a replay would overwrite the activations of the first."""
    classifier = new_classifier("bert")
    compile_layers(layers(classifier.model), backend="eager", graphs=True)
    forward = layers(classifier.model)[0].forward
    first, second = rows_of([4, 9]), rows_of([3, 3, 8])
    assert forward.can_replay()
    one = classifier(first).logits
    assert not forward.can_replay()
    two = classifier(second).logits
    (one.sum() + two.sum()).backward()
    assert forward.can_replay()
    abandoned = classifier(first).logits
    assert not forward.can_replay()
    del abandoned  # an error, or a loss that does not use it
    assert forward.can_replay()
    found = gradients(classifier)
    plain = new_classifier("bert")
    (plain(first).logits.sum() + plain(second).logits.sum()).backward()
    torch.testing.assert_close(found, gradients(plain), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[3, 5, 1], [64] * 40, [200, 1, 130], [0, 7]])
def test_the_filler_has_rows_of_its_own_that_are_not_too_long(lengths):
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    tokens = sum(lengths)
    plain = Segments.of(mask, lengths)
    fields = {name: value for name, value in vars(plain).items() if name in Segments.__dataclass_fields__}
    segments = Segments(**fields | {"filler": filled(tokens) - tokens, "as_graph": True, "width": 256})
    starts = segments.starts.tolist()
    assert starts[: len(lengths) + 1] == plain.starts.tolist() and starts[-1] == filled(tokens)
    assert len(starts) % 16 == 0 and starts == sorted(starts)
    assert max(b - a for a, b in pairwise(starts)) <= segments.width
    assert torch.equal(segments.columns, plain.columns)


def test_a_cpu_runs_no_graph():
    classifier = new_classifier("bert")
    compile_layers(layers(classifier.model), backend="eager", graphs=True)
    assert not layers(classifier.model)[0].forward.can_replay()


def test_batches_of_other_widths_have_the_shapes_of_one_graph(stand_in, monkeypatch):
    """Each number among the inputs of a graph would be a recording of its own."""
    seen = []

    def kept(query, key, value, segments, options):
        seen.append((query.shape[0], segments.width, len(segments.starts)))
        return attend(query, key, value, segments, options)

    monkeypatch.setattr("text_uda.model.compiled_layers.attend_varlen", kept)
    monkeypatch.setattr("torch.compile", lambda forward, **_options: forward)
    classifier = new_classifier("bert")
    compile_layers(layers(classifier.model), graphs=True)
    with torch.no_grad():
        for lengths in ([30, 34], [33, 31], [60, 1, 2], [20, 20, 24]):
            classifier(rows_of(lengths))
    assert {*seen} == {(64, 128, 16)}
