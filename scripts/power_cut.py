"""Cut the power under the commands: an ext4 image is copied while they write to it, and the copy is mounted.

    sudo python scripts/power_cut.py --json                   61 cuts, 12 minutes on 2 busy cores

The copy holds only what the file system has submitted to its device (see durability/disk.py). The mounts alternate:
ordered data; without ext4's heuristics for programs that do not sync; names in the journal before their data. A
neighbour, another program that syncs its own file, commits the journal. The mounts end with this process.

training    `train` and `pretrain`; the copy has every checkpoint and metric that was durable, and the rerun gives the
            bytes of an undisturbed run
finished    0 to 30 s after the command returned: the run is whole as it is
cache       three writers that compact; every acknowledged row is in the copy, and the rerun gives the same rows
folders     WordNet's copy and the conversion to CTranslate2: whole or absent
outputs     `report`, `predict`, `pseudo-label` and `cache export` have returned: the file is whole

Exit code 1 if a copy violates this. With --without-sync the commands do not sync: the script has to find violations.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from durability.caches import cut_cache
from durability.disk import enter_private_mounts
from durability.folders import cut_folders
from durability.inputs import write_inputs
from durability.laboratory import Laboratory
from durability.outputs import cut_outputs
from durability.training import cut_training

CUTS = {"training": 30, "finished": 10, "cache": 12, "folders": 5, "outputs": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part, count in CUTS.items():
        parser.add_argument(f"--{part}", type=int, default=count, metavar="N", help=f"cuts (default {count})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--without-sync", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    arguments = parser.parse_args()
    goals = {part: getattr(arguments, part) for part in CUTS}
    enter_private_mounts()
    logging.getLogger("translation_cache").setLevel(logging.ERROR)  # damage is reported as a violation
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the folder is removed
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="power-cut-") as name:
        started = time.monotonic()
        laboratory = Laboratory(Path(name), seed=arguments.seed, synced=not arguments.without_sync)
        write_inputs(Path(name))
        if goals["training"] or goals["finished"]:
            cut_training(laboratory, goals)
        acknowledged = cut_cache(laboratory, goals["cache"]) if goals["cache"] else 0
        folders = cut_folders(laboratory, goals["folders"]) if goals["folders"] else []
        if goals["outputs"]:
            cut_outputs(laboratory, goals["outputs"])
        record = {
            "cuts": {part: laboratory.cuts[part] for part in goals},
            "in_a_sync": laboratory.in_a_sync,
            "acknowledged_rows": acknowledged,
            "folders": folders,
            "left_over": dict(laboratory.left_over),
            "violations": laboratory.violations,
            "seconds": round(time.monotonic() - started, 1),
        }
    print(json.dumps(record) if arguments.json else "\n".join(f"{name:<22} {value}" for name, value in record.items()))
    raise SystemExit(bool(laboratory.violations))


if __name__ == "__main__":
    main()
