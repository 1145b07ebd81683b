"""Lesions of the tumour phantoms by hand: sizes, shapes, and what each kind looks like where."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import label

from samnb.base.errors import SamnbError
from samnb.phantoms import (
    kits19,
    lits_tumour,
    lung100,
    msd_hepatic,
    msd_lung,
    msd_pancreas,
    tumour_sizes,
)
from samnb.phantoms.anatomy import draw
from samnb.phantoms.fields import Field, Grid, ellipsoid
from samnb.phantoms.kidney_lesions import make_kidney_lesions
from samnb.phantoms.lesions import Sizes, ball, lump, lymph_nodes, patches, septa, spikes
from samnb.phantoms.liver_lesions import make_benign, make_liver_lesions
from samnb.phantoms.lung_lesions import HILUM, make_harmless, make_lung_lesions
from samnb.phantoms.pancreas_lesions import make_pancreas_lesions, middle_line
from samnb.phantoms.routes import distance_at, nodes_inside
from samnb.phantoms.tissue import tissue_values

ZERO = np.zeros(3)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def solid(centre, radii, step: float = 2.0) -> Field:
    """An ellipsoid as an organ, on a grid that goes well beyond it."""
    reach = np.array(radii) + 14
    grid = Grid.around(np.array(centre) - reach, np.array(centre) + reach, step)
    return Field(grid, ellipsoid(grid.axes(), centre, radii).astype(np.float32))


def labelled(structures, value: int):
    return [item for item in structures if item.label == value]


def brightness(item) -> float:
    """HU of the widest layer: the last one."""
    return item.layers[-1][1]


# Sizes and shapes


def test_diameters_are_log_normal_and_cut_off():
    sizes = Sizes(median=20, spread=0.6, smallest=8, largest=60)
    random = generator()
    diameters = np.array([2 * sizes.radius(random) for _ in range(2000)])
    assert np.median(diameters) == pytest.approx(20, rel=0.06)
    assert diameters.min() == 8
    assert diameters.max() == 60
    assert np.quantile(diameters, 0.84) == pytest.approx(20 * np.exp(0.6), rel=0.08)


def test_a_mass_is_in_one_piece_about_its_place_and_as_large_as_asked():
    for seed in range(12):
        mass = lump(generator(seed), np.array([10.0, -20, 30]), 12.0)
        inside = nodes_inside(mass)
        np.testing.assert_allclose(inside.mean(axis=0), [10, -20, 30], atol=4.5)
        pieces, _ = label(mass.values < 0)
        assert np.bincount(pieces.ravel())[1:].max() > 0.97 * len(inside)
        assert 0.3 < mass.volume() / (4 / 3 * np.pi * 1.2**3) < 1.25
        edge = np.ones(mass.values.shape, bool)
        edge[1:-1, 1:-1, 1:-1] = False
        assert mass.values[edge].min() > 0, "it ends within its grid"


def test_a_mass_is_no_ellipsoid():
    """Its surface leaves the ellipsoid of the same moments by more than a smooth one's does."""

    def unevenness(field: Field) -> float:
        inside = nodes_inside(field)
        offset = inside - inside.mean(axis=0)
        scaled = offset @ np.linalg.inv(np.linalg.cholesky(np.cov(offset.T))).T
        level = np.linalg.norm(scaled, axis=1)
        shell = (field.values < 0) & (field.values > -field.grid.step[0])
        return float(level[shell[field.values < 0]].std())

    smooth = unevenness(ball(ZERO, (14.0, 11.0, 10.0)))
    masses = [unevenness(lump(generator(seed), ZERO, 14.0)) for seed in range(8)]
    assert np.mean(masses) > 1.5 * smooth
    tame = [unevenness(lump(generator(seed), ZERO, 14.0, 0.0, 0)) for seed in range(8)]
    assert np.mean(masses) > 1.3 * np.mean(tame)


def test_patches_take_their_share_of_what_lies_deep():
    mass = lump(generator(1), ZERO, 18.0)
    for share in (0.15, 0.5):
        dead = patches(generator(2), mass, 18.0, share, 4.0)
        deep = mass.values < -4
        assert (dead.values < 0).sum() == pytest.approx(share * deep.sum(), rel=0.15)
        assert not np.any((dead.values < 0) & ~deep)


def test_septa_are_thin_and_inside():
    mass = ball(ZERO, (20.0, 20, 20))
    walls = septa(generator(3), mass, 20.0, 0.8).values < 0
    assert 0.02 < walls.sum() / (mass.values < 0).sum() < 0.3
    assert not np.any(walls & (mass.values > -0.5))


def test_spicules_radiate_beyond_the_mass():
    strands = spikes(generator(4), ZERO, 10.0, 12)
    far = np.linalg.norm(nodes_inside(strands), axis=1)
    assert 14 < far.max() < 30
    assert (far > 11).sum() < 0.02 * strands.values.size, "strands, not a shell"


def test_lymph_nodes_are_small_ovals_at_the_places():
    places = np.array([[0.0, 0, 0], [60, 0, 0], [0, 60, 0]])
    nodes = lymph_nodes(generator(5), places, 2, (3.0, 5.0))
    assert len(nodes) == 2
    for node in nodes:
        middle = nodes_inside(node).mean(axis=0)
        assert np.linalg.norm(places - middle, axis=1).min() < 1.0
        assert 0.03 < node.volume() < 0.8


# Kidneys

KIDNEYS = {side: solid((0, 0, 60.0 * side), (55, 26, 30)) for side in (-1, 1)}
SPINE = solid((0, 0, 0.0), (80, 30, 34))


def kidney_lesions(number: int):
    patient = draw((7, kits19.STREAM, number), kits19.MIX)
    hu = tissue_values(patient)
    return make_kidney_lesions(patient, KIDNEYS, [(SPINE, 2.0)], hu), hu


def test_renal_masses_grow_out_of_a_kidney_and_stop_at_their_neighbours():
    outside, touching = [], 0
    for number in range(24):
        lesions, _ = kidney_lesions(number)
        tumours = labelled(lesions, 2)
        assert 1 <= len(tumours) <= 2
        places = nodes_inside(tumours[0].field)
        assert distance_at(SPINE, places).min() > 1.0
        from_kidney = np.min([distance_at(k, places) for k in KIDNEYS.values()], axis=0)
        outside.append((from_kidney > 0).mean())
        touching += from_kidney.min() < 1.5
    assert touching == 24, "every mass hangs on its kidney"
    assert np.mean(outside) > 0.2
    assert max(outside) > 0.55, "some are exophytic"
    assert min(outside) < 0.25, "some are buried"


def test_renal_masses_enhance_by_their_kind_and_cysts_are_water_and_kidney():
    kinds, cysts = [], []
    for number in range(40):
        lesions, hu = kidney_lesions(number)
        tumour = labelled(lesions, 2)[0]
        inner = brightness(tumour)
        kinds.append("cystic" if inner < 20 else "bright" if inner > 0.6 * hu["cortex"] else "dull")
        assert inner < hu["cortex"], "none is brighter than the cortex"
        cysts += labelled(lesions, 1)
    shares = {kind: kinds.count(kind) / len(kinds) for kind in ("bright", "cystic", "dull")}
    assert shares["bright"] > 0.45
    assert 0.03 < shares["cystic"] < 0.35
    assert shares["dull"] > 0.05
    assert 15 < len(cysts) < 80
    assert all(-1 < brightness(cyst) < 80 for cyst in cysts)
    assert np.median([brightness(cyst) for cyst in cysts]) < 18


def test_a_cystic_mass_has_a_wall_septa_and_a_knot():
    for number in range(40):
        lesions, _ = kidney_lesions(number)
        at = next(i for i, item in enumerate(lesions) if item.label == 2)
        if brightness(lesions[at]) < 20:
            wall = lesions[at].layers[0][1]
            assert wall > brightness(lesions[at]) + 30
            inner = lesions[at + 1 : at + 3]
            assert all(item.label is None and item.layers[0][1] > 40 for item in inner)
            return
    pytest.fail("none of 40 is cystic")


def test_a_large_clear_cell_mass_is_dead_in_its_middle():
    for number in range(60):
        lesions, hu = kidney_lesions(number)
        at = next(i for i, item in enumerate(lesions) if item.label == 2)
        mass = lesions[at]
        if mass.field.volume() > 60 and brightness(mass) > 0.6 * hu["cortex"]:
            dead = lesions[at + 2]
            assert dead.label is None
            assert brightness(dead) < brightness(mass) - 25
            assert 0.05 < dead.field.volume() / mass.field.volume() < 0.55
            return
    pytest.fail("none of 60 is a large clear cell mass")


# Lungs

LUNGS = {side: solid((150, -30, 82.0 * side), (110, 85, 55), 3.0) for side in (-1, 1)}


def lung_lesions(number: int, cohort=msd_lung, uptake: float = 40.0, **mix):
    patient = draw((7, cohort.STREAM, number), cohort.MIX)
    settings = cohort.LUNGS.__class__(**{**cohort.LUNGS.__dict__, **mix})
    return make_lung_lesions(patient, LUNGS, settings, uptake)


def only(kind: str, count: int, **mix):
    """Painted lesions of patients who all have one kind of carcinoma."""
    return [lung_lesions(number, kinds=((kind, 1.0),), **mix) for number in range(count)]


def carcinoma(lesions):
    (found,) = labelled(lesions, 1)
    return found


def test_one_carcinoma_is_labelled_and_nothing_else():
    for number in range(8):
        lesions = lung_lesions(number)
        mass = carcinoma(lesions)
        places = nodes_inside(mass.field)
        assert len(places) > 8
        assert min(distance_at(lung, places).max() for lung in LUNGS.values()) < 3.5
        assert all(item.label in (None, 0, 1) for item in lesions)


def test_pleural_masses_press_on_the_pleura_and_others_keep_off_it():
    def nearest(kind):
        gaps = []
        for lesions in only(kind, 8):
            places = nodes_inside(carcinoma(lesions).field)
            depth = np.min([distance_at(lung, places) for lung in LUNGS.values()], axis=0)
            gaps.append(depth.max())
        return np.array(gaps)

    assert (nearest("pleural") > -1.0).all()
    assert (nearest("pleural") > 0.3).mean() > 0.7, "they indent it"
    assert (nearest("cavitating") < 0.3).all()
    assert np.median(nearest("cavitating")) < -1


def test_central_masses_lie_at_the_hilum():
    def gap(kind):
        middles = [nodes_inside(carcinoma(each).field).mean(axis=0) for each in only(kind, 8)]
        hila = [np.array(HILUM) * [1, 1, side] for side in LUNGS]
        return np.median([min(np.linalg.norm(m - h) for h in hila) for m in middles])

    assert gap("central") < 35 < gap("spiculated")


def test_what_carcinomas_of_the_lung_measure():
    for lesions in only("ground glass", 4):
        assert -700 < brightness(carcinoma(lesions)) < -500
        assert -450 < lesions[-1].layers[0][1] < -200, "it is denser in patches"
    for lesions in only("part-solid", 4):
        at = lesions.index(carcinoma(lesions))
        assert -650 < brightness(lesions[at]) < -400
        assert lesions[at + 1].label is None
        assert brightness(lesions[at + 1]) > 30, "solid within the haze"
        assert lesions[at + 1].field.volume() < 0.8 * lesions[at].field.volume()
    for lesions in only("cavitating", 4, sizes=Sizes(30, 0.1, 25, 35)):
        hollow, mass = lesions[-1], carcinoma(lesions)
        assert brightness(hollow) < -900
        assert brightness(mass) > 30
        assert 0.02 < hollow.field.volume() / mass.field.volume() < 0.7
    native = [brightness(carcinoma(each)) for each in only("spiculated", 6, uptake=0.0)]
    late = [brightness(carcinoma(each)) for each in only("spiculated", 6, uptake=60.0)]
    assert (np.array(late) > np.array(native) + 25).all()


def test_spiculated_masses_have_unlabelled_strands_and_tags():
    for lesions in only("spiculated", 5):
        mass = carcinoma(lesions)
        before = lesions[: lesions.index(mass)]
        strands = [item for item in before if item.layers[0][1] == -30.0]
        assert len(strands) == 1
        assert strands[0].label is None
        middle = nodes_inside(mass.field).mean(axis=0)
        reach = np.linalg.norm(nodes_inside(mass.field) - middle, axis=1).max()
        far = np.linalg.norm(nodes_inside(strands[0].field) - middle, axis=1)
        assert far.max() > reach + 1
    plain = only("cavitating", 5)
    assert not any(item.layers[0][1] == -30.0 for each in plain for item in each)


def test_more_carcinomas_in_the_upper_lung():
    heights = [nodes_inside(carcinoma(lung_lesions(n)).field)[:, 0].mean() for n in range(40)]
    nodes = nodes_inside(LUNGS[1], 10)[:, 0]
    nodes = nodes[(nodes > 45) & (nodes < 236)]
    assert np.mean(heights) > nodes.mean() + 4


def test_lungs_hold_harmless_things():
    chalk, nodes, bullae = 0, 0, 0
    for number in range(10):
        patient = draw((7, lung100.STREAM, number), lung100.MIX)
        items = make_harmless(patient, LUNGS, lung100.LUNGS)
        assert all(item.label in (None, 0) for item in items)
        chalk += sum(item.layers[0][1] > 250 for item in items)
        nodes += sum(item.label == 0 for item in items)
        bullae += sum(item.layers[0][1] == -975.0 for item in items) > 0
    assert 8 < chalk < 60, "granulomas"
    assert 20 <= nodes <= 80
    assert 0 < bullae < 7, "emphysema in some"


def test_the_two_lung_cohorts_differ_in_kinds_and_scanners():
    glass = dict(lung100.LUNGS.kinds).get("ground glass", 0)
    assert glass > dict(msd_lung.LUNGS.kinds).get("ground glass", 0) + 0.1
    patients = [draw((7, 1, number), msd_lung.MIX) for number in range(20)]
    real = {
        cohort: [cohort.draw_protocol(patient, 512) for patient in patients]
        for cohort in (msd_lung, lung100)
    }
    assert max(each.thickness for each in real[msd_lung]) <= 2.5
    assert min(each.thickness for each in real[lung100]) >= 3.0
    noise = {cohort: np.mean([each.noise for each in found]) for cohort, found in real.items()}
    assert noise[lung100] > noise[msd_lung] + 5
    phases = {draw((7, lung100.STREAM, n), lung100.MIX).phase for n in range(40)}
    assert phases == {"native", "portal"}


# Pancreas


def gland() -> Field:
    """A bar from the head on the right to the tail on the left."""
    return solid((10, -50, 30.0), (14, 12, 65))


GLAND = gland()
AORTA = solid((10, -24, 8.0), (80, 10, 10))
HU = {"fat": -100.0, "pancreas": 95.0, "liver": 108.0, "aorta": 150.0, "vein": 140.0}


def pancreas_lesions(number: int):
    patient = draw((7, msd_pancreas.STREAM, number), msd_pancreas.MIX)
    return make_pancreas_lesions(patient, GLAND, [(AORTA, 1.5)], HU)


def test_the_middle_line_runs_from_head_to_tail():
    line = middle_line(GLAND)
    assert (np.diff(line[:, 2]) > 0).all()
    assert line[0, 2] < -15 < 75 < line[-1, 2]
    assert distance_at(GLAND, line).max() < -3


def test_masses_of_the_pancreas_by_kind():
    kinds = {"dark": 0, "cystic": 0, "bright": 0}
    for number in range(40):
        lesions = pancreas_lesions(number)
        (mass,) = labelled(lesions, 2)
        level = brightness(mass)
        kinds["cystic" if level < 25 else "bright" if level > HU["pancreas"] else "dark"] += 1
        places = nodes_inside(mass.field)
        assert distance_at(AORTA, places).min() > 0.5
        assert distance_at(GLAND, places).min() < 0
        assert not labelled(lesions, 1), "the gland's own label is the body's"
    assert kinds["dark"] > 16
    assert kinds["cystic"] >= 4
    assert kinds["bright"] >= 2


def test_carcinomas_block_the_duct_towards_the_tail_and_the_bile_in_the_head():
    blocked, bile = 0, 0
    for number in range(40):
        lesions = pancreas_lesions(number)
        (mass,) = labelled(lesions, 2)
        ducts = [item for item in lesions if item.label is None and brightness(item) == 9.0]
        if not 25 < brightness(mass) < HU["pancreas"]:
            assert not ducts, "only carcinomas block"
            continue
        middle = nodes_inside(mass.field).mean(axis=0)
        own = [item for item in ducts if len(item.layers) == 1]
        blocked += len(own)
        for duct in own:
            x = nodes_inside(duct.field, -1)[:, 2]
            assert x.max() > 60, "to the tail"
            assert x.min() > middle[2] - 12, "wide only behind the mass"
        common = [item for item in ducts if len(item.layers) == 2]
        bile += len(common)
        if common:
            assert middle[2] < 28, "the mass is in the head"
    assert blocked > 12
    assert 4 < bile < blocked


def test_the_edge_of_a_carcinoma_is_not_sharp():
    for number in range(20):
        (mass,) = labelled(pancreas_lesions(number), 2)
        if 25 < brightness(mass) < HU["pancreas"]:
            (_, rim), (_, middle) = mass.layers
            assert middle < rim < HU["pancreas"]


# Liver

LIVER = solid((20, -40, -50.0), (70, 60, 70), 3.0)


def liver_lesions(number: int, cohort=lits_tumour, phase: str = "portal", **mix):
    patient = draw((7, cohort.STREAM, number), cohort.MIX)
    settings = cohort.LIVER.__class__(**{**cohort.LIVER.__dict__, **mix})
    hu = {**HU, "aorta": 320.0} if phase == "arterial" else HU
    return make_liver_lesions(patient, LIVER, settings, hu)


def test_tumours_of_the_liver_lie_in_it_the_largest_first():
    counts = []
    for number in range(25):
        tumours = labelled(liver_lesions(number), 2)
        counts.append(len(tumours))
        assert tumours[0].field.volume() > 0.25
        for tumour in tumours:
            assert distance_at(LIVER, nodes_inside(tumour.field)).max() < 1.5
    assert counts.count(1) >= 4
    assert max(counts) >= 5
    assert max(counts) <= 12


def test_tumours_of_the_liver_by_kind():
    def masses(kind, **more):
        made = [liver_lesions(n, kinds=((kind, 1.0),), **more) for n in range(5)]
        return [item for each in made for item in labelled(each, 2)]

    for mass in masses("metastasis"):
        (_, rim), (_, middle) = mass.layers
        assert middle < rim < HU["liver"], "darker than the liver, its edge soft"
    for mass in masses("target"):
        assert mass.layers[0][1] > HU["liver"] > mass.layers[1][1] > mass.layers[2][1]
    assert all(mass.layers[1][1] < HU["liver"] for mass in masses("bright"))
    assert all(mass.layers[1][1] > HU["liver"] + 15 for mass in masses("bright", phase="arterial"))
    assert all(brightness(mass) < 60 for mass in masses("mucinous"))


def test_benign_lesions_of_the_liver_are_liver():
    water, pools, fat = 0, 0, 0
    for number in range(25):
        patient = draw((7, lits_tumour.STREAM, number), lits_tumour.MIX)
        items = make_benign(patient, LIVER, lits_tumour.LIVER, HU)
        assert all(item.label in (None, 1) for item in items)
        water += sum(brightness(item) < 13 for item in items)
        pools += sum(brightness(item) > 120 for item in items)
        fat += sum(HU["liver"] - 35 < brightness(item) < HU["liver"] - 17 for item in items)
    assert water > 8
    assert pools >= 2
    assert fat >= 2


def test_hepatic_tumours_are_fewer_and_larger_than_those_of_lits():
    assert msd_hepatic.LIVER.sizes.median > lits_tumour.LIVER.sizes.median + 5
    assert msd_hepatic.LIVER.more < lits_tumour.LIVER.more


# Counting


def test_pieces_are_counted_in_millilitres_the_largest_first():
    mask = np.zeros((6, 8, 8), bool)
    mask[0, 0, 0] = True
    mask[1, 1, 1] = True  # touches the first at a corner
    mask[4:6, 5:8, 5:8] = True
    assert tumour_sizes.lump_sizes(mask, (5.0, 2.0, 2.0)) == pytest.approx([0.36, 0.04])


def test_tumours_are_told_in_voxels_of_the_real_scanner(monkeypatch):
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:2, :2, :2] = 2  # 8 voxels of 0.25 ml
    labels[6, 6, 6] = 2
    labels[4, 4, 4] = 1
    phantom = SimpleNamespace(labels=labels, spacing=(10.0, 5.0, 5.0), patient=None)
    real = SimpleNamespace(thickness=1.0, pixel=0.5)
    sides = []
    cohort = SimpleNamespace(
        make_patient=lambda seed, number, side: phantom,
        draw_protocol=lambda patient, side: sides.append(side) or real,
    )
    monkeypatch.setitem(tumour_sizes.COHORTS, "made", (cohort, 2))
    table = tumour_sizes.tumour_sizes("made", 1)
    assert sides == [512]
    assert table["millilitres"].tolist() == pytest.approx([2.0, 0.25])
    assert table["voxels"].tolist() == [8000, 1000]
    assert table["small"].tolist() == [False, True]
    with pytest.raises(SamnbError, match=r"No tumour cohort 'lits'.*lits_tumour"):
        tumour_sizes.tumour_sizes("lits", 1)
