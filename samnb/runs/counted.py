"""Which code decides what a run gives: for each stage, the definitions that it reaches.

Definitions are found by name (see samnb/base/definitions.py), from where a stage begins.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

from samnb.base.definitions import Definition, reached
from samnb.base.paths import CHECKOUT
from samnb.data.layouts import LAYOUTS
from samnb.runs.run import Run
from samnb.studies.protocols import measure_of
from samnb.studies.volumes import sees_volumes
from samnb.systems.registry import find_system

STAGES = ("slices", "weights", "answers", "measures")
# Where a stage's code begins; weights begin in the system's own `build` and `schedule` as well.
ROOTS = {
    "slices": ("samnb.data.parts.build_part", "samnb.data.slices.join_parts"),
    "weights": (
        "samnb.runs.train.build",
        "samnb.runs.train.train",
        "samnb.runs.data.find_training_data",
        "samnb.data.slices.SliceSet",
    ),
    "answers": ("samnb.runs.examine.examine_run", "samnb.evaluation.answers.Answers"),
    "measures": ("samnb.runs.examine.measure_run", "samnb.evaluation.answers.Answers"),
}
# Of runs on volumes in place of those.
ROOTS_OF_VOLUMES = {
    "slices": ("samnb.data.volumes.build_volume", "samnb.data.volumes.join_volumes"),
    "weights": (
        "samnb.runs.train.build",
        "samnb.runs.volumes.train_on_volumes",
        "samnb.runs.volume_data.find_training_volumes",
        "samnb.data.volumes.VolumeSet",
    ),
    "answers": (
        "samnb.runs.volumes.examine_on_volumes",
        "samnb.evaluation.volumes.VolumeAnswers",
        "samnb.data.volumes.VolumeSet",
    ),
    "measures": (
        "samnb.runs.volumes.measure_on_volumes",
        "samnb.evaluation.volumes.VolumeAnswers",
        "samnb.data.volumes.VolumeSet",
    ),
}
MEASURED = ("samnb.runs.examine.measure_run", "samnb.runs.volumes.measure_on_volumes")
# Not counted in what is learned: what comes of it is hashed instead (slices, splits, settings), or
# it computes nothing that a record keeps but costs.
UNCOUNTED = tuple(
    f"samnb/{name}"
    for name in ("data/", "phantoms/", "studies/", "evaluation/costs.py", "training/progress.py",
                 "networks/sam/adapters.py", "systems/registry.py", "systems/system.py",
                 "runs/records.py", "runs/run.py",
                 *(f"base/{name}.py" for name in ("checkout", "errors", "fetch", "files")),
                 *(f"base/{name}.py" for name in ("paths", "workers")))
)  # fmt: skip
USERS = ("samnb/prompts/users.py", "samnb/prompts/points.py")
# In an uncounted folder, but they read slices or volumes, and make others of them.
COUNTED = tuple(
    f"samnb/data/{name}.py"
    for name in ("slices", "synthesised", "synthesis", "transforms", "volumes", "patches")
)
SYNTHESIS = (
    "samnb.data.synthesised.SynthesisedSlices",
    "samnb.data.synthesis.background_rows",  # asked for from a folder that is not counted
)


def code_of(run: Run, root: Path = CHECKOUT) -> dict[str, list[Definition]]:
    """The definitions that each stage of the run reaches."""
    system = find_system(run.system)
    own = [_dotted(make) for make in (system.build, system.schedule) if make]
    kinds = {cohort.phantom.kind for cohort in run.settings.data.cohorts.values() if cohort.phantom}
    listed = {_dotted(LAYOUTS[cohort.layout]) for cohort in run.settings.data.cohorts.values()}
    drawn = {f"samnb.phantoms.{kind}.write_patient" for kind in kinds}
    whole = sees_volumes(run.settings)
    known = ROOTS_OF_VOLUMES if whole else ROOTS
    made = SYNTHESIS if run.labels and run.settings.synthesis.images and not whole else ()
    measured = () if whole else (_dotted(measure_of(run.settings)),)
    roots = {
        **known,
        "slices": [*known["slices"], *sorted(listed | drawn)],
        "weights": [*known["weights"], *own, *made],
        "measures": [*known["measures"], *measured],
    }

    def ends(stage: str, each: Definition) -> bool:
        if stage == "slices":
            return _not_slicing(each)
        if stage == "answers" and _measures(each):
            return True
        # Where nobody prompts it does not matter how a user would.
        return uncounted(each) or (each.file in USERS and not system.prompted)

    return {
        stage: list(reached(roots[stage], partial(ends, stage), root).values()) for stage in STAGES
    }


def _dotted(make: Callable) -> str:
    make = make.func if isinstance(make, partial) else make
    return f"{inspect.getmodule(make).__name__}.{make.__name__}"


def uncounted(definition: Definition) -> bool:
    hashed_otherwise = definition.name.endswith("Settings")  # by their values
    return definition.file not in COUNTED and (
        hashed_otherwise or definition.file.startswith(UNCOUNTED)
    )


def _not_slicing(definition: Definition) -> bool:
    """Of what cuts scans: errors, files, paths and processes change no slice."""
    return not definition.file.startswith(("samnb/data/", "samnb/phantoms/"))


def _measures(definition: Definition) -> bool:
    """Where asking ends and measuring, a stage of its own, begins."""
    return f"{definition.module}.{definition.name}" in MEASURED
