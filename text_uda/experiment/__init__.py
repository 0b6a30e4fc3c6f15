"""Studies: many runs over methods and seeds. `study` runs them, `studies` has those of the field.

A study of one's own is a function that returns trials:

    from text_uda.experiment import Trial, run_study

    def mine() -> list[Trial]:
        one = TrainSettings(encoder="minilm-l6", tune="head")
        return [Trial(name=f"none-{n}", labels=n, settings=replace(one, seed=s)) for n in (10, 100) for s in range(5)]

    if __name__ == "__main__":  # its processes import this file
        write_report(run_study(mine(), {"source": "movie-snippets"}, out="study"), Path("study"))
"""

from text_uda.experiment.catalogue import STUDIES
from text_uda.experiment.sizes import Setting, setting
from text_uda.experiment.study import Outcome, run_study
from text_uda.experiment.study_report import write_report
from text_uda.experiment.trial import Trial

__all__ = ["STUDIES", "Outcome", "Setting", "Trial", "run_study", "setting", "write_report"]
