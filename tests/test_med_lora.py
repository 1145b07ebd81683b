"""Med-SA with LoRA in the place of its adapters: as many parameters, the same lessons."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from samnb.base.errors import SamnbError
from samnb.method import Batch
from samnb.networks.sam.equal_lora import add_equal_lora, equal_rank
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters
from samnb.networks.sam.model import build_sam
from samnb.runs.run import Run
from samnb.runs.runner import label_counts, plan
from samnb.runs.views import check_view
from samnb.studies import load_profile
from samnb.systems.med_sa import MedSa
from samnb.systems.registry import find_system
from samnb.systems.system import Declared
from samnb.training.batches import marked_per_step
from samnb.training.settings import LearningSettings

FEW = load_profile("pocket", "med-sa-few")
BOXES = load_profile("pocket", "med-sa-boxes")
SKIN = load_profile("pocket", "med-sa-isic")
SIDE = 64
# Of the pocket SAM, a rank holds in the encoder 6 blocks x queries and values x (160 + 160); in
# the decoder 2 layers x queries and values x (96 + 96, and twice 96 + 48), and once more 96 + 48.
OF_RANK = 6 * 2 * 320 + 2 * 2 * (192 + 2 * 144) + 2 * 144


def built(name: str, **sam) -> MedSa:
    """As a run would build it, in a small picture."""
    profile = replace(FEW, sam=replace(FEW.sam, side=SIDE, **sam))
    system = find_system(name)
    return system.build(Declared(profile, tuple(system.settings), system.title), 0)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two pictures in colour, a lesion in each."""
    masks = torch.zeros(2, 1, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 11:30, 9:38] = masks[1, 0, 35:48, 21:44] = 1
    noise = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images = 0.3 * noise + 0.5 * masks
    return Batch(images[:0], torch.zeros(0, 2).long(), images, masks)


def learning(method) -> dict[str, torch.Tensor]:
    return {name: value for name, value in method.named_parameters() if value.requires_grad}


# As many parameters


def test_lora_has_as_many_trained_numbers_as_the_adapters_up_to_half_a_rank():
    adapters, lora = (count_parameters(built(name)).trainable for name in ("med_sa", "med_lora"))
    # Adapters of the encoder alone: 6 blocks, 2 each, 160 down to 10 and up.
    assert adapters > 6 * 2 * (2 * 160 * 10 + 10 + 160)
    assert lora == 10 * OF_RANK
    assert abs(lora - adapters) <= OF_RANK / 2
    assert abs(lora / adapters - 1) < 0.03


@pytest.mark.parametrize("bottleneck", [8, 16, 32])
def test_the_rank_follows_the_adapters(bottleneck):
    adapters = MedAdapterSettings(bottleneck=bottleneck)
    trained = count_parameters(add_med_adapters(build_sam("pocket"), adapters)).trainable
    ours = add_equal_lora(build_sam("pocket"), "pocket", adapters)
    assert abs(count_parameters(ours).trainable - trained) <= OF_RANK / 2
    assert count_parameters(ours).trainable == equal_rank("pocket", adapters) * OF_RANK


def test_there_is_always_a_rank():
    assert equal_rank("pocket", MedAdapterSettings(bottleneck=32)) >= 1
    assert equal_rank("pocket", MedAdapterSettings(bottleneck=32, prompt="none")) >= 1


def test_lora_is_scaled_by_one_whatever_its_rank():
    sam = add_equal_lora(build_sam("pocket"), "pocket", MedAdapterSettings())
    config = sam.peft_config["default"]
    assert config.lora_alpha / config.r == 1


# What learns, and how


def test_queries_and_values_of_encoder_and_decoder_learn_and_nothing_else():
    names = learning(built("med_lora"))
    assert all(".lora_" in name for name in names)
    layers = {name.partition(".lora_")[0] for name in names}
    encoder = {f"sam.image_encoder.blocks.{number}.attn.qkv.{part}"
               for number in range(6) for part in ("query", "value")}  # fmt: skip
    kinds = ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    attention = [f"layers.{number}.{kind}" for number in range(2) for kind in kinds]
    decoder = {f"sam.mask_decoder.transformer.{place}.{part}"
               for place in (*attention, "final_attn_token_to_image")
               for part in ("q_proj", "v_proj")}  # fmt: skip
    assert layers == encoder | decoder


def test_fresh_lora_is_taught_exactly_as_fresh_adapters_are(batch):
    """Both are SAM as it is: the same clicks, boxes, corrections and weights of the losses."""
    methods = [built(name) for name in ("med_sa", "med_lora")]
    assert type(methods[0]) is type(methods[1]) is MedSa
    assert methods[0].settings == methods[1].settings
    for seed in range(3):
        losses = []
        for method in methods:
            torch.manual_seed(seed)
            with torch.no_grad():
                losses.append(method(batch)["loss"])
        torch.testing.assert_close(*losses)


def test_only_lora_changes_and_it_helps(batch):
    method = built("med_lora")
    before = {name: value.clone() for name, value in method.named_parameters()}
    optimiser = torch.optim.Adam(learning(method).values(), 1e-2)
    losses = []
    for _ in range(8):
        torch.manual_seed(0)
        optimiser.zero_grad()
        loss = method(batch)["loss"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    same = {name for name, value in method.named_parameters() if torch.equal(value, before[name])}
    assert same == before.keys() - learning(method).keys()
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_seed_gives_the_same_lora():
    first, second = (learning(built("med_lora")) for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_it_is_for_pictures_and_does_not_share_its_decoder():
    with pytest.raises(SamnbError, match="Med-LoRA sees slices, and the profile"):
        check_view(Run(load_profile("pocket", "med-sa-btcv"), "med-lora", None, 1))
    with pytest.raises(SamnbError, match="gets LoRA and is trained whole"):
        built("med_lora", trained=("mask_decoder",))


# The studies


def test_every_system_learns_from_few_labels_and_from_all():
    runs = plan(FEW)
    taught = {(run.system, run.labels, run.seed) for run in runs if run.system != "sam"}
    systems = ("med_sa", "med_lora", "medsam")
    assert taught == {(system, labels, seed) for system in systems
                      for labels in (5, 50, None) for seed in (1, 2, 3)}  # fmt: skip
    for system in systems:
        assert label_counts(FEW, system) == [5, 50, None]
        assert find_system(system).learning in FEW.learning
    assert [run.labels for run in runs if run.system == "sam"] == [0]


def test_a_batch_of_few_labels_is_all_of_them():
    nothing = np.empty(0, dtype=int)
    for name in ("med_sa", "med_lora", "med_sam"):
        settings = FEW.learning[name]
        assert marked_per_step(nothing, np.arange(5), settings) == 5
        assert marked_per_step(nothing, np.arange(50), settings) == settings.batch == 8


def test_lora_differs_from_the_adapters_in_its_rate_alone():
    def without_rate(settings: LearningSettings) -> LearningSettings:
        return replace(settings, learning_rate=0.0)

    lora, adapters = (FEW.learning[name] for name in ("med_lora", "med_sa"))
    assert without_rate(lora) == without_rate(adapters)


def test_both_studies_are_taught_as_the_study_of_skin_is():
    for profile in (FEW, BOXES):
        assert profile.data == SKIN.data
        assert profile.seed == SKIN.seed
        assert profile.sam == SKIN.sam
        assert profile.med_sa == SKIN.med_sa
        assert profile.med_sam == SKIN.med_sam
        assert SKIN.learning.items() <= profile.learning.items()
        # The first user watches a training, and so decides which of its weights are kept.
        assert profile.users[0] == SKIN.users[0]
    assert FEW.users == SKIN.users  # so that runs with all labels need no second training


def test_boxes_are_asked_at_every_overlap_of_the_question():
    assert BOXES.users[1:] == ("box 0.3", "box 0.4", "box 0.5", "box 0.6", "box 0.7", "box 0.8",
                               "box 0.9", "box 1")  # fmt: skip
    assert {(run.system, run.labels) for run in plan(BOXES)} == {
        ("sam", 0), ("medsam", None), ("med_sa", None),
    }  # fmt: skip
