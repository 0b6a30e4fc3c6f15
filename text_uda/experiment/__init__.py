"""Studies: many runs over methods and seeds. `catalogue` has the named ones; `run_study` runs any list of trials.

Define your own study as a list of trials:

    from text_uda.experiment import Trial, run_study, write_report

    head = TrainSettings(encoder="minilm-l6", tune="head")
    trials = [Trial(name=f"none-{n}", labels=n, settings=replace(head, seed=s)) for n in (10, 100) for s in range(5)]

    if __name__ == "__main__":  # its processes import this file
        write_report(run_study(trials, {"source": "movie-snippets"}, out="study"), Path("study"))

The names below are imported when they are first used: the command line reads the names of the studies without torch.
"""

from typing import TYPE_CHECKING

from text_uda.lazy_imports import lazy_names

if TYPE_CHECKING:
    from text_uda.experiment.catalogue import STUDIES as STUDIES
    from text_uda.experiment.sizes import Setting as Setting
    from text_uda.experiment.sizes import setting as setting
    from text_uda.experiment.study import Outcome as Outcome
    from text_uda.experiment.study import run_study as run_study
    from text_uda.experiment.study_report import write_report as write_report
    from text_uda.experiment.trial import Trial as Trial

__getattr__, __dir__, __all__ = lazy_names(__name__)
