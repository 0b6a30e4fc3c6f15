"""Write docs/methods.md from the docstrings of objectives and augmentations, with the cost of a step on a model.

python scripts/write_methods.py            write it
python scripts/write_methods.py --check    say whether it is up to date; a test does
"""

import argparse
import ast
import inspect
import re
import sys
import textwrap
from collections import Counter
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

import text_uda.augment
from text_uda.lazy_imports import classes_by_file
from text_uda.model.inputs import Batch, Tokens
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.objectives import PRESETS, LogisticRegression, Needs, Preset, SelfTraining, all_needs
from text_uda.objectives.weight_averaging import EMA, Averaged, FastSWA
from text_uda.training.step import Step

_SPECIAL = re.compile(r"(`[^`]*`)|([\\*_<|\[\]])")  # to Markdown, but for code, which stays code

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"

OPENING = """# Methods

Each name is a choice of `text-uda train --objective NAME`. In Python it is a tuple of objectives whose losses are
added: `train(..., objectives=PRESETS["NAME"].objectives, averaging=PRESETS["NAME"].averaging)`. You can also pass
your own tuple. The first two names are baselines to compare the others with: a baseline is used without other
objectives, takes no step, and fits one linear layer on the features of the frozen encoder.

`scripts/write_methods.py` generates this page from the docstrings; do not edit it by hand.

**Forward and backward** count how often a step runs its L labeled and U unlabeled rows through the encoder, measured
on a model. Passes of the teacher are forward passes. A method with a threshold skips the second view of the rows
below it, so its number is the maximum.

**Second view** is

- *augmented* if the method requires an augmentation,
- *any* if the second view can also be the same text with different dropout,
- *none* if the method reads no second view; it refuses `--augment`.

In the figures, `-->` carries a gradient and `..>` does not.

**Options of the command line** set `tsa`, `class_weights`, `label_smoothing`, `weight` (`--weight` also sets
`unlabeled_weight`), `temperature`, `confidence_threshold`, `ramp_up`, `alignment` (`--alignment` also sets `prior`)
and the decay of the average. Every setting can be set in Python.

**The expected class distribution** (`alignment`, `prior`) is "uniform", for equal shares; "labels", for the shares
among the labeled rows; or one share per class, in the order of the classes. "labels" describes the unlabeled texts
only if the labeled rows were drawn in proportion. Balanced labels drawn from skewed data have a uniform distribution,
which carries no information about the data: draw them in proportion (`--label-sampling proportional`), or give the
shares.
"""

AUGMENTATIONS = """`text-uda paraphrase DATA --method NAME` and `text-uda train DATA --augment NAME` take these names;
`cutoff` is for training only. [Augmentations](augmentations.md) shows how to use them, and the
[Python reference](reference.md) has their settings.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the page is not up to date")
    page = render()
    if not parser.parse_args().check:
        PAGE.write_text(page, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != page:
        sys.exit(f"{PAGE.name} is not what the docstrings say: run `python scripts/write_methods.py`")


def render() -> str:
    classes = dict.fromkeys(type(objective) for preset in PRESETS.values() for objective in preset.objectives)
    parts = [OPENING, _index(), *(_section(kind) for kind in (*classes, EMA, FastSWA)), _augmentations()]
    return "\n".join(parts)


def _index() -> str:
    lines = ["| name | objectives | second view | forward | backward |", "| --- | --- | --- | --- | --- |"]
    for name, preset in PRESETS.items():
        made = " + ".join(f"[{type(each).__name__}](#{type(each).__name__.lower()})" for each in preset.objectives)
        if preset.averaging is not None:
            average = type(preset.averaging).__name__
            made += f", [{average}](#{average.lower()})"
        forward, backward = cost(preset)
        passes = " | ".join(count.replace(" ", "&nbsp;") for count in (forward, backward))  # on one line each
        lines.append(f"| `{name}` | {made} | {_second(all_needs(preset.objectives))} | {passes} |")
    return "\n".join(lines) + "\n"


def _augmentations() -> str:
    """The augmentations by the first sentence of their docstrings."""
    lines = ["## Augmentations", "", AUGMENTATIONS, "| name | class | what it does to a text |", "| --- | --- | --- |"]
    for name, (_, class_name) in classes_by_file("text_uda.augment.all_augmentations").items():
        kind = getattr(text_uda.augment, class_name)
        first = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].removesuffix(":")
        lines.append(f"| `{name}` | `{kind.__name__}` | {_plain(first)} |")
    return "\n".join(lines) + "\n"


def _second(needs: Needs) -> str:
    if needs.augmentation:
        return "augmented"
    return "any" if needs.second_view else "none"


def _section(kind: type) -> str:
    first, _, rest = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
    parts = [f"## {kind.__name__}\n", f"```text\n{first}\n```\n", _plain(rest) + "\n"]
    parts.append("| setting | default | |\n| --- | --- | --- |")
    words = _field_docstrings(kind)
    parts += [f"| `{each.name}` | `{_default(each)}` | {_plain(words[each.name])} |" for each in fields(kind)]
    needs = getattr(kind, "needs", None)
    takes_steps = needs is not None and not issubclass(kind, (LogisticRegression, SelfTraining))
    return "\n".join(parts) + "\n" + (f"\n{_figure(kind.__name__, needs)}" if takes_steps else "")


def _default(field: Field[Any]) -> str:
    assert field.default is not MISSING, "every setting of an objective has a default"
    return f"{field.default}"


def _plain(text: str) -> str:
    """Text of a docstring as Markdown that shows just that."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(_SPECIAL.sub(lambda found: found[1] or f"\\{found[2]}", each) for each in paragraphs)


def _field_docstrings(kind: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[statement.target.id] = str(said)
    return found


# --- what it needs, as a figure ---------------------------------------------------------------------------------------


def _figure(name: str, needs: Needs) -> str:
    """The rows that an objective reads and the models that they go through, as text that reads well anywhere."""
    second = "augmented text" if needs.augmentation else "augmented text, or the original with other dropout"
    rows = {
        "labeled": "labeled text",
        "labeled again": "labeled text, other dropout",
        "original": "original text",
        "second": second,
    }
    arrows = [(rows[view], "-->", "student") for view in needs.views]
    if needs.targets and "original" not in needs.views:
        arrows.append((rows["original"], "..>", "student"))
    if needs.teacher:
        arrows += [(rows["original"], "..>", "teacher (EMA)"), ("teacher (EMA)", "..>", name)]
    mixed = "embeddings, mixed or perturbed"
    arrows += [(rows[view], "-->", mixed) for view in needs.rows]
    if "original" in needs.rows:
        arrows.append((mixed, "-->", "student"))
    arrows.append((f"{'hidden vector' if needs.hidden else 'probabilities'} of the student", "-->", name))
    width = max(len(source) for source, _, _ in arrows)
    lines = [f"{source:{width}} {arrow} {target}" for source, arrow, target in arrows]
    return "\n".join(["```text", *lines, "```", ""])


# --- what a step costs ------------------------------------------------------------------------------------------------


def cost(preset: Preset) -> tuple[str, str]:
    """Rows through the encoder in one step, forward and backward, as multiples of L and U."""
    if not preset.losses:
        return "0", "0"
    base, more_labeled, more_unlabeled = (_count(preset, *rows) for rows in ((4, 6), (8, 6), (4, 10)))
    told = []
    for way in ("forward", "backward"):
        labeled = (more_labeled[way] - base[way]) / 4
        unlabeled = (more_unlabeled[way] - base[way]) / 4
        assert base[way] == 4 * labeled + 6 * unlabeled, "every row that is run is a labeled or an unlabeled one"
        terms = [f"{number:g} {name}" for number, name in ((labeled, "L"), (unlabeled, "U")) if number]
        told.append(" + ".join(terms) or "0")
    return told[0], told[1]


def _count(preset: Preset, labeled: int, unlabeled: int) -> Counter[str]:
    """Rows through the encoder's forward and backward pass while one step runs."""
    with seeded_torch(0):
        config = BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=3,
        )
        model = BertForSequenceClassification(config)
        original, second, known = (Tokens(*_tokens(rows)) for rows in (unlabeled, unlabeled, labeled))
    counted: Counter[str] = Counter()

    def forward(_module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        states = output.last_hidden_state
        counted["forward"] += len(states)
        if states.requires_grad:
            states.register_hook(lambda gradient: counted.update(backward=len(gradient)))

    teacher = preset.averaging and Averaged(model, preset.averaging, steps=10).model
    for each in (model, teacher):
        if each is not None:
            each.base_model.register_forward_hook(forward)
    step = Step(model, preset.losses, steps=10, unlabeled=unlabeled, leave_out_masked=False)
    labels = torch.arange(labeled) % 3
    batch = Batch(known, labels, original, second, torch.arange(labeled), torch.arange(unlabeled))
    step(batch, 9, 1, teacher).loss.backward()
    return counted


def _tokens(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(3, 40, (rows, 6))
    return ids, torch.ones_like(ids)


if __name__ == "__main__":
    main()
