"""Received audio of a call: chunks, views, replay. Oracle: the pushed samples themselves."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.errors import AudioGoneError, ClosedError, ConfigError, StateError
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import CallClosed, CallEvent
from voicecore.testing.virtual import VirtualEngine

PUSHED = CallConfig(media="push", play_hz=8000)
STREAM = np.random.default_rng(8).integers(-3000, 3000, 60_000).astype(np.int16)


def count_signals(call: Call) -> list[int]:
    """Everything that wakes the call's readers from now on."""
    signals: list[int] = []
    deliver = call.deliver

    def counted(event: CallEvent | None, signal: int) -> None:
        signals.append(signal)
        deliver(event, signal)

    call.deliver = counted  # type: ignore[method-assign]
    return signals


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(10, 300), st.lists(st.integers(1, 1500), min_size=1, max_size=40))
def test_chunks_are_whole_and_wake_once_each(chunk_ms: int, slices: list[int]):
    async def scenario() -> None:
        engine = VirtualEngine()
        call = engine.open(PUSHED)
        signals = count_signals(call)
        chunks: list[tuple[np.ndarray, int]] = []

        async def read() -> None:
            async for pcm, first in call.chunks(chunk_ms):
                chunks.append((pcm, first))

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        total = 0
        for n in slices:
            call.push(STREAM[total : total + n])
            total += n
            await engine.run(20)
        await call.close()
        await reader
        size = 8 * chunk_ms
        sizes = [len(pcm) for pcm, _ in chunks]
        whole = total // size
        assert sizes == [size] * whole + ([total % size] if total % size else [])
        assert [first for _, first in chunks] == [i * size for i in range(len(chunks))]
        assert all(pcm.flags.c_contiguous for pcm, _ in chunks)
        np.testing.assert_array_equal(np.concatenate([c for c, _ in chunks]), STREAM[:total])
        # Not a wake-up that no chunk came of; several that came at once took one.
        assert signals.count(2) <= whole
        assert (signals.count(2) > 0) == (whole > 0)

    asyncio.run(scenario())


def test_a_reader_that_breaks_off_leaves_the_rest():
    async def scenario() -> None:
        engine = VirtualEngine()
        call = engine.open(PUSHED)
        call.push(STREAM[:4000])
        engine.advance(20)
        async for _, first in call.chunks(100):
            assert first in (0, 800)
            if first == 800:
                break
        pcm, first = call.read_chunk(200) or (None, -1)
        assert first == 1600
        np.testing.assert_array_equal(pcm, STREAM[1600:3200])
        assert call.read_chunk(200) is None
        pcm, first = call.read_audio()
        assert first == 3200
        np.testing.assert_array_equal(pcm, STREAM[3200:4000])
        for wrong in (9, 1001, 20.5, True):
            with pytest.raises(ConfigError, match="chunk_ms"):
                call.read_chunk(wrong)  # type: ignore[arg-type]
        await call.close()
        for use in (call.read_audio, call.read_chunk, lambda: call.replay(0)):
            with pytest.raises(ClosedError):
                use()
        with pytest.raises(ClosedError):
            _ = call.oldest_sample

    asyncio.run(scenario())


def test_two_tasks_that_take_turns_share_the_samples():
    """A task that reads beside the chunks takes samples from them; none comes twice or is lost."""

    async def scenario() -> None:
        engine = VirtualEngine()
        call = engine.open(PUSHED)
        got: list[tuple[int, np.ndarray]] = []

        async def read() -> None:
            async for pcm, first in call.chunks(100):
                got.append((first, pcm))

        reader = asyncio.create_task(read())
        for i in range(100):
            call.push(STREAM[i * 160 : i * 160 + 160])
            await engine.run(20)
            if i % 7 == 0:
                pcm, first = call.read_audio()
                if len(pcm):
                    got.append((first, pcm))
        await call.close()
        await reader
        got.sort(key=lambda pair: pair[0])
        np.testing.assert_array_equal(np.concatenate([pcm for _, pcm in got]), STREAM[:16_000])

    asyncio.run(scenario())


def test_the_oldest_audio_goes_and_is_counted():
    engine = VirtualEngine()
    call = engine.open(CallConfig(media="push", play_hz=8000, receive_buffer_ms=1000))
    for i in range(150):
        call.push(STREAM[i * 160 : i * 160 + 160])
        engine.advance(20)
    oldest = call.oldest_sample
    assert 0 < oldest <= 24_000 - 8000
    assert call.stats()["unread_dropped_samples"] == oldest
    pcm, first = call.read_audio()
    assert first == oldest
    np.testing.assert_array_equal(pcm, STREAM[oldest:24_000])
    assert call.stats()["unread_samples"] == 0
    # Read or not, what is held can be had again.
    np.testing.assert_array_equal(call.replay(23_000, 23_100), STREAM[23_000:23_100])
    assert call.received_samples == 24_000
    with pytest.raises(AudioGoneError, match=f"oldest one is {oldest}"):
        call.replay(0)
    sent, first_sent = call.read_sent()
    assert first_sent == 0
    assert len(sent) >= 24_000


def test_a_replay_is_what_the_stt_was_given():
    """Through packets and the echo canceller: the same samples at the same indices."""
    engine = VirtualEngine()
    agent, caller = (engine.open(CallConfig(codec="l16", play_hz=8000)) for _ in range(2))
    engine.connect(agent, caller)
    caller.play(STREAM[:30_000])
    heard = np.zeros(0, np.int16)
    for _ in range(40):
        engine.advance(100)
        pcm, first = agent.read_audio()
        assert first == len(heard)
        heard = np.concatenate([heard, pcm])
    assert np.count_nonzero(heard) > 25_000
    np.testing.assert_array_equal(agent.replay(0), heard)
    np.testing.assert_array_equal(agent.replay(12_345, 12_999), heard[12_345:12_999])


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the engine needs Linux")
def test_views_outlive_the_call_and_the_engine():
    from voicecore.media.engine import Engine

    async def scenario() -> tuple[np.ndarray, np.ndarray]:
        async with Engine() as engine:
            call = await engine.open_call(PUSHED)
            call.push(STREAM[:4000])
            async for _ in call.chunks(500):
                break
            return call.replay(0, copy=False), call.replay(0)

    view, copy = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert not view.flags.owndata
    np.testing.assert_array_equal(view, STREAM[:4000])
    np.testing.assert_array_equal(copy, STREAM[:4000])


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the engine needs Linux")
def test_chunks_of_the_running_engine():
    from voicecore.media.engine import Engine

    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(PUSHED)
            parts: list[np.ndarray] = []

            async def read() -> None:
                async for pcm, first in call.chunks(50):
                    assert first == sum(map(len, parts))
                    parts.append(pcm)

            reader = asyncio.create_task(read())
            for i in range(30):
                call.push(STREAM[i * 130 : i * 130 + 130])
                while call.received_samples < (i + 1) * 130:  # noqa: ASYNC110  the thread's
                    await asyncio.sleep(0)
            await call.close()
            await reader
            assert [len(part) for part in parts] == [400] * 9 + [300]
            np.testing.assert_array_equal(np.concatenate(parts), STREAM[:3900])
            assert [e async for e in call][-1].__class__ is CallClosed

    asyncio.run(asyncio.wait_for(scenario(), 30))


def stand_still() -> None:
    time.sleep(0.005)  # real time: the shard fills the ring of events meanwhile


def test_a_reader_of_chunks_outlives_a_lost_wake_up():
    """The event that says "a chunk is there" finds the ring of events full and is dropped."""

    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(PUSHED)
            others = [await engine.open_call(PUSHED) for _ in range(40)]
            signals = count_signals(call)
            chunks = call.chunks(100)
            reader = asyncio.create_task(anext(chunks))
            await asyncio.sleep(0)
            deadline_ns = time.monotonic_ns() + 10_000_000_000
            while engine.stats()["events_dropped"] == 0:
                assert time.monotonic_ns() < deadline_ns
                for other in others:  # 10,240 events a tick; the ring has room for 16,384
                    with suppress(StateError):
                        for number in range(256):
                            other.mark(number)
                stand_still()
            dropped = engine.stats()["events_dropped"]
            call.push(STREAM[:800])
            while engine.stats()["events_dropped"] == dropped:
                assert time.monotonic_ns() < deadline_ns
                stand_still()  # until the wake-up of this chunk is dropped too
            pcm, first = await asyncio.wait_for(reader, 10)
            np.testing.assert_array_equal(pcm, STREAM[:800])
            assert first == 0
            assert 2 not in signals  # its own never came; that of the loss did
            assert 3 in signals
            call.push(STREAM[800:1600])
            pcm, first = await asyncio.wait_for(anext(chunks), 10)
            np.testing.assert_array_equal(pcm, STREAM[800:1600])
            assert first == 800

    asyncio.run(scenario())
