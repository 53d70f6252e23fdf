"""``voicecore demo``: prepare, hold the call, write and show what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from voicecore.cli.account import build_report
from voicecore.cli.conversation import CALLER_HZ, Conversation, hold_conversation
from voicecore.cli.show import LiveView, print_report
from voicecore.cli.watch import LiveWatcher
from voicecore.cost import PriceBook
from voicecore.errors import ConfigError, SystemCallError
from voicecore.providers.embedded import EmbeddedProviders, load_embedded
from voicecore.providers.llm.booking import BookingState
from voicecore.report.journal import plain
from voicecore.report.model import CallReport
from voicecore.report.page import render_page
from voicecore.testing.caller import CallerSettings
from voicecore.testing.network import Impairment
from voicecore.testing.script import BOOKING, SHORT_BOOKING, CallerLine, Script
from voicecore.testing.voices import find_voice
from voicecore.testing.wavfiles import load_speech

__all__ = ["DemoOptions", "DemoResult", "hold_demo", "run_demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The command's options; see ``voicecore demo --help``."""

    caller: str = "script"
    files: tuple[Path, ...] = ()
    voice: str | None = None
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    barge_in: bool = False
    out: Path = Path("demo-out")
    llm: bool = False
    price_as: str = ""
    as_json: bool = False
    seed: int = 1
    short: bool = False

    def __post_init__(self) -> None:
        if self.caller == "wav" and not self.files:
            raise ConfigError(
                "--caller wav needs files: voicecore demo --caller wav one.wav two.wav"
            )
        if self.caller == "script" and self.files:
            raise ConfigError(
                f"{self.files[0]} is given, but the caller is scripted; add --caller wav"
            )

    @property
    def impairment(self) -> Impairment:
        """The network that was asked for."""
        return Impairment(self.loss_percent, self.jitter_ms, self.seed)


@dataclass(slots=True)
class DemoResult:
    """What came of a demo.

    Attributes:
        talk: the call.
        report: its facts.
        booking: where the booking stands at the end.
        scripted: the caller followed the script.
        files: what was written.
    """

    talk: Conversation
    report: CallReport
    booking: BookingState
    scripted: bool
    files: dict[str, Path]

    @property
    def reached_end(self) -> bool:
        """Whether the conversation came to its end: all is said, and answered.

        With the script that is: the agent said goodbye and hung up. Recordings may end anywhere.
        """
        finished = self.talk.caller.ended == "finished" and not self.talk.timed_out
        return finished and (self.talk.agent_hung_up or not self.scripted)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "ended": self.talk.caller.ended,
            "reached_end": self.reached_end,
            "booked": self.booking.booked,
            "slots": plain(self.booking.slots),
            "call_ms": self.talk.call_ms,
            "turns": [
                {**plain(turn), "mouth_to_ear_ms": turn.mouth_to_ear_ms}
                for turn in self.report.turns
            ],
            "history": plain(self.talk.history),
            "transcript": plain(self.report.transcript),
            "counters": {c.title: plain(c.values) for c in self.report.counters},
            "costs": plain(self.report.costs),
            "files": {name: str(path) for name, path in self.files.items()},
        }


def run_demo(options: DemoOptions) -> int:
    """Run the demo; returns the exit code."""
    console = Console(stderr=options.as_json)
    result = asyncio.run(hold_demo(options, console))
    if options.as_json:
        json.dump(result.to_json(), sys.stdout, indent=2)
        print()
    else:
        print_report(result.report, console)
        console.print()
    for name, path in result.files.items():
        # A path is no markup, and one that is longer than the line must still be copied whole.
        console.print(f"{name:<11} {path}", markup=False, highlight=False, soft_wrap=True)
    if not result.reached_end:
        console.print(_why_not(result), style="bold red")
    return 0 if result.reached_end else 1


def _why_not(result: DemoResult) -> str:
    if result.talk.timed_out:
        return "The conversation did not reach its end within ten minutes."
    reasons = {
        "no_answer": "the agent gave no answer to a line that was said three times",
        "no_greeting": "the agent never greeted",
        "hung_up": "the call was closed before everything was said",
        "finished": "the agent did not say goodbye",
    }
    return f"The conversation did not reach its end: {reasons[result.talk.caller.ended]}."


async def hold_demo(options: DemoOptions, console: Console) -> DemoResult:
    """Prepare and hold the call, and write its files.

    Raises:
        MissingModelError: a model is not installed.
        AudioFileError: a caller's file cannot be used.
        ConfigError: an option cannot be.
        SystemCallError: the output folder cannot be written.
    """
    # What can be wrong with the options shows before the models are loaded and the call is held.
    PriceBook.load().resolve(options.price_as)
    impairment = options.impairment
    _make_folder(options.out)
    lines, voice = _recorded(options)
    providers = await _load(options, console)
    try:
        if not lines:
            lines, voice = await _spoken(options, providers, console)
        network = _describe(impairment)
        console.print(f"caller: {voice}   network: {network}   Ctrl-C ends it", style="dim")
        with LiveView(console) as view:
            watcher = LiveWatcher(view)
            talk = await hold_conversation(
                providers,
                Script(lines),
                impairment=impairment,
                settings=CallerSettings(seed=options.seed),
                watcher=watcher.take,
                tick=view.tick,
            )
        files = {name: options.out / name for name in ("call.wav", "call.jsonl", "call.html")}
        wav = talk.recording.write(files["call.wav"])
        talk.journal.write(files["call.jsonl"], talk.recording.origin_ns)
        report = build_report(
            talk,
            providers,
            files["call.wav"],
            price_as=options.price_as,
            voice=voice,
            network=network,
        )
        files["call.html"].write_text(render_page(report, wav, CALLER_HZ), encoding="utf-8")
        booking = providers.llm.state(talk.history)
        return DemoResult(talk, report, booking, not options.files, files)
    finally:
        providers.close()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".voicecore-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SystemCallError(f"cannot write to {path}: {error.strerror}; use --out DIR") from error


def _describe(impairment: Impairment) -> str:
    if impairment.is_none:
        return "UDP loopback"
    return (
        f"UDP relay, {impairment.loss_percent:g} % lost, {impairment.jitter_ms:g} ms mean delay, "
        f"seed {impairment.seed}"
    )


def _recorded(options: DemoOptions) -> tuple[list[CallerLine], str]:
    """The caller's files, read before anything else so that a bad one is told at once."""
    lines = [
        CallerLine(path.name, load_speech(path, CALLER_HZ), interrupts=options.barge_in and i == 1)
        for i, path in enumerate(options.files)
    ]
    return lines, "recordings"


async def _load(options: DemoOptions, console: Console) -> EmbeddedProviders:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("loading models", total=4 if options.llm else 3)

        def ready(name: str) -> None:
            progress.update(task, advance=1, description=f"loading models: {name} is ready")

        return await load_embedded(options.llm, progress=ready)


async def _spoken(
    options: DemoOptions, providers: EmbeddedProviders, console: Console
) -> tuple[list[CallerLine], str]:
    """The script in the caller's voice."""
    voice = find_voice(providers.tts, options.voice)
    script = SHORT_BOOKING if options.short else BOOKING
    lines = []
    with console.status("the caller prepares"):
        for line in script:
            lines.append(
                CallerLine(
                    line.text,
                    await voice.speak(line.text, CALLER_HZ),
                    line.cue,
                    options.barge_in and line.may_interrupt,
                )
            )
    return lines, voice.name
