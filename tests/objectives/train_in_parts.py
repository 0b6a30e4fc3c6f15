"""A few steps of every preset in this process's part of the batch; what `test_two_processes.py` runs.

python train_in_parts.py RANK PROCESSES ENCODER OUT     writes OUT/PRESET.safetensors from rank 0
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

from text_uda.keyed_random import keyed_seed
from text_uda.model.inputs import Batch
from text_uda.model.pretrained import load_classifier
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import PRESETS, Preset
from text_uda.objectives.weight_averaging import Averaged
from text_uda.training.step import Step

STEPS = 3
LABELED = ["a good film", "a bad film and a bad plot", "not fine", "the best", "the worst plot", "an average story"]
LABELS = [2, 0, 1, 2, 0, 1]
LABEL_SHARE = torch.tensor([0.5, 0.3, 0.2])  # as of a data set from which this batch is drawn
ORIGINAL = [
    "the actor was great", "the worst scene of all", "love this phone", "really dull",
    "it is fine", "poor plot", "a love story", "never good",
]  # fmt: skip
SECOND = [
    "an actor was very great", "the bad scene", "love that product so", "really poor",
    "it was fine", "dull plot", "the love story it is", "not good",
]  # fmt: skip


def train(preset: Preset, encoder: str, rank: int, processes: int) -> dict[str, torch.Tensor]:
    """Weights and states after STEPS steps of plain gradient descent."""
    pretrained = load_classifier(encoder, ("bad", "fine", "good"), seed=0)
    model = pretrained.model.double().train()  # in float64 what differs is the mathematics
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        model.get_parameter("classifier.weight").mul_(20)
    step = Step(model, tuple(eager(preset)), steps=STEPS, unlabeled=len(ORIGINAL), label_share=LABEL_SHARE)
    averaged = preset.averaging and Averaged(model, preset.averaging, steps=STEPS)
    run = step if processes == 1 else DistributedDataParallel(step, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    rows = [TokenRows(texts, pretrained.tokenizer, max_tokens=32) for texts in (LABELED, ORIGINAL, SECOND)]
    for number in range(STEPS):
        labeled = torch.arange(len(LABELED)).roll(number)[part(len(LABELED), rank, processes)]
        unlabeled = torch.arange(len(ORIGINAL)).roll(number)[part(len(ORIGINAL), rank, processes)]
        batch = Batch(
            rows[0].batch(labeled.numpy()),
            torch.tensor(LABELS)[labeled],
            rows[1].batch(unlabeled.numpy()),
            rows[2].batch(unlabeled.numpy()),
            labeled,
            unlabeled,
        )
        run(batch, number, keyed_seed("test", number) >> 65, averaged and averaged.model).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if averaged is not None:
            averaged.update(model, number)
    average = {f"averaged {n}": p for n, p in averaged.model.named_parameters()} if averaged else {}
    return {name: value.detach().clone().contiguous() for name, value in (step.state_dict() | average).items()}


def eager(preset: Preset):
    """The objectives with rows that count and without ramps from zero, so that each says something from the start."""
    chosen = {
        "confidence_threshold": 0.4,
        "relative_threshold": 0.4,
        "least": 5.0,  # Dash: a loss of the pseudo-label that every row stays below
        "ramp_up": 0.0,
        "ramp_start": 0.0,
        "ramp_end": 0.0,
        "keep": 0.5,  # VAdD: at 0.9 often all of 32 units stay, and none is worst
        "prior": "labels",
        "class_weights": "balanced",
        "label_smoothing": 0.1,
    }
    for objective in preset.objectives:
        changes = {name: value for name, value in chosen.items() if name in vars(objective)}
        yield replace(objective, **changes)  # pyright: ignore[reportArgumentType]


def part(rows: int, rank: int, processes: int) -> slice:
    size = rows // processes
    return slice(rank * size, (rank + 1) * size)


def main() -> None:
    rank, processes, encoder, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.set_num_threads(1)
    if processes > 1:
        meeting = f"file://{out / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    for name, preset in PRESETS.items():
        if not preset.losses:  # a baseline, which takes no step
            continue
        weights = train(preset, encoder, rank, processes)
        if rank == 0:
            save_file(weights, out / f"{name}.safetensors")
    if processes > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
