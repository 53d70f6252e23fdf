"""SessionMachine under any order of events. Oracle: invariants over the actions it asks for."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicecore.media import events as call
from voicecore.session import SessionConfig, SessionMachine, SpeakSettings
from voicecore.session import actions as act
from voicecore.session import events as ev

MS = 1_000_000
IDS = st.integers(0, 6)
SAMPLES = st.integers(0, 20).map(lambda n: n * 1000)
TEXTS = st.sampled_from(["", "mm-hmm", "yeah okay", "stop", "a table for two", "  "])
TIMERS = st.sampled_from(["turn", "final", "reply", "confirm", "silence", "digits", "hang_up"])


class AnyOrder(RuleBasedStateMachine):
    """Feeds everything at any time and checks what the machine asks for."""

    @initialize(
        half_duplex=st.booleans(),
        agent_first=st.booleans(),
        native_gate=st.booleans(),
        words=st.integers(1, 2),
    )
    def begin(self, half_duplex, agent_first, native_gate, words):
        config = SessionConfig(
            speaking=SpeakSettings(
                half_duplex=half_duplex, agent_first=agent_first, confirm_words=words
            )
        )
        self.machine = SessionMachine(config, native_gate=native_gate)
        self.now = 0
        self.alive: int | None = None
        self.replies = 0
        self.timers: set[str] = set()
        self.open: int | None = None
        self.asked: list[int] = []
        self.flushed = self.hung_up = False
        self.step(ev.SessionStarted())

    def step(self, event):
        if isinstance(event, ev.TimerFired):
            self.timers.discard(event.name)
        for action in self.machine.step(event, self.now):
            self.check(action)

    def check(self, action):
        match action:
            case act.StartReply():
                assert self.alive is None, "two answers alive"
                assert action.reply == self.replies + 1
                assert action.user_text is None or action.user_text.strip()
                self.alive = self.replies = action.reply
                self.flushed = False
            case act.Speak() | act.CancelReply() | act.TruncateHistory():
                assert action.reply == self.alive
            case act.FinishTurn():
                assert action.reply == self.alive
                self.alive = None
            case act.SetTimer():
                assert action.due_ns >= self.now
                self.timers.add(action.name)
            case act.CancelTimer():
                self.timers.remove(action.name)
            case act.HangUp():
                assert not self.hung_up
                self.hung_up = True
            case act.FlushPlayout():
                self.flushed = True
            case act.ResumePlayout():
                assert not self.flushed, "resumed after a flush"
                assert self.alive is not None
            case act.StartTranscript():
                assert self.open is None
                self.open = action.segment
            case act.FinalizeTranscript():
                assert action.segment == self.open
                self.asked.append(action.segment)
                self.open = None
            case act.DiscardTranscript():
                assert action.segment == self.open or action.segment in self.asked
                self.open = None if action.segment == self.open else self.open

    @invariant()
    def consistent(self):
        if not hasattr(self, "machine"):
            return
        assert self.machine.timers == self.timers
        assert self.machine.reply == self.alive
        state = self.machine.state
        assert (state == "listening") == (self.alive is None)
        if state == "interrupted":
            assert self.open is not None or "final" in self.timers, "nothing would end the pause"
        if state == "thinking":
            assert "reply" in self.timers or self.machine._audio_end is not None

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms):
        self.now += ms * MS

    @rule(kind=st.sampled_from(["start", "stop", "barge"]), play=SAMPLES)
    def caller(self, kind, play):
        now = self.now
        if kind == "start":
            self.step(call.SpeechStarted(now, 0, max(0, now - 64 * MS)))
        elif kind == "stop":
            self.step(call.SpeechStopped(now, 0, max(0, now - 192 * MS)))
        else:
            self.step(call.BargedIn(now, 0, play, max(0, now - 96 * MS)))

    @rule(text=TEXTS)
    def interim(self, text):
        self.step(ev.TranscriptInterim(text))

    @rule(id_=IDS, text=TEXTS, last=st.booleans())
    def final(self, id_, text, last):
        self.step(ev.TranscriptFinal(self.asked[-1] if last and self.asked else id_, text, 1))

    @rule(id_=IDS, last=st.booleans())
    def transcript_failed(self, id_, last):
        self.step(ev.TranscriptFailed(self.open if last and self.open else id_))

    @rule(id_=IDS, p=st.floats(0, 1), last=st.booleans())
    def predicted(self, id_, p, last):
        self.step(ev.TurnPredicted(self.asked[-1] if last and self.asked else id_, p))

    @rule(
        kind=st.sampled_from(["delta", "finished", "goodbye", "failed", "ready", "end"]),
        id_=IDS,
        sample=SAMPLES,
        current=st.booleans(),
    )
    def answer(self, kind, id_, sample, current):
        reply = self.replies if current else id_
        self.step(
            {
                "delta": ev.ReplyDelta(reply),
                "finished": ev.ReplyFinished(reply),
                "goodbye": ev.ReplyFinished(reply, True),
                "failed": ev.ReplyFailed(reply),
                "ready": ev.AgentAudioReady(reply, sample),
                "end": ev.AgentAudioFinished(reply, sample),
            }[kind]
        )

    @rule(kind=st.sampled_from(["started", "drained", "mark", "flushed mark"]), at=SAMPLES)
    def playout(self, kind, at):
        now = self.now
        self.step(
            {
                "started": call.PlayoutStarted(now, at, now),
                "drained": call.PlayoutDrained(now, at, True),
                "mark": call.MarkReached(now, self.replies, at, False),
                "flushed mark": call.MarkReached(now, self.replies, at, True),
            }[kind]
        )

    @rule(name=TIMERS)
    def timer(self, name):
        if name in self.timers:
            self.step(ev.TimerFired(name))
        else:
            before = self.machine.state
            assert self.machine.step(ev.TimerFired(name), self.now) == []
            assert self.machine.state == before

    @rule(digit=st.sampled_from("12#"))
    def key(self, digit):
        self.step(call.DtmfReceived(self.now, digit, 0))

    @rule()
    def other(self):
        self.step(call.EventsLost(self.now, 1))
        self.step(call.RtpTimedOut(self.now))
        self.step(ev.SessionStarted())

    def teardown(self):
        """Let everything end: it must come to rest, listening or hanging up, with no timer left."""
        if not hasattr(self, "machine"):
            return
        for _ in range(40):
            self.now += 100 * MS
            self.step(call.SpeechStopped(self.now, 0, self.now))
            for segment in self.asked:
                self.step(ev.TranscriptFinal(segment, "", 1))
            for name in ("turn", "confirm", "digits"):
                if name in self.timers:
                    self.step(ev.TimerFired(name))
            if self.alive is not None:
                end = 1_000_000 + self.now // MS
                self.step(ev.AgentAudioReady(self.alive, end))
                self.step(ev.AgentAudioFinished(self.alive, end + 1))
                self.step(call.PlayoutDrained(self.now, end + 1, False))
            self.consistent()
        assert self.machine.state == "listening"
        assert self.machine.reply is None
        assert self.timers in ([set()] if self.hung_up else [{"silence"}, {"hang_up"}])
        self.step(call.CallClosed(self.now))
        assert self.timers == set()
        assert self.machine.closed
        assert self.machine.step(call.SpeechStarted(self.now, 0, 0), self.now) == []


AnyOrder.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True
)
TestAnyOrder = AnyOrder.TestCase
