/* vc_base: status phrases and aligned allocation. See vc_base.h. */
#include "base/vc_base.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN_BYTES 64u

const char *vc_status_str(vc_status status)
{
    switch (status) {
    case VC_OK: return "ok";
    case VC_NEED_MORE: return "more input is needed";
    case VC_CONCEALED: return "a lost packet was concealed";
    case VC_LATE: return "the packet came too late";
    case VC_DUPLICATE: return "the packet is a duplicate";
    case VC_FULL: return "there is no room left";
    case VC_IGNORED: return "the input was ignored";
    case VC_E_NULL: return "a required pointer is NULL";
    case VC_E_RANGE: return "an argument is out of range";
    case VC_E_RATE: return "the sample rate is not supported";
    case VC_E_LENGTH: return "a buffer has the wrong length";
    case VC_E_MEMORY: return "out of memory";
    case VC_E_CPU: return "the CPU level is not available on this machine";
    case VC_E_PACKET: return "the packet is malformed";
    case VC_E_DATA: return "the data is damaged or of another version";
    case VC_E_SYSTEM: return "a system call failed";
    case VC_E_STATE: return "the call is not allowed in this state";
    case VC_E_MISSING: return "a library that is loaded at run time is not installed";
    }
    return "unknown status";
}

/* The pointer that the hook returned is kept just before the aligned block. */
void *vc_allocate(const vc_allocator *allocator, size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGN_BYTES - sizeof(void *)) return NULL;
    size_t total = bytes + ALIGN_BYTES + sizeof(void *);
    void *raw = allocator ? allocator->alloc(allocator->context, total) : malloc(total);
    if (!raw) return NULL;
    uintptr_t first = (uintptr_t)raw + sizeof(void *);
    uintptr_t aligned = (first + ALIGN_BYTES - 1) & ~(uintptr_t)(ALIGN_BYTES - 1);
    memcpy((char *)aligned - sizeof(void *), &raw, sizeof(void *));
    memset((void *)aligned, 0, bytes);
    return (void *)aligned;
}

void vc_release(const vc_allocator *allocator, void *memory)
{
    if (!memory) return;
    void *raw;
    memcpy(&raw, (char *)memory - sizeof(void *), sizeof(void *));
    if (allocator)
        allocator->release(allocator->context, raw);
    else
        free(raw);
}
