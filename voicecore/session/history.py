"""The conversation as both sides know it: an answer counts as far as it was heard."""

from __future__ import annotations

from voicecore.providers.base import Message

__all__ = ["History"]


class History:
    """Messages, oldest first; neighbours of one role are joined.

    Args:
        system_prompt: the first message, unless empty.

    Example:
        >>> history = History("")
        >>> history.ask("Hello?")
        >>> history.answer("Good")
        >>> [m.text for m in history.messages()]
        ['Hello?', 'Good']
    """

    def __init__(self, system_prompt: str) -> None:
        self._messages = [Message("system", system_prompt)] if system_prompt else []
        self._asked: str | None = None

    def ask(self, text: str | None) -> None:
        """The caller's turn that is being answered; None if the agent speaks unasked."""
        self._asked = text

    def withdraw(self) -> None:
        """The caller's turn was not over."""
        self._asked = None

    def answer(self, heard: str) -> None:
        """The answer is over; ``heard`` is what was heard of it."""
        self._messages, self._asked = [*self.messages()], None
        self._append("assistant", heard)

    def messages(self) -> list[Message]:
        """The conversation so far, the turn being answered included."""
        messages, asked = list(self._messages), self._asked
        if not asked:
            return messages
        if messages and messages[-1].role == "user":
            messages[-1] = Message("user", f"{messages[-1].text} {asked}")
        else:
            messages.append(Message("user", asked))
        return messages

    def _append(self, role: str, text: str) -> None:
        if not text:
            return
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant":
            self._messages[-1] = Message("assistant", f"{last.text} {text}")
        else:
            self._messages.append(Message("assistant", text))
