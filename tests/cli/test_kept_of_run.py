"""What Ctrl-C says is kept is there."""

import pytest

from text_uda.cli import failures
from text_uda.cli.failures import Interrupted, keeps, kept_of_run
from text_uda.model.frozen_encoder import FrozenEncoder


def test_ctrl_c_while_texts_are_encoded_speaks_of_no_checkpoint(run, reviews, tiny_bert, tmp_path, monkeypatch):
    def interrupted(*_args, **_words):
        raise KeyboardInterrupt

    monkeypatch.setattr(FrozenEncoder, "_encode", interrupted)
    words = ["train", reviews, "--labels", 6, "--encoder", tiny_bert, "--tune", "head", "--out", tmp_path / "run"]
    done = run(*words)
    assert done.exit_code == failures.INTERRUPTED
    assert done.stderr.splitlines()[-1] == (
        "interrupted: no training step is saved yet; rerun the same command to start again"
    )


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("checkpoints/step-00000005", "the last checkpoint is kept in {run};"),
        ("refit/checkpoints/step-00000005", "the last checkpoint is kept in {run}/refit;"),
        ("result.json", "the finished run is kept in {run};"),
        ("checkpoints/.unfinished", "no training step is saved yet;"),
    ],
)
def test_what_is_kept_is_what_is_there(tmp_path, left, words):
    (tmp_path / left).mkdir(parents=True)
    with pytest.raises(Interrupted) as caught, keeps(lambda: kept_of_run(tmp_path)):
        raise KeyboardInterrupt
    assert str(caught.value).startswith(words.format(run=tmp_path))
    with pytest.raises(Interrupted, match=r"^after step 3$"), keeps(lambda: kept_of_run(tmp_path)):
        raise KeyboardInterrupt("after step 3")
