"""Fetching goes on where it stopped, checks what came, and never replaces a file that is there."""

import errno
import hashlib
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from samnb.base import fetch as fetching
from samnb.base import files
from samnb.base.errors import DataError, SamnbError

CONTENT = np.random.default_rng(0).bytes(800_000)
HASH = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path, server) -> Path:
    server.payload = CONTENT
    return tmp_path / "new" / "set.zip"


def fetch(server, path, known_hash=HASH, **options):
    return fetching.fetch(server.url, path, known_hash, progress=False, **options)


def leave_part(path, content):
    path.parent.mkdir(exist_ok=True)
    path.with_name("set.zip.part").write_bytes(content)


def assert_whole(path):
    assert path.read_bytes() == CONTENT
    assert {place.name for place in path.parent.iterdir()} == {"set.zip", ".set.zip.lock"}


@pytest.mark.parametrize("known_hash", [HASH, "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_a_file_comes_once_and_is_then_only_checked(server, path, known_hash):
    assert fetch(server, path, known_hash) == path
    assert_whole(path)
    assert fetch(server, path, known_hash) == path
    assert server.asked == [None]


def test_a_file_in_a_folder_that_may_only_be_read_is_good_enough(server, path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    fetch(server, path)
    assert list(path.parent.iterdir()) == [path]  # not even a lock


def test_another_file_in_its_place_is_an_error_and_stays(server, path):
    path.parent.mkdir()
    path.write_bytes(b"not what was published")
    with pytest.raises(DataError, match=r"set\.zip: checksum mismatch.*delete it"):
        fetch(server, path)
    assert path.read_bytes() == b"not what was published"  # the reader's file, not ours to delete
    assert server.asked == []


def test_dropped_connections_go_on_where_they_stopped(server, path, monkeypatch):
    monkeypatch.setattr(fetching, "CHUNK", 1000)
    server.drops = 3
    fetch(server, path)
    assert_whole(path)
    assert server.asked == [None, "bytes=250000-", "bytes=500000-", "bytes=750000-"]
    assert server.sent == len(CONTENT)


def test_little_is_lost_when_a_connection_drops(server, path):
    server.drops = 2
    fetch(server, path)
    assert_whole(path)
    assert len(server.asked) == 3
    assert server.sent < len(CONTENT) + 2 * fetching.CHUNK


def test_what_a_killed_process_left_is_continued(server, path):
    leave_part(path, CONTENT[:100_000])
    fetch(server, path)
    assert_whole(path)
    assert server.asked == ["bytes=100000-"]


def test_a_part_that_is_whole_already(server, path):
    leave_part(path, CONTENT)
    fetch(server, path)
    assert_whole(path)
    assert server.sent == 0


def test_a_part_that_is_too_long_is_of_another_file(server, path):
    leave_part(path, CONTENT + b"extra")
    fetch(server, path)
    assert_whole(path)
    assert server.asked[-1] is None


def test_an_interrupted_checksum_costs_no_download(server, path, monkeypatch):
    def interrupt(*rest, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pooch.core, "hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, path)
    assert not path.exists()
    sent = server.sent
    fetch(server, path)
    assert_whole(path)
    assert server.sent == sent


def test_a_disk_without_second_names(server, path, monkeypatch):
    def refuse(*names):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(fetching.os, "link", refuse)
    fetch(server, path)
    assert_whole(path)


@pytest.mark.parametrize("habit", [{"ranges": False}, {"shift": -5}, {"named": False}])
@pytest.mark.parametrize("part", [b"", b"x" * 1000])
def test_a_server_that_cannot_continue_starts_anew(server, path, habit, part):
    vars(server).update(habit)
    leave_part(path, part)
    server.drops = 1
    fetch(server, path)
    assert_whole(path)


@pytest.mark.parametrize("habit", [{}, {"ranges": False}, {"shift": -5}])
def test_a_connection_that_never_gets_on_ends(server, path, habit):
    vars(server).update(habit)
    leave_part(path, CONTENT[:100_000])
    server.drops, server.drop_after = 1000, 0
    with pytest.raises(SamnbError, match=r"fails \(broke off\).*goes on where it stopped"):
        fetch(server, path)
    assert len(server.asked) == fetching.TRIES
    server.drops = 0
    fetch(server, path)
    assert_whole(path)


def test_a_server_that_always_breaks_at_the_same_place_ends(server, path):
    """Each try from the start brings bytes, and none that were not there before."""
    server.drops, server.shift = 1000, -5
    with pytest.raises(SamnbError, match=r"fails \(the server sent another range"):
        fetch(server, path)
    assert len(server.asked) == 1 + fetching.TRIES


def test_pauses_grow_and_progress_makes_them_short_again(server, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(fetching, "PAUSE", 2.0)
    monkeypatch.setattr(fetching.time, "sleep", lambda seconds: seconds and pauses.append(seconds))
    server.status, server.refusals, server.drops = 503, 3, 1
    fetch(server, path)
    assert_whole(path)
    assert pauses == [2, 4, 8, 2]


@pytest.mark.parametrize("status", fetching.TRANSIENT)
def test_a_busy_server_is_asked_again(server, path, status):
    server.status, server.refusals = status, fetching.TRIES - 1
    fetch(server, path)
    assert_whole(path)


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, fetching.TRIES)])
def test_server_errors(server, path, status, tries):
    leave_part(path, CONTENT[:1000])
    server.status = status
    with pytest.raises(SamnbError, match=str(status)) as caught:
        fetch(server, path)
    assert len(server.asked) == tries
    assert str(path) in caught.value.remedy
    assert "\n" not in str(caught.value)
    assert path.with_name("set.zip.part").read_bytes() == CONTENT[:1000]


def test_offline_is_said_at_once_with_the_way_by_hand(path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 60.0)
    leave_part(path, CONTENT[:1000])
    with socket.socket() as taken:  # a port nobody listens on
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/set.zip"
        with pytest.raises(SamnbError, match=r"no connection.*check network and proxy") as caught:
            fetching.fetch(url, path, HASH, progress=False)
    assert str(path) in caught.value.remedy
    assert url in caught.value.remedy
    assert "\n" not in str(caught.value)
    assert path.with_name("set.zip.part").read_bytes() == CONTENT[:1000]


def test_an_address_that_is_none_is_one_clear_error(path):
    with pytest.raises(SamnbError, match=r"cannot be fetched.*by hand"):
        fetching.fetch("http://", path, HASH, progress=False)


def test_wrong_content_never_gets_the_name_and_leaves_nothing(server, path):
    server.payload = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=r"set\.zip: .*another checksum.*starts anew"):
        fetch(server, path)
    assert [place.name for place in path.parent.iterdir()] == [".set.zip.lock"]
    server.payload = CONTENT
    fetch(server, path)
    assert_whole(path)


@pytest.mark.parametrize(("room", "part", "needed"), [(1, 0, 1.0), (2, 0, 2.0), (2, 400_000, 1.5)])
def test_room_is_checked_before_a_byte_is_stored(
    server, path, room, part, needed, monkeypatch, tmp_path
):
    leave_part(path, CONTENT[:part])
    usage = files.shutil.disk_usage(tmp_path)
    just = files.ROOM + int(needed * len(CONTENT))

    def leave_free(size):
        monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=size))

    leave_free(just - 1)
    with pytest.raises(SamnbError, match=r"needs .* GB.*make room"):
        fetch(server, path, room=room)
    assert len(server.asked) == 1
    assert path.with_name("set.zip.part").read_bytes() == CONTENT[:part]
    leave_free(just)
    fetch(server, path, room=room)
    assert_whole(path)


def test_a_disk_that_fills_up_is_one_clear_error(server, path, monkeypatch):
    def full(*rest):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(requests.Response, "iter_content", full)
    with pytest.raises(SamnbError, match=r"disk is full.*make room.*goes on where it stopped"):
        fetch(server, path)


def test_a_folder_that_cannot_be_written(server, path):
    path.parent.write_text("in the way")
    with pytest.raises(SamnbError, match=r"cannot be written.*export SAMNB_DATA"):
        fetch(server, path)


def test_two_at_once_fetch_it_once(server, path):
    server.delay = 0.2
    both = [threading.Thread(target=fetch, args=(server, path)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert server.asked == [None]
    assert_whole(path)
