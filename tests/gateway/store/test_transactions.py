"""`do` and `session`: all or nothing, told only afterwards, and nothing told of parameters."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import asyncpg
import pytest
from sqlmodel import Session, select

from gateway.errors import Kind, Problem
from gateway.settings import Settings
from gateway.store import charts, inbox
from gateway.store.engine import SqliteStore, Store, StoreFault, Tx, open_store
from gateway.store.tables import Alarm

CANARY = "王珅330421198001010007"


def alarm(tx: Tx, kind: str, at: int = 1) -> str:
    tx.run(inbox.ADD_ALARM, kind, "people-his", "", at)
    return kind


def alarm_then_fail(tx: Tx, kind: str) -> None:
    alarm(tx, kind)
    raise LookupError("the work changed its mind")


def count_wrongly(tx: Tx) -> None:
    """A row twice under one key."""
    for _ in range(2):
        row = ("1" * 32, 0, CANARY, CANARY, CANARY, 0, 0, 0, CANARY.encode(), b"", "", 1)
        tx.run(PUT, *row)


PUT = charts.Statement(
    charts.insert(charts._chart).values(**charts.binds(charts._chart)),
    *(c.name for c in charts._chart.columns),
)


async def kinds(store: Store) -> list[str]:
    return sorted(row[1] for row in await store.read(inbox.ALARMS, 1000))


async def test_work_that_raises_leaves_no_trace(store: Store) -> None:
    with pytest.raises(LookupError):
        await store.do(alarm_then_fail, "lost")
    assert await kinds(store) == []


async def test_what_shares_a_commit_with_failing_work_survives(store: Store) -> None:
    work = [
        store.do(alarm_then_fail if number % 3 == 0 else alarm, f"{number:02}")
        for number in range(20)
    ]
    answers = await asyncio.gather(*work, return_exceptions=True)
    kept = [f"{number:02}" for number in range(20) if number % 3]
    assert [answer for answer in answers if isinstance(answer, str)] == kept
    assert await kinds(store) == kept


async def test_the_answer_comes_after_the_commit(store: Store, other: Store) -> None:
    """Whoever hears the answer finds the row, also through another connection."""
    for number in range(10):
        await store.do(alarm, f"{number}")
        assert len(await kinds(other)) == number + 1


async def test_nobody_sees_half_of_a_work(store: Store, other: Store) -> None:
    def pair(tx: Tx, name: str) -> None:
        alarm(tx, f"{name}-a")
        alarm(tx, f"{name}-b")

    seen = []

    async def watch() -> None:
        for _ in range(60):
            seen.append(len(await kinds(other)) % 2)
            await asyncio.sleep(0)

    await asyncio.gather(watch(), *(store.do(pair, str(number)) for number in range(20)))
    assert set(seen) == {0}


async def test_a_failing_insert_leaves_no_trace_and_names_no_parameter(store: Store) -> None:
    with pytest.raises(StoreFault) as caught:
        await store.do(count_wrongly)
    shown = f"{caught.value!s} {caught.value!r} {caught.value.__cause__!r}"
    assert CANARY not in shown
    assert "1111" not in shown
    assert await store.read(charts.EPOCHS, ["1" * 32]) == []


async def test_a_failing_insert_of_a_screen_names_no_parameter_either(store: Store) -> None:
    def twice(session: Session) -> None:
        for _ in range(2):
            session.add(Alarm(id=7, kind=CANARY, source=CANARY, about="", at=1))
            session.flush()
            session.expunge_all()

    with pytest.raises(StoreFault) as caught:
        await store.session(twice)
    assert CANARY not in f"{caught.value!s} {caught.value!r} {caught.value.__cause__!r}"
    assert await kinds(store) == []


async def test_a_screen_that_raises_leaves_no_trace(store: Store) -> None:
    def change_mind(session: Session) -> None:
        session.add(Alarm(kind="lost", source="", about="", at=1))
        session.flush()
        raise LookupError

    with pytest.raises(LookupError):
        await store.session(change_mind)
    assert await kinds(store) == []


async def test_a_screen_sees_what_the_hot_statements_wrote(store: Store) -> None:
    await store.do(alarm, "one")

    def read(session: Session) -> list[str]:
        return [row.kind for row in session.exec(select(Alarm))]

    assert await store.session(read) == ["one"]


async def test_work_whose_caller_has_gone_stands_or_not_but_never_half(store: Store) -> None:
    def pair(tx: Tx) -> None:
        alarm(tx, "a")
        alarm(tx, "b")

    for pause in (0, 0.001, 0.003):
        task = asyncio.create_task(store.do(pair))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.do(alarm, "c")
    assert (len(await kinds(store)) - 1) % 2 == 0


async def test_callers_that_give_up_do_not_use_up_the_connections(store: Store) -> None:
    for _ in range(20):
        task = asyncio.create_task(store.read(inbox.ALARMS, 1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        await asyncio.gather(*(store.do(alarm, "x") for _ in range(10)))
    assert len(await kinds(store)) == 10


async def test_two_processes_take_turns_on_one_database(store: Store, other: Store) -> None:
    def count_up(tx: Tx) -> int:
        return charts.take(tx, "1" * 32, 1)[0]

    await store.do(lambda tx: tx.run(PUT, "1" * 32, 0, "o", "p", "p", 0, 0, 0, b"", b"", "", 1))
    answers = await asyncio.gather(*(one.do(count_up) for one in (store, other) for _ in range(25)))
    assert sorted(answers) == list(range(1, 51))


# SQLite: a full disk


async def full_disk(settings: Settings) -> SqliteStore:
    """A store whose file may not grow any more; `PRAGMA max_page_count` stands for the disk."""
    if not settings.database_url.startswith("sqlite"):
        pytest.skip("a full disk is SQLite's test; PostgreSQL stops its connections")
    made = open_store(settings.database_url)
    assert isinstance(made, SqliteStore)

    def no_more(tx: Any) -> None:
        pages = tx._db.execute("PRAGMA page_count").fetchone()[0]
        tx._db.execute(f"PRAGMA max_page_count = {pages}")

    await made.do(no_more)
    return made


def big(tx: Tx, name: str) -> str:
    for number in range(40):
        alarm(tx, f"{name}-{number}-" + "x" * 2000)
    return name


async def test_on_a_full_disk_nothing_is_partly_written_and_everybody_hears_busy(
    settings: Settings,
) -> None:
    store = await full_disk(settings)
    try:
        answers = await asyncio.gather(
            store.do(alarm_then_fail, "own fault"),
            *(store.do(big, str(number)) for number in range(3)),
            return_exceptions=True,
        )
        assert isinstance(answers[0], LookupError | Problem)
        for answer in answers[1:]:
            assert isinstance(answer, Problem), answer
            assert answer.kind is Kind.BUSY
        assert await kinds(store) == []

        def screen(session: Session) -> None:
            session.add(Alarm(kind="x" * 200_000, source="", about="", at=1))

        store._sessions.dispose()
        with store._sessions.connect() as line:
            pages = line.exec_driver_sql("PRAGMA page_count").scalar()
            line.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(Problem) as caught:
            await store.session(screen)
        assert caught.value.kind is Kind.BUSY

        def more_room(tx: Any) -> None:
            tx._db.execute("PRAGMA max_page_count = 1000000")

        await store.do(more_room)
        assert await store.do(big, "again") == "again"
        assert len(await kinds(store)) == 40
    finally:
        await store.close()


async def test_an_answer_given_before_the_disk_was_full_is_true(settings: Settings) -> None:
    """Small works share a commit with one that fills the disk: told done means done."""
    store = await full_disk(settings)
    try:
        answers = await asyncio.gather(
            *(store.do(alarm, f"s{number}") for number in range(3)),
            store.do(big, "big"),
            *(store.do(alarm, f"t{number}") for number in range(3)),
            return_exceptions=True,
        )
        told = sorted(answer for answer in answers if isinstance(answer, str))
        assert await kinds(store) == told
        assert isinstance(answers[3], Problem)
    finally:
        await store.close()


async def test_a_locked_file_is_busy_and_then_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite locks the file")
    monkeypatch.setattr("gateway.store.engine.BUSY_MS", 50)
    store = open_store(settings.database_url)
    blocker = sqlite3.connect(store.path, isolation_level=None)  # type: ignore[union-attr]
    try:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Problem) as caught:
            await store.do(alarm, "one")
        assert caught.value.kind is Kind.BUSY
        blocker.execute("ROLLBACK")
        assert await store.do(alarm, "two") == "two"
        assert await kinds(store) == ["two"]
    finally:
        blocker.close()
        await store.close()


# PostgreSQL: lost connections


@pytest.fixture
async def served(settings: Settings) -> str:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite has no connections to lose")
    return settings.database_url


async def cut(url: str) -> None:
    """End every other session of the database, as a failover does."""
    db = await asyncpg.connect(url)
    await db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await db.close()


async def test_a_connection_lost_while_working_is_busy_and_then_all_is_well(
    served: str, store: Store
) -> None:
    def ends_itself(tx: Tx) -> None:
        alarm(tx, "lost")
        tx.run(charts.Statement(charts.select(charts.func.pg_terminate_backend(MYSELF))))

    MYSELF = charts.func.pg_backend_pid()
    for _ in range(12):  # more often than there are connections
        with pytest.raises(Problem) as caught:
            await store.do(ends_itself)
        assert caught.value.kind is Kind.BUSY
    assert await store.do(alarm, "kept") == "kept"
    assert await kinds(store) == ["kept"]


async def test_connections_lost_while_idle_cost_at_most_a_busy(served: str, store: Store) -> None:
    def read(session: Session) -> int:
        return len(session.exec(select(Alarm)).all())

    await asyncio.gather(*(store.do(alarm, "x") for _ in range(8)))
    await store.session(read)
    await cut(served)
    lost = 0
    kinds_of_trouble = set()
    for _ in range(30):
        for attempt in (
            store.do(alarm, "y"),
            store.read(inbox.ALARMS, 1),
            store.session(read),
        ):
            try:
                await attempt
            except Problem as problem:
                kinds_of_trouble.add(problem.kind)
                lost += 1
    assert kinds_of_trouble <= {Kind.BUSY}
    assert lost <= 16
    assert await store.session(read) >= 30


async def test_a_server_that_is_not_there_is_busy() -> None:
    store = open_store("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        for attempt in (
            store.read(inbox.ALARMS, 1),
            store.do(alarm, "x"),
            store.session(lambda session: session.exec(select(Alarm)).all()),
        ):
            with pytest.raises(Problem) as caught:
                await attempt
            assert caught.value.kind is Kind.BUSY
    finally:
        await store.close()


async def test_work_that_swallows_a_failed_statement_is_not_told_done(store: Store) -> None:
    """PostgreSQL answers COMMIT of a broken transaction with ROLLBACK, and no error."""

    def swallows(tx: Tx) -> str:
        alarm(tx, "before")
        try:
            count_wrongly(tx)
        except Exception:
            return "done"
        return "unbroken"

    if store.engine == "sqlite":
        assert await store.do(swallows) == "done"
        assert await kinds(store) == ["before"]
        return
    with pytest.raises(StoreFault):
        await store.do(swallows)
    assert await kinds(store) == []


async def test_deadlocked_works_are_tried_again(store: Store) -> None:
    def both(tx: Tx, one: str, two: str) -> None:
        charts.take(tx, one, 1)
        charts.take(tx, two, 1)

    def put(tx: Tx) -> None:
        for id in ("1" * 32, "2" * 32):
            tx.run(PUT, id, 0, "o", "p", "p", 0, 0, 0, b"", b"", "", 1)

    await store.do(put)
    await asyncio.gather(
        *(
            store.do(both, *(("1" * 32, "2" * 32) if number % 2 else ("2" * 32, "1" * 32)))
            for number in range(6)
        )
    )
    seqs = [
        (await store.do(lambda tx, id=id: charts.take(tx, id, 0)))[0] for id in ("1" * 32, "2" * 32)
    ]
    assert seqs == [6, 6]


async def test_two_who_write_the_same_key_at_once_both_get_their_answer(store: Store) -> None:
    """The second finds what the first wrote, though it was not there when both looked."""

    def look_then_write(tx: Tx, number: int) -> bool:
        if tx.all(charts.EPOCHS, ["3" * 32]):
            return False
        if tx.__class__.__name__ == "_PostgresTx":
            tx.run(charts.Statement(charts.select(charts.func.pg_sleep(0.05))))
        tx.run(PUT, "3" * 32, 0, "o", str(number), "p", 0, 0, 0, b"", b"", "", 1)
        return True

    answers = await asyncio.gather(*(store.do(look_then_write, n) for n in range(4)))
    assert sorted(answers) == [False, False, False, True]
