/* RTP and telephone events: any bytes parse or are refused; what parsed builds and parses again. */
#include <stdlib.h>
#include <string.h>

#include "net/vc_dtmf.h"
#include "net/vc_rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vc_rtp_packet packet, again;
    if (vc_rtp_parse(data, size, &packet) != VC_OK) return 0;
    static uint8_t built[1 << 17];
    size_t n = sizeof built;
    if (vc_rtp_build(&packet, built, &n) != VC_OK) abort();
    if (n > size || vc_rtp_parse(built, n, &again) != VC_OK) abort();
    if (again.payload_bytes != packet.payload_bytes || again.ssrc != packet.ssrc) abort();
    if (packet.payload_bytes && memcmp(again.payload, packet.payload, packet.payload_bytes))
        abort();
    vc_dtmf_event event;
    if (vc_dtmf_parse(packet.payload, packet.payload_bytes, &event) == VC_OK && event.end > 1)
        abort();
    return 0;
}
