"""The examples of docs/other-loops.md run as they stand, with a tiny encoder."""

import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from text_uda import AugmentColumn, BackTranslation, Swap, SwitchOut
from text_uda.errors import SettingsError

PAGE = Path(__file__).parents[1] / "docs" / "other-loops.md"
PROBLEMS = {
    "billing": "please refund the purchase of the big sofa",
    "login": "my password is rejected and I cannot begin the program",
    "delivery": "the physician bought a large couch",
}
TICKETS = [f"on day {place} {problem},{name}" for place in range(40) for name, problem in PROBLEMS.items()]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_the_examples_run(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [line.rpartition(",") for line in TICKETS]
    (tmp_path / "reviews.csv").write_text("text,label\n" + "".join(f'"{text}",{name}\n' for text, _, name in rows))
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    code = "\n".join(blocks)
    assert '"google-bert/bert-base-uncased"' in code
    code = code.replace('"google-bert/bert-base-uncased"', repr(str(tiny_bert))).replace("num_proc=2", "num_proc=1")
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    assert names["trained"].global_step == 20 and 0 < names["trained"].training_loss < 10
    assert names["consistency"].isfinite() and names["confident"].dtype == names["torch"].bool
    assert set(names["augmented"].column_names) == {"text", "augmented", "augmented_status"}
    assert len(names["frame"]) == len(names["pairs"]) > 0


def test_a_column_is_the_augmentation_row_by_row() -> None:
    texts = ["a good film with a bad end", "one", "the plot is not very good"]
    augmented = Dataset.from_dict({"body": texts}).map(AugmentColumn(Swap(), column="body", to="new"), batched=True)
    expected = Swap()(texts, [0, 0, 0])
    assert augmented["new_status"][:] == [paraphrase.status for paraphrase in expected]
    assert augmented["new"][:] == [paraphrase.text if paraphrase.status == "ok" else None for paraphrase in expected]
    assert augmented["new_status"][1] == "unchanged" and augmented["new"][1] is None


def test_the_fingerprint_depends_on_the_settings_alone(tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"text": ["a good film with a bad end"] * 4})
    function = AugmentColumn(Swap(protect=("film",)))
    before = dataset.map(function, batched=True)._fingerprint
    assert function(dataset[:]), "now the augmentation remembers its words"
    assert dataset.map(function, batched=True)._fingerprint == before
    assert dataset.map(AugmentColumn(Swap(protect=("film",))), batched=True)._fingerprint == before
    assert dataset.map(AugmentColumn(Swap(protect=("film",), seed=1)), batched=True)._fingerprint != before
    assert dataset.map(AugmentColumn(Swap(protect=("film",)), sample=1), batched=True)._fingerprint != before


def test_several_processes_give_the_same_column(tiny_bert: Path) -> None:
    dataset = Dataset.from_dict({"text": [line.rpartition(",")[0] for line in TICKETS]})
    function = AugmentColumn(SwitchOut(tokenizer=str(tiny_bert)))
    alone, parallel = (dataset.map(function, batched=True, num_proc=count) for count in (None, 2))
    assert alone["augmented"][:] == parallel["augmented"][:]


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"works on sentences.*write_pairs"):
        AugmentColumn(BackTranslation())
    with pytest.raises(SettingsError, match="batched=True"):
        Dataset.from_dict({"text": ["a good film"]}).map(AugmentColumn(Swap()))
