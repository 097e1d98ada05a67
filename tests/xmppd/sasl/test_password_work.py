"""Passwords hashed in threads, a few at a time."""

import asyncio
import threading

import pytest

from storage.interface import AccountRecord
from xmppd.sasl import password_work
from xmppd.sasl.keys import InvalidPassword, make_keys
from xmppd.sasl.password_work import PasswordWork, TooBusy

ROMEO = AccountRecord("romeo@example.org", make_keys("pencil", 64))


async def test_password_is_verified():
    work = PasswordWork()
    assert await work.verify(ROMEO, "pencil")
    assert not await work.verify(ROMEO, "pen")


async def test_keys_are_made():
    keys = await PasswordWork().make_keys("pencil", 64)
    assert await PasswordWork().verify(AccountRecord("romeo@example.org", keys), "pencil")


async def test_invalid_password_is_reported_to_the_caller():
    with pytest.raises(InvalidPassword):
        await PasswordWork().make_keys("")


async def test_work_is_bounded_in_threads_and_in_waiting(monkeypatch):
    go_on, running, most = threading.Event(), [], []

    def slow(record: AccountRecord, password: str) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        running.append(password)
        most.append(len(running))
        go_on.wait(10)
        running.remove(password)
        return True

    monkeypatch.setattr(password_work, "verify_password", slow)
    work = PasswordWork(threads=2, max_waiting=3)
    tasks = [asyncio.create_task(work.verify(ROMEO, str(number))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await work.verify(ROMEO, "one more")
    go_on.set()
    assert await asyncio.gather(*tasks) == [True] * 5
    assert max(most) <= 2
    assert await work.verify(ROMEO, "there is room again")


async def test_place_of_an_abandoned_login_stays_taken_until_its_thread_is_done(monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def slow(record: AccountRecord, password: str) -> bool:
        started.set()
        return go_on.wait(10)

    monkeypatch.setattr(password_work, "verify_password", slow)
    work = PasswordWork(threads=1, max_waiting=1)
    task = asyncio.create_task(work.verify(ROMEO, "pencil"))
    await asyncio.to_thread(started.wait)
    waiting = asyncio.create_task(work.verify(ROMEO, "pencil"))
    await asyncio.sleep(0)
    for abandoned in (task, waiting):
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
    next_one = asyncio.create_task(work.verify(ROMEO, "pencil"))
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await work.verify(ROMEO, "pencil")
    go_on.set()
    assert await next_one
