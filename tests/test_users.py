"""Users who prompt at test time: where they point, what they box, and that all are asked alike."""

import time

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from samnb.base.errors import SamnbError
from samnb.method import UserPrompts
from samnb.prompts.points import deepest, spread_points
from samnb.prompts.users import box_overlap, box_with_overlap, find_user

TEXTS = (
    *("nobody", "point", "3 points", "random point", "3 random points", "box 1", "box 0.75"),
    *("box 0.5", "click", "10 clicks", "random click", "10 random clicks", "box 0.3"),
)
ROUNDS = (0, 1, 1, 1, 1, 1, 1, 1, 1, 10, 1, 10, 1)


def blobs(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    field = ndimage.gaussian_filter(generator.normal(size=shape), generator.uniform(0, 4))
    return field >= np.quantile(field, generator.uniform(0.1, 0.99))


def truths(seed: int, shape: tuple[int, ...], cases: int = 3, targets: int = 2) -> torch.Tensor:
    """Cases whose targets overlap."""
    generator = np.random.default_rng(seed)
    drawn = [[blobs(generator, shape) for _ in range(targets)] for _ in range(cases)]
    return torch.from_numpy(np.array(drawn))


def values_at(masks: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Of masks (N, K, ...) at points (N, K, P, axes) -> (N, K, P)."""
    index = points.long().flip(-1) if points.shape[-1] == 2 else points.long()
    flat = torch.zeros(index.shape[:-1], dtype=torch.long)
    for axis, size in enumerate(masks.shape[2:]):
        flat = flat * size + index[..., axis]
    return masks.flatten(2).gather(2, flat)


def one(mask) -> torch.Tensor:
    return torch.as_tensor(np.asarray(mask), dtype=torch.bool)[None, None]


def ask(text: str, mask, name: str = "a", answer=None, earlier=None) -> UserPrompts:
    answer = None if answer is None else one(answer)
    return find_user(text).prompts(one(mask), [name], answer, earlier)


def listed(said: UserPrompts) -> list[list[float]]:
    """The points of one target that are points."""
    return said.points[0, 0][said.labels[0, 0] >= 0].tolist()


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "rounds"), list(zip(TEXTS, ROUNDS, strict=True)))
def test_users_print_as_they_are_read(text, rounds):
    user = find_user(text)
    assert str(user) == text
    assert user == find_user(text)
    assert user.rounds == rounds


@pytest.mark.parametrize(
    "text",
    [
        *("", "somebody", "points", "1 point", "0 points", "3 point", "point 3", "3 point random"),
        *("box", "box 0", "box 1.5", "box 0.50", "box 1.0", "random box", "-1 clicks", "clicks"),
    ],
)
def test_what_is_no_user_or_has_another_spelling_is_refused(text):
    with pytest.raises(SamnbError, match="No user") as caught:
        find_user(text)
    assert caught.value.remedy


def test_nobody_says_nothing():
    assert find_user("nobody").prompts(truths(0, (8, 8)), list("abc")) is None


# ---- the deepest place -------------------------------------------------------------------------


def reference(region: np.ndarray, barred: list) -> tuple | None:
    """By SciPy's distance transform of the whole array."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[(slice(1, -1),) * region.ndim]
    for place in barred:
        depth[place] = 0
    place = np.unravel_index(np.rint(depth**2).argmax(), depth.shape)
    return (tuple(map(int, place)), pytest.approx(depth[place])) if depth[place] else None


@pytest.mark.parametrize("axes", [2, 3])
def test_the_deepest_place_is_the_maximum_of_the_distance_transform(axes):
    generator = np.random.default_rng(axes)
    for turn in range(300):
        shape = tuple(generator.integers(1, 22, axes))
        region = blobs(generator, shape) if turn % 20 else np.ones(shape, bool)
        barred = [tuple(generator.integers(0, shape)) for _ in range(turn % 4)]
        for _ in range(3):
            wanted = reference(region, barred)
            assert deepest(region, barred) == wanted
            barred += [wanted[0]] if wanted else []


def test_nothing_has_no_deepest_place():
    assert deepest(np.zeros((4, 4), bool)) is None
    assert deepest(np.zeros((4, 4, 4), bool)) is None
    assert deepest(np.eye(1, dtype=bool), [(0, 0)]) is None
    assert deepest(np.ones((1, 1, 1), bool), [(0, 0, 0)]) is None


def test_a_large_organ_takes_well_under_a_second():
    z, y, x = np.ogrid[:128, :512, :512]
    organ = ((z - 60) / 50) ** 2 + ((y - 226) / 124) ** 2 + ((x - 251) / 149) ** 2 < 1
    start = time.process_time()
    place, depth = deepest(organ)
    assert time.process_time() - start < 1
    assert depth == 50
    assert place[0] == 60


# ---- points ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 24), (10, 12, 14)])
@pytest.mark.parametrize("text", ["point", "3 points", "random point", "3 random points"])
def test_points_lie_inside(text, shape):
    masks = truths(1, shape)
    said = find_user(text).prompts(masks, list("abc"))
    number = 3 if text.startswith("3") else 1
    assert said.points.shape == (3, 2, number, len(shape))
    assert said.points.dtype == torch.float32
    assert said.labels.dtype == torch.long
    assert said.boxes is None
    assert (said.labels == 1).all()
    assert values_at(masks, said.points).all()
    assert all(len(points.unique(dim=0)) == number for points in said.points.flatten(0, 1))


def test_the_point_is_x_y_in_slices_and_z_y_x_in_volumes():
    mask = np.zeros((9, 20), bool)
    mask[2:5, 10:17] = True  # the middle row is deepest from column 11 to 15
    assert listed(ask("point", mask)) == [[11, 3]]
    volume = np.zeros((7, 9, 20), bool)
    volume[1:4, 2:5, 10:13] = True
    assert listed(ask("point", volume)) == [[2, 3, 11]]


def test_the_centre_of_a_ring_is_on_the_ring():
    y, x = np.mgrid[:41, :41] - 20
    ring = (np.hypot(y, x) < 18) & (np.hypot(y, x) > 9)
    ((x, y),) = listed(ask("point", ring))
    assert np.hypot(y - 20, x - 20) == pytest.approx(13.5, abs=1)


def test_the_border_of_the_image_is_an_edge():
    whole = np.ones((9, 9), bool)
    assert listed(ask("point", whole)) == [[4, 4]]
    assert listed(ask("point", np.ones((5, 7, 9), bool))) == [[2, 2, 2]]


def test_a_single_pixel_gets_one_point_of_three():
    mask = np.zeros((6, 6), bool)
    mask[5, 0] = True
    for text in ("3 points", "3 random points"):
        said = ask(text, mask)
        assert listed(said) == [[0, 5]]
        assert said.labels.tolist() == [[[1, -1, -1]]]


def test_further_points_keep_away_from_those_before_and_reach_the_second_blob():
    mask = np.zeros((20, 60), bool)
    mask[2:17, 2:17] = mask[5:12, 40:47] = True  # 15 and 7 pixels wide
    first, second, _ = listed(ask("3 points", mask))
    assert first == [9, 9]
    # Of the large one every pixel is within 4 of its edge or of its middle; so is the small one's.
    assert np.hypot(second[0] - 9, second[1] - 9) >= 4
    places = spread_points(mask, 12)
    assert (8, 43) in places
    for number, place in enumerate(places[1:], 1):
        near = [np.hypot(*np.subtract(place, other)) for other in places[:number]]
        assert min(near) > 2


def test_every_pixel_is_drawn_as_often():
    mask = np.zeros((6, 6), bool)
    mask[1, 1:4] = mask[4, 5] = True
    user = find_user("random point")
    said = user.prompts(one(mask).expand(2000, 1, 6, 6), [f"case {n}" for n in range(2000)])
    _, counts = said.points.reshape(-1, 2).unique(dim=0, return_counts=True)
    assert len(counts) == 4
    assert (counts - 500).abs().max() < 100  # five standard deviations


# ---- boxes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("overlap", [0.9, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.1])
def test_boxes_have_the_overlap_exactly_and_stay_in_the_image(axes, overlap):
    generator = np.random.default_rng(7)
    shape = (300, 512, 400)[:axes]
    for turn in range(300):
        edges = np.sort([generator.choice(size + 1, 2, replace=False) for size in shape], axis=1)
        tight = edges.astype(float)
        if turn % 10 == 0:  # it fills the image, or is one pixel in its last corner
            tight = np.array([[size - 1 if turn % 20 else 0, size] for size in shape], float)
        box = box_with_overlap(tight, overlap, shape, generator)
        assert box_overlap(box, tight) == pytest.approx(overlap, abs=1e-9)
        assert (box >= 0).all()
        assert (box <= np.array(shape)[:, None]).all()
        rounded = box.astype(np.float32)
        assert box_overlap(rounded.astype(float), tight) == pytest.approx(overlap, abs=1e-3)


def test_edges_move_both_ways_and_each_by_itself():
    tight = np.array([[100.0, 200.0], [50.0, 90.0]])
    generator = np.random.default_rng(0)
    moved = np.array([box_with_overlap(tight, 0.5, (300, 300), generator) for _ in range(500)])
    outwards = (moved - tight) * [-1, 1] > 0
    assert (abs(outwards.mean(axis=0) - 0.5) < 0.12).all()
    assert (abs(np.corrcoef(outwards.reshape(500, 4).T) - np.eye(4)) < 0.25).all()


def test_overlap_by_hand():
    # 2 x 2 and 2 x 3 share 1 x 2: 2 / (4 + 6 - 2).
    first, second = np.array([[0.0, 2], [0, 2]]), np.array([[1.0, 3], [0, 3]])
    assert box_overlap(first, second) == 0.25
    assert box_overlap(first, first + 2) == 0


def test_box_1_is_the_tight_box_in_the_order_of_user_prompts():
    mask = np.zeros((12, 20), bool)
    mask[2:5, 10:17] = True
    said = ask("box 1", mask)
    assert said.boxes.tolist() == [[[10, 2, 17, 5]]]
    assert said.points is None
    volume = np.zeros((6, 12, 20), bool)
    volume[3:, 2:5, 10:17] = True
    assert ask("box 1", volume).boxes.tolist() == [[[3, 2, 10, 6, 5, 17]]]


@pytest.mark.parametrize("shape", [(24, 32), (10, 12, 14)])
def test_the_boxes_of_a_batch_overlap_as_asked(shape):
    masks = truths(2, shape)
    exact, moved = (
        find_user(text).prompts(masks, list("abc")).boxes.reshape(6, 2, -1).transpose(1, 2)
        for text in ("box 1", "box 0.75")
    )
    limits = torch.tensor(shape[::-1] if len(shape) == 2 else shape)[:, None]
    assert (moved <= limits).all()
    for one_box, other in zip(moved.double().numpy(), exact.double().numpy(), strict=True):
        assert box_overlap(one_box, other) == pytest.approx(0.75, abs=1e-3)
    assert len((moved - exact).round(decimals=3).reshape(6, -1).unique(dim=0)) > 3


# ---- clicks ------------------------------------------------------------------------------------


def ball(shape: tuple[int, ...], place, radius: float) -> np.ndarray:
    axes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    away = axes - np.array(place).reshape(-1, *[1] * len(shape))
    return (away**2).sum(axis=0) <= radius**2


def painted(said: UserPrompts, before: torch.Tensor, radius: float) -> torch.Tensor:
    """A system that paints a ball around each click, in their order: label 1 adds, 0 takes away."""
    masks, shape = before.numpy().copy(), tuple(before.shape[2:])
    for n, k in np.ndindex(*masks.shape[:2]):
        clicks = zip(said.points[n, k].tolist(), said.labels[n, k].tolist(), strict=True)
        for point, label in clicks:
            place = point[::-1] if len(shape) == 2 else point
            if label >= 0:
                masks[n, k][ball(shape, place, radius)] = bool(label)
    return torch.from_numpy(masks)


def converse(text: str, masks: torch.Tensor, radius: float, before: torch.Tensor | None = None):
    """All prompts, and the answers after each round; `before`: what the system paints unasked."""
    user, said, answers = find_user(text), None, []
    before = torch.zeros_like(masks) if before is None else before
    for _ in range(user.rounds):
        said = user.prompts(masks, "abc"[: len(masks)], answers[-1] if answers else None, said)
        answers.append(painted(said, before, radius))
    return said, answers


@pytest.mark.parametrize("shape", [(24, 24), (10, 12, 14)])
@pytest.mark.parametrize("text", ["10 clicks", "10 random clicks"])
def test_clicks_are_where_the_last_answer_was_wrong(text, shape):
    masks = truths(3, shape)
    said, answers = converse(text, masks, radius=2.5)
    assert said.points.shape == (3, 2, 10, len(shape))
    before = [torch.zeros_like(masks), *answers[:-1]]
    for turn, answer in enumerate(before):
        label, point = said.labels[..., turn], said.points[..., turn : turn + 1, :]
        wrong = (answer != masks).flatten(2).any(dim=2)
        assert torch.equal(label >= 0, wrong)
        truth, found = (values_at(which, point)[..., 0] for which in (masks, answer))
        assert (truth == (label == 1))[wrong].all()
        assert (truth != found)[wrong].all()
    assert (said.labels[..., 0] == 1).all()
    assert (said.labels == 0).any()


@pytest.mark.parametrize("shape", [(40, 48), (20, 22, 36)])
def test_the_user_converges_on_a_system_that_paints_discs(shape):
    corner = (6,) * (len(shape) - 1)
    balls = [ball(shape, (*corner, x), 4.2) for x in (6, 17, 29)]
    wrong = ball(shape, (*(size - 6 for size in shape[:-1]), 20), 4.2)
    target = one(sum(balls))
    said, answers = converse("6 clicks", target, 4.2, before=one(wrong))
    each = int(wrong.sum())
    assert [int((answer != target).sum()) for answer in answers] == [
        3 * each,
        2 * each,
        each,
        0,
        0,
        0,
    ]
    assert said.labels.tolist() == [[[1, 0, 1, 1, -1, -1]]]
    assert said.points[0, 0, :4, 0 if len(shape) == 2 else 2].tolist() == [6, 20, 17, 29]


def test_the_user_stops_when_nothing_is_wrong():
    target = one(np.pad(np.ones((2, 3), bool), 4))
    said, answers = converse("10 clicks", target, radius=0.5)  # pixel by pixel
    assert [int((answer != target).sum()) for answer in answers] == [5, 4, 3, 2, 1, 0, 0, 0, 0, 0]
    assert said.labels.tolist() == [[[1] * 6 + [-1] * 4]]


def test_the_deeper_of_missing_and_surplus_is_clicked_each_by_its_own_depth():
    target, answer = np.zeros((2, 20, 40), bool)
    target[5:14, 5:14] = True  # 9 wide, all of it missing
    answer[5:14, 14:21] = True  # 7 wide, beside it: together they are no deeper
    said = ask("3 clicks", target, answer=answer)
    assert (listed(said), said.labels.tolist()) == ([[9, 9]], [[[1]]])
    answer[5:14, 14:25] = True  # 9 wide from row to row as well: a tie goes to what is too much
    said = ask("3 clicks", target, answer=answer)
    assert said.labels.tolist() == [[[0]]]
    assert listed(said)[0][1] == 9


def test_no_pixel_is_clicked_twice():
    mask = np.zeros((20, 20), bool)
    mask[3:14, 4:15] = True
    said = None
    for _ in range(5):  # a system that does not listen
        said = ask("5 clicks", mask, answer=np.zeros_like(mask), earlier=said)
    assert len({tuple(point) for point in listed(said)}) == 5
    assert listed(said)[0] == [9, 8]


def test_random_clicks_differ_from_round_to_round():
    mask = np.ones((30, 30), bool)
    said = None
    for _ in range(5):
        said = ask("5 random clicks", mask, answer=np.zeros_like(mask), earlier=said)
    assert len({tuple(point) for point in listed(said)}) == 5


def test_random_clicks_are_uniform_over_both_kinds_of_error():
    target, answer = np.zeros((2, 8, 8), bool)
    target[0, :3] = answer[7, 7] = True
    user, count = find_user("2 random clicks"), 2000
    many = [one(mask).expand(count, 1, 8, 8) for mask in (target, answer)]
    said = user.prompts(many[0], [f"case {n}" for n in range(count)], many[1])
    _, counts = said.points.reshape(-1, 2).unique(dim=0, return_counts=True)
    assert len(counts) == 4
    assert (counts - 500).abs().max() < 100
    assert torch.equal(said.labels[:, 0, 0] == 0, (said.points[:, 0, 0] == 7).all(dim=1))


# ---- all of them -------------------------------------------------------------------------------


def same(one_said: UserPrompts, other: UserPrompts) -> bool:
    pairs = [
        (getattr(one_said, name), getattr(other, name)) for name in ("points", "labels", "boxes")
    ]
    return all(
        a is b is None or torch.equal(a.nan_to_num(-9.0), b.nan_to_num(-9.0)) for a, b in pairs
    )


def part(said: UserPrompts, rows) -> UserPrompts:
    return UserPrompts(
        *(v if v is None else v[rows] for v in (said.points, said.labels, said.boxes))
    )


@pytest.mark.parametrize("shape", [(24, 24), (8, 10, 12)])
@pytest.mark.parametrize("text", [text for text in TEXTS if text != "nobody"])
def test_everyone_is_asked_the_same_whatever_the_batch(text, shape):
    masks, answers = truths(4, shape, cases=4), truths(5, shape, cases=4)
    masks[2, 1] = False
    names, user = ["a 1", "a 2", "b 1", "b 2"], find_user(text)
    first = user.prompts(masks, names)
    earlier = first if user.rounds > 1 else None
    whole = user.prompts(masks, names, answers, earlier)
    for rows in ([3, 1, 0, 2], [2], [0, 3]):
        some = [names[row] for row in rows]
        assert same(user.prompts(masks[rows], some), part(first, rows))
        before = part(earlier, rows) if earlier else None
        again = user.prompts(masks[rows], some, answers[rows], before)
        assert same(again, part(whole, rows))
    alone = user.prompts(masks[:, 1:], names)  # of one target, no other is looked at
    assert same(UserPrompts(*(v if v is None else v[:, :1] for v in (alone.points, alone.labels,
                alone.boxes))), UserPrompts(*(v if v is None else v[:, 1:] for v in
                (first.points, first.labels, first.boxes))))  # fmt: skip


@pytest.mark.parametrize("text", ["random point", "box 0.5", "random click"])
def test_another_case_is_asked_otherwise(text):
    mask = np.ones((40, 40), bool)
    assert same(ask(text, mask, "scan 1"), ask(text, mask, "scan 1"))
    assert not same(ask(text, mask, "scan 1"), ask(text, mask, "scan 2"))


@pytest.mark.parametrize("shape", [(9, 9), (5, 6, 7)])
@pytest.mark.parametrize("text", [text for text in TEXTS if text != "nobody"])
def test_of_a_target_that_is_not_there_the_user_says_nothing(text, shape):
    nothing = np.zeros(shape, bool)
    said = ask(text, nothing)
    if said.boxes is not None:
        assert said.boxes.shape == (1, 1, 2 * len(shape))
        assert said.boxes.isnan().all()
    else:
        assert (said.labels == -1).all()
        assert not said.points.isnan().any()


def test_what_is_found_of_a_target_that_is_not_there_is_clicked_away():
    nothing, answer = np.zeros((2, 9, 9), bool)
    answer[2:5, 2:5] = True
    silent = ask("2 clicks", nothing)
    said = ask("2 clicks", nothing, answer=answer, earlier=silent)
    assert said.labels.tolist() == [[[-1, 0]]]
    assert listed(said) == [[3, 3]]


def test_names_and_cases_go_together():
    with pytest.raises(ValueError, match="zip"):
        find_user("point").prompts(truths(0, (8, 8)), ["a"])


def test_the_2d_depth_is_exact():
    # cv2's default masks are approximate: 12 pixels along a diagonal are not 12 * 1.4.
    y, x = np.mgrid[:61, :61] - 30
    disc = np.hypot(y, x) <= 25.4
    assert deepest(disc) == ((30, 30), pytest.approx(ndimage.distance_transform_edt(disc).max()))
    rough = cv2.distanceTransform(disc.astype(np.uint8), cv2.DIST_L2, 3).max()
    assert rough != pytest.approx(ndimage.distance_transform_edt(disc).max(), abs=1e-3)
