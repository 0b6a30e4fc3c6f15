"""The data of several tasks: label columns of one file, and training sides without the test texts of other tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from text_uda.data.arrow_records import is_saved_dataset_dict
from text_uda.data.corpus import Corpus, Rows
from text_uda.data.held_out_test import without_overlap
from text_uda.data.lines import STDIN
from text_uda.data.named import EMBEDDED
from text_uda.data.near_copies import have_near_copy
from text_uda.data.tables import names_files, open_table
from text_uda.data.texts import take_texts


def columns_among(source: str, names: Sequence[str]) -> list[str]:
    """Those of the names that a file has as columns, each once; [] for a data set that is no file."""
    if source == STDIN or source in EMBEDDED or not names_files(source) or is_saved_dataset_dict(Path(source)):
        return []
    columns = open_table(Path(source), named=names).columns
    return [name for name in dict.fromkeys(names) if name in columns]


def without_tests_of_others(corpora: Mapping[str, Corpus]) -> dict[str, Corpus]:
    """The corpora, whose training sides lose the texts that are test texts of another one, and their near copies.

    An encoder that tasks share would have seen them.
    """
    separate = {}
    for name, corpus in corpora.items():
        tests = Rows.joined(Rows((), ()), *(other.test for key, other in corpora.items() if key != name))
        train, overlap = without_overlap(corpus.train, tests)
        in_test, unlabeled = have_near_copy(corpus.unlabeled, tests.texts), corpus.unlabeled
        if in_test.any():
            unlabeled = take_texts(unlabeled, np.flatnonzero(~in_test))
        separate[name] = replace(corpus, train=train, unlabeled=unlabeled, unused=Rows.joined(corpus.unused, overlap))
    return separate
