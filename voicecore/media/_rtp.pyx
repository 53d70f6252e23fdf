"""RTP packets and RFC 4733 telephone events."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

cimport cython

from voicecore.media._common cimport check, get_bytes
from voicecore.media.c_base cimport VC_OK, vc_status
from voicecore.media.c_net cimport (
    VC_DTMF_HELD,
    VC_DTMF_MAX_REPORTS,
    VC_DTMF_PAYLOAD_BYTES,
    VC_DTMF_PRESSED,
    VC_RTP_HEADER_BYTES,
    VC_RTP_MAX_CSRC,
    vc_dtmf_build,
    vc_dtmf_digit_of,
    vc_dtmf_event,
    vc_dtmf_event_of,
    vc_dtmf_parse,
    vc_dtmf_receiver,
    vc_dtmf_receiver_expire,
    vc_dtmf_receiver_push,
    vc_dtmf_report,
    vc_dtmf_sender,
    vc_dtmf_sender_next,
    vc_dtmf_sender_start,
    vc_dtmf_sender_stop,
    vc_rtp_build,
    vc_rtp_packet,
    vc_rtp_parse,
)

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import ConfigError, PacketError, StateError


cdef inline unsigned long in_range(object value, unsigned long highest, str name) except? 0xdead:
    cdef object number
    try:
        number = int(value)
        if number == value and 0 <= number <= highest:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigError(f"{name} is {value!r}; use an integer from 0 to {highest}")


cdef bytes copy_of(object source, str name):
    """Bytes as they are, any other contiguous buffer copied."""
    if type(source) is bytes:
        return source
    cdef Py_buffer view
    get_bytes(source, &view)
    try:
        return PyBytes_FromStringAndSize(<const char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


@cython.freelist(64)
cdef class RtpPacket:
    """One RTP packet (RFC 3550); immutable.

    payload: bytes (padding removed); payload_type: 0..127; sequence: 0..65535; timestamp, ssrc:
    0..2**32 - 1; csrc: up to 15 such numbers; extension_profile: None or 0..65535, with its data
    (a multiple of 4 bytes) in extension. Values out of range raise ConfigError.

    ``RtpPacket.parse(data)`` raises PacketError for data that is no RTP packet;
    ``bytes(packet)`` builds one, without padding.

    >>> RtpPacket.parse(bytes(RtpPacket(b"\\xff" * 160, sequence=7))).sequence
    7
    """

    cdef vc_rtp_packet _packet
    cdef readonly bytes payload
    cdef readonly bytes extension

    def __init__(self, payload=b"", *, payload_type=0, sequence=0, timestamp=0, ssrc=0,
                 marker=False, csrc=(), extension_profile=None, extension=b""):
        cdef vc_rtp_packet *packet = &self._packet
        packet.payload_type = <uint8_t>in_range(payload_type, 127, "payload_type")
        packet.sequence = <unsigned short>in_range(sequence, 0xffff, "sequence")
        packet.timestamp = <unsigned int>in_range(timestamp, 0xffffffff, "timestamp")
        packet.ssrc = <unsigned int>in_range(ssrc, 0xffffffff, "ssrc")
        packet.marker = 1 if marker else 0
        sources = tuple(csrc)
        if len(sources) > VC_RTP_MAX_CSRC:
            raise ConfigError(f"{len(sources)} CSRCs; RTP has room for {VC_RTP_MAX_CSRC}")
        packet.csrc_count = <uint8_t>len(sources)
        cdef int i
        for i in range(packet.csrc_count):
            packet.csrc[i] = <unsigned int>in_range(sources[i], 0xffffffff, "csrc")
        cdef bytes data = copy_of(extension, "extension"), body = copy_of(payload, "payload")
        if extension_profile is not None:
            packet.extension_profile = <unsigned short>in_range(
                extension_profile, 0xffff, "extension_profile")
            packet.has_extension = 1
            if len(data) % 4 or len(data) > 4 * 0xffff:
                raise ConfigError(
                    f"an extension of {len(data)} bytes; "
                    "use a multiple of 4, at most 262140")
        elif data:
            raise ConfigError("extension data needs an extension_profile")
        # Nothing above may fail behind this: the C view points into what is replaced.
        self.extension = data
        self.payload = body
        self._point()

    cdef void _point(self):
        """Lets the C view of the packet point into this object's bytes."""
        self._packet.payload = <const uint8_t *>PyBytes_AS_STRING(self.payload)
        self._packet.payload_bytes = <size_t>PyBytes_GET_SIZE(self.payload)
        self._packet.extension = <const uint8_t *>PyBytes_AS_STRING(self.extension)
        self._packet.extension_bytes = <size_t>PyBytes_GET_SIZE(self.extension)

    @staticmethod
    def parse(data):
        """The packet in data (any contiguous buffer); PacketError if it is no RTP packet."""
        cdef RtpPacket self = RtpPacket.__new__(RtpPacket)
        cdef vc_rtp_packet *packet = &self._packet
        cdef Py_buffer view
        cdef vc_status status
        get_bytes(data, &view)
        try:
            status = vc_rtp_parse(<const uint8_t *>view.buf, <size_t>view.len, packet)
            if status != VC_OK:
                raise PacketError(
                    f"{view.len} bytes are no RTP packet: they are truncated, not of version 2, "
                    "or padded beyond their length; drop them")
            self.payload = PyBytes_FromStringAndSize(
                <const char *>packet.payload, <Py_ssize_t>packet.payload_bytes)
            self.extension = b"" if packet.extension_bytes == 0 else PyBytes_FromStringAndSize(
                <const char *>packet.extension, <Py_ssize_t>packet.extension_bytes)
        finally:
            PyBuffer_Release(&view)
        self._point()
        return self

    @property
    def payload_type(self):
        return self._packet.payload_type

    @property
    def marker(self):
        return self._packet.marker != 0

    @property
    def sequence(self):
        return self._packet.sequence

    @property
    def timestamp(self):
        return self._packet.timestamp

    @property
    def ssrc(self):
        return self._packet.ssrc

    @property
    def csrc(self):
        return tuple([self._packet.csrc[i] for i in range(self._packet.csrc_count)])

    @property
    def extension_profile(self):
        return self._packet.extension_profile if self._packet.has_extension else None

    def build(self):
        """The packet as bytes; the same as bytes(packet)."""
        cdef size_t n = (VC_RTP_HEADER_BYTES + 4 + 4 * <size_t>self._packet.csrc_count
                         + self._packet.extension_bytes + self._packet.payload_bytes)
        if not self._packet.has_extension:
            n -= 4
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
        check(vc_rtp_build(&self._packet, <uint8_t *>PyBytes_AS_STRING(out), &n),
              "RtpPacket.build")
        return out

    def __bytes__(self):
        return self.build()

    def __eq__(self, other):
        return isinstance(other, RtpPacket) and self.build() == (<RtpPacket>other).build()

    def __hash__(self):
        return hash(self.build())

    def __repr__(self):
        return (f"RtpPacket(payload_type={self.payload_type}, sequence={self.sequence}, "
                f"timestamp={self.timestamp}, ssrc={self.ssrc}, marker={self.marker}, "
                f"payload={len(self.payload)} bytes)")


cdef class DtmfEvent:
    """One telephone-event payload (RFC 4733); immutable.

    event: "0".."9", "*", "#", "A".."D", or a number 0..255; end: True on the last packets of an
    event; volume_dbm0: 0..63, the level below 0 dBm0; duration_samples: 0..65535 so far.
    Values out of range raise ConfigError.

    >>> bytes(DtmfEvent("5", duration_samples=160)).hex()
    '050a00a0'
    """

    cdef vc_dtmf_event _event

    def __init__(self, event, *, end=False, volume_dbm0=10, duration_samples=0):
        cdef int number
        if isinstance(event, str):
            number = vc_dtmf_event_of(ord(event)) if len(event) == 1 and event.isascii() else -1
            if number < 0:
                raise ConfigError(f"{event!r} is no DTMF digit; use one of 0123456789*#ABCD")
            self._event.event = <uint8_t>number
        else:
            self._event.event = <uint8_t>in_range(event, 255, "event")
        self._event.end = 1 if end else 0
        self._event.volume_dbm0 = <uint8_t>in_range(volume_dbm0, 63, "volume_dbm0")
        self._event.duration_samples = <unsigned short>in_range(
            duration_samples, 0xffff, "duration_samples")

    @staticmethod
    def parse(payload):
        """The event in an RTP payload; PacketError if it is shorter than 4 bytes."""
        cdef DtmfEvent self = DtmfEvent.__new__(DtmfEvent)
        cdef Py_buffer view
        get_bytes(payload, &view)
        cdef Py_ssize_t n = view.len
        cdef vc_status status = vc_dtmf_parse(<const uint8_t *>view.buf, <size_t>n, &self._event)
        PyBuffer_Release(&view)
        if status != VC_OK:
            raise PacketError(f"{n} bytes are no telephone event: it has {VC_DTMF_PAYLOAD_BYTES}")
        return self

    @property
    def event(self):
        return self._event.event

    @property
    def digit(self):
        """The digit, or None for an event that is none."""
        cdef char digit = vc_dtmf_digit_of(self._event.event)
        return chr(digit) if digit else None

    @property
    def end(self):
        return self._event.end != 0

    @property
    def volume_dbm0(self):
        return self._event.volume_dbm0

    @property
    def duration_samples(self):
        return self._event.duration_samples

    def build(self):
        """The payload as 4 bytes; the same as bytes(event)."""
        out = PyBytes_FromStringAndSize(NULL, VC_DTMF_PAYLOAD_BYTES)
        check(vc_dtmf_build(&self._event, <uint8_t *>PyBytes_AS_STRING(out)), "DtmfEvent.build")
        return out

    def __bytes__(self):
        return self.build()

    def __eq__(self, other):
        return isinstance(other, DtmfEvent) and self.build() == (<DtmfEvent>other).build()

    def __hash__(self):
        return hash(self.build())

    def __repr__(self):
        name = self.digit if self.digit is not None else self.event
        return (f"DtmfEvent({name!r}, end={self.end}, volume_dbm0={self.volume_dbm0}, "
                f"duration_samples={self.duration_samples})")


cdef class DtmfReport:
    """A digit that was pressed or released, as DtmfReceiver tells it; read-only.

    kind: "pressed" or "released"; digit: "0".."9", "*", "#", "A".."D"; timestamp: of the digit's
    start, 0..2**32 - 1; duration_samples: its length at the RTP clock, or when pressed as much as is
    known; volume_dbm0: 0..63, the level below 0 dBm0; inferred: released without an end packet, so
    that the digit was at least this long.
    """

    cdef vc_dtmf_report _report

    @property
    def kind(self):
        return "pressed" if self._report.kind == VC_DTMF_PRESSED else "released"

    @property
    def digit(self):
        return chr(self._report.digit)

    @property
    def timestamp(self):
        return self._report.timestamp

    @property
    def duration_samples(self):
        return self._report.duration_samples

    @property
    def volume_dbm0(self):
        return self._report.volume_dbm0

    @property
    def inferred(self):
        return self._report.inferred != 0

    def __repr__(self):
        return (f"DtmfReport({self.kind!r}, {self.digit!r}, timestamp={self.timestamp}, "
                f"duration_samples={self.duration_samples}, inferred={self.inferred})")


cdef DtmfReport report_of(const vc_dtmf_report *report):
    cdef DtmfReport made = DtmfReport.__new__(DtmfReport)
    made._report = report[0]
    return made


cdef class DtmfReceiver:
    """Telephone-event packets in, each digit pressed once and released once out (RFC 4733).

    Packets may be lost, repeated and out of order: a digit is pressed on whichever of its packets
    comes first and released by one of its end packets, by the next digit, or by ``expire``. Digits
    come in the order of their timestamps; a digit none of whose packets comes before one of a later
    digit is not told. A tone longer than 65535 ticks is one digit. Other events are ignored.

    timeout_samples: RTP ticks without news after which ``expire`` releases a held digit; 0..2**31 - 1.

    >>> receiver = DtmfReceiver()
    >>> packet = RtpPacket(bytes(DtmfEvent("5", end=True, duration_samples=800)), payload_type=101)
    >>> [(report.kind, report.digit) for report in receiver.push(packet)]
    [('pressed', '5'), ('released', '5')]
    """

    cdef vc_dtmf_receiver _receiver
    cdef readonly unsigned int timeout_samples

    def __init__(self, *, timeout_samples=1600):
        self.timeout_samples = <uint32_t>in_range(timeout_samples, 0x7fffffff, "timeout_samples")
        self.reset()

    def push(self, RtpPacket packet not None):
        """Takes one telephone-event packet; returns what it changed, a list of 0 to 3 reports.

        The caller picks the packets by payload type. PacketError for a payload of less than 4 bytes.
        """
        cdef vc_dtmf_report reports[VC_DTMF_MAX_REPORTS]
        cdef size_t n = 0, i
        cdef vc_status status = vc_dtmf_receiver_push(&self._receiver, &packet._packet, reports, &n)
        if status < 0:
            raise PacketError(f"{len(packet.payload)} bytes are no telephone event: "
                              f"it has {VC_DTMF_PAYLOAD_BYTES}; drop the packet")
        return [report_of(&reports[i]) for i in range(n)]

    def expire(self, timestamp):
        """The release of a held digit whose end packets are lost, or None.

        timestamp: of the newest packet of the stream, audio too. Nothing happens unless it is
        timeout_samples or more beyond the last that was heard of the digit.
        """
        cdef vc_dtmf_report report
        cdef vc_status status = vc_dtmf_receiver_expire(
            &self._receiver, <uint32_t>in_range(timestamp, 0xffffffff, "timestamp"),
            self.timeout_samples, &report)
        return report_of(&report) if status == VC_OK else None

    @property
    def held(self):
        """True while a digit is pressed and not released."""
        return self._receiver.active != 0

    def reset(self):
        """As new."""
        memset(&self._receiver, 0, sizeof(self._receiver))


cdef class DtmfSender:
    """A digit in, its telephone-event packets out, one per packet time (RFC 4733).

    The first packet has the marker, the duration grows, the last three have the end bit; a tone of
    more than 65535 ticks goes on in segments.

    rate_hz: 1000..192000, the RTP clock; packet_ms: 10..100 in whole ticks; payload_type: 0..127;
    ssrc: 0..2**32 - 1; volume_dbm0: 0..63, the level below 0 dBm0. ConfigError otherwise.

    >>> sender = DtmfSender(ssrc=1)
    >>> sender.press("5", timestamp=8000, duration_ms=100)
    >>> sum(1 for sequence in range(100) if sender.next(sequence) is not None)
    7
    """

    cdef vc_dtmf_sender _sender
    cdef uint32_t step_samples
    cdef readonly int rate_hz
    cdef readonly int payload_type
    cdef readonly unsigned int ssrc
    cdef readonly int volume_dbm0

    def __init__(self, *, rate_hz=8000, packet_ms=20, payload_type=101, ssrc=0, volume_dbm0=10):
        self.rate_hz = <int>in_range(rate_hz, 192000, "rate_hz")
        self.payload_type = <int>in_range(payload_type, 127, "payload_type")
        self.ssrc = <unsigned int>in_range(ssrc, 0xffffffff, "ssrc")
        self.volume_dbm0 = <int>in_range(volume_dbm0, 63, "volume_dbm0")
        cdef unsigned long length_ms = in_range(packet_ms, 100, "packet_ms")
        cdef unsigned long ticks = <unsigned long>self.rate_hz * length_ms
        if self.rate_hz < 1000 or length_ms < 10 or ticks % 1000:
            raise ConfigError(f"rate_hz {rate_hz!r} and packet_ms {packet_ms!r}: use at least 1000 "
                              "and 10, whose product is a whole number of ticks")
        self.step_samples = <uint32_t>(ticks // 1000)
        self.reset()

    def press(self, digit, timestamp, duration_ms=100):
        """Starts a digit. duration_ms: 1..3600000, or None to hold it until ``release``.

        timestamp: RTP time of its start, 0..2**32 - 1. ConfigError for what is no digit, StateError
        while another digit is being sent.
        """
        if not isinstance(digit, str) or len(digit) != 1 or not digit.isascii():
            raise ConfigError(f"{digit!r} is no DTMF digit; use one of 0123456789*#ABCD")
        cdef uint32_t at = <uint32_t>in_range(timestamp, 0xffffffff, "timestamp")
        cdef uint32_t total = VC_DTMF_HELD
        if duration_ms is not None:
            length_ms = in_range(duration_ms, 3600000, "duration_ms")
            total = <uint32_t>(length_ms * self.rate_hz // 1000)
            if total == 0:
                raise ConfigError(f"duration_ms is {duration_ms!r}; use 1 or more, or None to hold")
        if self._sender.active:
            raise StateError("a digit is being sent; call next until it gives None")
        if vc_dtmf_sender_start(&self._sender, <char>ord(digit), at, total) != VC_OK:
            raise ConfigError(f"{digit!r} is no DTMF digit; use one of 0123456789*#ABCD")
        self._sender.volume_dbm0 = <uint8_t>self.volume_dbm0

    def release(self):
        """Ends the digit now; its three end packets follow. Nothing happens without one."""
        vc_dtmf_sender_stop(&self._sender)

    def next(self, sequence):
        """The packet for this packet time, with that sequence number; None when the digit is done."""
        cdef uint8_t payload[VC_DTMF_PAYLOAD_BYTES]
        cdef int marker = 0
        cdef unsigned long number = in_range(sequence, 0xffff, "sequence")
        if vc_dtmf_sender_next(&self._sender, self.step_samples, payload, &marker) != VC_OK:
            return None
        return RtpPacket(
            PyBytes_FromStringAndSize(<const char *>payload, VC_DTMF_PAYLOAD_BYTES),
            payload_type=self.payload_type, sequence=number, timestamp=self._sender.timestamp,
            ssrc=self.ssrc, marker=marker)

    @property
    def active(self):
        """True from ``press`` until ``next`` has given None."""
        return self._sender.active != 0

    def reset(self):
        """As new: a digit being sent is dropped."""
        memset(&self._sender, 0, sizeof(self._sender))
