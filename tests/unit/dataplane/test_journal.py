"""The log: order, group commit, rolling, recycling, atomic batches, and what a reader finds of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leafbox.dataplane.journal import Journal, JournalState, RecordKind
from leafbox.protocol.errors import LimitExceeded, StoreClosed, StoreFull
from leafbox.storage.segments import survey_log

OpenJournal = Callable[..., Journal]
SALT = 99


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[OpenJournal]:
    opened: list[Journal] = []

    def open_one(**changes: object) -> Journal:
        options: dict[str, object] = {
            "store_salt": SALT,
            "recovered_lsn": 0,
            "next_lsn": 1,
            "next_epoch": 1,
            "next_file_number": 1,
            "segments": [],
            "segment_bytes": 1 << 16,
            "staging_bytes_max": 1 << 15,
            "log_bytes_max": 1 << 24,
            "free_bytes_min": 0,
            "syncs_always": True,
            "sync_interval_s": 30.0,
            "probe_interval_s": 0.05,
        }
        journal = Journal(str(tmp_path), **(options | changes))  # type: ignore[arg-type]
        opened.append(journal)
        return journal

    yield open_one
    for journal in opened:
        journal.close()


class Commits:
    """What the log reports to the running loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._moved = asyncio.Event()
        journal.attach(asyncio.get_running_loop())
        journal.add_durable_callback(lambda _: self._moved.set())

    async def reach(self, lsn: int) -> None:
        """Return when the record is on the device, without asking for it."""
        async with asyncio.timeout(20):
            while self._journal.durable_lsn < lsn:
                self._moved.clear()
                await self._moved.wait()


def test_numbers_ascend_and_everything_is_read_back(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Records of several segments form one run without holes."""
    journal = open_journal()
    for number in range(1, 301):
        assert journal.append_record(RecordKind.BLOB_PUT, 7, b"x" * (number * 3)) == number
        if number % 20 == 0:
            assert journal.wait_durable(number)
    assert journal.wait_durable(300)
    assert journal.status().segment_count > 2
    found = survey_log(tmp_path, SALT, 0)
    assert (found.end_lsn, found.gaps, found.torn_detail) == (300, [], "")


@pytest.mark.capability("JS42")
def test_what_arrives_during_a_commit_shares_the_next(open_journal: OpenJournal) -> None:
    """One sync per batch, not per record: the point of group commit."""
    journal = open_journal()

    async def run() -> None:
        reported: list[int] = []
        journal.attach(asyncio.get_running_loop())
        journal.add_durable_callback(reported.append)
        for _ in range(5):
            for _ in range(100):
                journal.append_record(RecordKind.BLOB_PUT, 1, b"y" * 40)
            await asyncio.to_thread(journal.wait_durable, journal.last_lsn)
        await asyncio.sleep(0.01)
        assert reported[-1] == 500
        assert reported == sorted(set(reported))
        journal.detach()

    asyncio.run(run())
    assert journal.commit_count <= 10, "500 records in five loop turns"
    assert journal.written_bytes == 500 * 64


def test_unhurried_records_wait_for_company(open_journal: OpenJournal) -> None:
    """Records nobody waits for do not cause a sync of their own before the interval."""
    journal = open_journal()
    journal.append_record(RecordKind.BLOB_PUT, 1, b"later", is_urgent=False)
    journal.append_record(RecordKind.BLOB_PUT, 1, b"later", is_urgent=False)
    assert journal.commit_count == 0
    last = journal.append_record(RecordKind.BLOB_PUT, 1, b"now")
    assert journal.wait_durable(last)
    assert journal.commit_count == 1


def test_unhurried_records_do_not_wait_for_ever(open_journal: OpenJournal) -> None:
    """On a box where nothing more happens they are on flash after the interval."""
    journal = open_journal(sync_interval_s=0.05)

    async def run() -> None:
        commits = Commits(journal)
        for _ in range(3):
            last = journal.append_record(RecordKind.BLOB_PUT, 1, b"later", is_urgent=False)
            await commits.reach(last)
        journal.detach()

    asyncio.run(run())


def test_a_commit_is_asked_for_once_all_is_appended(open_journal: OpenJournal) -> None:
    """Whoever appends in pieces asks at the end; what is asked for twice, or is there already, is no commit more."""
    journal = open_journal()

    async def run() -> None:
        commits = Commits(journal)
        for count in range(1, 21):
            for _ in range(3):
                last = journal.append_record(RecordKind.BLOB_PUT, 1, b"a piece", is_urgent=False)
                await asyncio.sleep(0)
            journal.want_commit(last)
            journal.want_commit(last - 1)
            await commits.reach(last)
            journal.want_commit(last)
            assert journal.commit_count == count
        journal.detach()

    asyncio.run(run())


def test_a_commit_that_is_asked_for_inside_a_group_comes_at_its_end(open_journal: OpenJournal) -> None:
    """The committer is not woken for a group that is open, nor forgets that it was asked."""
    journal = open_journal()

    async def run() -> None:
        commits = Commits(journal)
        for _ in range(20):
            journal.begin_group(2, 20, 10)
            last = journal.append_record(RecordKind.BLOB_PUT, 1, b"a piece", is_urgent=False)
            journal.want_commit(last)
            await asyncio.sleep(0)
            last = journal.append_record(RecordKind.BLOB_PUT, 1, b"a piece", is_urgent=False)
            assert journal.durable_lsn <= last - 2
            journal.end_group()
            await commits.reach(last)
        journal.detach()

    asyncio.run(run())


@pytest.mark.parametrize("ends", [False, True], ids=["nothing more comes", "all has come"])
def test_a_commit_that_gathers_comes(open_journal: OpenJournal, ends: bool) -> None:
    """Patience has an end: by itself, or when what was expected is here; nobody has to ask for the commit again."""
    journal = open_journal()

    async def run() -> None:
        commits = Commits(journal)
        for _ in range(20):
            journal.sync_last_us = 10_000_000  # Bounded by the journal, whatever a device did.
            journal.gather()
            last = journal.append_record(RecordKind.BLOB_PUT, 1, b"early")
            await asyncio.sleep(0)
            if ends:
                last = journal.append_record(RecordKind.BLOB_PUT, 1, b"late")
                await asyncio.sleep(0)
                journal.end_gathering()
            await commits.reach(last)
        journal.detach()

    asyncio.run(run())


def test_who_blocks_does_not_wait_for_company(open_journal: OpenJournal) -> None:
    """`wait_durable` and `close` end the patience."""
    journal = open_journal()
    journal.sync_last_us = 10_000_000
    journal.gather()
    assert journal.wait_durable(journal.append_record(RecordKind.BLOB_PUT, 1, b"now"))
    journal.gather()
    journal.append_record(RecordKind.BLOB_PUT, 1, b"last words")
    assert journal.close()
    assert journal.durable_lsn == 2


def test_released_segments_are_used_again(open_journal: OpenJournal, tmp_path: Path) -> None:
    """The log does not grow if checkpoints keep up, and old records in a recycled file are not read."""
    journal = open_journal()
    for _ in range(120):
        for _ in range(25):
            last = journal.append_record(RecordKind.BLOB_PUT, 1, b"z" * 1_000)
        assert journal.wait_durable(last)
        journal.release(last)
    assert journal.written_bytes > 40 << 16
    assert journal.segments_created <= 6, "the active one, a spare, what a batch fills"
    last = journal.append_record(RecordKind.BLOB_PUT, 1, b"last")
    assert journal.wait_durable(last)
    found = survey_log(tmp_path, SALT, last - 1)
    assert (found.end_lsn, found.gaps) == (last, [])


def test_limits_refuse(open_journal: OpenJournal) -> None:
    """A record larger than any segment, more than may wait, and a closed log."""
    journal = open_journal(probe_interval_s=30.0, log_bytes_max=1 << 16)
    with pytest.raises(LimitExceeded):
        journal.append_record(RecordKind.BLOB_PUT, 1, bytes(1 << 16))
    while journal.status().staged_bytes < 20_000:
        journal.append_record(RecordKind.BLOB_PUT, 1, bytes(20_000))
        journal.wait_durable(journal.last_lsn, 0.2)
    with pytest.raises(StoreFull):
        journal.append_record(RecordKind.BLOB_PUT, 1, bytes(20_000))
    assert journal.is_congested
    assert journal.status().state is JournalState.JOURNAL_FULL
    journal.close()
    with pytest.raises(StoreClosed):
        journal.append_record(RecordKind.BLOB_PUT, 1, b"")


def damage_last_record(path: Path) -> None:
    """As if its write had not reached the device."""
    data = bytearray(path.read_bytes())
    found = survey_log(path.parent, SALT, 0)
    end = max(run.end for run in found.relevant[0].runs)
    data[end - 8 : end] = bytes(8)
    path.write_bytes(data)


@pytest.mark.capability("JS27")
@pytest.mark.capability("JS40")
def test_a_group_without_its_end_never_happened(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Atomic batches (ADR-50): recovery cuts off a group whose last record did not make it."""
    journal = open_journal()
    journal.append_record(RecordKind.BLOB_PUT, 1, b"alone!!!")
    journal.begin_group(4, 32, 8)
    for _ in range(4):
        journal.append_record(RecordKind.BLOB_PUT, 1, b"together")
    journal.end_group()
    assert journal.wait_durable(5)
    journal.close()
    assert survey_log(tmp_path, SALT, 0).end_lsn == 5
    damage_last_record(min(tmp_path.glob("segment-*.log")))
    found = survey_log(tmp_path, SALT, 0)
    assert (found.end_lsn, found.torn_records, found.gaps) == (1, 3, [])


@pytest.mark.capability("JS27")
def test_an_open_group_is_not_written(open_journal: OpenJournal, tmp_path: Path) -> None:
    """No commit takes a part of a group, however long it stays open; an inner one ends with the outer one."""
    journal = open_journal()
    journal.begin_group(3, 12, 4)
    journal.append_record(RecordKind.BLOB_PUT, 1, b"one")
    journal.begin_group(1, 4, 4)
    journal.append_record(RecordKind.BLOB_PUT, 1, b"two")
    journal.end_group()
    assert not journal.wait_durable(1, 0.2)
    journal.append_record(RecordKind.BLOB_PUT, 1, b"end")
    journal.end_group()
    assert journal.wait_durable(3)
    assert survey_log(tmp_path, SALT, 0).end_lsn == 3


@pytest.mark.capability("JS27")
def test_a_group_is_taken_whole_or_refused_at_its_beginning(open_journal: OpenJournal) -> None:
    """Neither a full staging buffer nor a failure in its midst keeps a part out."""
    journal = open_journal(staging_bytes_max=1 << 15)
    with pytest.raises(LimitExceeded):
        journal.begin_group(1, 1 << 15, 1 << 15)
    with pytest.raises(LimitExceeded):
        journal.begin_group(1 << 20, 1 << 25, 100)
    journal.begin_group(100, 100_000, 1000)
    for _ in range(100):
        journal.append_record(RecordKind.BLOB_PUT, 1, bytes(1000))
    journal.end_group()
    assert journal.wait_durable(100)


@pytest.mark.capability("JS40")
def test_a_run_that_lost_its_first_record_leaves_no_hole(open_journal: OpenJournal, tmp_path: Path) -> None:
    """Its whole only commit is a torn tail; the numbers between the former run and it were never used."""
    first = open_journal(recovered_lsn=10, next_lsn=1_000)
    first.begin_group(3, 72, 24)
    for _ in range(3):
        first.append_record(RecordKind.BLOB_PUT, 1, b"a" * 24, is_urgent=False)
    first.end_group()
    first.close()
    path = min(tmp_path.glob("segment-*.log"))
    damage_last_record(path)
    data = bytearray(path.read_bytes())
    data[8192:8240] = bytes(48)
    path.write_bytes(data)
    torn = survey_log(tmp_path, SALT, 10)
    assert (torn.gaps, bool(torn.torn_detail)) == ([], True)
    second = open_journal(
        recovered_lsn=torn.end_lsn,
        next_lsn=5_000,
        next_epoch=2,
        next_file_number=9,
        segments=[(1, 1, 10, 10, 0, 1)],
    )
    assert second.wait_durable(second.append_record(RecordKind.BLOB_PUT, 1, b"b"))
    second.close()
    found = survey_log(tmp_path, SALT, 10)
    assert (found.end_lsn, found.gaps) == (5_000, [])


def test_torn_tail_and_damage_are_told_apart(open_journal: OpenJournal, tmp_path: Path) -> None:
    """The last commit may be torn without loss; a hole that later commits prove to have been synced is damage."""
    journal = open_journal()
    for number in range(1, 11):
        journal.append_record(RecordKind.BLOB_PUT, 1, b"%d" % number * 20)
        assert journal.wait_durable(number)
    journal.close()
    path = min(tmp_path.glob("segment-*.log"))
    data = bytearray(path.read_bytes())
    runs = survey_log(tmp_path, SALT, 0).relevant[0].runs
    size = 48
    data[runs[0].end - size + 30] ^= 1
    path.write_bytes(data)
    torn = survey_log(tmp_path, SALT, 0)
    assert (torn.end_lsn, torn.gaps, bool(torn.torn_detail)) == (9, [], True)
    data[runs[0].start + 30] ^= 1
    path.write_bytes(data)
    damaged = survey_log(tmp_path, SALT, 0)
    assert [(gap.first_lsn, gap.last_lsn) for gap in damaged.gaps] == [(1, 1)]


def test_a_group_that_nobody_finished_does_not_hold_up_the_end(open_journal: OpenJournal, tmp_path: Path) -> None:
    """What is in it was promised to nobody: it is written, and a replay ends in front of it."""
    journal = open_journal()
    last = journal.append_record(RecordKind.BLOB_PUT, 1, b"whole")
    journal.begin_group(1, 4, 4)
    journal.append_record(RecordKind.BLOB_PUT, 1, b"half")
    assert journal.close()
    assert survey_log(tmp_path, SALT, 0).end_lsn == last
