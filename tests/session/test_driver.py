"""Session with scripted providers in virtual time. Oracle: the scripts; times are exact."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import pytest

from voicecore.errors import ConfigError, ProviderError, RateError, StateError
from voicecore.media.config import CallConfig
from voicecore.providers.base import TtsUsage
from voicecore.session import (
    ListenSettings,
    Session,
    SessionConfig,
    SpeakSettings,
    ThinkSettings,
)
from voicecore.session import events as ev
from voicecore.testing.fake_call import FakeCall
from voicecore.testing.fakes import FakeAnswer, FakeLlm, FakeStt, FakeTts, FakeTurn, FakeUtterance
from voicecore.testing.loop import run_virtual

WORD = 4800  # samples of a word of FakeTts at 24 kHz
MS = 1_000_000


async def until(stage, state, *, limit_ms=20_000):
    """Wait in virtual time until the session is in ``state``."""
    for _ in range(limit_ms // 10):
        if stage.session.state == state:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"the session is {stage.session.state} and never became {state}")


def test_a_normal_turn_is_heard_answered_and_stamped(play):
    async def scene(stage):
        stage.call.speak(1000, in_ms=500)
        await asyncio.sleep(6)

    stage = play(
        scene,
        stt=FakeStt([FakeUtterance(text="A table for two.", final_ms=80)]),
        llm=FakeLlm([FakeAnswer(text="For which day?", first_ms=100)]),
        tts=FakeTts(first_ms=60, lead_in_ms=50),
        turn=FakeTurn([0.9], delay_ms=20),
    )
    assert stage.texts == [("user", "A table for two."), ("assistant", "For which day?")]
    assert [s.state for s in stage.seen(ev.StateChanged)] == ["thinking", "speaking", "listening"]
    (turn,) = stage.session.turns
    assert (turn.caller_text, turn.agent_text, turn.heard_text) == (
        "A table for two.",
        "For which day?",
        "For which day?",
    )
    assert (turn.ended, turn.interrupted, turn.turn_probability) == ("finished", False, 0.9)
    stamps = turn.stamps
    order = [getattr(stamps, f.name) for f in fields(stamps)]
    assert order == sorted(order)
    assert all(order)
    # Speech ends 500 + 1000 ms in; the first packet came 20 ms after the start.
    assert stamps.caller_end_ns == stage.call.sample_ns(1500 * 16)
    # 1692 ms is no multiple of the 20 ms grid: the fake reports at 1700 ms.
    assert stamps.vad_stopped_ns - stamps.caller_end_ns == (200 - 20) * MS
    assert stamps.turn_decided_ns - stamps.vad_stopped_ns == 20 * MS
    assert stamps.transcript_final_ns - stamps.vad_stopped_ns == 80 * MS
    assert stamps.reply_started_ns == stamps.transcript_final_ns
    assert stamps.first_token_ns - stamps.reply_started_ns == 100 * MS
    assert 50 * MS <= stamps.agent_onset_ns - stamps.first_packet_ns <= 51 * MS
    assert stamps.mouth_to_ear_ms == (stamps.agent_onset_ns - stamps.caller_end_ns) / MS
    assert turn.llm.output_tokens == 3
    assert turn.tts == TtsUsage(14, 650.0)
    # Pre-roll of 250 ms, the speech, and the 200 ms until its end was reported.
    assert turn.stt.audio_ms == 250 + 1000 + 200
    assert stage.turn.asked == [1450 * 16]


def test_the_onset_is_when_the_sound_left_not_when_the_queue_would_have_had_it(play):
    async def scene(stage):
        await asyncio.sleep(4)

    config = SessionConfig(speaking=SpeakSettings(greeting="Good evening."))
    # The lead-in of 100 ms is sent, the queue runs dry, and the first word comes 300 ms late.
    stage = play(scene, config=config, tts=FakeTts(lead_in_ms=100, stall_ms=400))
    stamps = stage.session.turns[0].stamps
    first, word = (stamp for stamp, sample, _ in stage.call.sent if sample in (0, 2400))
    assert stamps.first_packet_ns == first
    assert word - first >= 300 * MS
    assert word <= stamps.agent_onset_ns <= word + MS


def test_the_stt_gets_each_sample_once_and_in_order(play):
    async def scene(stage):
        stage.call.speak(400, in_ms=300)
        stage.call.speak(600, in_ms=1000)  # 300 ms after the first: pre-rolls must not overlap
        await asyncio.sleep(4)

    stage = play(scene, stt=FakeStt(["one", "two"]), turn=FakeTurn([0.1, 0.9]))
    ends = [first + count for first, count in stage.stt.pushed]
    assert all(first >= end for end, (first, _) in zip(ends, stage.stt.pushed[1:], strict=False))
    assert stage.texts[0] == ("user", "one two")


def test_the_agent_greets_first(play):
    async def scene(stage):
        await asyncio.sleep(3)

    config = SessionConfig(
        thinking=ThinkSettings(system_prompt="Be brief."),
        speaking=SpeakSettings(greeting="Good evening, how can I help?"),
    )
    stage = play(scene, config=config)
    assert stage.texts == [
        ("system", "Be brief."),
        ("assistant", "Good evening, how can I help?"),
    ]
    assert stage.llm.requests == []
    assert stage.session.turns[0].caller_text == ""
    assert stage.session.turns[0].stamps.caller_end_ns == 0


def test_the_language_model_makes_the_greeting_if_none_is_given(play):
    async def scene(stage):
        await asyncio.sleep(3)

    stage = play(scene, config=SessionConfig(), llm=FakeLlm(["Hello there."]))
    assert stage.llm.requests == [[]]
    assert stage.texts == [("assistant", "Hello there.")]


def test_a_detector_that_says_no_delays_the_answer_by_the_wait_only(play):
    async def scene(stage):
        stage.call.speak(1000)
        await asyncio.sleep(6)

    stage = play(scene, stt=FakeStt(["So."]), turn=FakeTurn([0.2]))
    (turn,) = stage.session.turns
    assert turn.turn_probability == 0.2
    assert turn.stamps.turn_decided_ns == stage.call.sample_ns(1000 * 16) + 1200 * MS


def test_more_speech_within_the_wait_joins_the_turn(play):
    async def scene(stage):
        stage.call.speak(800)
        stage.call.speak(800, in_ms=1400)
        await asyncio.sleep(6)

    stage = play(
        scene, stt=FakeStt(["I would like", "a table."]), turn=FakeTurn([0.1, 0.9]), llm=FakeLlm()
    )
    assert [m.text for m in stage.llm.requests[0]] == ["I would like a table."]
    assert len(stage.session.turns) == 1


def test_an_empty_transcript_changes_nothing(play):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(4)
        assert stage.session.state == "listening"

    stage = play(scene, stt=FakeStt([""]))
    assert stage.texts == []
    assert stage.llm.requests == []


def test_speech_while_thinking_cancels_the_answer_and_joins_the_turn(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "thinking")
        stage.call.speak(500)
        await asyncio.sleep(6)

    stage = play(
        scene,
        stt=FakeStt(["A table", "for two."]),
        llm=FakeLlm([FakeAnswer(text="When?", first_ms=400), FakeAnswer(text="Which day?")]),
    )
    assert stage.llm.cancelled == 1
    assert [m.text for m in stage.llm.requests[1]] == ["A table for two."]
    assert stage.texts == [("user", "A table for two."), ("assistant", "Which day?")]
    (turn,) = stage.session.turns
    assert turn.llm.input_tokens == 2 + 4  # the withdrawn request is paid for too
    assert turn.llm.estimated


def test_noise_while_thinking_asks_the_same_again(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "thinking")
        stage.call.speak(200)
        await asyncio.sleep(6)

    stage = play(
        scene,
        stt=FakeStt(["A table.", ""]),
        llm=FakeLlm([FakeAnswer(text="x", first_ms=400), FakeAnswer(text="Which day?")]),
        turn=FakeTurn([0.9, 0.1]),
    )
    assert stage.texts == [("user", "A table."), ("assistant", "Which day?")]


LONG = "One two three four five six seven eight nine ten."


def test_a_confirmed_barge_in_leaves_only_heard_words_in_the_history(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "speaking")
        await asyncio.sleep(0.7)
        stage.call.speak(1500)
        await asyncio.sleep(8)

    stage = play(
        scene,
        stt=FakeStt(["Count.", FakeUtterance(text="Stop it.", interims=((300, "stop"),))]),
        llm=FakeLlm([LONG, "Fine."]),
    )
    (confirmed,) = stage.seen(ev.BargeInConfirmed)
    (first, end), (after, _) = stage.sent_ranges()
    assert confirmed.play_sample == end  # nothing left between the pause and the flush
    heard = LONG.split()[: (end - first + WORD // 2) // WORD]
    assert stage.session.turns[0].heard_text == " ".join(heard)
    assert 3 <= len(heard) <= 5
    assert stage.texts == [
        ("user", "Count."),
        ("assistant", " ".join(heard)),
        ("user", "Stop it."),
        ("assistant", "Fine."),
    ]
    assert stage.session.turns[0].interrupted
    assert stage.session.turns[0].agent_text == LONG
    assert not stage.session.turns[1].interrupted
    assert stage.tts.cancelled == 1
    assert after == 10 * WORD  # the play timeline jumped over what was flushed


def test_a_long_barge_in_without_words_confirms_by_its_length(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "speaking")
        await asyncio.sleep(0.3)
        stage.call.speak(2000)
        await asyncio.sleep(8)

    stage = play(scene, stt=FakeStt(["Count.", "No, wait."]), llm=FakeLlm([LONG, "Yes?"]))
    (confirmed,) = stage.seen(ev.BargeInConfirmed)
    started = next(e for e in stage.seen(ev.StateChanged) if e.state == "interrupted")
    # 800 ms after the speech began; the gate had fired 100 ms after it (next tick after 96 ms).
    assert confirmed.stamp_ns - started.stamp_ns == (800 - 100 + 20) * MS
    assert stage.texts[-2:] == [("user", "No, wait."), ("assistant", "Yes?")]


@pytest.mark.parametrize("text", ["Mm-hmm.", "Yeah, okay.", ""])
def test_a_backchannel_resumes_at_the_exact_sample(play, text):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "speaking")
        await asyncio.sleep(0.5)
        stage.call.speak(400)
        await asyncio.sleep(8)

    stage = play(scene, stt=FakeStt(["Count.", text]), llm=FakeLlm([LONG]))
    (dismissed,) = stage.seen(ev.BargeInDismissed)
    assert dismissed.reason == ("backchannel" if text else "empty")
    assert stage.sent_ranges() == [(0, 10 * WORD)]  # every sample once, none left out
    assert stage.texts == [("user", "Count."), ("assistant", LONG)]
    assert not stage.session.turns[0].interrupted
    pause_ns = max(b[0] - a[0] for a, b in zip(stage.call.sent, stage.call.sent[1:], strict=False))
    assert pause_ns >= 300 * MS


def test_half_duplex_does_not_listen_while_it_speaks(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "speaking")
        stage.call.speak(500, in_ms=200)
        await asyncio.sleep(8)

    stage = play(
        scene,
        stt=FakeStt(["Count.", "never asked"]),
        llm=FakeLlm([LONG]),
        config=SessionConfig(speaking=SpeakSettings(agent_first=False, half_duplex=True)),
    )
    assert stage.texts == [("user", "Count."), ("assistant", LONG)]
    assert stage.sent_ranges() == [(0, 10 * WORD)]


def test_a_call_without_the_native_gate_is_paused_by_the_session(play):
    async def scene(stage):
        stage.call.speak(500)
        await until(stage, "speaking")
        await asyncio.sleep(0.5)
        stage.call.speak(1500)
        await asyncio.sleep(6)

    stage = play(
        scene,
        stt=FakeStt(["Count.", FakeUtterance(text="Stop.", interims=((100, "stop"),))]),
        llm=FakeLlm([LONG]),
        call_config=CallConfig(codec="l16", rate_hz=16000, play_hz=24000, barge_in=False),
    )
    assert len(stage.seen(ev.BargeInConfirmed)) == 1
    assert stage.session.turns[0].interrupted


def test_digits_are_a_turn(play):
    from voicecore.media.events import DtmfReceived

    async def scene(stage):
        for digit in "42#":
            stage.call.emit(DtmfReceived(stage.loop.now_ns(), digit, 0))
        await asyncio.sleep(3)

    stage = play(scene, llm=FakeLlm(["Thanks."]))
    assert stage.texts == [("user", "4 2"), ("assistant", "Thanks.")]


def test_the_agent_hangs_up_after_its_goodbye_was_played(play):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(10)
        with pytest.raises(Exception, match="closed"):
            stage.call.play_position  # noqa: B018

    stage = play(
        scene,
        stt=FakeStt(["Bye."]),
        llm=FakeLlm([FakeAnswer(text="Goodbye and good night.", ends_call=True)]),
    )
    assert stage.sent_ranges() == [(0, 4 * WORD)]
    assert stage.session.turns[0].ended == "finished"


def test_silence_is_asked_about_and_then_ended(play):
    async def scene(stage):
        await asyncio.sleep(120)

    stage = play(scene)
    lines = [t.agent_text for t in stage.session.turns]
    speaking = stage.session.config.speaking
    assert lines == [speaking.silence_line, speaking.silence_line, speaking.farewell]


APOLOGY = SpeakSettings().apology


@pytest.mark.parametrize(
    ("parts", "stage_name"),
    [
        (lambda: {"llm": FakeLlm([FakeAnswer(text="x", fail_after=0)])}, "llm"),
        (lambda: {"llm": FakeLlm([""])}, "llm"),
        (lambda: {"llm": FakeLlm([FakeAnswer(text="x y", stall_after=0)])}, "llm"),
        (lambda: {"tts": FakeTts(fail_contexts=[0])}, "tts"),
    ],
    ids=["llm breaks", "llm empty", "llm hangs", "tts breaks"],
)
def test_a_failed_answer_becomes_an_apology(play, parts, stage_name):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(25)

    quiet = SessionConfig(
        listening=ListenSettings(max_silence_ms=0), speaking=SpeakSettings(agent_first=False)
    )
    stage = play(scene, stt=FakeStt(["Hello?"]), config=quiet, **parts())
    assert stage.texts == [("user", "Hello?"), ("assistant", APOLOGY)]
    assert [f.stage for f in stage.session.failures] == [stage_name]
    assert stage.session.turns[0].failures == tuple(stage.session.failures)
    assert "Hello" not in stage.session.failures[0].message


def test_a_language_model_that_breaks_in_mid_sentence_is_followed_by_the_apology(play):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(10)

    stage = play(
        scene,
        stt=FakeStt(["Hello?"]),
        llm=FakeLlm([FakeAnswer(text="First part. And then more", fail_after=4, word_ms=200)]),
    )
    assert stage.texts[1] == ("assistant", f"First part. {APOLOGY}")


def test_a_tts_that_never_works_ends_the_call_and_does_not_crash_it(play):
    async def scene(stage):
        for _ in range(3):
            stage.call.speak(500)
            await asyncio.sleep(4)
        await asyncio.sleep(1)

    stage = play(scene, stt=FakeStt(["a", "b", "c"]), tts=FakeTts(fail_contexts="all"))
    assert [t.ended for t in stage.session.turns] == ["failed"] * 3
    assert len(stage.session.failures) == 6
    assert stage.call._closed
    assert stage.call.sent == []


def test_an_stt_stream_that_breaks_is_replaced_and_nothing_is_lost(play):
    async def scene(stage):
        stage.call.speak(1000)
        await asyncio.sleep(6)

    for where in ("push", "finalize"):
        stage = play(
            scene, stt=FakeStt([FakeUtterance(text="x", fail=where), "A table."]), llm=FakeLlm()
        )
        assert stage.texts[0] == ("user", "A table.")
        assert stage.stt.streams == 2
        assert [f.stage for f in stage.session.failures] == ["stt"]


@pytest.mark.parametrize(
    "stt",
    [
        lambda: FakeStt([FakeUtterance(fail="push"), FakeUtterance(fail="push")]),
        lambda: FakeStt([FakeUtterance(fail="silent")]),
        lambda: FakeStt(fail_opens=3),
    ],
    ids=["breaks twice", "never answers", "cannot be opened"],
)
def test_a_dead_stt_becomes_an_apology(play, stt):
    async def scene(stage):
        stage.call.speak(1000, in_ms=100)
        await asyncio.sleep(14)

    stage = play(scene, stt=stt())
    assert stage.texts == [("assistant", APOLOGY)]


def test_a_final_that_never_came_is_not_taken_for_the_next_one(play):
    async def scene(stage):
        stage.call.speak(1000, in_ms=100)
        await asyncio.sleep(14)
        stage.call.speak(1000)
        await asyncio.sleep(5)

    stage = play(scene, stt=FakeStt([FakeUtterance(fail="silent"), "A table."]))
    assert stage.texts == [("assistant", APOLOGY), ("user", "A table."), ("assistant", "Okay.")]
    assert stage.stt.streams == 2
    assert [f.stage for f in stage.session.failures] == ["stt"]


def test_a_tts_that_hangs_is_named(play):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(16)

    class Stuck(FakeTts):
        async def open(self):
            if self.contexts == 0:
                self.contexts += 1
                await asyncio.sleep(1e6)
            return await super().open()

    stage = play(scene, stt=FakeStt(["Hello?"]), tts=Stuck())
    assert [f.stage for f in stage.session.failures] == ["tts"]
    assert stage.texts == [("user", "Hello?"), ("assistant", APOLOGY)]


def test_a_detector_that_fails_leaves_the_decision_to_silence(play):
    async def scene(stage):
        stage.call.speak(500)
        await asyncio.sleep(5)

    stage = play(scene, stt=FakeStt(["Hello?"]), turn=FakeTurn([ProviderError("gone")]))
    assert stage.texts == [("user", "Hello?"), ("assistant", "Okay.")]
    assert [f.stage for f in stage.session.failures] == ["turn"]


def test_an_observer_that_raises_does_not_stop_the_call():
    async def main():
        loop = asyncio.get_running_loop()
        from voicecore.session.owner import LoopScheduler

        call = FakeCall(loop.now_ns)

        def observer(report):
            raise ValueError("bad observer")

        session = Session(
            call,
            stt=FakeStt(["Hello?"]),
            llm=FakeLlm(),
            tts=FakeTts(),
            observer=observer,
            config=SessionConfig(speaking=SpeakSettings(greeting="Hi.")),
            scheduler=LoopScheduler(loop.now_ns),
        )
        task = asyncio.create_task(session.run())
        await asyncio.sleep(3)
        await session.close()
        await session.close()
        await task
        with pytest.raises(StateError, match="once"):
            await session.run()
        return session

    assert run_virtual(main()).history[0].text == "Hi."


def test_a_defect_of_ours_is_logged_without_a_word_of_what_was_said(play, caplog):
    said, key = "The name is Baker", "sk-1234"

    async def defect():
        try:
            raise ProviderError(key)
        except ProviderError as error:
            raise ValueError(said) from error

    async def scene(stage):
        await asyncio.sleep(0.1)
        stage.session._owner.spawn(defect(), "session-defect")
        await asyncio.sleep(0.1)

    play(scene)
    assert "task session-defect failed: ValueError\n" in caplog.text
    assert ", in defect\n" in caplog.text  # where it was raised
    assert said not in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("state", ["listening", "thinking", "speaking", "interrupted"])
@pytest.mark.parametrize("who", ["caller", "session", "cancelled"])
def test_the_call_may_end_in_every_state(make_stage, state, who):
    async def main():
        stage = make_stage(
            stt=FakeStt(["Count.", "never"]),
            llm=FakeLlm([FakeAnswer(text=LONG, first_ms=300)]),
        )
        task = asyncio.create_task(stage.session.run())
        if state != "listening":
            stage.call.speak(500)
            await until(stage, state if state != "interrupted" else "speaking")
        if state == "interrupted":
            await asyncio.sleep(0.3)
            stage.call.speak(5000)
            await until(stage, "interrupted")
        if who == "caller":
            stage.call.hang_up()
        elif who == "session":
            await stage.session.close()
        else:
            task.cancel()
        await asyncio.wait([task])
        assert not stage.session._timers
        stage.call.hang_up()
        return stage

    stage = run_virtual(main())  # fails if a task is left behind
    if state in ("speaking", "interrupted"):
        assert stage.session.turns[0].ended == "closed"
        assert LONG.startswith(stage.session.turns[0].heard_text)
        assert len(stage.session.turns[0].heard_text.split()) <= 4


@pytest.mark.parametrize("config", [{}, {"speaking": {}}, SpeakSettings()])
def test_settings_that_are_no_session_config_are_refused(config):
    async def main():
        call = FakeCall(asyncio.get_running_loop().now_ns)
        with pytest.raises(ConfigError, match="give a SessionConfig"):
            Session(call, stt=FakeStt(), llm=FakeLlm(), tts=FakeTts(), config=config)
        call.hang_up()

    run_virtual(main())


def test_a_wrong_rate_is_refused_with_what_to_do():
    async def main():
        call = FakeCall(asyncio.get_running_loop().now_ns)
        with pytest.raises(RateError, match="play_hz=16000"):
            Session(call, stt=FakeStt(), llm=FakeLlm(), tts=FakeTts(16000))
        call.hang_up()

    run_virtual(main())
