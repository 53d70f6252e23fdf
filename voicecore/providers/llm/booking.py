"""The embedded dialogue: a restaurant's agent that books tables, by rules.

Stateless as the contract wants it: the whole history goes in, and is played through again from the
start, so that what the agent expects next follows from what the caller has said so far. Four slots:
people, day, time, name. English only. What the rules do not understand goes to an optional other
:class:`~voicecore.providers.base.Llm`, or the agent asks again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from voicecore.providers.base import Llm, LlmStream, LlmUsage, Message
from voicecore.providers.llm._slots import LARGEST_PARTY, Slots, extract, normalize, say_time
from voicecore.providers.text import SentenceSplitter, estimate_tokens

__all__ = ["BookingDialogue", "BookingState", "reply"]

_NUMBER_WORDS = """no one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen twenty"""
_NUMBERS = _NUMBER_WORDS.split()
_QUESTIONS = {
    "people": "For how many people?",
    "day": "For which day?",
    "time": "At what time?",
    "name": "And under what name?",
    "confirm": "Is that right?",
    "change": "What should I change: the number of people, the day, the time, or the name?",
    "more": "Is there anything else I can do for you?",
}
_AGAIN = {
    "people": "How many people will you be?",
    "day": "Which day would you like to come?",
    "time": "What time would you like the table?",
    "name": "What name should I put the booking under?",
    "confirm": "Should I book it like that, yes or no?",
    "change": "You can change the number of people, the day, the time, or the name.",
    "more": "Is there anything else I can do for you?",
}
_GREETING = "Good day, this is the Harbour Table. I can book a table for you. For how many people?"

_REPEAT = (
    r"\b(?:repeat|say) (?:that|it|this)\b|\bsay again\b|\bcome again\b|^(?:sorry|pardon|excuse me|"
    r"what|huh)(?: me| what)?$|\bpardon me\b|\bwhat did you say\b|\b(?:didn't|did not|couldn't|"
    r"can't) (?:hear|catch|get|understand)\b|\bi beg your pardon\b|\bplease repeat\b|\bonce more\b"
)
_CLOCK = (
    r"\bwhat time (?:is it|do you have|have you got|it is)\b|\bwhat'?s? (?:is )?the time\b"
    r"|\b(?:have|got) the time\b|\btell me the time\b|\bwhat is the current time\b|\btime is it\b"
)
_BYE = (
    r"\b(?:good ?bye|bye|see you|hang up)\b"
    r"|\bhave a (?:nice|good|great) (?:day|evening|night|one)\b"
)
_NOTHING = (
    r"\b(?:that's|that is|that'll be|that will be) (?:all|it|everything)\b"
    r"|\bnothing (?:else|more)\b|\bi'm (?:good|fine|done|all set)\b"
)
_THANKS = r"\b(?:thanks|thank you|cheers)\b|\byou very much\b"
_CANCEL = r"\b(?:start (?:over|again)|cancel|forget (?:it|about it)|from the beginning)\b"
_SUMMARY = (
    r"\b(?:read (?:it|that) back|what have you got|what do you have|what did i (?:book|say)|"
    r"my (?:booking|reservation)|the details)\b"
)
_HELLO = r"^(?:hello|hi|hey|good (?:morning|afternoon|evening|day))(?: there)?\b"
_HEAR = r"\b(?:can|do) you hear me\b|\bare you (?:still )?there\b"
_HOW_ARE_YOU = r"\bhow are you\b"
_WHO = r"\b(?:who|what) are you\b|\bare you (?:a |an )?(?:robot|human|machine|real|ai|bot)\b"
_BOOK = r"\b(?:book|reserve|reservation|booking|table)\b"
_YES = (
    r"^(?:(?:um|uh|oh|well|and|okay|ok|alright) )*(?:yes|yeah|yep|yup|sure|right|correct|exactly|"
    r"perfect|great|absolutely|of course|okay|ok|fine|please do|go ahead|sounds good|that's right|"
    r"that is right|that's correct|that is correct|that's fine|it is|that works|good)\b"
)
_NO = r"^(?:(?:um|uh|oh|well|sorry) )*(?:no|nope|nah|not|wrong|that's wrong|that's not|incorrect)\b"
_TOPICS = {
    "people": r"\b(?:people|persons?|guests|number|how many|party|size)\b",
    "day": r"\b(?:day|date)\b",
    "time": r"\b(?:time|hour|oclock)\b",
    "name": r"\bname\b",
}
_MAKE_IT = (
    r"\b(?:make (?:it|that)|change (?:it|that) to|actually|rather|i meant|i said) (\d{1,2})\b"
)


_NOTHING_KNOWN = Slots()
_FALLBACK_SENTENCES = 2


@dataclass(frozen=True, slots=True)
class BookingState:
    """Where a conversation stands after some turns.

    Attributes:
        slots: what is known of the booking.
        expected: the slot asked for, or "confirm", "change", "more", "which" (a number that may be
            people or a time).
        booked: the caller has said yes to it.
        number: the number that "which" is about.
        answer: what the agent says now; "" if the rules do not understand the turn.
        ends_call: the agent hangs up after the answer.
    """

    slots: Slots = _NOTHING_KNOWN
    expected: str = "people"
    booked: bool = False
    number: int = 0
    answer: str = _GREETING
    ends_call: bool = False


def _people(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _describe(slots: Slots) -> str:
    parts = ["a table"]
    if slots.people is not None:
        parts.append(f"for {_people(slots.people)}")
    if slots.day is not None:
        parts.append(slots.day)
    if slots.time is not None:
        parts.append(f"at {say_time(slots.time)}")
    text = " ".join(parts)
    return text if slots.name is None else f"{text}, under the name {slots.name}"


def _describe_new(new: Slots) -> str:
    if new.day is not None and new.people is None and new.time is None:
        return new.day.removeprefix("on ")
    if new.time is not None and new.people is None and new.day is None:
        return say_time(new.time)
    return _describe(new)


def _ask(state: BookingState, lead: str, again: bool = False) -> BookingState:
    """``lead`` and the question that is due, as the next state."""
    question = (_AGAIN if again else _QUESTIONS).get(state.expected, "")
    if state.expected == "which":
        question = f"{_people(state.number)} people, or {state.number} o'clock?"
    return replace(state, answer=f"{lead} {question}".strip())


def _after_slots(state: BookingState, new: Slots) -> BookingState:
    """The state once ``new`` was said: ask for what is missing, or have it confirmed."""
    if new.people is not None and new.people > LARGEST_PARTY:
        lead = f"I am sorry, I can book for {_people(LARGEST_PARTY)} people at the most."
        slots = replace(state.slots.merged(replace(new, people=None)), people=None)
        return _ask(replace(state, slots=slots, expected="people", booked=False), lead)
    slots = state.slots.merged(new)
    missing = slots.missing()
    if missing:
        said = replace(new, name=None)
        if said == _NOTHING_KNOWN:
            lead = f"Thank you, {new.name}." if new.name else "All right."
        else:
            lead = f"All right, {_describe_new(said)}."
        return _ask(replace(state, slots=slots, expected=missing[0]), lead)
    lead = f"So that is {_describe(slots)}."
    return _ask(replace(state, slots=slots, expected="confirm", booked=False), lead)


def reply(state: BookingState, text: str, now: Callable[[], datetime]) -> BookingState:
    """The next state, with the answer to one turn of the caller."""
    s = normalize(text)

    def has(pattern: str) -> bool:
        return re.search(pattern, s) is not None

    state = replace(state, ends_call=False)
    if has(_CLOCK):
        return _ask(state, f"It is {say_time(now().strftime('%H:%M'))}.", again=True)
    if has(_REPEAT):
        return state
    if has(_HEAR):
        return _ask(state, "Yes, I can hear you.", again=True)
    if has(_CANCEL) and not has(r"\bdon't cancel\b"):
        return _ask(BookingState(), "All right, I have cleared that. Let us start again.")
    if state.expected == "which" and (has(_TOPICS["people"]) or has(_TOPICS["time"])):
        people = has(_TOPICS["people"])
        hour = state.number % 12 + 12
        new = Slots(people=state.number) if people else Slots(time=f"{hour:02d}:00")
        return _after_slots(state, new)

    slot = state.expected if state.expected in _TOPICS else None
    new = extract(text, slot)
    if new == _NOTHING_KNOWN and (found := re.search(_MAKE_IT, s)) and state.slots.people:
        return _ask(
            replace(state, expected="which", number=int(found.group(1))), "Sorry, do you mean"
        )
    yes, no = has(_YES), has(_NO)
    changed = state.slots.merged(new) != state.slots
    if (
        new != _NOTHING_KNOWN
        and (changed or not state.booked)
        and not (yes and state.expected == "confirm" and not changed)
    ):
        return _after_slots(state, new)
    if has(_BYE) or (has(_NOTHING) and state.expected == "more"):
        return replace(state, answer=_goodbye(state), ends_call=True)
    if has(_SUMMARY) and state.slots != _NOTHING_KNOWN:
        return _ask(state, f"I have {_describe(state.slots)}.", again=True)
    if state.expected == "confirm" and (yes or no):
        if no:
            return _topic(replace(state, expected="change"), s)
        lead = f"Very good. Your table is booked: {_describe(state.slots)}."
        return _ask(replace(state, expected="more", booked=True), lead)
    if state.expected == "more" and (no or has(_THANKS)):
        return replace(state, answer=_goodbye(state), ends_call=True)
    if has(_THANKS):
        return _ask(state, "You are welcome.", again=True)
    if state.expected in ("change", "more", "confirm") and (has(r"\bchange\b") or not yes):
        topic = _topic(state, s)
        if topic.answer:
            return topic
    return _small_talk(state, has, yes)


def _small_talk(state: BookingState, has: Callable[[str], bool], yes: bool) -> BookingState:
    if has(_HOW_ARE_YOU):
        return _ask(state, "I am fine, thank you.", again=True)
    if has(_WHO):
        return _ask(state, "I am the automatic booking assistant.", again=True)
    if has(_BOOK) and not state.booked:
        return _ask(state, "With pleasure.", again=False)
    if has(_HELLO):
        return _ask(state, "Hello!", again=True)
    if yes and state.expected in ("more", "people", "day", "time", "name", "change"):
        lead = "Certainly. What is it?" if state.expected == "more" else "All right."
        if state.expected == "more":
            return replace(state, answer=lead)
        return _ask(state, lead, again=True)
    return replace(state, answer="")


def _topic(state: BookingState, s: str) -> BookingState:
    """The caller names the slot to change without saying what to."""
    for slot, pattern in _TOPICS.items():
        if re.search(pattern, s):
            return _ask(replace(state, expected=slot, booked=False), "Of course.", again=True)
    if state.expected == "change" and state.answer:
        return _ask(state, "All right.")
    return replace(state, answer="")


def _goodbye(state: BookingState) -> str:
    if state.booked:
        return "You are welcome. We look forward to seeing you. Goodbye!"
    return "Thank you for calling. Goodbye!"


class BookingDialogue(Llm):
    """The table-booking agent.

    Args:
        fallback: answers turns that the rules do not understand; None: the agent asks again.
        now: the wall clock of "what time is it".

    Example:
        dialogue = BookingDialogue()
        stream = dialogue.stream([Message("user", "A table for four on Friday at seven.")])
        async for delta in stream: ...
    """

    name = "voicecore/booking"

    def __init__(
        self, fallback: Llm | None = None, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self._fallback = fallback
        self._now = now

    def state(self, messages: Sequence[Message]) -> BookingState:
        """Where the conversation stands after ``messages``; its ``answer`` is what to say."""
        state = BookingState()
        for message in messages:
            if message.role != "user" or not message.text.strip():
                continue
            before = state
            state = reply(state, message.text, self._now)
            if not state.answer:
                # Kept as the answer to repeat: the question that is still open.
                state = replace(before, answer="", ends_call=False)
                if message is not messages[-1]:
                    state = _ask(state, "", again=True)
        return state

    def stream(self, messages: Sequence[Message]) -> LlmStream:
        """The answer to the last message; see the contract."""
        state = self.state(messages)
        if not state.answer and self._fallback is not None:
            question = _ask(state, "", again=True).answer
            return _FallbackStream(self._fallback.stream(messages), question)
        if not state.answer:
            state = _ask(state, "Sorry, I did not get that.", again=True)
        read = sum(estimate_tokens(m.text) for m in messages)
        return _BookingStream(state.answer, state.ends_call, read)


class _BookingStream(LlmStream):
    """An answer, word by word."""

    def __init__(self, answer: str, ends_call: bool, input_tokens: int) -> None:
        self._answer = answer
        self._ends_call = ends_call
        self._input_tokens = input_tokens
        self._said = 0
        self._cancelled = False

    async def _iterate(self) -> AsyncIterator[str]:
        for found in re.finditer(r"\S+\s*", self._answer):
            if self._cancelled:
                return
            self._said = found.end()
            yield found.group(0)

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def cancel(self) -> None:
        self._cancelled = True

    @property
    def usage(self) -> LlmUsage:
        said = estimate_tokens(self._answer[: self._said])
        return LlmUsage(self._input_tokens, said, estimated=True)

    @property
    def ends_call(self) -> bool:
        return self._ends_call and not self._cancelled


class _FallbackStream(LlmStream):
    """Another model's answer, two whole sentences at most, and the question that is still open."""

    def __init__(self, inner: LlmStream, question: str) -> None:
        self._inner = inner
        self._question = question
        self._cancelled = False

    async def _iterate(self) -> AsyncIterator[str]:
        splitter = SentenceSplitter(first_clause_chars=0)
        said = 0
        async for delta in self._inner:
            for sentence in splitter.push(delta)[: _FALLBACK_SENTENCES - said]:
                said += 1
                yield sentence + " "
            if said == _FALLBACK_SENTENCES:
                await self._inner.cancel()
                break
        for rest in splitter.flush()[: _FALLBACK_SENTENCES - said]:
            # A model that ran into its limit stops in mid-sentence: better not begun.
            if rest[-1] in ".!?" or not said:
                said += 1
                yield (rest if rest[-1] in ".!?" else rest + ".") + " "
        if not self._cancelled:
            yield self._question

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def cancel(self) -> None:
        self._cancelled = True
        await self._inner.cancel()

    @property
    def usage(self) -> LlmUsage:
        return self._inner.usage
