"""``voicecore jitter-lab``: jitter buffers on bad networks, to look at and to listen to."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from voicecore import __version__
from voicecore.cli.lab_results import (
    LabOutcome,
    folder_of,
    plain_stats,
    print_table,
    shown_run,
    shown_trace,
    write_wav,
)
from voicecore.errors import ConfigError, MissingModelError, SystemCallError, TraceFileError
from voicecore.report.lab_page import LabReport, LabRun, LabTrace, render_lab_page
from voicecore.testing.lab import Mode, OurBuffer, Receiver, play
from voicecore.testing.lab_load import CODECS, Load
from voicecore.testing.lab_peers import PEERS, make_peer, missing_peers
from voicecore.testing.lab_score import score
from voicecore.testing.lab_speech import LabSpeech, find_lab_speech
from voicecore.testing.pcap import read_pcap
from voicecore.testing.trace_catalogue import TRACES, make_trace
from voicecore.testing.trace_files import read_csv, read_rtpdump, trace_of
from voicecore.testing.traces import PacketTrace

__all__ = ["LabOptions", "LabOutcome", "list_traces", "run_jitter_lab", "run_lab"]

_MAX_FILE_BYTES = 1 << 30
_MAX_S = 600
_PAYLOAD_TYPES = {"pcmu": 0, "pcma": 8, "l16": 96}  # RFC 3551; L16 at these rates is dynamic


@dataclass(frozen=True, slots=True, kw_only=True)
class LabOptions:
    """The command's options; see ``voicecore jitter-lab --help``."""

    traces: tuple[str, ...] = ()
    pcap: tuple[Path, ...] = ()
    rtpdump: tuple[Path, ...] = ()
    csv: tuple[Path, ...] = ()
    port: int | None = None
    ssrc: int | None = None
    speech: Path | None = None
    mode: str = "both"
    codec: str = "pcmu"
    rate_hz: int = 8000
    seconds: float = 30.0
    seed: int = 1
    peers: bool = True
    pesq: bool | None = None  # None: if it is installed
    out: Path = Path("jitter-lab-out")
    as_json: bool = False

    def __post_init__(self) -> None:
        for name in self.traces:
            if name not in TRACES:
                raise ConfigError(f"trace {name!r} is unknown; use one of {', '.join(TRACES)}")
        if self.codec not in CODECS:
            raise ConfigError(f"codec {self.codec!r} is unknown; use one of {', '.join(CODECS)}")
        if self.codec != "l16" and self.rate_hz != 8000:
            raise ConfigError(f"{self.codec} has 8000 Hz; leave --rate out or use --codec l16")
        if self.rate_hz not in (8000, 16000):
            raise ConfigError(f"--rate is {self.rate_hz}; use 8000 or 16000")
        if not 2.0 <= self.seconds <= 600.0:
            raise ConfigError(f"--seconds is {self.seconds:g}; use 2 to 600")
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; use 0 or more")

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Our own buffer's modes to run."""
        return ("play", "listen") if self.mode == "both" else (self.mode,)  # type: ignore[return-value]


def list_traces(console: Console) -> None:
    """Print the catalogue."""
    table = Table(box=None, pad_edge=False)
    for heading in ("trace", "network", "what it is"):
        table.add_column(heading, style="bold" if heading == "trace" else "")
    for entry in TRACES.values():
        table.add_row(
            entry.name, "stationary" if entry.stationary else "changes", entry.description
        )
    console.print(table)


def run_jitter_lab(options: LabOptions) -> int:
    """Run the command; returns the exit code."""
    console = Console(stderr=options.as_json)
    outcome = run_lab(options, console)
    if options.as_json:
        json.dump(outcome.to_json(), sys.stdout, indent=2)
        print()
    else:
        print_table(outcome, console)
        console.print(f"\n{outcome.page}", style="bold", highlight=False)
    return 0


def run_lab(options: LabOptions, console: Console) -> LabOutcome:
    """Play every trace through every receiver and write what came of it.

    Raises:
        VoicecoreError: an option, a file or the output folder cannot be used.
    """
    traces = list(_traces(options))
    _make_folder(options.out)
    speech = find_lab_speech(options.rate_hz, options.speech)
    notes, peers, with_pesq = _preflight(options, speech)
    outcome = LabOutcome(page=options.out / "jitter-lab.html")
    shown: list[LabTrace] = []
    with Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(traces) * (len(options.modes) + len(peers)))
        for trace in traces:
            load = Load.of(trace, speech.samples, options.codec)
            runs: list[LabRun] = []
            for receiver in _receivers(options, peers, load, notes):
                progress.update(task, description=f"{trace.name}: {receiver.name}")
                result = play(load, receiver)
                found = score(load, result, with_pesq=with_pesq)
                outcome.scores.append(found)
                outcome.stats.append(plain_stats(result.stats))
                runs.append(shown_run(load, result, found, options.out))
                progress.advance(task)
            write_wav(options.out / folder_of(trace) / "sent.wav", load.reference, trace.rate_hz)
            shown.append(shown_trace(load, runs))
    facts = [
        ("voicecore", __version__),
        ("Python", platform.python_version()),
        ("speech", speech.name),
        ("codec", f"{options.codec}, {options.rate_hz} Hz"),
        ("seed", str(options.seed)),
    ]
    outcome.report = LabReport(shown, facts, notes)
    outcome.page.write_text(render_lab_page(outcome.report), encoding="utf-8")
    results = json.dumps(outcome.to_json(), indent=2)
    (options.out / "jitter-lab.json").write_text(results + "\n", encoding="utf-8")
    return outcome


# -- before --------------------------------------------------------------------------------


def _traces(options: LabOptions) -> Iterator[PacketTrace]:
    recorded = [
        *(("pcap", path) for path in options.pcap),
        *(("rtpdump", path) for path in options.rtpdump),
        *(("CSV", path) for path in options.csv),
    ]
    for kind, path in recorded:
        data = _file_bytes(path)
        ssrc = None if kind == "CSV" else options.ssrc
        try:
            if kind == "pcap":
                packets = read_pcap(data, port=options.port, ssrc=ssrc)
            else:
                packets = read_rtpdump(data) if kind == "rtpdump" else read_csv(data)
            trace = trace_of(packets, rate_hz=options.rate_hz, ssrc=ssrc, name=path.stem)
        except TraceFileError as error:
            raise TraceFileError(f"{path}: {error}") from error
        yield trace.rows(trace.sent_ns < _MAX_S * 1_000_000_000)
    names = options.traces or (() if recorded else tuple(TRACES))
    for name in names:
        yield make_trace(
            name,
            seconds=options.seconds,
            seed=options.seed,
            rate_hz=options.rate_hz,
            payload_type=_PAYLOAD_TYPES[options.codec],
        )


def _file_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise TraceFileError(f"{path} has more than 1 GiB; cut or filter it first")
        return path.read_bytes()
    except OSError as error:
        raise TraceFileError(f"{path} cannot be read: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemCallError(f"cannot write to {folder}: {error.strerror}") from error


def _preflight(options: LabOptions, speech: LabSpeech) -> tuple[list[str], list[str], bool]:
    """Notes for the reader, the peers that can run, and whether PESQ can."""
    notes: list[str] = []
    if not speech.real:
        notes.append(
            "No speech was found: vowel-like sounds are played, on which PESQ means little. "
            'Use --speech FILE, or pip install "voicecore-media[demo]".'
        )
    with_pesq = options.pesq is not False and find_spec("pesq") is not None
    if options.pesq and not with_pesq:
        raise MissingModelError(
            'PESQ needs the package pesq: pip install "voicecore-media[bench]", or leave --pesq out'
        )
    if options.pesq is None and not with_pesq:
        notes.append('The sound is not judged: pip install "voicecore-media[bench]" for PESQ.')
    peers: list[str] = []
    if options.peers and options.mode != "listen":
        missing = missing_peers()
        notes += [f"Peer {name} is left out: {reason}." for name, reason in missing.items()]
        peers = [name for name in PEERS if name not in missing]
    return notes, peers, with_pesq


def _receivers(
    options: LabOptions, peers: Sequence[str], load: Load, notes: list[str]
) -> Iterator[Receiver]:
    for mode in options.modes:
        yield OurBuffer(load, mode)
    for name in peers:
        try:
            yield make_peer(name, load)
        except ConfigError as error:  # packets of another length than the peers are set up for
            notes.append(f"{load.trace.name}: {error}")
