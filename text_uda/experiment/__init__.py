"""Studies: many runs over methods and seeds. `catalogue` has the named ones; `run_study` runs any list of trials.

Define your own study as a list of trials:

    from text_uda.experiment import Trial, run_study, write_report

    head = TrainSettings(encoder="minilm-l6", tune="head")
    trials = [Trial(name=f"none-{n}", labels=n, settings=replace(head, seed=s)) for n in (10, 100) for s in range(5)]

    if __name__ == "__main__":  # its processes import this file
        write_report(run_study(trials, {"source": "movie-snippets"}, out="study"), Path("study"))

The names below are imported when they are first used: the command line reads the names of the studies without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_uda.experiment.catalogue import STUDIES
    from text_uda.experiment.sizes import Setting, setting
    from text_uda.experiment.study import Outcome, run_study
    from text_uda.experiment.study_report import write_report
    from text_uda.experiment.trial import Trial

__all__ = ["STUDIES", "Outcome", "Setting", "Trial", "run_study", "setting", "write_report"]

_MODULES = {
    "STUDIES": "catalogue",
    "Outcome": "study",
    "Setting": "sizes",
    "Trial": "trial",
    "run_study": "study",
    "setting": "sizes",
    "write_report": "study_report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
