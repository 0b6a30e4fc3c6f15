"""The table that a user decides by: baselines, labels alone and consistency, on a head, the last layers, all layers.

    python scripts/study_ladder.py --out ladder                      some hours on 2 cores; begun again it goes on
    python scripts/study_ladder.py --out ladder --data wordnet-6 --tune head

Each data set is `text-uda ablate ladder --size small` with fewer seeds where layers of the encoder are trained, which
takes minutes a run. All errors are those of the last weights on the test rows, in percent, with a 95% interval over
the seeds. CPU-seconds are the mean of a run: its steps and its looks at the development rows, without encoding the
texts for a head, which is done once for all, and without the test rows. Of a run that was stopped they count up to its
last checkpoint, too. SetFit stands beside them in scripts/benchmark_peers.py, on the same splits.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import mean

from text_uda import load
from text_uda.experiment import Trial, run_study, setting, write_report
from text_uda.experiment.catalogue import ladder
from text_uda.experiment.sizes import limit_of
from text_uda.report.seed_statistics import estimate

DATA = ("wordnet-6", "wordnet-14", "movie-snippets", "movie-snippets-5")
TUNE = ("head", "last:2", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where caches and runs are kept")
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--tune", nargs="+", choices=TUNE, default=TUNE)
    parser.add_argument("--seeds", type=int, default=5, help="of a head, from 0")
    parser.add_argument("--seeds-of-layers", type=int, default=5, help="of last:2 and all, from 0")
    parser.add_argument("--methods", nargs="+", help="only those whose name ends so: none, switchout, ...")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    for name in arguments.data:
        data = {"source": name, "limit": limit_of("small")}
        seeds = {tune: arguments.seeds if tune == "head" else arguments.seeds_of_layers for tune in arguments.tune}
        every = list(ladder(setting(load(**data), "small", seeds=max(seeds.values()))))
        chosen = [
            trial
            for trial in every
            if trial.settings.seed < seeds.get(trial.settings.tune, 0)
            and (arguments.methods is None or trial.name.endswith(tuple(arguments.methods)))
        ]
        out = arguments.out / name
        outcome = run_study(chosen, data, out=out, fill=True, workers=arguments.workers)
        write_report(outcome, out)
        print(f"\n{name}:\n{table(every, out)}", flush=True)


def table(trials: list[Trial], out: Path) -> str:
    """All that is finished in the folder, in the order of the study."""
    lines = ["| method | test error | dev error | CPU-seconds | seeds |", "| --- | --- | --- | --- | --- |"]
    for name in dict.fromkeys(trial.name for trial in trials):
        files = sorted((out / "runs").glob(f"{name}-seed-*/result.json"))
        results = [json.loads(file.read_text("utf-8")) for file in files]
        if results:
            errors, dev, cpu = (
                [each[key] for each in results] for key in ("last_test_error", "last_dev_error", "cpu_seconds")
            )
            error = estimate(errors)
            assert error is not None
            lines.append(f"| {name} | {error.text()} | {mean(dev):.1f} | {mean(cpu):.0f} | {len(errors)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
