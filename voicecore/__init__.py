"""voicecore: the media core of a production voice agent.

Names are imported on first use, so that ``import voicecore`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from voicecore._version import __version__
from voicecore.errors import VoicecoreError

if TYPE_CHECKING:
    from voicecore.media._aec import EchoCanceller as EchoCanceller
    from voicecore.media._codec import Decoder as Decoder
    from voicecore.media._codec import Encoder as Encoder
    from voicecore.media._comfort_noise import ComfortNoise as ComfortNoise
    from voicecore.media._comfort_noise import ComfortNoiseModel as ComfortNoiseModel
    from voicecore.media._cpu import cpu_level as cpu_level
    from voicecore.media._cpu import cpu_levels as cpu_levels
    from voicecore.media._dtmf_detector import DtmfDetector as DtmfDetector
    from voicecore.media._dtmf_detector import dtmf_tones as dtmf_tones
    from voicecore.media._g711 import G711 as G711
    from voicecore.media._jitter import FrameInfo as FrameInfo
    from voicecore.media._jitter import JitterBuffer as JitterBuffer
    from voicecore.media._jitter import JitterEvent as JitterEvent
    from voicecore.media._resample import Resampler as Resampler
    from voicecore.media._rtp import DtmfEvent as DtmfEvent
    from voicecore.media._rtp import DtmfReceiver as DtmfReceiver
    from voicecore.media._rtp import DtmfSender as DtmfSender
    from voicecore.media._rtp import RtpPacket as RtpPacket
    from voicecore.media._segmenter import SpeechEvent as SpeechEvent
    from voicecore.media._segmenter import SpeechSegmenter as SpeechSegmenter
    from voicecore.media._segmenter import speech_segments as speech_segments
    from voicecore.media._silero import SileroVad as SileroVad
    from voicecore.media._silero import SileroVadBatch as SileroVadBatch
    from voicecore.media.engine import Call as Call
    from voicecore.media.engine import CallConfig as CallConfig
    from voicecore.media.engine import Engine as Engine
    from voicecore.media.gate import GateSettings as GateSettings
    from voicecore.media.text_cursor import PlayTimeline as PlayTimeline
    from voicecore.media.text_cursor import TextCursor as TextCursor
    from voicecore.media.text_cursor import TextPosition as TextPosition
    from voicecore.session import Session as Session

_HOME = {
    "EchoCanceller": "voicecore.media._aec",
    "Decoder": "voicecore.media._codec",
    "Encoder": "voicecore.media._codec",
    "ComfortNoise": "voicecore.media._comfort_noise",
    "ComfortNoiseModel": "voicecore.media._comfort_noise",
    "cpu_level": "voicecore.media._cpu",
    "cpu_levels": "voicecore.media._cpu",
    "G711": "voicecore.media._g711",
    "FrameInfo": "voicecore.media._jitter",
    "JitterBuffer": "voicecore.media._jitter",
    "JitterEvent": "voicecore.media._jitter",
    "Resampler": "voicecore.media._resample",
    "DtmfDetector": "voicecore.media._dtmf_detector",
    "dtmf_tones": "voicecore.media._dtmf_detector",
    "DtmfEvent": "voicecore.media._rtp",
    "DtmfReceiver": "voicecore.media._rtp",
    "DtmfSender": "voicecore.media._rtp",
    "RtpPacket": "voicecore.media._rtp",
    "SpeechEvent": "voicecore.media._segmenter",
    "SpeechSegmenter": "voicecore.media._segmenter",
    "speech_segments": "voicecore.media._segmenter",
    "SileroVad": "voicecore.media._silero",
    "SileroVadBatch": "voicecore.media._silero",
    "Call": "voicecore.media.engine",
    "CallConfig": "voicecore.media.engine",
    "GateSettings": "voicecore.media.gate",
    "Engine": "voicecore.media.engine",
    "PlayTimeline": "voicecore.media.text_cursor",
    "TextCursor": "voicecore.media.text_cursor",
    "TextPosition": "voicecore.media.text_cursor",
    "Session": "voicecore.session",
}

__all__ = ["VoicecoreError", "__version__", *_HOME]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'voicecore' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
