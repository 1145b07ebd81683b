"""Do two trees make the same results that are no records? rehearse_tables.py OUTPUT.

All files of `samnb.runs.derived`, made short: tables that need trained methods of the first run of
each system, with the weights that it starts from; the others with few patients or shapes.
Run it in both trees, each with its own PYTHONPATH and the other's files, and compare what the two
OUTPUTs hold; then their code may have a certificate.
"""

import json
import sys
from pathlib import Path

import reality
import torch
import zero_shot

from samnb.pretraining.evaluate import evaluate

try:
    from samnb.runs import train
except ImportError:  # a tree from before the rooms
    from samnb import teaching as train


def untrained(run, progress=False):
    """The method of a run before it has learned anything."""
    before = reality_keys().first_run(run)
    return train.build(run, untrained(before) if before else None).eval()


def reality_keys():
    try:
        from samnb.runs import keys
    except ImportError:
        from samnb import keys
    return keys


def main(output: Path) -> None:
    plan = reality.plan

    def first_of_each(profile):
        systems = {run.system: run for run in reversed(plan(profile)) if run.labels}
        return list(systems.values())

    reality.plan, reality.load_method = first_of_each, untrained
    torch.set_num_threads(1)
    slices = reality.cohort.cohort_slices(reality.load_profile("real_ct"), "ct")
    sam = zero_shot.load_sam("pocket").eval()
    tables = {
        "pocket_sam/record.json": [evaluate(sam, 40, progress=False)],
        "pocket_sam/zero_shot.csv": [zero_shot.measure(slices, slices.patients[:30])],
        "tables/real/brain_ceilings.csv": reality.brain_ceilings(
            reality.load_profile("real_brain")
        ),
        "tables/real/mr_volumes.csv": reality.organ_volumes(reality.load_profile("real_mr_liver")),
    }
    made = {name: list(rows) for name, rows in tables.items()}
    output.write_text(json.dumps(made, default=float))
    print({name: len(rows) for name, rows in made.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
