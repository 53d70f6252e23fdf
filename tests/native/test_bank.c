/* vc_bank: batches give each call what it would get alone, bit for bit. */
#include "engine/vc_bank.h"

#include <string.h>

#include "vc_test_model.h"

enum { CALLS = 21, RATE = 8000, FRAME = RATE / 50, TICKS = 100, MAX_EVENTS = 4096 };

typedef struct journal {
    int n;
    vc_event events[MAX_EVENTS];
} journal;

static void keep(void *context, const vc_event *event)
{
    journal *into = context;
    VC_NEED(into->n < MAX_EVENTS);
    into->events[into->n++] = *event;
}

static vc_silero_model *model;

/* A buzz that comes and goes, other in each call, loud enough for the VAD to react. */
static void sound(int call, int tick, int16_t *samples)
{
    uint32_t noise = (uint32_t)(call * 7919 + tick + 1);
    int loud = ((tick + 3 * call) / 25) % 2;
    for (int i = 0; i < FRAME; i++) {
        int phase = (tick * FRAME + i) % (40 + call);
        int value = loud ? phase * 400 - 8000 : 0;
        samples[i] = (int16_t)(value + (int)(vc_test_random(&noise) % 200));
    }
}

static vc_call *open_call(int number, journal *into)
{
    vc_call_config config = vc_call_config_default();
    config.number = (uint32_t)number;
    config.pushed = 1;
    config.play_hz = RATE;
    config.speech_threshold = 0.05f; /* a buzz is not quite speech; any decision will do */
    config.silence_threshold = 0.03f;
    config.model = model;
    config.sink = (vc_event_sink){keep, into};
    vc_call *call = NULL;
    VC_NEED(vc_call_create(&call, &config) == VC_OK);
    return call;
}

/* All calls through the bank, every tick in one run. */
static void run(vc_call **calls, const int *sounds, int n, vc_bank *bank)
{
    for (int tick = 0; tick < TICKS; tick++) {
        for (int c = 0; c < n; c++) {
            int16_t samples[FRAME];
            size_t taken = FRAME;
            sound(sounds[c], tick, samples);
            VC_CHECK_OK(vc_call_push(calls[c], samples, &taken));
            vc_call_take_pushed(calls[c], tick);
            VC_CHECK_OK(vc_bank_note(bank, calls[c]));
        }
        (void)vc_bank_run(bank, tick);
    }
}

VC_TEST(batched_equals_alone)
{
    static journal together, alone;
    vc_bank *bank;
    VC_NEED(vc_bank_create(&bank, model, CALLS, NULL) == VC_OK);
    vc_call *calls[CALLS];
    int sounds[CALLS];
    for (int c = 0; c < CALLS; c++) {
        calls[c] = open_call(c, &together);
        sounds[c] = c;
    }
    run(calls, sounds, CALLS, bank);
    for (int c = 0; c < CALLS; c++) vc_call_destroy(calls[c]);
    VC_CHECK(together.n > 0);
    for (int c = 0; c < CALLS; c++) {
        alone.n = 0;
        vc_call *call = open_call(c, &alone);
        run(&call, &c, 1, bank);
        int k = 0;
        for (int i = 0; i < together.n; i++) {
            if (together.events[i].call != (uint32_t)c) continue;
            VC_CHECK(k < alone.n &&
                     memcmp(&together.events[i], &alone.events[k], sizeof(vc_event)) == 0);
            k++;
        }
        VC_CHECK_EQ(k, alone.n);
        vc_call_destroy(call);
    }
    vc_bank_destroy(bank);
}

VC_TEST(limits)
{
    vc_bank *bank;
    static journal into;
    VC_CHECK_EQ(vc_bank_create(&bank, NULL, 1, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_bank_create(&bank, model, 0, NULL), VC_E_RANGE);
    VC_NEED(vc_bank_create(&bank, model, 1, NULL) == VC_OK);
    vc_call *call = open_call(1, &into);
    VC_CHECK_OK(vc_bank_note(bank, call));
    VC_CHECK_EQ(vc_bank_note(bank, call), VC_FULL);
    VC_CHECK_EQ(vc_bank_run(bank, 0), 0);
    VC_CHECK_OK(vc_bank_note(bank, call));
    vc_call_destroy(call);
    vc_bank_destroy(bank);
    vc_bank_destroy(NULL);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    for (heap.fail_at = 0;; heap.fail_at++) {
        heap.total = 0;
        vc_status status = vc_bank_create(&bank, model, 4, &allocator);
        if (status == VC_OK) break;
        VC_CHECK_EQ(status, VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
    vc_bank_destroy(bank);
    VC_CHECK_EQ(heap.live, 0);
}

int main(void)
{
    model = vc_test_model(RATE);
    VC_RUN(batched_equals_alone)
    VC_RUN(limits)
    vc_silero_model_destroy(model);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
