"""What a study says about training: how long and how fast a kind of system learns."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LearningSettings:
    """How long and how fast a kind of system learns."""

    epochs: int = 10
    steps_per_epoch: int | None = None  # null: one pass over the training slices
    batch: int = 30  # slices per step
    marked: int = 30  # of the slices with masks, per step; fewer where there are fewer
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    optimiser: str = "adamw"  # adamw, adam, sgd
    schedule: str = "warm_restarts"  # cosine, poly, exponential, multistep, constant
    cycle: int = 10  # epochs between warm restarts
    warmup: int = 0  # steps of linear rise at the start
    clip: float = 1.0  # largest norm of the gradient
    average: float = 0.0  # decay of the moving average of the weights; 0 keeps none
    validations: int = 5  # how often the validation patients are looked at during training
    precision: str = "auto"  # float32, bfloat16; auto: bfloat16 where the device is fast in it
    milestones: tuple[float, ...] = ()  # shares of the run; multistep falls to a tenth at each
    # Regular expressions found in the names of parameters -> their share of the learning rate.
    rates: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AdaptationSettings:
    """How an adapter is taught on labelled slices with given boxes."""

    steps: int = 40
    batch: int = 8  # slices per step
    learning_rate: float = 1e-3
