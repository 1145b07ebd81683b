"""Answers that are kept are measured as often as one likes: nothing is trained or asked again."""

from torch import nn

from samnb.base.checkout import commit
from samnb.base.errors import SamnbError
from samnb.runs.keys import Identity, identity_of
from samnb.runs.records import Contents, Record, table_text, write_record
from samnb.runs.run import Run
from samnb.runs.views import examine_run, measure_run


def answers_hold(record: Record, identity: Identity) -> bool:
    """Whether the record keeps answers, and they are those that would be given now."""
    made = identity_of(record)
    return bool(made and made.keys["answers"] == identity.keys["answers"] and record.answers)


def measure_again(run: Run, identity: Identity, record: Record) -> Record:
    """The record with the measures of today's rules."""
    cases, summary = measure_run(run, record.answers)
    facts = {**record.facts, **identity.to_record(), "summary": summary, "commit": commit()}
    return write_record(run, Contents(facts, cases, record.answers, record.all_pictures))


def keep_answers(run: Run, record: Record, method: nn.Module, progress: bool = True) -> Record:
    """Give a record the answers that it lacks; method: as its training left it.

    The answers must measure as the record says, to its last digit.
    """
    facts = record.facts
    training = {name: facts[name] for name in ("history", "validation")}
    training |= {"seconds": facts["seconds"]["training"]}
    training |= {"trainable": facts["parameters"]["trainable"]}
    found = examine_run(run, method, training, progress)
    if table_text(found.cases) != table_text(record.cases):
        raise SamnbError(
            f"{run}: these weights answer otherwise than its record says.",
            "they are of another training or kind of processor; the record stays as it is.",
        )
    return write_record(run, Contents(facts, record.cases, found.answers, record.all_pictures))
