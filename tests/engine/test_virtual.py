"""The call code under the virtual clock. Oracle: ramps through L16, which loses nothing, and the
same run twice."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import audio
from voicecore.errors import (
    ClosedError,
    ConfigError,
    DtypeError,
    LengthError,
    RateError,
    StateError,
)
from voicecore.media import _pcm_ring
from voicecore.media.call import Call
from voicecore.media.config import CallConfig
from voicecore.media.events import (
    BargedIn,
    CallClosed,
    CallEvent,
    DtmfReceived,
    MarkReached,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.testing.virtual import TICK_NS, VirtualEngine

# No canceller: these look at the last bit. tests/engine/test_echo.py is about it.
L16 = CallConfig(
    codec="l16", play_hz=8000, echo="off", first_sequence=65530, first_timestamp=2**32 - 500
)
SPEECH_8K = (np.clip(audio.speech("beckett", 8000), -1, 0.9999) * 32768).astype(np.int16)


def pair(config: CallConfig = L16) -> tuple[VirtualEngine, Call, Call]:
    engine = VirtualEngine()
    agent, caller = engine.open(config), engine.open(config)
    engine.connect(agent, caller)
    return engine, agent, caller


def taken(call: Call) -> list[CallEvent]:
    """The events so far; the call stays open."""
    found = list(call._events)
    call._events.clear()
    return found


def test_a_ramp_crosses_unchanged_and_in_time():
    engine, agent, caller = pair()
    ramp = np.arange(1, 4001, dtype=np.int16)
    engine.advance(100)
    assert caller.play(ramp) == 4000
    assert caller.mark(9) == 4000
    caller.end_segment()
    engine.advance(1000)
    heard, first = agent.read_audio()
    assert first == 0
    start = int(np.flatnonzero(heard)[0])
    np.testing.assert_array_equal(heard[start : start + 4000], ramp)
    assert not heard[start + 4000 :].any()
    sent_events = taken(caller)
    started = next(e for e in sent_events if isinstance(e, PlayoutStarted))
    # The receiver's timeline and the sender's stamp agree on when the first sample was sent.
    assert agent.received_start_ns + start * 1_000_000_000 // 8000 == started.packet_ns
    assert [e.mark_id for e in sent_events if isinstance(e, MarkReached)] == [9]
    drained = [e for e in sent_events if isinstance(e, PlayoutDrained)]
    assert [(e.play_sample, e.underrun) for e in drained] == [(4000, False)]


@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
def test_g711_calls_talk(codec: str):
    engine, agent, caller = pair(CallConfig(codec=codec, play_hz=8000))
    caller.play(SPEECH_8K[:16000])
    engine.advance(2500)
    heard, _ = agent.read_audio()
    start = int(np.flatnonzero(np.abs(heard) > 8)[0])
    reference = SPEECH_8K[int(np.flatnonzero(np.abs(SPEECH_8K) > 8)[0]) :]
    n = min(len(heard) - start, 8000)
    error = heard[start : start + n].astype(float) - reference[:n]
    snr_db = 10 * np.log10(np.mean(reference[:n].astype(float) ** 2) / np.mean(error**2))
    assert snr_db > 30  # G.711 gives about 38 dB on speech


def test_speech_is_found_where_it_is():
    engine, agent, caller = pair()
    engine.advance(500)
    caller.play(SPEECH_8K[:24000])
    engine.advance(5000)
    events = taken(agent)
    started = [e for e in events if isinstance(e, SpeechStarted)]
    stopped = [e for e in events if isinstance(e, SpeechStopped)]
    assert len(started) == len(stopped) >= 1
    # 500 ms of silence come first; the VAD's resolution is a window of 32 ms.
    assert 4000 - 512 <= started[0].sample <= 4000 + 4000
    for event in started + stopped:
        expected = agent.received_start_ns + event.sample * 125_000
        assert event.audio_ns == expected
        assert event.stamp_ns > event.audio_ns


def test_barge_in_pauses_within_the_tick_and_resumes_at_the_exact_sample():
    engine, agent, caller = pair()
    ramp = (np.arange(80000) % 20000 + 1).astype(np.int16)
    agent.play(ramp[:40000])
    engine.advance(500)
    caller.play(SPEECH_8K[:16000])
    while not any(isinstance(e, BargedIn) for e in agent._events):
        engine.tick()
        assert engine.now_ns < 10**10
    barged = next(e for e in taken(agent) if isinstance(e, BargedIn))
    assert barged.play_sample == agent.play_position
    engine.advance(400)
    assert agent.play_position == barged.play_sample
    heard, _ = caller.read_audio()
    # The very next packet carries nothing but the fade of 5 ms.
    last = int(np.flatnonzero(heard)[-1])
    last_ns = caller.received_start_ns + last * 125_000
    assert last_ns < barged.stamp_ns + TICK_NS + 5_000_000
    agent.resume()
    engine.advance(100)
    heard, _ = caller.read_audio()
    back = heard[int(np.flatnonzero(heard)[0]) :]
    # Behind the fade in, the ramp goes on as if nothing had been.
    position = barged.play_sample + 80
    shift = int(np.flatnonzero(back == ramp[position])[0])
    np.testing.assert_array_equal(back[shift : shift + 300], ramp[position : position + 300])


def test_a_barge_in_needs_sounding_audio_and_can_be_turned_off():
    for config, plays in (
        (L16, False),
        (CallConfig(codec="l16", play_hz=8000, barge_in=False, echo="off"), True),
    ):
        engine, agent, caller = pair(config)
        if plays:
            agent.play(np.full(40000, 1000, np.int16))
        caller.play(SPEECH_8K[:16000])
        engine.advance(2000)
        events = taken(agent)
        assert any(isinstance(e, SpeechStarted) for e in events)
        assert not any(isinstance(e, BargedIn) for e in events)


def test_flush_reports_marks_and_jumps():
    engine, agent, _ = pair()
    agent.play(np.full(16000, 1000, np.int16))
    agent.mark(1)
    engine.advance(100)
    agent.flush()
    agent.play(np.full(160, 2000, np.int16))
    agent.mark(2)
    agent.end_segment()
    engine.advance(100)
    marks = [(e.mark_id, e.flushed) for e in taken(agent) if isinstance(e, MarkReached)]
    assert marks == [(1, True), (2, False)]
    assert agent.play_position == agent.queue_position == 16160
    assert agent.queued_ms == 0


def test_dtmf_crosses():
    engine, agent, caller = pair()
    caller.send_dtmf("15#D")
    engine.advance(2000)
    assert [e.digit for e in taken(agent) if isinstance(e, DtmfReceived)] == list("15#D")
    with pytest.raises(ConfigError, match=r"use 0-9"):
        caller.send_dtmf("1x")
    with pytest.raises(ConfigError, match="40 to 1000"):
        caller.send_dtmf("1", duration_ms=5)


def test_pushed_media_needs_no_packets():
    engine = VirtualEngine()
    call = engine.open(CallConfig(media="push", play_hz=8000))
    call.push(SPEECH_8K[:4000].tobytes())
    call.play(SPEECH_8K[:800])
    engine.advance(200)
    heard, first = call.read_audio()
    np.testing.assert_array_equal(heard, SPEECH_8K[:4000])
    sent, first_sent = call.read_sent()
    np.testing.assert_array_equal(sent[:800], SPEECH_8K[:800])
    assert first == first_sent == 0
    assert not engine.sent
    with pytest.raises(LengthError, match="more than a second"):
        call.push(np.zeros(40000, np.int16))


def run_once(seed: int, level: str | None = None) -> tuple[bytes, list[str], dict[str, float]]:
    """A lossy, jittery call; everything that can be seen of it."""
    chance = random.Random(seed)

    def network(number: int, packet: bytes) -> list[float]:
        return [] if chance.random() < 0.03 else [chance.random() * 40]

    engine = VirtualEngine(level)
    config = CallConfig(
        codec="pcmu", play_hz=8000, ssrc=1, first_sequence=65000, first_timestamp=2**32 - 9000
    )
    agent, caller = engine.open(config), engine.open(config)
    engine.connect(agent, caller, b_to_a=network)
    caller.play(SPEECH_8K[:40000])
    agent.play(SPEECH_8K[:20000])
    engine.advance(6000)
    heard, _ = agent.read_audio()
    return heard.tobytes(), [repr(e) for e in taken(agent)], agent.stats()


def test_the_same_input_gives_the_same_call_bit_for_bit():
    assert run_once(7) == run_once(7)
    assert run_once(7) != run_once(8)


def test_the_receive_timeline_follows_the_sender_whatever_is_lost():
    _, _, stats = run_once(3)
    assert stats["lost"] > 0
    assert stats["concealed_samples"] == stats["lost"] * 160
    # All that was sent until the last arrival, give or take what is still being waited for.
    assert 6000 * 8 - stats["received_samples"] <= (60 + 40 + 40) * 8


HOLD = {"when_dry": "hold", "hold_sound": np.full(800, 500, np.int16)}
PLAYOUTS = [
    {},
    {"prebuffer_ms": 100},
    HOLD | {"prebuffer_ms": 60},
    {"when_dry": "comfort", "comfort_noise_db": -50.0},
]


@pytest.mark.parametrize("playout", PLAYOUTS, ids=["plain", "prebuffer", "hold", "comfort"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["play", "replace"]), st.integers(0, 3000)),
            st.tuples(st.sampled_from(["pause", "resume", "flush", "end", "mark"]), st.just(0)),
            st.tuples(st.sampled_from(["duck", "unduck"]), st.just(0)),
            st.tuples(st.just("run"), st.integers(1, 8)),
        ),
        max_size=40,
    )
)
def test_any_order_of_controls_keeps_the_playout_sound(
    playout: dict[str, object], steps: list[tuple[str, int]]
):
    """Positions never go back, marks come once each and in order, nothing unqueued is played, and
    what sounds in a gap ends with the segment."""
    engine = VirtualEngine("c")
    call = engine.open(CallConfig(media="push", play_hz=8000, **playout))
    queued, marks, last, value, flushes, replaced = 0, 0, 0, 0, 0, 0
    for what, amount in steps:
        if what == "play":
            value += 1
            queued += call.play(np.full(amount, 1000 + value, np.int16))
        elif what == "replace":
            if replaced < 8:
                queued += call.replace(max(0, queued - amount), np.full(amount, 1000, np.int16))
                replaced += 1
        elif what == "mark":
            marks += 1
            assert call.mark(marks) == queued
        elif what == "end":
            call.end_segment()
        elif what == "run":
            replaced = 0
            for _ in range(amount):
                engine.tick()
        else:
            flushes += what == "flush"
            getattr(call, what)()
        assert last <= call.play_position <= call.queue_position == queued
        last = call.play_position
    call.resume()
    call.end_segment()
    engine.advance(queued / 8 + 100)
    assert call.play_position == queued
    events = taken(call)
    reached = [e.mark_id for e in events if isinstance(e, MarkReached)]
    assert sorted(reached) == reached == list(range(1, marks + 1))
    assert sum(isinstance(e, PlayoutFlushed) for e in events) == flushes
    sent, _ = call.read_sent()
    # Under a filler an underrun's last sample goes to zero below what comes next; a crossfade of
    # equal power adds 41 % at most to two signals in phase.
    most = 1.42 * (1000 + value) * (2 if playout.get("when_dry") else 1) + 500
    assert np.abs(sent.astype(int)).max(initial=0) <= most
    engine.advance(40)
    assert not call.read_sent()[0].any()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"prebuffer_ms": 1001}, "prebuffer_ms is 1001"),
        ({"prebuffer_ms": 200, "play_buffer_ms": 199}, "at most play_buffer_ms, here 199"),
        ({"comfort_noise_db": -91.0}, "comfort_noise_db"),
        ({"when_dry": "music"}, "when_dry 'music' is unknown"),
        ({"when_dry": "hold"}, "hold_sound go together"),
        ({"hold_sound": bytes(4000)}, "hold_sound go together"),
        ({"when_dry": "hold", "hold_sound": bytes(958)}, "has 479 samples; it must have 480 to"),
        ({"when_dry": "hold", "hold_sound": np.zeros(4000)}, "hold_sound has format 'd'"),
        ({"when_dry": "hold", "hold_sound": bytes(4001)}, "4001 bytes"),
        ({"when_dry": "hold", "hold_sound": 7}, "hold_sound is int"),
    ],
)
def test_settings_of_the_dry_queue_are_checked(setting: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        CallConfig(**setting)  # type: ignore[arg-type]


def test_the_queue_says_whether_the_synthesiser_keeps_ahead():
    engine = VirtualEngine()
    hold = np.full(24_000, 700, np.int16)
    call = engine.open(
        CallConfig(media="push", play_hz=24000, prebuffer_ms=200, when_dry="hold", hold_sound=hold)
    )
    hold[:] = 0  # the call has a copy
    assert call.stats()["play_queue_lowest_ms"] == -1.0
    call.play(np.full(3 * 480, 3000, np.int16))
    engine.advance(60)
    assert call.stats()["play_queue_buffering"] == 1
    call.play(np.full(7 * 480, 3000, np.int16))
    engine.advance(100)
    stats = call.stats()
    assert stats["play_queue_lowest_ms"] == 100.0
    assert stats["play_queue_buffering"] == stats["underruns"] == 0
    engine.advance(300)  # 200 ms without audio
    call.play(np.full(480, 3000, np.int16))
    call.end_segment()
    engine.advance(100)
    stats = call.stats()
    assert (stats["underruns"], stats["play_queue_lowest_ms"]) == (1, 0.0)
    assert stats["underrun_ms"] == 200.0
    sent = call.read_sent()[0]
    gap = sent[(60 + 200 + 40) * 8 : (60 + 200 + 180) * 8]
    assert np.abs(gap - 700).max() <= 1


def test_events_end_with_the_call():
    async def scenario() -> list[CallEvent]:
        engine = VirtualEngine()
        call = await engine.open_call(CallConfig(media="push", play_hz=8000))

        async def read() -> list[CallEvent]:
            return [event async for event in call]

        reader = asyncio.create_task(read())
        call.play(np.ones(800, np.int16))
        await engine.run(200)
        await call.close()
        await call.close()
        seen = await reader
        assert [event async for event in call] == []
        return seen

    events = asyncio.run(scenario())
    assert isinstance(events[-1], CallClosed)
    assert any(isinstance(e, PlayoutDrained) and e.underrun for e in events)


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, np.ndarray.copy])
def test_play_all_takes_any_buffer_of_samples_whole(wrap):
    """Oracle: the ramp itself; the buffer is much longer than the queue's room."""

    async def scenario() -> None:
        engine, agent, caller = pair(
            CallConfig(codec="l16", play_hz=8000, play_buffer_ms=100, receive_buffer_ms=20_000)
        )
        ramp = np.arange(1, 20_001, dtype=np.int16)
        task = asyncio.create_task(
            caller.play_all(wrap(ramp if wrap is np.ndarray.copy else ramp.tobytes()))
        )
        await engine.run(4000)
        assert task.done()
        await task
        heard, _ = agent.read_audio()
        np.testing.assert_array_equal(heard[heard != 0], ramp)
        with pytest.raises(DtypeError):
            await caller.play_all([1, 2, 3])
        await caller.play_all(b"")

    asyncio.run(scenario())


def test_play_all_waits_for_room_and_stops_at_a_flush():
    async def scenario() -> None:
        engine = VirtualEngine()
        call = engine.open(CallConfig(media="push", play_hz=8000, play_buffer_ms=1000))
        long = np.ones(60_000, np.int16)
        task = asyncio.create_task(call.play_all(long))
        await engine.run(3000)
        assert not task.done()
        assert call.queue_position > 20_000
        await engine.run(5000)
        assert task.done()
        assert call.queue_position == 60_000
        task = asyncio.create_task(call.play_all(long))
        await engine.run(100)
        call.flush()
        await engine.run(20)
        assert task.done()
        assert call.play_position == call.queue_position < 120_000

    asyncio.run(scenario())


def test_a_read_without_memory_leaves_the_call_usable(monkeypatch):
    engine, agent, _ = pair()
    engine.advance(100)

    def refuse(*_args: object, **_options: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(_pcm_ring, "np", SimpleNamespace(empty=refuse, int16=np.int16))
        with pytest.raises(MemoryError):
            agent.read_audio()
    assert len(agent.read_audio()[0]) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"local": "127.0.0.1"},
        {"local": None},
        {"local": ("127.0.0.1", "5000")},
        {"local": (b"127.0.0.1", 5000)},
        {"remote": ("127.0.0.1", 2**40)},
        {"remote": ("127.0.0.1", -1)},
    ],
)
def test_an_address_is_text_and_a_port(wrong: dict[str, object]):
    with pytest.raises(ConfigError, match=r"numeric IP address and a port"):
        CallConfig(**wrong)


def test_a_payload_type_has_one_meaning():
    """A call whose audio looks like key presses or comfort noise would be deaf."""
    with pytest.raises(ConfigError, match="DTMF"):
        CallConfig(codec="l16", dtmf_payload_type=96)
    with pytest.raises(ConfigError, match="comfort noise"):
        CallConfig(payload_type=13)


def test_a_pushed_call_says_that_it_cannot_send_key_presses():
    call = VirtualEngine().open(CallConfig(media="push"))
    with pytest.raises(StateError, match="no RTP"):
        call.send_dtmf("1")


def test_bad_input_names_the_remedy():
    engine, agent, _ = pair()
    with pytest.raises(DtypeError, match="int16"):
        agent.play(np.zeros(10, np.float64))
    with pytest.raises(LengthError, match="even number"):
        agent.play(b"123")
    with pytest.raises(LengthError, match="one dimension"):
        agent.play(np.zeros((2, 10), np.int16))
    with pytest.raises(DtypeError):
        agent.play("text")
    with pytest.raises(StateError, match="media='push'"):
        agent.push(np.zeros(10, np.int16))
    with pytest.raises(StateError, match="record_sent"):
        agent.read_sent()
    with pytest.raises(RateError):
        CallConfig(rate_hz=11025)
    with pytest.raises(RateError, match="l16"):
        CallConfig(rate_hz=16000)
    with pytest.raises(ConfigError, match="min_silence_ms"):
        CallConfig(min_silence_ms=1)
    with pytest.raises(ConfigError, match="silence_threshold"):
        CallConfig(silence_threshold=0.9)
    with pytest.raises(ConfigError, match="DTMF"):
        CallConfig(payload_type=101)
    asyncio.run(agent.close())
    assert agent.stats()["packets_sent"] == agent.stats()["packets_received"] == 0
    for use in (
        lambda: agent.play(b""),
        agent.read_audio,
        agent.flush,
        lambda: agent.play_position,
        lambda: engine.receive(agent, b"x"),
    ):
        with pytest.raises(ClosedError):
            use()


@pytest.mark.parametrize(
    "setting",
    [
        {"min_speech_ms": 64.5},
        {"ssrc": 1.5},
        {"first_sequence": "7"},
        {"fade_ms": True},
        {"speech_threshold": "0.5"},
        {"speech_threshold": float("nan")},
        {"rtp_timeout_ms": False},
        {"play_buffer_ms": None},
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(setting: dict[str, object]):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        CallConfig(**setting)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10))
def test_no_datagram_can_hurt(datagrams: list[bytes]):
    engine = VirtualEngine("c")
    call = engine.open(CallConfig())
    for datagram in datagrams:
        engine.receive(call, datagram)
        engine.tick()
    stats = call.stats()
    assert stats["packets_received"] == len(datagrams)
    used = stats["packets_malformed"] + stats["packets_unknown"]
    assert used <= len(datagrams)


def test_what_came_after_the_last_tick_is_in_the_counters_of_a_closed_call():
    engine = VirtualEngine("c")
    call = engine.open(CallConfig())
    for sequence in range(3):
        header = bytes((0x80, 0, 0, sequence)) + (sequence * 160).to_bytes(4, "big") + bytes(4)
        engine.receive(call, header + bytes(160))
    assert call.stats()["packets_decoded"] == 0
    asyncio.run(call.close())
    stats = call.stats()
    assert stats["packets_received"] == 3
    assert stats["packets_decoded"] + stats["packets_held"] == 3
    stats["packets_received"] = 9
    assert call.stats()["packets_received"] == 3


def test_ticks_are_on_the_grid():
    engine = VirtualEngine(start_ns=5)
    call = engine.open(CallConfig(remote=("192.0.2.1", 9)))
    engine.advance(100)
    assert [at for at, _, _ in engine.sent] == [5 + k * TICK_NS for k in range(6)]
    assert {c for _, c, _ in engine.sent} == {call}
