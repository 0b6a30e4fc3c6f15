"""Names of classes in the tables of a terminal."""

from text_uda.cli.class_tables import confusion_lines, scores_table

SCORES = {"precision": 50.0, "recall": 50.0, "f1": 50.0, "support": 2}


def test_long_names_keep_the_words_in_which_they_differ() -> None:
    names = [f"a request of a customer about the contract: {end}" for end in ("notice", "extension")]
    table = scores_table([{"class": name, **SCORES} for name in names])
    assert "notice" in table and "extension" in table and all(len(line) < 80 for line in table.splitlines())
    matrix = confusion_lines(names, [[1, 0], [0, 1]])[0]
    assert "notice" in matrix and "extension" in matrix


def test_control_characters_are_escaped() -> None:
    assert "a\\x1bb" in scores_table([{"class": "a\x1bb", **SCORES}])
