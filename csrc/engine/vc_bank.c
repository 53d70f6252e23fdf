/* vc_bank: see vc_bank.h. Each round takes at most one window of each call, since the next one
 * needs the state that this one leaves; a call with no further window leaves the round. */
#include "engine/vc_bank.h"

enum { MAX_CALLS = 65536 };

struct vc_bank {
    const vc_allocator *allocator;
    vc_silero_batch *batch;
    size_t capacity, noted;
    vc_call **calls;
    vc_silero **vads;
    const float **windows;
    float *probabilities;
};

vc_status vc_bank_create(vc_bank **out, const vc_silero_model *model, size_t capacity,
                         const vc_allocator *allocator)
{
    if (!out || !model) return VC_E_NULL;
    *out = NULL;
    if (capacity < 1 || capacity > MAX_CALLS) return VC_E_RANGE;
    size_t each = 3 * sizeof(void *) + sizeof(float);
    vc_bank *bank = vc_allocate(allocator, sizeof(vc_bank) + capacity * each);
    if (!bank) return VC_E_MEMORY;
    bank->allocator = allocator;
    bank->capacity = capacity;
    bank->calls = (vc_call **)(bank + 1);
    bank->vads = (vc_silero **)(bank->calls + capacity);
    bank->windows = (const float **)(bank->vads + capacity);
    bank->probabilities = (float *)(bank->windows + capacity);
    vc_status status = vc_silero_batch_create(&bank->batch, model, allocator);
    if (status != VC_OK) {
        vc_bank_destroy(bank);
        return status;
    }
    *out = bank;
    return VC_OK;
}

void vc_bank_destroy(vc_bank *bank)
{
    if (!bank) return;
    vc_silero_batch_destroy(bank->batch);
    vc_release(bank->allocator, bank);
}

vc_status vc_bank_note(vc_bank *bank, vc_call *call)
{
    if (bank->noted == bank->capacity) return VC_FULL;
    bank->calls[bank->noted++] = call;
    return VC_OK;
}

size_t vc_bank_run(vc_bank *bank, int64_t now_ns)
{
    size_t judged = 0;
    while (bank->noted > 0) {
        size_t n = 0;
        for (size_t i = 0; i < bank->noted; i++) {
            vc_call *call = bank->calls[i];
            while (vc_call_window(call, &bank->vads[n], &bank->windows[n])) {
                if (!vc_call_rest(call, now_ns)) {
                    bank->calls[n++] = call;
                    break;
                }
                judged++;
            }
        }
        bank->noted = n;
        if (n == 0) break;
        vc_status status =
            vc_silero_batch_process(bank->batch, bank->vads, bank->windows, n, bank->probabilities);
        for (size_t i = 0; i < n; i++)
            vc_call_judge(bank->calls[i], status == VC_OK ? bank->probabilities[i] : 0.0f, now_ns);
        judged += n;
    }
    return judged;
}
