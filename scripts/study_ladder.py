"""Which method to use: baselines, labels alone and consistency, training a head, the last layers or all layers.

    python scripts/study_ladder.py --out ladder                      some hours on 2 cores; rerunning resumes
    python scripts/study_ladder.py --out ladder --data wordnet-6 --tune head

Each data set is `text-uda ablate ladder --size small`; --seeds-of-layers limits the seeds of runs that train layers of
the encoder, which take minutes each. Errors are test errors of the weights after the last step, in percent, with a 95%
interval over the seeds. CPU-seconds are the mean over the runs of steps and evaluations on development rows, without
the test rows and without encoding the texts for a head, which happens once for all runs. For a resumed run they include
the time up to its last checkpoint. scripts/benchmark_peers.py has SetFit on the same splits.
"""

import argparse
import json
import os
import sys
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
    parser.add_argument("--out", type=Path, required=True, help="folder of the caches and runs")
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--tune", nargs="+", choices=TUNE, default=TUNE)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of a head, from 0")
    parser.add_argument("--seeds-of-layers", type=int, default=5, help="number of seeds of last:2 and all, from 0")
    parser.add_argument(
        "--methods", nargs="+", help="only methods whose name ends with one of these: none, switchout, ..."
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    failed = 0
    for name in arguments.data:
        data = {"source": name, "limit": limit_of("small")}
        seeds = {tune: arguments.seeds if tune == "head" else arguments.seeds_of_layers for tune in arguments.tune}
        trials = list(ladder(setting(load(**data), "small", seeds=max(seeds.values()))))
        selected = [
            trial
            for trial in trials
            if trial.settings.seed < seeds.get(trial.settings.tune, 0)
            and (arguments.methods is None or trial.name.endswith(tuple(arguments.methods)))
        ]
        out = arguments.out / name
        outcome = run_study(selected, data, out=out, fill=True, workers=arguments.workers)
        write_report(outcome, out)
        print(f"\n{name}:\n{table(trials, out)}", flush=True)
        for run, error in outcome.failed.items():
            print(f"failed: {run}: {error}", file=sys.stderr)
        failed += len(outcome.failed)
    sys.exit(f"{failed} runs failed: run the same command again" if failed else 0)


def table(trials: list[Trial], out: Path) -> str:
    """The finished runs in the folder, in the order of the study."""
    lines = ["| method | test error | dev error | CPU-seconds | seeds |", "| --- | --- | --- | --- | --- |"]
    for name in dict.fromkeys(trial.name for trial in trials):
        files = sorted((out / "runs").glob(f"{name}-seed-*/result.json"))
        results = [json.loads(file.read_text("utf-8")) for file in files]
        if results:
            errors, dev, cpu = (
                [result[key] for result in results] for key in ("last_test_error", "last_dev_error", "cpu_seconds")
            )
            error = estimate(errors)
            assert error is not None
            lines.append(f"| {name} | {error.text()} | {mean(dev):.1f} | {mean(cpu):.0f} | {len(errors)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
