"""Records on disk: torn ones are cut off, released ones go, and a failed write counts for nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lumen.ledger.entries import Batch, encode_batch
from services.edge.metering.metrics import MeteringMetrics
from services.edge.metering.spool import Spool, SpoolFull, SpoolRef
from services.edge.metering.spool_files import SpoolDamaged


def payload(number: int, partition: int = 3) -> bytes:
    return encode_batch(Batch("edge-test", partition, number, []))


def open_spool(directory: Path, bytes_max: int = 1024**2) -> Spool:
    return Spool(directory, MeteringMetrics(CollectorRegistry()), bytes_max=bytes_max)


async def numbers_left(directory: Path) -> list[int]:
    spool = open_spool(directory)
    try:
        return [batch.number for batch in await spool.load()]
    finally:
        spool.close()


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))


async def filled(directory: Path, count: int = 3) -> None:
    spool = open_spool(directory)
    await spool.load()
    for number in range(1, count + 1):
        await spool.append([payload(number)])
    spool.close()


async def test_what_was_appended_is_there_after_a_restart_in_order(tmp_path: Path) -> None:
    await filled(tmp_path)
    spool = open_spool(tmp_path)
    batches = await spool.load()
    assert [(batch.partition, batch.number) for batch in batches] == [(3, 1), (3, 2), (3, 3)]
    assert [await spool.read(batch.ref) for batch in batches] == [payload(1), payload(2), payload(3)]
    await spool.append([payload(4)])
    spool.close()
    assert await numbers_left(tmp_path) == [1, 2, 3, 4]


async def test_a_record_torn_anywhere_is_cut_off_and_those_before_it_stay(tmp_path: Path) -> None:
    await filled(tmp_path / "whole", 2)
    (whole,) = segments(tmp_path / "whole")
    content = whole.read_bytes()
    for size in range(len(content) // 2, len(content)):
        directory = tmp_path / str(size)
        directory.mkdir()
        (directory / whole.name).write_bytes(content[:size])
        assert await numbers_left(directory) == [1]
        assert (directory / whole.name).stat().st_size == len(content) // 2


async def test_a_flipped_bit_ends_the_segment(tmp_path: Path) -> None:
    await filled(tmp_path, 2)
    (path,) = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert await numbers_left(tmp_path) == [1]


async def test_a_whole_record_that_is_no_batch_is_kept_for_a_person(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.load()
    await spool.append([b"\xff not a batch"])
    spool.close()
    spool = open_spool(tmp_path)
    with pytest.raises(SpoolDamaged):
        await spool.load()
    spool.close()
    assert len(segments(tmp_path)) == 1


async def test_a_segment_goes_when_all_of_it_is_released(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.load()
    refs = await spool.append([payload(1), payload(2)])
    spool.release(refs[1])
    assert len(segments(tmp_path)) == 1
    spool.release(refs[0])
    refs = await spool.append([payload(3)])
    assert [path.name for path in segments(tmp_path)] == ["0000000002.spool"]
    spool.close()
    assert await numbers_left(tmp_path) == [3]


async def test_room_is_kept_for_requests_in_flight_and_then_nothing_is_taken(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, bytes_max=400)
    await spool.load()
    refs: list[SpoolRef] = []
    while spool.problem() is None:
        refs += await spool.append([payload(len(refs) + 1)])
    await spool.append([payload(len(refs) + 1)])
    with pytest.raises(SpoolFull):
        await spool.append([payload(99)] * 10)
    spool.close()


async def test_after_a_failed_write_the_next_goes_to_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    await spool.load()
    await spool.append([payload(1)])

    def disk_full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", disk_full)
        with pytest.raises(OSError):
            await spool.append([payload(2)])
        assert "No space" in str(spool.problem())
    await spool.append([payload(2)])
    assert spool.problem() is None
    spool.close()
    assert len(segments(tmp_path)) == 2
