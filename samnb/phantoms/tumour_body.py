"""A body with lesions in it: its organs by name, the labels a data set gives them, its scan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
from threadpoolctl import threadpool_limits

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.body import Body
from samnb.phantoms.draws import Phantom
from samnb.phantoms.fields import Field
from samnb.phantoms.painting import Structure
from samnb.phantoms.scanner import Protocol, scan

ORGAN, TUMOUR = 1, 2  # label values of every tumour data set that has both


def outlines(body: Body, numbers: Mapping[str, int]) -> dict[str, Field]:
    """The outline of each organ: the first shape of its number, as inner ones come later."""
    names = {number: name for name, number in numbers.items()}
    named = [(names[item.label], item.field) for item in body.structures if item.label in names]
    return dict(reversed(named))


def relabelled(body: Body, labels: Mapping[int, int]) -> Body:
    """The same body with other labels; what is not named has none (0)."""
    structures = [
        item if item.label is None else replace(item, label=labels.get(item.label, 0))
        for item in body.structures
    ]
    return replace(body, structures=structures)


def with_lesions(body: Body, lesions: Sequence[Structure]) -> Body:
    """Lesions painted over the organs, below nothing but the table."""
    *organs, table = body.structures
    return replace(body, structures=[*organs, *lesions, table])


def outside(field: Field) -> Field:
    """Everything but a shape: what lies within it keeps off this, and so stays in it."""
    return Field(field.grid, -field.values)


def scanned(patient: Patient, protocol: Protocol, make: Callable[[Patient], Body]) -> Phantom:
    """Build and scan on one thread, so that the result never depends on how many there are."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            return Phantom(patient, protocol, *scan(make(patient), protocol))
    finally:
        cv2.setNumThreads(threads)
