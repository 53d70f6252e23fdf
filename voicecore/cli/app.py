"""The commands and their options; the work is in the modules beside this one."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from voicecore import __version__
from voicecore.errors import VoicecoreError

__all__ = ["app", "run"]

app = typer.Typer(
    name="voicecore",
    help="voicecore: the media core of a voice agent. Start with: voicecore demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class CallerKind(str, Enum):
    """Where the caller's speech comes from."""

    script = "script"
    wav = "wav"


class BufferMode(str, Enum):
    """What the jitter buffer is for."""

    play = "play"
    listen = "listen"
    both = "both"


@app.command()
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the versions of voicecore, Python and the CPU level in use."""
    from voicecore.cli.doctor import versions

    found = versions()
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print(f"voicecore {__version__} (Python {found['python']}, CPU level {found['cpu_level']})")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine: CPU level, models, voices, timers, UDP loopback.

    Exits with 1 if `voicecore demo` cannot work here.
    """
    from voicecore.cli.doctor import examine, show

    checks = examine()
    if as_json:
        print(json.dumps([check.to_json() for check in checks], indent=2))
    else:
        show(checks, Console())
    if any(check.state == "bad" for check in checks):
        raise typer.Exit(1)


@app.command()
def demo(
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045 - typer evaluates it, on Python 3.10 too
        typer.Argument(help="With --caller wav: one file for each thing that the caller says."),
    ] = None,
    caller: Annotated[
        CallerKind, typer.Option(help="A scripted caller, or the files given.")
    ] = CallerKind.script,
    voice: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="The caller's voice: flite, espeak-ng or shifted (default: the first found)."
        ),
    ] = None,
    loss: Annotated[
        float, typer.Option(min=0, max=100, help="Packets that the network loses, percent.")
    ] = 0.0,
    jitter: Annotated[
        float, typer.Option(min=0, max=500, help="Mean random delay of the network, ms.")
    ] = 0.0,
    barge_in: Annotated[
        bool, typer.Option("--barge-in", help="The caller interrupts the agent in mid-sentence.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for call.wav, call.jsonl and call.html.")
    ] = Path("demo-out"),
    llm: Annotated[
        bool, typer.Option("--llm", help="SmolLM2 answers what the rules do not know.")
    ] = False,
    price_as: Annotated[
        str,
        typer.Option(
            help="What the same call would have cost: stt,llm,tts,carrier from the price book."
        ),
    ] = "deepgram/nova-3,openai/gpt-4.1-mini,cartesia/sonic-3,twilio/local-in",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of the conversation.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the network's and the caller's chances.")] = 1,
    short: Annotated[
        bool, typer.Option("--short", help="A shorter script: half the call.")
    ] = False,
) -> None:
    """Hold a real spoken conversation on this machine, offline, and draw a picture of it.

    A simulated caller books a table over G.711 RTP on UDP loopback. Exits with 0 only if the
    conversation reached its end.
    """
    from voicecore.cli.demo import DemoOptions, run_demo

    options = DemoOptions(
        caller=caller.value,
        files=tuple(files or ()),
        voice=voice,
        loss_percent=loss,
        jitter_ms=jitter,
        barge_in=barge_in,
        out=out,
        llm=llm,
        price_as=price_as,
        as_json=as_json,
        seed=seed,
        short=short,
    )
    raise typer.Exit(run_demo(options))


@app.command("jitter-lab")
def jitter_lab(
    trace: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--trace", help="A named network (see --list); all of them by default."),
    ] = None,
    pcap: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A capture (pcap, pcapng) instead; its first ten minutes."),
    ] = None,
    rtpdump: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="An rtpdump file instead."),
    ] = None,
    csv: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="A CSV file instead: arrival_ms,seq,timestamp,payload_type,payload_bytes."
        ),
    ] = None,
    port: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=65535, help="With --pcap: this UDP port only."),
    ] = None,
    ssrc: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of a capture: this stream (0x1234abcd), not the largest one."),
    ] = None,
    speech: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What is said: an audio file (default: what is installed)."),
    ] = None,
    mode: Annotated[
        BufferMode, typer.Option(help="play: for a loudspeaker; listen: for an agent's ear.")
    ] = BufferMode.both,
    codec: Annotated[str, typer.Option(help="pcmu, pcma or l16.")] = "pcmu",
    rate: Annotated[int, typer.Option(help="RTP clock in Hz; l16: 8000 or 16000.")] = 8000,
    seconds: Annotated[float, typer.Option(help="Length of the named networks, 2 to 600.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the networks' chances.")] = 1,
    peers: Annotated[bool, typer.Option(help="Other jitter buffers too, where installed.")] = True,
    pesq: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--pesq/--no-pesq", help="Judge the sound (default: if PESQ is installed)."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for jitter-lab.html, the figures and the sound.")
    ] = Path("jitter-lab-out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the named networks.")] = False,
) -> None:
    """Play speech over bad networks through jitter buffers: delay, loss, quality, pictures.

    Runs in virtual time, so half a minute of a call takes a moment and every run gives the same.
    """
    from voicecore.cli.jitter_lab import LabOptions, list_traces, run_jitter_lab

    if list_them:
        list_traces(Console())
        return
    try:
        stream = None if ssrc is None else int(ssrc, 0)
    except ValueError:
        raise typer.BadParameter(f"--ssrc {ssrc} is no number, as 0x1234abcd") from None
    options = LabOptions(
        traces=tuple(trace or ()),
        pcap=tuple(pcap or ()),
        rtpdump=tuple(rtpdump or ()),
        csv=tuple(csv or ()),
        port=port,
        ssrc=stream,
        speech=speech,
        mode=mode.value,
        codec=codec,
        rate_hz=rate,
        seconds=seconds,
        seed=seed,
        peers=peers,
        pesq=pesq,
        out=out,
        as_json=as_json,
    )
    raise typer.Exit(run_jitter_lab(options))


@app.command("aec-lab")
def aec_lab(
    scene: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--scene", help="A scene or a pattern ('double-0db-*', see --list); all by default."
        ),
    ] = None,
    canceller: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--canceller",
            help="none, ideal, voicecore, speex, speex+pp, aec3; by default what is installed.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Nine scenes that show most: a first look.")
    ] = False,
    rate: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="8000 or 16000 Hz (default: lines 8000, rooms 16000)."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the scenes, 8 to 600.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Of rooms, places, voices, prompts and noise.")] = 1,
    peers: Annotated[bool, typer.Option(help="Other cancellers too, where installed.")] = True,
    pesq: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--pesq/--no-pesq", help="Judge the sound (default: if PESQ is installed)."),
    ] = None,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Scenes at a time (default: 2 if there are two cores)."),
    ] = None,
    far: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What the far end says: an audio file (default: recorded prompts)."),
    ] = None,
    near: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What the near end says: an audio file of another voice."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for aec-lab.html, the figures and the sound.")
    ] = Path("aec-lab-out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the scenes.")] = False,
) -> None:
    """Run echo cancellers in simulated rooms and on lines: echo, caller, barge-in, pictures.

    Equal arguments give equal figures and files.
    """
    from voicecore.cli.aec_lab import AecLabOptions, list_scenes, run_aec_lab

    if list_them:
        list_scenes(Console())
        return
    options = AecLabOptions(
        scenes=tuple(scene or ()),
        cancellers=tuple(canceller or ()),
        quick=quick,
        rate_hz=rate,
        seconds=seconds,
        seed=seed,
        peers=peers,
        pesq=pesq,
        jobs=jobs,
        far=far,
        near=near,
        out=out,
        as_json=as_json,
    )
    raise typer.Exit(run_aec_lab(options))


@app.command()
def bench(
    unit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A unit or the start of a measurement's name; may be repeated."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure every peer that is installed, too.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few and short rounds: a first look.")
    ] = False,
    rounds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=10000, help="Rounds of each measurement (31; 5 with --quick)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table for a README.")
    ] = False,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a page with bars, too."),
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Say what would be measured, and stop.")
    ] = False,
) -> None:
    """Measure what each unit costs on this machine, at each CPU level, and beside its peers.

    Results are compared before anything is timed; all times of a row are of the same rounds.
    """
    from voicecore.cli.bench.command import BenchOptions, run_bench

    options = BenchOptions(
        units=tuple(unit or ()),
        compare=compare,
        quick=quick,
        rounds=rounds,
        as_json=as_json,
        as_markdown=as_markdown,
        html=html,
        only_list=only_list,
    )
    raise typer.Exit(run_bench(options))


def run() -> None:
    """Run the command; errors that voicecore raises on purpose become one line and exit code 1."""
    try:
        app()
    except VoicecoreError as error:
        Console(stderr=True).print("voicecore:", style="bold red", end=" ")
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
