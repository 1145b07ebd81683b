"""The SAM inside a finished system, asked by a user and no longer by the map.

Given the box of the truth it says what is SAM's own fault in the masks of that system: the rest of
what they lack is what its classifier cost. Nothing more is learned.
"""

from samnb.systems import sam_mix, sam_pp
from samnb.systems.map_prompted import MapPrompted
from samnb.systems.prompted_sam import PromptedSam
from samnb.systems.system import Declared, System

# Their SAM needs a box and nothing else; that of the soft form expects the map as well.
ASKED = {
    name: system
    for name, system in {**sam_pp.SYSTEMS, **sam_mix.SYSTEMS}.items()
    if name != "sam_mix_soft"
}


def build(profile: Declared, seed: int, first: MapPrompted) -> PromptedSam:
    """The trained SAM alone, frozen; its classifier has no more say."""
    return PromptedSam(first.sam.requires_grad_(False))


SYSTEMS = {
    f"{name}_prompted": System(
        f"SAM of {system.title}", build, first=name, labels="as first", prompted=True
    )
    for name, system in ASKED.items()
}
