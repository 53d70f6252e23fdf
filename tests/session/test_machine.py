"""SessionMachine, event by event. Oracle: the tables here, which are the specification."""

from __future__ import annotations

import pytest

from voicecore.media.events import (
    BargedIn,
    CallClosed,
    DtmfReceived,
    EventsLost,
    MarkReached,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from voicecore.session import (
    ListenSettings,
    SessionConfig,
    SessionMachine,
    SpeakSettings,
    ThinkSettings,
)
from voicecore.session import actions as act
from voicecore.session import events as ev

MS = 1_000_000
QUIET = SessionConfig(speaking=SpeakSettings(agent_first=False))


class Script:
    """Steps a machine in milliseconds; keeps what it asked for last."""

    def __init__(self, config: SessionConfig = QUIET, **kw: bool) -> None:
        self.machine = SessionMachine(config, **kw)
        self.now_ms = 0
        self.last: list[act.Action] = []
        self.do(ev.SessionStarted())

    def do(self, event, *, at_ms: int | None = None) -> list[str]:
        if at_ms is not None:
            assert at_ms >= self.now_ms
            self.now_ms = at_ms
        self.last = self.machine.step(event, self.now_ms * MS)
        return [type(a).__name__ for a in self.last]

    def get(self, kind):
        (found,) = [a for a in self.last if isinstance(a, kind)]
        return found

    @property
    def state(self) -> str:
        return self.machine.state

    def starts(self, at_ms=None):
        now = self.now_ms if at_ms is None else at_ms
        return self.do(SpeechStarted(now * MS, now * 16, now * MS), at_ms=at_ms)

    def stops(self, at_ms=None):
        now = self.now_ms if at_ms is None else at_ms
        return self.do(SpeechStopped(now * MS, 0, (now - 192) * MS), at_ms=at_ms)

    def barges(self, play_sample=5000):
        now = self.now_ms
        return self.do(BargedIn(now * MS, now * 16, play_sample, now * MS))

    def final(self, segment, text):
        return self.do(ev.TranscriptFinal(segment, text, self.now_ms * MS))

    def utterance(self, segment, text, *, probability=0.9):
        self.starts(self.now_ms + 1000)
        self.stops(self.now_ms + 1000)
        self.do(ev.TurnPredicted(segment, probability))
        return self.final(segment, text)

    def speaking(self):
        """Bring it to speak: reply 1 is queued from 1000 to 90000 and sounds."""
        self.utterance(1, "Hello?")
        self.do(ev.AgentAudioReady(1, 1000))
        self.do(PlayoutStarted(0, 1000, 0))
        assert self.state == "speaking"
        return self

    def all_queued(self, end=90_000):
        self.do(ev.ReplyFinished(1, False))
        self.do(ev.AgentAudioFinished(1, end))
        return self


def test_the_end_of_speech_asks_for_text_and_verdict_at_once():
    s = Script()
    assert s.starts(1000) == ["CancelTimer", "StartTranscript"]
    assert s.get(act.StartTranscript) == act.StartTranscript(1, 16_000)
    assert s.stops(2000) == ["FinalizeTranscript", "PredictTurn", "SetTimer", "SetTimer"]
    # The wait counts from the last sound (192 ms ago), not from the report of the silence.
    assert act.SetTimer("turn", (2000 - 192 + 1200) * MS) in s.last
    assert act.SetTimer("final", 7000 * MS) in s.last


@pytest.mark.parametrize("first", ["text", "verdict"])
def test_a_reply_needs_text_and_verdict_in_any_order(first):
    s = Script()
    s.starts(1000)
    s.stops(2000)
    steps = [ev.TranscriptFinal(1, "Hello?", 5), ev.TurnPredicted(1, 0.5)]
    if first == "verdict":
        steps.reverse()
    s.do(steps[0], at_ms=2050)
    assert s.state == "listening"
    s.do(steps[1], at_ms=2100)
    assert s.state == "thinking"
    start = s.get(act.StartReply)
    decided_ms = 2100 if first == "text" else 2050
    assert start == act.StartReply(1, "Hello?", None, 1, decided_ms * MS, 5, 0.5)
    assert s.machine.timers == {"reply"}


def test_below_the_threshold_silence_decides():
    s = Script()
    assert s.utterance(1, "So", probability=0.49) == ["CancelTimer"]
    assert s.state == "listening"
    assert s.do(ev.TimerFired("turn"))[:1] == ["StartReply"]


def test_a_verdict_about_earlier_speech_is_ignored():
    s = Script()
    s.starts(1000)
    s.stops(2000)
    s.starts(2300)
    assert s.do(ev.TurnPredicted(1, 1.0)) == []
    s.stops(3000)
    assert s.do(ev.TurnPredicted(1, 1.0)) == []
    s.final(1, "one")
    s.final(2, "two")
    assert s.state == "listening"
    s.do(ev.TurnPredicted(2, 1.0))
    assert s.get(act.StartReply).user_text == "one two"


def test_speech_while_thinking_withdraws_the_reply():
    s = Script()
    s.utterance(1, "one")
    assert s.starts() == ["CancelReply", "CancelTimer", "FinishTurn", "StartTranscript"]
    assert s.get(act.FinishTurn) == act.FinishTurn(1, "withdrawn")
    assert s.state == "listening"
    s.stops(s.now_ms + 1000)
    s.final(2, "two")
    s.do(ev.TurnPredicted(2, 0.8))
    assert s.get(act.StartReply) == act.StartReply(
        2, "one two", None, 2, s.now_ms * MS, s.now_ms * MS, 0.8
    )


def test_audio_that_is_queued_but_not_heard_is_flushed_when_withdrawn():
    s = Script()
    s.utterance(1, "one")
    s.do(ev.AgentAudioReady(1, 0))
    assert s.starts()[:2] == ["FlushPlayout", "CancelReply"]
    # The packet that had left already is reported late: it belongs to nobody.
    assert s.do(PlayoutStarted(0, 0, 0)) == []
    assert s.barges(0) == ["FlushPlayout"]
    assert s.state == "listening"


def test_noise_while_thinking_starts_the_same_reply_again():
    s = Script()
    s.utterance(1, "one")
    s.starts()
    s.stops(s.now_ms + 300)
    s.final(2, "")
    assert s.get(act.StartReply).user_text == "one"
    assert s.get(act.StartReply).segment == 1


def test_barge_in_is_confirmed_by_a_word():
    s = Script().speaking()
    s.starts()
    s.barges(5000)
    assert s.state == "interrupted"
    assert s.do(ev.TranscriptInterim("uh-huh")) == []
    assert s.do(ev.TranscriptInterim("uh-huh but")) == [
        "CancelTimer",
        "ReportBargeIn",
        "TruncateHistory",
        "FlushPlayout",
        "CancelReply",
        "CancelTimer",
        "FinishTurn",
    ]
    assert s.get(act.TruncateHistory) == act.TruncateHistory(1, 5000)
    assert s.get(act.ReportBargeIn) == act.ReportBargeIn(5000)
    assert s.get(act.FinishTurn).ended == "interrupted"
    assert s.state == "listening"
    # The same speech is the new turn.
    s.stops(s.now_ms + 1000)
    s.do(ev.TurnPredicted(2, 0.9))
    s.final(2, "uh-huh but wait")
    assert s.get(act.StartReply).user_text == "uh-huh but wait"


def test_confirm_words_counts_words_that_are_no_backchannels():
    config = SessionConfig(speaking=SpeakSettings(agent_first=False, confirm_words=2))
    s = Script(config).speaking()
    s.barges()
    assert s.do(ev.TranscriptInterim("okay stop")) == []
    assert "FlushPlayout" in s.do(ev.TranscriptInterim("okay stop now"))


def test_barge_in_is_confirmed_by_its_length():
    s = Script().speaking()
    s.starts()
    begun_ms = s.now_ms
    s.now_ms += 100
    s.barges()
    assert s.get(act.SetTimer).due_ns >= (begun_ms + 800) * MS
    assert "FlushPlayout" in s.do(ev.TimerFired("confirm"), at_ms=begun_ms + 800)


@pytest.mark.parametrize(
    ("text", "voiced_ms", "outcome"),
    [
        ("", 400, "empty"),
        ("Mm-hmm.", 400, "backchannel"),
        ("Yeah, right, I see.", 799, "backchannel"),
        ("Yeah, right, I see.", 800, "confirmed"),
        ("No.", 200, "confirmed"),
        ("Yeah but no", 200, "confirmed"),
    ],
)
def test_how_a_short_barge_in_ends(text, voiced_ms, outcome):
    s = Script().speaking()
    s.barges(5000)
    s.stops(s.now_ms + voiced_ms + 192)
    assert s.state == "interrupted"
    names = s.final(2, text)
    if outcome == "confirmed":
        assert "FlushPlayout" in names
        assert "ResumePlayout" not in names
        assert s.state == "listening"
    else:
        assert names[:3] == ["CancelTimer", "ReportBargeIn", "ResumePlayout"]
        assert s.get(act.ReportBargeIn) == act.ReportBargeIn(5000, outcome)
        assert s.state == "speaking"
        assert s.machine.timers == {"reply"}


def test_a_second_breath_keeps_the_playout_paused():
    s = Script().speaking()
    s.barges()
    s.stops(s.now_ms + 500)
    s.starts(s.now_ms + 100)
    assert "ResumePlayout" not in s.final(2, "Mm-hmm.")
    assert s.state == "interrupted"
    s.stops(s.now_ms + 500)
    assert "FlushPlayout" in s.final(3, "Stop.")


def test_a_final_that_never_comes_resumes():
    s = Script().speaking()
    s.barges()
    s.stops(s.now_ms + 400)
    assert "ResumePlayout" in s.do(ev.TimerFired("final"))


def test_a_cough_below_the_gate_is_discarded():
    s = Script().speaking()
    s.starts()
    assert s.stops(s.now_ms + 80) == ["DiscardTranscript"]
    assert s.state == "speaking"


def test_an_interruption_after_the_last_sample_is_a_normal_turn():
    s = Script().speaking().all_queued(90_000)
    names = s.barges(90_000)
    assert names[-3:] == ["ReportBargeIn", "ResumePlayout", "FinishTurn"]
    assert s.get(act.FinishTurn).ended == "finished"
    assert s.state == "listening"
    s.stops(s.now_ms + 600)
    s.do(ev.TurnPredicted(2, 0.9))
    s.final(2, "Yeah.")  # an answer now, no backchannel
    assert s.get(act.StartReply).user_text == "Yeah."


def test_speech_into_a_gap_of_the_answer_pauses_it():
    s = Script().speaking()
    s.do(PlayoutDrained(0, 20_000, True))
    assert s.starts()[-3:] == ["StartTranscript", "PausePlayout", "SetTimer"]
    assert s.state == "interrupted"


def test_without_a_native_gate_speech_pauses():
    s = Script(native_gate=False).speaking()
    assert "PausePlayout" in s.starts()
    assert s.state == "interrupted"


@pytest.mark.parametrize("how", ["drained", "mark"])
def test_the_answer_is_over_when_it_was_played(how):
    s = Script().speaking().all_queued(90_000)
    assert s.do(PlayoutDrained(0, 89_999, True)) == []
    if how == "drained":
        s.do(PlayoutDrained(0, 90_000, False))
    else:
        s.do(MarkReached(0, 1, 90_000, False))
    assert s.get(act.FinishTurn) == act.FinishTurn(1, "finished")
    assert s.machine.timers == {"silence"}
    assert s.state == "listening"


def test_audio_that_ends_late_after_draining_is_over_too():
    s = Script().speaking()
    s.do(PlayoutDrained(0, 90_000, True))
    assert "FinishTurn" in s.do(ev.AgentAudioFinished(1, 90_000))


def test_a_flushed_mark_ends_nothing():
    s = Script().speaking().all_queued(90_000)
    assert s.do(MarkReached(0, 1, 90_000, True)) == []


def test_goodbye_then_hang_up():
    s = Script().speaking()
    s.do(ev.ReplyFinished(1, True))
    s.do(ev.AgentAudioFinished(1, 9000))
    assert s.do(PlayoutDrained(0, 9000, False)) == ["FinishTurn", "SetTimer"]
    assert s.starts() == []
    assert s.do(ev.TimerFired("hang_up")) == ["HangUp"]
    s.do(CallClosed(0))
    assert s.machine.closed
    assert s.starts() == []


def test_a_goodbye_that_is_talked_over_does_not_hang_up():
    s = Script().speaking()
    s.do(ev.ReplyFinished(1, True))
    s.do(ev.AgentAudioFinished(1, 9000))
    s.starts()
    s.do(PlayoutDrained(0, 9000, False))
    assert s.machine.timers == set()
    s.stops(s.now_ms + 900)
    s.do(ev.TurnPredicted(2, 1.0))
    assert "StartReply" in s.final(2, "Wait!")


def test_a_failure_apologizes_and_the_third_in_a_row_says_farewell():
    s = Script(SessionConfig(thinking=ThinkSettings(max_failures=2), speaking=QUIET.speaking))
    speaking = s.machine._config.speaking
    s.utterance(1, "one")
    s.do(ev.ReplyFailed(1))
    assert s.get(act.Speak) == act.Speak(1, speaking.apology, False)
    s.do(ev.AgentAudioReady(1, 0))
    s.do(ev.AgentAudioFinished(1, 900))
    s.do(PlayoutStarted(0, 0, 0))
    s.do(PlayoutDrained(0, 900, False))
    assert s.state == "listening"
    s.utterance(2, "two")
    s.do(ev.TimerFired("reply"))
    assert s.get(act.Speak) == act.Speak(2, speaking.farewell, True)
    s.do(ev.AgentAudioReady(2, 900))
    s.do(ev.AgentAudioFinished(2, 1800))
    s.do(PlayoutStarted(0, 900, 0))
    s.do(PlayoutDrained(0, 1800, False))
    assert s.machine.timers == {"hang_up"}


def test_an_apology_that_fails_ends_the_turn():
    s = Script()
    s.utterance(1, "one")
    s.do(ev.ReplyFailed(1))
    assert s.do(ev.ReplyFailed(1)) == [
        "TruncateHistory",
        "CancelReply",
        "CancelTimer",
        "FinishTurn",
        "SetTimer",
    ]
    assert s.get(act.FinishTurn).ended == "failed"


def test_a_farewell_that_fails_is_said_again_and_then_left_out():
    config = SessionConfig(listening=ListenSettings(max_silence_lines=0), speaking=QUIET.speaking)
    s = Script(config)
    s.do(ev.TimerFired("silence"))
    s.do(ev.ReplyFailed(1))
    assert s.get(act.Speak).text == config.speaking.farewell
    s.do(ev.ReplyFailed(1))
    assert s.machine.timers == {"hang_up"}


def test_a_good_answer_clears_the_failures():
    s = Script()
    s.machine._failures = 2
    s.speaking().all_queued(9000)
    s.do(PlayoutDrained(0, 9000, False))
    assert s.machine._failures == 0


def test_nothing_is_late_while_the_caller_hears_or_is_heard():
    s = Script().speaking()
    assert s.do(ev.TimerFired("reply")) == ["SetTimer"]
    s.barges()
    assert s.do(ev.TimerFired("reply")) == ["SetTimer"]
    s.stops(s.now_ms + 200)
    s.final(2, "")
    assert s.do(ev.TimerFired("reply"))[0] == "Speak"


def test_a_segment_without_text_for_ever_is_apologized_for():
    s = Script()
    s.starts(1000)
    assert s.do(ev.TranscriptFailed(1)) == []  # the caller may finish first
    s.stops(2000)
    start = s.get(act.StartReply)
    assert (start.user_text, start.line) == (None, s.machine._config.speaking.apology)


def test_text_that_is_there_outweighs_a_segment_that_failed():
    s = Script()
    s.utterance(1, "A table", probability=0.1)
    s.starts(s.now_ms + 100)
    s.stops(s.now_ms + 500)
    s.do(ev.TranscriptFailed(2))
    s.do(ev.TurnPredicted(2, 0.9))
    assert s.machine.state == "listening" or s.get(act.StartReply).user_text == "A table"


def test_half_duplex_takes_up_speech_that_outlasts_the_answer():
    config = SessionConfig(speaking=SpeakSettings(agent_first=False, half_duplex=True))
    s = Script(config).speaking().all_queued(9000)
    assert s.starts() == []
    assert s.barges() == ["ResumePlayout"]
    names = s.do(PlayoutDrained(0, 9000, False))
    assert names[-1] == "StartTranscript"


def test_silence_asks_and_then_says_farewell():
    s = Script(
        SessionConfig(
            listening=ListenSettings(max_silence_lines=1, max_silence_ms=5000),
            speaking=QUIET.speaking,
        )
    )
    speaking = s.machine._config.speaking
    assert s.last == [act.SetTimer("silence", 5000 * MS)]
    for reply, line in ((1, speaking.silence_line), (2, speaking.farewell)):
        s.do(ev.TimerFired("silence"))
        assert s.get(act.StartReply).line == line
        s.do(ev.AgentAudioReady(reply, reply * 100))
        s.do(ev.AgentAudioFinished(reply, reply * 100 + 50))
        s.do(PlayoutDrained(0, reply * 100 + 50, False))
    assert s.machine.timers == {"hang_up"}


def test_keys_interrupt_and_become_the_turn():
    s = Script().speaking()
    assert "FlushPlayout" in s.do(DtmfReceived(0, "1", 0))
    s.do(DtmfReceived(0, "2", 0))
    s.do(ev.TimerFired("digits"))
    assert s.get(act.StartReply).user_text == "1 2"


def test_lost_events_leave_nothing_hanging():
    s = Script()
    s.starts(1000)
    assert "FinalizeTranscript" in s.do(EventsLost(0, 3))
    s = Script().speaking()
    assert s.do(EventsLost(0, 3)) == ["ResumePlayout"]


@pytest.mark.parametrize("event", [CallClosed(0), ev.SessionClosed()])
def test_closing_ends_everything(event):
    s = Script().speaking()
    s.barges()
    names = s.do(event)
    assert names[:2] == ["TruncateHistory", "CancelReply"]
    assert act.FinishTurn(1, "closed") in s.last
    assert s.machine.timers == set()
