/* vc_bank: the VAD windows of many calls, judged in batches.
 *
 * Calls that took in audio are noted; vc_bank_run then judges every complete window, all calls of
 * one rate in one pass, until none is left. Media thread only.
 */
#ifndef VC_BANK_H
#define VC_BANK_H

#include "engine/vc_call.h"

typedef struct vc_bank vc_bank;

/* One bank serves calls of the model's rate. capacity: most calls noted at once, 1..65536. */
VC_CHECKED vc_status vc_bank_create(vc_bank **out, const vc_silero_model *model, size_t capacity,
                                    const vc_allocator *allocator);
void vc_bank_destroy(vc_bank *bank);

/* Notes that a call may have complete windows; each call at most once between runs.
 * VC_FULL when the capacity is reached. */
VC_RT vc_status vc_bank_note(vc_bank *bank, vc_call *call);
/* Judges all complete windows of the noted calls and forgets the calls. Returns windows judged,
 * those of calls whose VAD rests included. */
VC_RT size_t vc_bank_run(vc_bank *bank, int64_t now_ns);

#endif
