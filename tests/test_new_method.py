"""A new augmentation or objective is a file and a line of a list: the rest of the project follows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

AUGMENTATION = '''
"""Shouting: words in capitals."""

from dataclasses import dataclass

from translation_cache import Paraphrase


@dataclass(frozen=True, kw_only=True)
class Shout:
    """Writes words in capitals."""

    rate: float = 0.77
    """Share of the words."""

    seed: int = 0
    """Seed of the draws."""

    def settings(self):
        return {"method": "shout-aloud", "rate": self.rate, "seed": self.seed}

    def __call__(self, sources, samples):
        return [Paraphrase(source.upper()) for source in sources]
'''

OBJECTIVE = '''
"""A loss that counts as an example."""

from dataclasses import dataclass
from typing import ClassVar

from text_uda.objectives.objective import Loss, Needs


@dataclass(frozen=True, kw_only=True)
class SoftAgreement:
    """lambda * the mean squared logit of the unlabeled rows.

    Source: none.
    """

    weight: float = 1.0
    """lambda, of this test."""

    needs: ClassVar[Needs] = Needs(views=("second",))

    def __call__(self, context, batch):
        return Loss(self.weight * context.views["second"].logits.square().mean(), {})
'''

QUESTIONS = """
import importlib.util, json, sys
import text_uda, text_uda.augment, text_uda.objectives
from click.testing import CliRunner
from text_uda.cli import main
from text_uda.cli.augmentation_choice import AugmentationChoice

help = CliRunner().invoke(main, ["train", "--help"], terminal_width=100).stdout
assert "torch" not in sys.modules
job = AugmentationChoice(method="shout-aloud", rate=0.5, augment_seed=3).build(encoder="", texts=tuple, cache=None)
spec = importlib.util.spec_from_file_location("write_methods", sys.argv[1])
write_methods = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_methods)
print(json.dumps({
    "public": [name for name in ("Shout", "SoftAgreement") if name in text_uda.__all__ and getattr(text_uda, name)],
    "augmentations": list(text_uda.augment.METHODS),
    "job": [type(job).__name__, job.rate, job.seed],
    "objectives": [type(each).__name__ for each in text_uda.PRESETS["soft-agreement"].objectives],
    "help": help,
    "page": write_methods.render(),
}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the project says of a copy of it with one more augmentation and one more objective."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("text_uda", "translation_cache", "scripts"):
        copytree(ROOT / folder, copy / folder, ignore=lambda *_: ["__pycache__"])
    _write(copy / "text_uda" / "augment", "shout_aloud", AUGMENTATION, "all_augmentations", "Shout")
    _write(copy / "text_uda" / "objectives", "soft_agreement", OBJECTIVE, "all_objectives", "SoftAgreement")
    command = [sys.executable, "-c", QUESTIONS, str(copy / "scripts" / "write_methods.py")]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _write(folder: Path, module: str, source: str, the_list: str, name: str) -> None:
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    with (folder / f"{the_list}.py").open("a", encoding="utf-8") as lines:
        lines.write(f"from text_uda.{folder.name}.{module} import {name} as {name}\n")


def test_both_are_public_names(answers: dict[str, Any]) -> None:
    assert answers["public"] == ["Shout", "SoftAgreement"]


def test_an_augmentation_is_a_choice_of_the_command_line(answers: dict[str, Any]) -> None:
    assert answers["augmentations"][-1] == "shout-aloud"
    words = "".join(answers["help"].split())
    assert ",back-translation,llm,shout-aloud,cutoff." in words and "0.77(shout-aloud)" in words
    assert answers["job"] == ["Shout", 0.5, 3]


def test_an_objective_is_a_method_beside_supervised(answers: dict[str, Any]) -> None:
    assert answers["objectives"] == ["Supervised", "SoftAgreement"]
    assert ",infonce,soft-agreement." in "".join(answers["help"].split())


def test_both_are_on_the_page_of_methods(answers: dict[str, Any]) -> None:
    assert "\n| `shout-aloud` | `Shout` | Writes words in capitals. |\n" in answers["page"]
    assert "\n## SoftAgreement\n" in answers["page"] and "lambda, of this test." in answers["page"]
    assert "| `soft-agreement` | [Supervised](#supervised) + [SoftAgreement](#softagreement) | any |" in answers["page"]
