"""What the page "Try it here" is given: the decoder as ONNX, and the files beside it."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from samnb.browser.assets import runs, shown_profile, write_assets
from samnb.browser.decoder import OUTPUTS
from samnb.networks.sam.lora import add_lora, merge
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.studies import load_profile

FIRST = torch.zeros(1, dtype=torch.long)
BOX = [10.0, 15.5, 45.0, 41.0]
# name -> prompts, and the tokens (places, kinds) that a page makes of them
ASKED = {
    "box": (Prompts(FIRST, torch.tensor([BOX])), [BOX[:2], BOX[2:]], [2, 3]),
    "point": (
        Prompts(FIRST, points=torch.tensor([[[32.0, 25.0]]]), labels=torch.tensor([[1]])),
        [[32.0, 25.0], [0.0, 0.0]],
        [1, -1],
    ),
    "points": (
        Prompts(
            FIRST,
            points=torch.tensor([[[32.0, 25.0], [3.0, 60.0], [35.0, 30.0]]]),
            labels=torch.tensor([[1, 0, 1]]),
        ),
        [[32.0, 25.0], [3.0, 60.0], [35.0, 30.0], [0.0, 0.0]],
        [1, 0, 1, -1],
    ),
    "box and point": (
        Prompts(FIRST, torch.tensor([BOX]), torch.tensor([[[32.0, 25]]]), torch.tensor([[0]])),
        [BOX[:2], BOX[2:], [32.0, 25.0]],
        [2, 3, 0],
    ),
}


@pytest.fixture(scope="module")
def profile():
    """The smoke profile, whose adapter learns for one step only."""
    smoke = load_profile("smoke")
    short = replace(smoke.adaptation, steps=1)
    return replace(smoke, adaptation=short)


@pytest.fixture(scope="module")
def assets(profile, tmp_path_factory):
    """A folder of everything a page loads, as the build of a site makes it."""
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMNB_DATA", str(tmp_path_factory.mktemp("data")))
        write_assets(folder, profile)
    return folder


@pytest.fixture(scope="module")
def about(assets):
    return json.loads((assets / "try_it.json").read_text())


@pytest.fixture(scope="module")
def session(assets, about):
    path = assets / about["decoder"]
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def sam(profile):
    return load_sam("pocket", side=profile.sam.side).eval()


def _stored(assets, about, one):
    """Embeddings of a slice as its file holds them: of the frozen SAM, of the adapted SAM."""
    values = np.fromfile(assets / one["embeddings"], dtype="<f2")
    return torch.from_numpy(values).reshape(2, 1, *about["embedding"])


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("adapted", [False, True])
def test_onnx_answers_what_pytorch_answers(sam, assets, about, session, name, adapted):
    prompts, places, kinds = ASKED[name]
    embedding = _stored(assets, about, about["slices"][0])[int(adapted)]
    with torch.no_grad():
        answer = decode(sam, embedding.float(), prompts).at_side(about["side"])
    given = {
        "embedding": embedding.numpy(),
        "places": np.asarray([places], dtype=np.float32),
        "kinds": np.asarray([kinds], dtype=np.int32),
    }
    logits, scores = session.run(OUTPUTS, given)
    np.testing.assert_allclose(logits, answer.logits, atol=1e-4, rtol=0)
    np.testing.assert_allclose(scores, answer.scores, atol=1e-4, rtol=0)
    assert 0 < (logits > 0).mean() < 1


def test_the_files_of_a_page_fit_together(profile, assets, about):
    assert about["labels"] == min(profile.data.labelled)
    assert Image.open(assets / "picture.png").width > 400
    assert len(about["slices"]) == profile.data.splits["lits"].test
    for one in about["slices"]:
        assert Image.open(assets / one["picture"]).size == (about["side"],) * 2
        assert sum(one["truth"]) == about["side"] ** 2
        frozen, adapted = _stored(assets, about, one)
        assert not torch.equal(frozen, adapted)


def test_stored_embeddings_are_those_of_the_picture_shown(sam, assets, about):
    one = about["slices"][0]
    grey = torch.from_numpy(np.array(Image.open(assets / one["picture"]))) / 255
    with torch.no_grad():
        again = encode(sam, grey[None, None].float())
    assert (again - _stored(assets, about, one)[0].float()).abs().mean() < 0.02 * again.abs().mean()


def test_one_decoder_serves_the_frozen_and_the_adapted_sam(sam, profile):
    adapted = add_lora(load_sam("pocket", side=profile.sam.side), profile.sam.lora)
    for name, value in adapted.named_parameters():
        if ".lora_B." in name:  # as if it had learned
            torch.nn.init.ones_(value)
    adapted = merge(adapted)
    for part in ("prompt_encoder", "mask_decoder"):
        before, after = getattr(sam, part).state_dict(), getattr(adapted, part).state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
    before, after = sam.image_encoder.state_dict(), adapted.image_encoder.state_dict()
    assert not all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("mask", "lengths"),
    [
        ([[0, 0, 1], [1, 0, 1]], [2, 2, 1, 1]),
        ([[1, 1, 0], [0, 0, 0]], [0, 2, 4]),
        ([[0, 0, 0], [0, 0, 0]], [6]),
        ([[1, 1, 1], [1, 1, 1]], [0, 6]),
    ],
)
def test_runs_tell_a_mask_row_by_row(mask, lengths):
    assert runs(np.array(mask, dtype=bool)) == lengths


@pytest.mark.parametrize("name", ["paper", "real_ct"])
def test_a_site_of_real_data_shows_phantoms_here(name):
    assert shown_profile(load_profile(name)).name == "pocket"
    assert shown_profile(load_profile("smoke")).name == "smoke"
