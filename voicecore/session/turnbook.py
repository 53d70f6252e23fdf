"""Keeps the turns of a session: stamps as they happen, a record when a turn is over."""

from __future__ import annotations

from dataclasses import dataclass, field

from voicecore.media.events import PlayoutStarted
from voicecore.providers.base import LlmUsage, SttUsage, TtsUsage
from voicecore.session import actions as act
from voicecore.session.records import ProviderFailure, TurnRecord, TurnStamps
from voicecore.session.reply import Reply, add_llm, add_tts

__all__ = ["TurnBook"]


@dataclass(slots=True)
class _Draft:
    """A turn that is being answered."""

    start: act.StartReply
    caller_ended: tuple[int, int]
    first_packet_ns: int = 0
    truncated_at: int | None = None
    index: int = -1
    ended: str = ""
    stt_ms: float = 0.0
    failures: tuple[ProviderFailure, ...] = ()
    starts: list[PlayoutStarted] = field(default_factory=list)


class TurnBook:
    """Turn records, failures and usage of one session."""

    def __init__(self) -> None:
        self.turns: list[TurnRecord] = []
        self.failures: list[ProviderFailure] = []
        self._drafts: dict[int, _Draft] = {}
        self._next_index = 0
        self._stt_before_ms = 0.0
        self._failures_before = 0
        self._carried = (LlmUsage(), TtsUsage())  # of withdrawn answers
        self._recorded = (LlmUsage(), TtsUsage())

    @property
    def usage(self) -> tuple[LlmUsage, TtsUsage]:
        """All that finished and withdrawn answers used."""
        return (
            add_llm(self._recorded[0], self._carried[0]),
            add_tts(self._recorded[1], self._carried[1]),
        )

    def start(self, action: act.StartReply, reply: Reply, caller_ended: tuple[int, int]) -> None:
        """An answer begins; the caller's last sound and the VAD's verdict, if there was a turn."""
        self._drafts[reply.number] = _Draft(action, caller_ended)

    def playout_started(self, reply: Reply, event: PlayoutStarted) -> None:
        """Audio leaves; the first of it belongs to the answer's stamps."""
        draft = self._drafts[reply.number]
        if reply.first_sample is None or event.play_sample < reply.first_sample:
            return
        draft.starts.append(event)
        draft.first_packet_ns = draft.first_packet_ns or event.packet_ns

    def played_by(self, reply: Reply, now_ns: int, play_hz: int) -> int:
        """Where the playout must be by the clock: for a call that cannot be asked any more."""
        starts = self._drafts[reply.number].starts
        if not starts:
            return reply.first_sample or 0
        played = (now_ns - starts[-1].packet_ns) * play_hz // 1_000_000_000
        return starts[-1].play_sample + max(0, played)

    def truncate(self, reply: Reply, play_sample: int) -> None:
        """The answer was heard up to here only."""
        self._drafts[reply.number].truncated_at = play_sample

    def heard_text(self, reply: Reply) -> str:
        """What was heard of the answer."""
        at = self._drafts[reply.number].truncated_at
        if at is not None:
            return reply.heard_text(at)
        return reply.heard_text(reply.end_sample) if reply.broken else reply.text

    def close(self, reply: Reply, ended: str, stt: SttUsage) -> int | None:
        """The answer is over: its turn's number, or None if it was withdrawn."""
        draft = self._drafts[reply.number]
        draft.ended = ended
        if ended == "withdrawn":
            return None
        draft.index = self._next_index
        self._next_index += 1
        draft.stt_ms, self._stt_before_ms = stt.audio_ms - self._stt_before_ms, stt.audio_ms
        draft.failures = tuple(self.failures[self._failures_before :])
        self._failures_before = len(self.failures)
        return draft.index

    def record(self, reply: Reply, turn: int | None) -> TurnRecord | None:
        """The record of a closed turn, once the usage is known; None if it was withdrawn."""
        heard = self.heard_text(reply)
        draft = self._drafts.pop(reply.number)
        llm, tts = reply.usage
        llm, tts = add_llm(llm, self._carried[0]), add_tts(tts, self._carried[1])
        if turn is None:
            self._carried = (llm, tts)
            return None
        self._carried = (LlmUsage(), TtsUsage())
        self._recorded = (add_llm(self._recorded[0], llm), add_tts(self._recorded[1], tts))
        record = TurnRecord(
            index=turn,
            caller_text=draft.start.user_text or "",
            agent_text=reply.text,
            heard_text=heard,
            interrupted=draft.ended == "interrupted",
            ended=draft.ended,
            stamps=self._stamps(draft, reply),
            turn_probability=draft.start.probability,
            stt=SttUsage(draft.stt_ms),
            llm=llm,
            tts=tts,
            failures=draft.failures,
        )
        self.turns.append(record)
        self.turns.sort(key=lambda r: r.index)  # a cancelled turn may settle after the next
        return record

    def _stamps(self, draft: _Draft, reply: Reply) -> TurnStamps:
        start = draft.start
        caller_end_ns, vad_stopped_ns = draft.caller_ended
        onset_ns = 0
        lead_in_ns = reply.lead_in.ns
        if draft.starts and lead_in_ns is not None and reply.first_sample is not None:
            at = draft.truncated_at
            audible_at = reply.first_sample + lead_in_ns * reply.play_hz // 1_000_000_000
            if at is None or at > audible_at:
                # The queue may run dry, or be paused, between the first packet and the first sound.
                for begun in draft.starts:
                    if begun.play_sample <= audible_at:
                        ahead_samples = audible_at - begun.play_sample
                        onset_ns = begun.packet_ns + ahead_samples * 1_000_000_000 // reply.play_hz
        return TurnStamps(
            caller_end_ns=caller_end_ns,
            vad_stopped_ns=vad_stopped_ns,
            turn_decided_ns=start.decided_ns,
            transcript_final_ns=start.final_ns,
            reply_started_ns=reply.started_ns,
            first_token_ns=reply.first_token_ns,
            first_clause_ns=reply.first_clause_ns,
            first_audio_ns=reply.first_audio_ns,
            queued_ns=reply.queued_ns,
            first_packet_ns=draft.first_packet_ns,
            agent_onset_ns=onset_ns,
        )
