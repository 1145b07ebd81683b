"""Phantoms: the same bytes from the same seed, the real layouts, plausible anatomy."""

import hashlib
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import psutil
import pytest

from samnb.base.errors import SamnbError
from samnb.phantoms import KINDS, ORGANS, cohorts, draw_patient, lits, write_cohort
from samnb.phantoms.anatomy import draw
from samnb.phantoms.tissue import tissue_values

SIDE, SEED = 64, 7


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def millilitres(phantom, *names: str) -> float:
    voxels = np.isin(phantom.labels, [ORGANS[name] for name in names]).sum()
    return float(voxels * np.prod(phantom.spacing) / 1000)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small cohort of either kind, written in this process."""
    root = tmp_path_factory.mktemp("phantoms")
    for kind, patients in (("lits", 3), ("totalsegmentator", 2)):
        write_cohort(kind, root / kind, patients, SIDE, SEED, workers=1, progress=False)
    return root


@pytest.fixture(scope="module")
def patients():
    """LiTS-like patients in memory, in the full orientation-free frame."""
    return [draw_patient("lits", number, SEED, SIDE) for number in range(4)]


def test_same_bytes_whatever_the_workers(written, tmp_path):
    write_cohort("lits", tmp_path / "two", 3, SIDE, SEED, workers=2, progress=False)
    assert digests(tmp_path / "two") == digests(written / "lits")
    write_cohort("lits", tmp_path / "other", 1, SIDE, SEED + 1, workers=1, progress=False)
    other, first = digests(tmp_path / "other"), digests(written / "lits")
    assert other["volume-0.nii"] != first["volume-0.nii"]


def test_compressed_cohort_is_reproducible_too(written, tmp_path):
    write_cohort("totalsegmentator", tmp_path / "again", 1, SIDE, SEED, workers=1, progress=False)
    again, first = digests(tmp_path / "again"), digests(written / "totalsegmentator")
    again.pop("meta.csv")
    assert again.items() <= first.items()


def test_lits_layout(written):
    folder = written / "lits"
    names = {path.name for path in folder.iterdir()} - {".phantom"}
    assert names == {f"{stem}-{n}.nii" for stem in ("volume", "segmentation") for n in range(3)}
    for number in range(3):
        volume = nibabel.load(folder / f"volume-{number}.nii")
        mask = nibabel.load(folder / f"segmentation-{number}.nii")
        assert volume.get_data_dtype() == np.int16
        assert volume.shape == mask.shape
        assert volume.shape[:2] == (SIDE, SIDE)
        np.testing.assert_array_equal(volume.affine, mask.affine)
        assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1, 2}
        spacing = volume.header.get_zooms()
        assert 300 / SIDE - 0.01 <= spacing[0] <= 450 / SIDE + 0.01
        assert 0.7 - 1e-6 <= spacing[2] <= 5 + 1e-6


def test_totalsegmentator_layout(written):
    folder = written / "totalsegmentator"
    homes = sorted(path for path in folder.glob("s*") if path.is_dir())
    assert len(homes) == 2
    assert all(len(home.name) == 5 for home in homes)
    rows = (folder / "meta.csv").read_text().splitlines()
    assert rows[0].startswith("image_id;age;gender")
    assert [row.split(";")[0] for row in rows[1:]] == [home.name for home in homes]
    for home in homes:
        volume = nibabel.load(home / "ct.nii.gz")
        assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
        np.testing.assert_allclose(volume.header.get_zooms(), 1.5 * 256 / SIDE, rtol=1e-6)
        total = np.zeros(volume.shape, int)
        for path in (home / "segmentations").iterdir():
            mask = np.asarray(nibabel.load(path).dataobj)
            assert set(np.unique(mask)) <= {0, 1}
            total += mask
        assert total.max() == 1, "two organs claim one voxel"


def test_liver_lies_on_the_right_of_the_patient(written):
    paths = [*(written / "lits").glob("segmentation-*.nii")]
    paths += (written / "totalsegmentator").glob("s*/segmentations/liver.nii.gz")
    assert len(paths) == 5
    for path in paths:
        mask = nibabel.load(path)
        voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
        world = nibabel.affines.apply_affine(mask.affine, voxels)
        assert world[:, 0].mean() > 0, f"{path}: in RAS, x grows to the patient's right"


def test_orientations_are_mixed(written, tmp_path):
    seen = set()
    for number in range(24):
        generator = draw((SEED, lits.STREAM, number), lits.MIX).stream("orientation")
        seen.add(tuple(generator.random() < chance for chance in (0.5, 0.5, 0.2)))
    assert len(seen) >= 5


def test_volumes_are_plausible(patients):
    for phantom in patients:
        organs = phantom.labels[:, [0, -1]], phantom.labels[:, :, [0, -1]]
        cut = any((edge == ORGANS["liver"]).any() for edge in organs)
        if not cut:
            assert 900 < millilitres(phantom, "liver", "liver_tumour") < 2600
        assert millilitres(phantom, "spleen") < 800
        assert millilitres(phantom, "stomach") > 50


def test_tissues_measure_what_they_should(patients):
    for phantom in patients:
        values = tissue_values(phantom.patient)
        for name in ("liver", "spleen"):
            voxels = phantom.hu[phantom.labels == ORGANS[name]]
            assert abs(np.median(voxels) - values[name]) < 20, name
        air = phantom.hu[phantom.labels == ORGANS["lung_right"]]
        if len(air):
            assert np.median(air) < -700
    native = tissue_values(draw((1, 1, 1), lits.MIX.__class__((1, 0, 0, 0), fatty_liver=0)))
    portal = tissue_values(draw((1, 1, 1), lits.MIX.__class__((0, 0, 1, 0), fatty_liver=0)))
    assert portal["liver"] > native["liver"] + 25


def test_a_killed_run_continues(written, tmp_path, monkeypatch):
    folder = tmp_path / "lits"
    whole = lits.write_patient
    calls = []

    def interrupted(folder, seed, number, side):
        calls.append(number)
        if number == 1 and len(calls) == 2:
            (folder / "volume-1.nii").write_bytes(b"half")
            raise KeyboardInterrupt
        return whole(folder, seed, number, side)

    monkeypatch.setitem(KINDS, "lits", cohorts.Cohort(lits.make_patient, interrupted))
    with pytest.raises(KeyboardInterrupt):
        write_cohort("lits", folder, 3, SIDE, SEED, workers=1, progress=False)
    write_cohort("lits", folder, 3, SIDE, SEED, workers=1, progress=False)
    assert calls == [0, 1, 1, 2]
    assert digests(folder) == digests(written / "lits")
    write_cohort("lits", folder, 2, SIDE, SEED, workers=1, progress=False)
    assert calls == [0, 1, 1, 2]
    assert not (folder / "volume-2.nii").exists()


def test_other_settings_are_written_anew(tmp_path, monkeypatch):
    written = []

    def fake(folder, seed, number, side):
        written.append((seed, number, side))
        path = folder / f"volume-{number}.nii"
        path.write_text(f"{seed} {side}")
        return [path]

    monkeypatch.setitem(KINDS, "lits", cohorts.Cohort(lits.make_patient, fake))
    for seed, side in ((1, 64), (1, 64), (1, 96), (2, 96)):
        write_cohort("lits", tmp_path / "lits", 1, side, seed, workers=1, progress=False)
    assert written == [(1, 0, 64), (1, 0, 96), (2, 0, 96)]


def test_never_writes_among_foreign_files(tmp_path):
    (tmp_path / "volume-0.nii").write_bytes(b"a real scan")
    with pytest.raises(SamnbError, match="not phantoms"):
        write_cohort("lits", tmp_path, 1, SIDE, SEED, workers=1, progress=False)
    assert (tmp_path / "volume-0.nii").read_bytes() == b"a real scan"


def test_unknown_kind_names_the_known(tmp_path):
    with pytest.raises(SamnbError, match="lits, totalsegmentator"):
        write_cohort("mri", tmp_path, 1, SIDE, SEED)


def test_workers_end_with_a_killed_parent(tmp_path):
    """SIGKILL gives the parent no chance to tidy up; its workers must notice by themselves."""
    script = tmp_path / "write.py"
    script.write_text(
        "from pathlib import Path\n"
        "from samnb.phantoms import write_cohort\n"
        "if __name__ == '__main__':\n"
        f"    write_cohort('lits', Path({str(tmp_path / 'cohort')!r}), 40, 96, 1, 2, False)\n"
    )
    parent = psutil.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    workers = []
    while len(workers) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
        workers = [one for one in parent.children() if "spawn_main" in " ".join(one.cmdline())]
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert len(gone) == 2
    assert not alive
