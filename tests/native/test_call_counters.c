/* vc_call: every datagram is in exactly one counter. Packets built by vc_rtp. */
#include "engine/vc_call.h"

#include <string.h>

#include "vc_test_model.h"

enum { RATE = 8000, FRAME = RATE / 50, PT = 96, DTMF_PT = 101, MAX_EVENTS = 256 };
#define MS VC_NS_PER_MS

static vc_silero_model *model;
static vc_event events[MAX_EVENTS];
static int event_count;

static void keep(void *context, const vc_event *event)
{
    (void)context;
    VC_NEED(event_count < MAX_EVENTS);
    events[event_count++] = *event;
}

static vc_call_config settings(void)
{
    vc_call_config config = vc_call_config_default();
    config.number = 3;
    config.codec = VC_CODEC_L16;
    config.rate_hz = RATE;
    config.play_hz = RATE;
    config.payload_type = PT;
    config.dtmf_payload_type = DTMF_PT;
    config.ssrc = 0xabcd;
    config.first_sequence = 0xffff;
    config.first_timestamp = 0xffffff60u;
    config.record_sent = 1;
    config.model = model;
    config.sink.post = keep;
    return config;
}

static vc_call *create(const vc_call_config *config)
{
    vc_call *call = NULL;
    event_count = 0;
    VC_NEED(vc_call_create(&call, config) == VC_OK);
    return call;
}

/* Packet number `index` of a ramp. */
static size_t ramp_packet(int index, uint8_t *bytes)
{
    uint8_t payload[2 * FRAME];
    for (int i = 0; i < FRAME; i++) {
        int value = (index * FRAME + i) % 30000;
        payload[2 * i] = (uint8_t)(value >> 8);
        payload[2 * i + 1] = (uint8_t)value;
    }
    vc_rtp_packet packet = {.payload_type = PT,
                            .sequence = (uint16_t)(65530 + index),
                            .timestamp = (uint32_t)(4294967000u + (uint32_t)(index * FRAME)),
                            .ssrc = 1,
                            .payload = payload,
                            .payload_bytes = sizeof payload};
    size_t n = VC_CALL_MAX_PACKET_BYTES;
    VC_NEED(vc_rtp_build(&packet, bytes, &n) == VC_OK);
    return n;
}

static vc_status receive(vc_call *call, int index, int64_t now_ns)
{
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = ramp_packet(index, bytes);
    return vc_call_receive(call, bytes, n, now_ns);
}

static uint64_t stat(const vc_call *call, vc_call_stat which)
{
    uint64_t stats[VC_STAT_COUNT];
    vc_call_get_stats(call, stats);
    return stats[which];
}

static void tick(vc_call *call, int64_t now_ns)
{
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = sizeof bytes;
    VC_CHECK_OK(vc_call_tick(call, now_ns, bytes, &n));
}

/* Oracle: the equation of vc_call.h. 20000 datagrams of seed 1: a stream with losses, repeats and
 * jumps, key presses, comfort noise, RTCP, other types, strangers, other SSRCs, random bytes. */
VC_TEST(every_datagram_is_in_one_counter)
{
    static const vc_call_stat kinds[] = {VC_STAT_PACKETS_MALFORMED,
                                         VC_STAT_PACKETS_UNKNOWN,
                                         VC_STAT_PACKETS_STRANGE,
                                         VC_STAT_PACKETS_UNPROVEN,
                                         VC_STAT_SRTP_REJECTED,
                                         VC_STAT_SRTP_REPLAYED,
                                         VC_STAT_RTCP_RECEIVED,
                                         VC_STAT_RTCP_MALFORMED,
                                         VC_STAT_PACKETS_SILENT,
                                         VC_STAT_PACKETS_DECODED,
                                         VC_STAT_PACKETS_HELD,
                                         VC_STAT_DUPLICATE,
                                         VC_STAT_LATE,
                                         VC_STAT_PACKETS_DISCARDED};
    enum { KINDS = sizeof kinds / sizeof *kinds, DATAGRAMS = 20000 };
    vc_call_config config = settings();
    config.rtcp = 1;
    config.rtp_timeout_ms = 0;
    vc_call *call = create(&config);
    vc_address caller = {.family = 4, .port = 4000}, stranger = {.family = 4, .port = 4001};
    uint32_t random = 1;
    int index = 0;
    for (int i = 0; i < DATAGRAMS; i++) {
        uint8_t bytes[VC_CALL_MAX_PACKET_BYTES] = {0};
        random = random * 1664525u + 1013904223u;
        uint32_t what = i == 0 ? 255 : random >> 24, how = random >> 8 & 0xffff;
        index += 1 + (what == 0 ? 3000 : what < 20) - 40 * (what == 20);
        size_t n = ramp_packet(index, bytes);
        if (what >= 30 && what < 40) bytes[1] = DTMF_PT, bytes[12] = (uint8_t)(i / 64 % 16);
        if (what >= 40 && what < 50) bytes[1] = 13;
        if (what >= 50 && what < 55) bytes[1] = 50;
        if (what >= 55 && what < 60) bytes[11] = 9;
        if (what >= 60 && what < 70) n = how % 20;
        if (what >= 70 && what < 80) bytes[1] = (uint8_t)(200 + how % 4);
        if (what >= 80 && what < 90)
            for (size_t k = 0; k < 24; k++) bytes[k] = (uint8_t)((how + 7 * k) * (k + 3));
        const vc_address *from = what >= 90 && what < 100 ? &stranger : &caller;
        (void)vc_call_receive_from(call, from, bytes, n, i * 20 * MS);
        if (i % 7 == 0) (void)vc_call_receive_from(call, from, bytes, n, i * 20 * MS);
        vc_call_expire(call, i * 20 * MS);
        event_count = 0;
        vc_silero *vad;
        const float *window;
        while (vc_call_window(call, &vad, &window)) vc_call_judge(call, 0.0f, i * 20 * MS);
        tick(call, i * 20 * MS);
        event_count = 0;
        uint64_t sum = 0;
        for (size_t k = 0; k < KINDS; k++) sum += stat(call, kinds[k]);
        VC_NEED(sum == stat(call, VC_STAT_PACKETS_RECEIVED));
    }
    for (size_t k = 0; k < KINDS; k++)
        if (kinds[k] != VC_STAT_SRTP_REJECTED && kinds[k] != VC_STAT_SRTP_REPLAYED &&
            kinds[k] != VC_STAT_RTCP_RECEIVED && kinds[k] != VC_STAT_PACKETS_HELD)
            VC_CHECK(stat(call, kinds[k]) > 0);
    VC_CHECK(stat(call, VC_STAT_PACKETS_DECODED) > DATAGRAMS / 3);
    vc_call_destroy(call);
}

/* lost - late is what the network lost, of key presses too. */
VC_TEST(a_key_press_behind_its_loss_is_late)
{
    vc_call_config config = settings();
    vc_call *call = create(&config);
    uint8_t bytes[VC_CALL_MAX_PACKET_BYTES];
    size_t n = ramp_packet(1, bytes);
    (void)receive(call, 0, 0);
    (void)receive(call, 2, 40 * MS);
    vc_call_expire(call, (40 + config.loss_wait_ms) * MS);
    bytes[1] = DTMF_PT;
    memset(bytes + 12, 0, 4);
    VC_CHECK_OK(vc_call_receive(call, bytes, n, 130 * MS));
    VC_CHECK(event_count == 1 && events[0].kind == VC_EVENT_DTMF_RECEIVED);
    tick(call, 140 * MS);
    VC_CHECK_EQ(stat(call, VC_STAT_LOST), 1);
    VC_CHECK_EQ(stat(call, VC_STAT_LATE), 1);
    VC_CHECK_EQ(stat(call, VC_STAT_PACKETS_SILENT), 0);
    VC_CHECK_EQ(stat(call, VC_STAT_PACKETS_DECODED), 2);
    vc_call_destroy(call);
}

int main(void)
{
    model = vc_test_model(8000);
    VC_RUN(every_datagram_is_in_one_counter)
    VC_RUN(a_key_press_behind_its_loss_is_late)
    vc_silero_model_destroy(model);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
