"""Settings of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicecore.errors import ConfigError, RateError
from voicecore.media.gate import GateSettings
from voicecore.media.ranges import pcm_bytes, within
from voicecore.media.srtp import SrtpKeys

if TYPE_CHECKING:
    from voicecore.media._types import Samples

__all__ = ["CallConfig"]

_PAUSE, _NOTHING = GateSettings(), GateSettings(action="none")
# What a codec is called in SDP (RFC 4566: encoding name, clock rate, parameters), the payload type
# that is taken if none is given, and the rates of its audio, the usual one first.
_CODECS = {
    "pcmu": ("PCMU", 0, (8000,)),
    "pcma": ("PCMA", 8, (8000,)),
    "l16": ("L16", 96, (8000, 16000)),
    "g722": ("G722", 9, (16000,)),
    "opus": ("opus", 111, (16000, 8000)),
}
_CLOCK_HZ = {"g722": 8000, "opus": 48000}  # RFC 3551 4.5.2, RFC 7587 4.1; else the audio's
_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """Everything that is fixed for the life of a call.

    Attributes:
        codec: "pcmu", "pcma" (8 kHz), "l16" (either rate), "g722" (16 kHz) or "opus" (either rate;
            mono, through libopus: without it the engine raises MissingLibraryError).
        rate_hz: sample rate of the call's audio: 8000 or 16000; 0 is the codec's usual one, which
            is 16000 for "g722" and "opus" and else 8000. Pushed media has any.
        play_hz: sample rate of the agent audio given to ``Call.play``; resampled natively.
        media: "rtp" (the engine owns a UDP socket) or "push" (audio comes by ``Call.push`` and
            leaves by ``Call.read_sent``).
        local: address and port to bind; port 0 picks a free one. Not with ``Engine(one_port=...)``.
        remote: where to send; None learns it from the first packet that comes in, which
            ``Engine(one_port=...)`` cannot.
        payload_type: RTP payload type; None is the codec's static one ("pcmu" 0, "pcma" 8, "g722"
            9), 96 for "l16" and 111 for "opus".
        dtmf_payload_type: RFC 4733 payload type, 96..127; its clock is the codec's, ``clock_hz``.
        opus_bitrate_bps: 6000..510000; None: libopus chooses, 19 kbit/s at 16 kHz, 11 at 8 kHz.
        opus_complexity: 0 (least work) to 10; None: libopus' own, which is 9.
        opus_packet_loss_percent: 0..100, what the network towards the caller is expected to lose;
            above 0 each packet also carries the one before, coarsely (in-band FEC). What comes in
            is decoded with FEC in any case. There is no DTX.
        ssrc, first_sequence, first_timestamp: RTP start values; None draws random ones.
        speech_threshold: VAD probability that counts as speech, 0..1.
        silence_threshold: below this, speech may end; must not exceed speech_threshold.
        min_speech_ms: shortest speech that is reported, 32..1000.
        min_silence_ms: silence that ends speech, 32..2000.
        barge_in: whether the gate acts at all.
        speaking, thinking, listening: the gate while agent audio sounds, while an answer is on its
            way (``Call.set_thinking``), and while neither is.
        echo: the echo canceller, so that the agent does not hear itself: "on", "off", or "auto",
            which is on for media "rtp" and off for "push". It makes received audio 10 ms later.
        echo_tail_ms: length of the echo path behind its delay, 64..256; what a room sends later
            stays. The delay may be up to 1 s.
        fade_ms: fade at pause, resume and flush, 0..20.
        duck_db: level of ducked agent audio, -60..0.
        duck_ms: ramp into ducking and out of it, 0..1000.
        prebuffer_ms: a segment begins to sound, and goes on after an underrun, once so much is
            queued or its end is, 0..1000 and at most play_buffer_ms; a resume goes on at once.
        when_dry: what the caller hears when the queue runs dry within a segment: "silence",
            "comfort" (noise) or "hold" (``hold_sound``). It is no agent audio. Say with
            ``Call.end_segment`` where segments end.
        comfort_noise_db: level (rms) of that noise by full scale, -90..-20.
        hold_sound: int16 samples at play_hz, 20 ms to 60 s, repeated; kept as bytes. The last
            ``fade_ms`` go over into the first.
        crossfade_ms: from the old source to the new one of ``Call.replace``, 0..100.
        loss_wait_ms: how long the receive side waits for a missing packet, 0..500.
        max_jitter_ms: most audio held back for reordering, 40..2000.
        rtp_timeout_ms: silence on the wire that is reported, 0 (never) or 100..600000.
        play_buffer_ms: room for queued agent audio, 100..60000.
        receive_buffer_ms: received audio is kept so long, read or not, 100..60000, for late readers
            and ``Call.replay``; then new audio takes its place. 30 s are 480 KB at 8 kHz.
        sent_buffer_ms: what was sent is kept likewise for ``Call.read_sent``, 100..60000.
        lock_source: whose packets are taken. "remote": only from ``remote``; "first": from where
            the first valid packet comes (symmetric RTP, latching), to which is then sent; None
            is "remote" if that is given and "first" if not.
        rtcp: reports on the RTP port; set it where ``a=rtcp-mux`` was agreed (RFC 5761).
        srtp: keys of an SRTP call; None is plain RTP.
        record_sent: keep what was sent for ``Call.read_sent`` (always on for pushed media).
    """

    codec: str = "pcmu"
    rate_hz: int = 0
    play_hz: int = 24000
    media: str = "rtp"
    local: tuple[str, int] = ("127.0.0.1", 0)
    remote: tuple[str, int] | None = None
    payload_type: int | None = None
    dtmf_payload_type: int = 101
    ssrc: int | None = None
    first_sequence: int | None = None
    first_timestamp: int | None = None
    opus_bitrate_bps: int | None = None
    opus_complexity: int | None = None
    opus_packet_loss_percent: int = 0
    speech_threshold: float = 0.5
    silence_threshold: float = 0.35
    min_speech_ms: int = 64
    min_silence_ms: int = 192
    barge_in: bool = True
    speaking: GateSettings = _PAUSE
    thinking: GateSettings = _PAUSE
    listening: GateSettings = _NOTHING
    echo: str = "auto"
    echo_tail_ms: int = 256
    fade_ms: int = 5
    duck_db: float = -15.0
    duck_ms: int = 20
    crossfade_ms: int = 20
    prebuffer_ms: int = 0
    when_dry: str = "silence"
    comfort_noise_db: float = -60.0
    hold_sound: Samples | None = field(default=None, repr=False)
    loss_wait_ms: int = 60
    max_jitter_ms: int = 400
    rtp_timeout_ms: int = 5000
    play_buffer_ms: int = 5_000
    receive_buffer_ms: int = 30_000
    sent_buffer_ms: int = 4_000
    record_sent: bool = False
    lock_source: str | None = None
    rtcp: bool = False
    srtp: SrtpKeys | None = None

    def __post_init__(self) -> None:
        """Check every range once, here, so that the native side gets sane numbers."""
        if self.codec not in _CODECS:
            raise ConfigError(
                f"codec {self.codec!r} is unknown; use 'pcmu', 'pcma', 'l16', 'g722' or 'opus'"
            )
        rates_hz = _CODECS[self.codec][2]
        if self.rate_hz == 0:
            object.__setattr__(self, "rate_hz", rates_hz[0])
        if self.rate_hz not in (8000, 16000):
            raise RateError(f"rate_hz is {self.rate_hz}; a call runs at 8000 or 16000")
        if self.media not in ("rtp", "push"):
            raise ConfigError(f"media {self.media!r} is unknown; use 'rtp' or 'push'")
        if self.media == "rtp" and self.rate_hz not in rates_hz:
            raise RateError(
                f"{self.codec} runs at {rates_hz[0]} Hz only; use 'l16' or 'opus' for "
                f"{self.rate_hz} Hz"
            )
        if self.play_hz not in _RATES_HZ:
            raise RateError(f"play_hz is {self.play_hz}; use one of {_RATES_HZ}")
        if self.echo not in ("auto", "on", "off"):
            raise ConfigError(f"echo {self.echo!r} is unknown; use 'auto', 'on' or 'off'")
        for name in ("speaking", "thinking", "listening"):
            if not isinstance(getattr(self, name), GateSettings):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give GateSettings")
        within("speech_threshold", self.speech_threshold, 0.0, 1.0)
        within("silence_threshold", self.silence_threshold, 0.0, self.speech_threshold)
        for name, low, high in (
            ("dtmf_payload_type", 96, 127),
            ("min_speech_ms", 32, 1000),
            ("min_silence_ms", 32, 2000),
            ("echo_tail_ms", 64, 256),
            ("fade_ms", 0, 20),
            ("duck_db", -60.0, 0.0),
            ("duck_ms", 0, 1000),
            ("crossfade_ms", 0, 100),
            ("prebuffer_ms", 0, 1000),
            ("comfort_noise_db", -90.0, -20.0),
            ("loss_wait_ms", 0, 500),
            ("max_jitter_ms", 40, 2000),
            ("play_buffer_ms", 100, 60_000),
            ("receive_buffer_ms", 100, 60_000),
            ("sent_buffer_ms", 100, 60_000),
        ):
            within(name, getattr(self, name), low, high)
        self._check_filler()
        if self.rtp_timeout_ms != 0 or isinstance(self.rtp_timeout_ms, bool):
            within("rtp_timeout_ms", self.rtp_timeout_ms, 100, 600_000)
        self._check_opus()
        if self.payload_type is not None:
            within("payload_type", self.payload_type, 0, 127)
            if self.payload_type == 13:
                raise ConfigError("payload_type 13 is comfort noise (RFC 3389); use 96 to 127")
        if self.wire_payload_type == self.dtmf_payload_type:
            raise ConfigError(
                f"payload type {self.dtmf_payload_type} would be audio and DTMF; "
                "set payload_type or dtmf_payload_type to another one"
            )
        for name in ("local", "remote"):
            address = getattr(self, name)
            if name == "remote" and address is None:
                continue
            match address:
                case (str(), int(port)) if 0 <= port <= 65535:
                    continue
            raise ConfigError(
                f"{name} is {address!r}; it must be a numeric IP address and a port, such as "
                '("127.0.0.1", 4000)'
            )
        if self.lock_source not in (None, "remote", "first"):
            raise ConfigError(
                f"lock_source {self.lock_source!r} is unknown; use 'remote' or 'first'"
            )
        if self.lock_source == "remote" and self.remote is None:
            raise ConfigError("lock_source 'remote' needs remote, the address to lock")
        if self.srtp is not None and not isinstance(self.srtp, SrtpKeys):
            raise ConfigError("srtp takes SrtpKeys, for example from SrtpKeys.from_sdp")
        if self.media == "push" and (self.rtcp or self.srtp is not None):
            raise ConfigError("rtcp and srtp are for media 'rtp'; pushed media has no packets")
        if self.rtcp and 64 <= self.wire_payload_type <= 95:
            raise ConfigError(
                f"payload_type {self.wire_payload_type} cannot be told from RTCP on one port (RFC "
                "5761); use 96 to 127, or rtcp=False"
            )
        for name, bits in (("ssrc", 32), ("first_sequence", 16), ("first_timestamp", 32)):
            value = getattr(self, name)
            if value is not None:
                within(name, value, 0, 2**bits - 1)

    def _check_opus(self) -> None:
        given = {
            "opus_bitrate_bps": (self.opus_bitrate_bps, None, 6000, 510_000),
            "opus_complexity": (self.opus_complexity, None, 0, 10),
            "opus_packet_loss_percent": (self.opus_packet_loss_percent, 0, 0, 100),
        }
        for name, (value, default, low, high) in given.items():
            if value is not None:
                within(name, value, low, high)
            if value != default and self.codec != "opus":
                raise ConfigError(f"{name} is for codec 'opus'; leave it out for {self.codec!r}")

    def _check_filler(self) -> None:
        if self.prebuffer_ms > self.play_buffer_ms:
            raise ConfigError(
                f"prebuffer_ms is {self.prebuffer_ms}; it must be at most play_buffer_ms, here "
                f"{self.play_buffer_ms}"
            )
        if self.when_dry not in ("silence", "comfort", "hold"):
            raise ConfigError(
                f"when_dry {self.when_dry!r} is unknown; use 'silence', 'comfort' or 'hold'"
            )
        if (self.when_dry == "hold") != (self.hold_sound is not None):
            raise ConfigError("when_dry 'hold' and hold_sound go together; give both or neither")
        if self.hold_sound is None:
            return
        sound = pcm_bytes("hold_sound", self.hold_sound)
        least, most = self.play_hz // 50, 60 * self.play_hz
        if not least <= len(sound) // 2 <= most:
            raise ConfigError(
                f"hold_sound has {len(sound) // 2} samples; it must have {least} to {most} (20 ms "
                f"to 60 s at play_hz)"
            )
        object.__setattr__(self, "hold_sound", sound)

    @property
    def cancels_echo(self) -> bool:
        """Whether the echo canceller runs."""
        return self.echo == "on" or (self.echo == "auto" and self.media == "rtp")

    @property
    def gate_pauses(self) -> bool:
        """Whether the gate pauses the playout when the caller speaks."""
        return self.barge_in and self.speaking.action == "pause"

    @property
    def learns_source(self) -> bool:
        """Whether the caller's address is taken from the first valid packet."""
        return (self.lock_source or ("remote" if self.remote else "first")) == "first"

    @property
    def wire_payload_type(self) -> int:
        """The payload type that is used on the wire."""
        if self.payload_type is not None:
            return self.payload_type
        return _CODECS[self.codec][1]

    @property
    def clock_hz(self) -> int:
        """RTP timestamps a second, of audio and of telephone events."""
        return _CLOCK_HZ.get(self.codec, self.rate_hz)

    @property
    def rtpmap(self) -> str:
        """The codec as SDP writes it behind the payload type: "PCMU/8000", "opus/48000/2".

        Opus says 2 channels whatever it carries (RFC 7587 7). The DTMF line is
        ``f"telephone-event/{config.clock_hz}"``.
        """
        name = f"{_CODECS[self.codec][0]}/{self.clock_hz}"
        return f"{name}/2" if self.codec == "opus" else name
