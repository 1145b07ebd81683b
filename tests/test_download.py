"""Data sets come whole, and archives cannot write outside their folder."""

import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

from samnb.base import archive as archive_module
from samnb.base import files
from samnb.base.archive import unpack
from samnb.base.errors import DataError, SamnbError
from samnb.base.fetch import CHUNK
from samnb.data import download as download_module
from samnb.data.download import get, sources

CONTENT = {
    "set/a/one.bin": np.random.default_rng(0).bytes(300_000),
    "set/b/two.bin": np.random.default_rng(1).bytes(500_000),
    "set/read me.txt": b"hello",
}


def zipped(files=CONTENT) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def tarred(files=CONTENT, mode="w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def known(server, monkeypatch):
    """Make `server` the source of a data set named toy; returns a function to set its payload."""

    def serve(payload, md5=None, **more):
        server.payload = payload
        source = download_module.Source(
            name="toy",
            title="A toy set",
            folder="toys/toy",
            layout="folder",
            gigabytes=0.001,
            licence="CC0",
            citation="Nobody, Nothing, 2025",
            url=server.url,
            md5=md5 or hashlib.md5(payload).hexdigest(),
            **more,
        )
        monkeypatch.setattr(download_module, "sources", lambda: {"toy": source})

    return serve


def fetch(folder):
    lines = []
    return get("toy", folder, report=lines.append, progress=False), lines


def assert_content(folder):
    for name, content in CONTENT.items():
        assert (folder / name.removeprefix("set/")).read_bytes() == content


def assert_complete(folder):
    assert_content(folder)
    assert json.loads((folder / "samnb-source.json").read_text())["name"] == "toy"
    assert not folder.with_name(folder.name + ".download").exists()


@pytest.mark.parametrize("payload", [zipped(), tarred(), tarred(mode="w:gz")])
def test_download_and_unpack(tmp_path, server, known, payload):
    known(payload)
    folder, lines = fetch(tmp_path / "data" / "toy")
    assert folder == tmp_path / "data" / "toy"
    assert_complete(folder)
    text = "\n".join(lines)
    assert "CC0" in text
    assert "Nobody, Nothing" in text
    assert f"samnb data check {folder}" in text
    # A second call does nothing.
    before = len(server.asked)
    assert "is there already" in fetch(folder)[1][0]
    assert len(server.asked) == before


def test_archive_without_wrapping_folder(tmp_path, known):
    known(zipped({"s1/ct.bin": b"1", "s2/ct.bin": b"2"}))
    folder, _ = fetch(tmp_path / "toy")
    assert (folder / "s1" / "ct.bin").read_bytes() == b"1"
    assert (folder / "s2" / "ct.bin").is_file()


def test_dropped_connection_goes_on(tmp_path, server, known):
    known(zipped())
    server.drops = 2
    folder, _ = fetch(tmp_path / "toy")
    assert_complete(folder)
    starts = [int(asked[6:-1]) for asked in server.asked[1:]]
    assert server.asked[0] is None
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]
    assert server.sent < len(server.payload) + 2 * CHUNK


def test_download_survives_the_process(tmp_path, server, known):
    """What a killed process leaves is a .part file; the next call asks for the rest only."""
    known(zipped())
    work = tmp_path / "toy.download"
    work.mkdir()
    (work / "set.zip.part").write_bytes(server.payload[:100_000])
    folder, _ = fetch(tmp_path / "toy")
    assert_complete(folder)
    assert server.asked == ["bytes=100000-"]


def test_wrong_checksum_keeps_nothing(tmp_path, server, known):
    known(zipped(), md5="0" * 32)
    with pytest.raises(DataError, match=r"set\.zip: .*another checksum.*starts anew"):
        fetch(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not list((tmp_path / "toy.download").glob("set.zip*"))
    known(zipped())
    assert_complete(fetch(tmp_path / "toy")[0])


def test_disk_space_is_checked_first(tmp_path, server, known, monkeypatch):
    known(zipped())
    usage = files.shutil.disk_usage(tmp_path)
    little = usage._replace(free=files.ROOM + len(server.payload))  # but none to unpack it
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: little)
    with pytest.raises(SamnbError, match=r"needs .* GB.*make room"):
        fetch(tmp_path / "toy")
    assert not (tmp_path / "toy").exists()
    assert not list((tmp_path / "toy.download").glob("set.zip*"))


def test_archive_put_there_by_hand(tmp_path, server, known):
    """What the error of a machine that is offline says, works."""
    known(zipped())
    server.status = 404
    with pytest.raises(SamnbError) as caught:
        fetch(tmp_path / "toy")
    place = tmp_path / "toy.download" / "set.zip"
    assert str(place) in caught.value.remedy
    place.write_bytes(server.payload)
    assert_complete(fetch(tmp_path / "toy")[0])
    assert len(server.asked) == 1


def test_unwritable_folder(tmp_path, known):
    known(zipped())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SamnbError, match=r"cannot be written.*export SAMNB_DATA"):
        fetch(tmp_path / "file" / "toy")


def test_unpacking_goes_on(tmp_path, monkeypatch):
    packed = tmp_path / "set.zip"
    packed.write_bytes(zipped())
    written = []
    true_write = archive_module._write

    def write_until_two(opened, member, target):
        if len(written) == 2 and not resumed:
            raise InterruptedError
        written.append(member.name)
        true_write(opened, member, target)

    monkeypatch.setattr(archive_module, "_write", write_until_two)
    resumed = False
    with pytest.raises(InterruptedError):
        unpack(packed, tmp_path / "out")
    resumed = True
    unpack(packed, tmp_path / "out")
    assert written == list(CONTENT)  # nothing twice
    assert_content(tmp_path / "out" / "set")


def test_unpacking_resumes_to_the_end(tmp_path):
    packed = tmp_path / "set.zip"
    packed.write_bytes(zipped())
    half = tmp_path / "out" / "set" / "a"
    half.mkdir(parents=True)
    (half / "one.bin.part").write_bytes(b"half a file")
    (half / "one.bin").write_bytes(b"another size")
    unpack(packed, tmp_path / "out")
    assert_content(tmp_path / "out" / "set")
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "C:\\out.txt", "..\\out.txt", "\\x"]
)
def test_paths_that_leave_the_folder(tmp_path, pack, name):
    packed = tmp_path / "evil"
    packed.write_bytes(pack({"good.txt": b"", name: b"evil"}))
    with pytest.raises(DataError, match=r"evil: leads out of its folder.*do not use"):
        unpack(packed, tmp_path / "deep" / "er" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["evil"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path, kind):
    member = tarfile.TarInfo("inside")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "evil.tar", "w") as opened:
        opened.addfile(member)
    with pytest.raises(DataError, match="holds a link or device: inside"):
        unpack(tmp_path / "evil.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_link_in_a_zip(tmp_path):
    member = zipfile.ZipInfo("inside")
    member.create_system, member.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        opened.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link or device: inside"):
        unpack(tmp_path / "evil.zip", tmp_path / "out")


@pytest.mark.parametrize("payload", [zipped(), tarred(), tarred(mode="w:gz"), b"an error page"])
def test_damaged_archives(tmp_path, payload):
    packed = tmp_path / "set.bin"
    packed.write_bytes(payload[: len(payload) * 2 // 3])
    with pytest.raises(DataError, match=r"set\.bin: damaged archive.*delete it"):
        unpack(packed, tmp_path / "out")


def test_clutter_of_macos_is_left_out(tmp_path):
    files = {"a.txt": b"", "__MACOSX/._a.txt": b"x", "b/._c.nii": b"x"}
    (tmp_path / "set.zip").write_bytes(zipped(files))
    unpack(tmp_path / "set.zip", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["a.txt"]


def test_known_sets_are_complete():
    known = sources()
    assert {"lits", "totalsegmentator", "task03_liver", "kits19", "brats21", "synapse"} <= set(
        known
    )
    for source in known.values():
        assert source.licence
        assert source.citation
        assert source.gigabytes > 0
        assert bool(source.url) == bool(source.md5) != bool(source.steps)
        assert source.url is None or source.url.startswith("https://")
        assert source.md5 is None or len(source.md5) == 32


@pytest.mark.parametrize("name", ["lits", "KiTS19", "brats18", "brats21", "synapse"])
def test_registration_steps(tmp_path, name):
    lines = []
    folder = tmp_path / name
    assert get(name, folder, report=lines.append) is None
    text = "\n".join(lines)
    assert "1. " in text
    assert str(folder) in text
    assert f"samnb data check {folder}" in text
    assert "Licence" in text
    assert not folder.exists()


def test_a_set_got_by_hand_is_recognised_as_it_comes(tmp_path):
    """KiTS19 as its script leaves it: nothing to write beside it."""
    import nibabel as nib

    from samnb.data.check import check_folder, detect_layout

    lines = []
    get("kits19", tmp_path, report=lines.append)
    assert not any("cohort.yaml" in line for line in lines)
    for number in range(2):
        place = tmp_path / f"case_0000{number}"
        place.mkdir()
        voxels = np.random.default_rng(number).integers(0, 3, (4, 4, 4)).astype(np.uint8)
        for kind in ("imaging", "segmentation"):
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), place / f"{kind}.nii.gz")
    assert detect_layout(tmp_path) == sources()["kits19"].layout == "kits19"
    assert check_folder("kits19", tmp_path, "tumour") == []


def test_unknown_set():
    with pytest.raises(SamnbError, match=r"No data set 'imagenet'.*choose among.*lits"):
        get("imagenet")
