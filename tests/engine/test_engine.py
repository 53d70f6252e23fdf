"""The native engine over loopback. What is measured in time lives in bench; here the packets
themselves are the clock: the test blocks the event loop by reading them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import sys
import threading

import numpy as np
import pytest

from tests import audio
from voicecore.errors import ClosedError, ConfigError, StateError, SystemCallError
from voicecore.media.config import CallConfig
from voicecore.media.engine import Engine
from voicecore.media.events import BargedIn, CallClosed, MarkReached, SpeechStarted

if sys.platform != "linux":
    pytest.skip("the engine needs Linux", allow_module_level=True)

pytestmark = pytest.mark.network
LOOPBACK = "127.0.0.1"


def speech_packets(rate_hz: int = 8000) -> list[bytes]:
    """Real speech as L16 RTP packets of 20 ms, payload type 96."""
    pcm = (np.clip(audio.speech("beckett", rate_hz), -1, 0.9999) * 32768).astype(">i2")
    packets = []
    for index in range(len(pcm) // 160):
        header = (0x80600000 | index).to_bytes(4, "big") + (index * 160).to_bytes(4, "big")
        payload = pcm[index * 160 : index * 160 + 160].tobytes()
        packets.append(header + b"\0\0\0\7" + payload)
    return packets


def peer_socket() -> socket.socket:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((LOOPBACK, 0))
    peer.settimeout(10)
    return peer


def payload_of(packet: bytes) -> np.ndarray:
    return np.frombuffer(packet[12:], dtype=">i2").astype(np.int16)


def test_two_calls_talk_over_loopback():
    async def scenario() -> None:
        async with Engine() as engine:
            agent = await engine.open_call(CallConfig(codec="l16", play_hz=8000))
            caller = await engine.open_call(
                CallConfig(codec="l16", play_hz=8000, remote=agent.local_address)
            )
            ramp = np.arange(1, 4001, dtype=np.int16)
            await caller.play_all(ramp)
            caller.mark(1)
            caller.end_segment()
            async for event in caller:
                if isinstance(event, MarkReached):
                    break
            heard = np.zeros(0, np.int16)
            while np.count_nonzero(heard) < 4000:
                pcm, _ = agent.read_audio()
                heard = np.concatenate([heard, pcm])
                await asyncio.sleep(0)
            start = int(np.flatnonzero(heard)[0])
            np.testing.assert_array_equal(heard[start : start + 4000], ramp)
            assert engine.stats()["calls"] == 2
            await caller.close()
            assert caller.is_closed
            assert [e async for e in caller][-1:][0].__class__ is CallClosed
        with pytest.raises(ClosedError):
            agent.flush()
        # Of what is closed, the counters stay: by the call itself, and by the engine's end.
        assert caller.stats()["packets_sent"] >= 25
        assert agent.stats()["packets_decoded"] >= 25

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_packets_leave_and_a_barge_in_silences_the_agent_while_the_loop_is_blocked():
    """The loop's thread does nothing but read and send datagrams, one for one; no callback of the
    loop can run in that time."""
    packets = speech_packets()

    async def scenario() -> None:
        with peer_socket() as peer:
            async with Engine() as engine:
                call = await engine.open_call(
                    CallConfig(codec="l16", play_hz=8000, echo="off", remote=peer.getsockname())
                )
                call.play(np.full(39000, 5000, np.int16))
                audible = [True]
                sequences = []
                for index in range(200):
                    packet = peer.recv(2048)
                    sequences.append(int.from_bytes(packet[2:4], "big"))
                    audible.append(bool(np.abs(payload_of(packet)).max() > 100))
                    if index >= 25:
                        peer.sendto(packets[index - 25], call.local_address)
                first = audible.index(True, 1)
                assert all(audible[first : first + 25])
                silent_from = audible.index(False, first)
                # The queue would have lasted 243 packets; the barge-in ended it long before.
                assert not any(audible[silent_from:])
                deltas = np.diff(np.array(sequences)) % 65536
                assert (deltas == 1).all()
                barged = None
                async for event in call:
                    if isinstance(event, SpeechStarted):
                        assert barged is None
                    if isinstance(event, BargedIn):
                        barged = event
                        break
                assert barged is not None
                assert barged.play_sample == call.play_position

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_callers_address_is_learned_and_strangers_are_counted():
    async def scenario() -> None:
        packets = speech_packets()
        with peer_socket() as peer, peer_socket() as stranger:
            async with Engine() as engine:
                call = await engine.open_call(CallConfig(codec="l16", play_hz=8000))
                stranger.sendto(b"no RTP at all", call.local_address)
                peer.sendto(packets[0], call.local_address)
                assert len(peer.recv(2048)) == 12 + 320
                stranger.sendto(packets[1], call.local_address)
                stats = call.stats()
                for _ in range(100):
                    peer.recv(2048)
                    stats = call.stats()
                    if stats["packets_strange"]:
                        break
                assert stats["packets_strange"] == 1
                assert stats["packets_malformed"] == 1
                assert stats["received_samples"] == 160

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_pushed_audio_is_heard_at_once():
    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(CallConfig(media="push", play_hz=8000))
            pcm = (np.clip(audio.speech("beckett", 8000), -1, 0.9999) * 32768).astype(np.int16)
            call.push(pcm[:8000])
            async for event in call:
                if isinstance(event, SpeechStarted):
                    break
            call.play(pcm[:1600])
            sent = np.zeros(0, np.int16)
            while np.count_nonzero(sent) < np.count_nonzero(pcm[:1600]):
                more, _ = call.read_sent()
                sent = np.concatenate([sent, more])
                await asyncio.sleep(0)
            start = int(np.flatnonzero(sent)[0]) - int(np.flatnonzero(pcm)[0])
            np.testing.assert_array_equal(sent[start : start + 1600], pcm[:1600])

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_calls_come_and_go():
    async def scenario() -> None:
        async with Engine(shards=2, max_calls=4) as engine:
            for _ in range(20):
                calls = [await engine.open_call(CallConfig()) for _ in range(8)]
                with pytest.raises(StateError, match="max_calls"):
                    await engine.open_call(CallConfig())
                await asyncio.gather(*(call.close() for call in calls))
            assert engine.stats()["calls"] == 0

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_close_is_heard_behind_other_events_of_the_same_batch():
    """The mark and the close are in the queue before the loop looks: it takes both at once."""

    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(CallConfig(media="push", record_sent=True))
            call.play(np.ones(480, np.int16))
            call.mark(1)
            while call.play_position < 480:  # no await: the loop is blocked
                pass
            engine.begin_close(call)
            while engine.stats()["calls"]:
                pass
            await asyncio.wait_for(call.close(), 10)
            kinds = [type(event) async for event in call]
            assert MarkReached in kinds
            assert kinds[-1] is CallClosed

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_cancelled_exit_still_ends_the_threads_and_every_call():
    async def scenario() -> None:
        engine = Engine()
        await engine.__aenter__()
        calls = [await engine.open_call(CallConfig()) for _ in range(3)]
        before = len(os.listdir("/proc/self/task"))
        leaving = asyncio.create_task(engine.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert len(os.listdir("/proc/self/task")) == before - 1
        for call in calls:
            assert call.is_closed
            assert [type(event) async for event in call][-1:] == [CallClosed]
            await asyncio.wait_for(call.close(), 10)
        with pytest.raises(StateError, match="not running"):
            engine.stats()

    asyncio.run(scenario())


def test_a_call_opened_during_the_exit_is_closed_too():
    async def scenario() -> None:
        engine = Engine()
        await engine.__aenter__()
        await engine.open_call(CallConfig())
        leaving = asyncio.create_task(engine.__aexit__(None, None, None))
        await asyncio.sleep(0)
        late = await engine.open_call(CallConfig(media="push"))
        await leaving
        assert [type(event) async for event in late] == [CallClosed]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_when_descriptors_run_out_the_reason_is_told_and_none_leaks():
    """Every number of free descriptors that is too few for an engine, one after the other."""

    async def start_and_stop() -> None:
        async with Engine():
            pass

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(start_and_stop())  # loads the models
        with open(os.devnull) as lowest_free:
            free = lowest_free.fileno()
        before = os.listdir("/proc/self/fd")
        refused: list[SystemCallError] = []
        for more in range(8):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
                loop.run_until_complete(start_and_stop())
            except SystemCallError as error:
                refused.append(error)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert len(os.listdir("/proc/self/fd")) == len(before)
        assert {error.errno for error in refused} == {errno.EMFILE}
        assert all(os.strerror(errno.EMFILE) in str(error) for error in refused)
        assert 4 <= len(refused) < 8  # the eventfd, the epoll set, the timer and the mailbox
    finally:
        loop.close()


def test_refusals_name_the_remedy():
    async def scenario() -> None:
        idle = Engine()
        with pytest.raises(StateError, match="async with"):
            await idle.open_call(CallConfig())
        with pytest.raises(StateError, match="not running"):
            idle.stats()
        async with Engine() as engine:
            call = await engine.open_call(CallConfig())
            with pytest.raises(SystemCallError, match="cannot bind"):
                await engine.open_call(CallConfig(local=call.local_address))
            with pytest.raises(ConfigError, match="numeric"):
                await engine.open_call(CallConfig(local=("localhost", 0)))
            with pytest.raises(ConfigError, match="numeric"):
                await engine.open_call(CallConfig(remote=("example.com", 5)))
            with pytest.raises(StateError, match="running already"):
                await engine.__aenter__()
        with pytest.raises(ConfigError, match="shards"):
            async with Engine(shards=0):
                pass

    asyncio.run(scenario())


def test_reading_from_another_thread_is_safe():
    """Under the GIL two threads take turns; neither may see a torn or doubled sample."""

    async def scenario() -> None:
        async with Engine() as engine:
            call = await engine.open_call(CallConfig(media="push", play_hz=8000))
            parts: list[tuple[int, int]] = []
            done = threading.Event()

            def read() -> None:
                while not done.is_set():
                    pcm, first = call.read_audio()
                    if len(pcm):
                        parts.append((first, len(pcm)))

            threads = [threading.Thread(target=read) for _ in range(2)]
            for thread in threads:
                thread.start()
            for _ in range(50):
                call.push(np.ones(160, np.int16))
                await asyncio.sleep(0)
            while sum(n for _, n in parts) < 8000:  # noqa: ASYNC110  threads set it, not the loop
                await asyncio.sleep(0)
            done.set()
            for thread in threads:
                thread.join()
            parts.sort()
            assert [first for first, _ in parts] == [
                sum(n for _, n in parts[:i]) for i in range(len(parts))
            ]

    asyncio.run(asyncio.wait_for(scenario(), 30))
