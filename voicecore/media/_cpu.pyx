"""CPU level detection."""

from voicecore.media._common cimport level_of
from voicecore.media.c_base cimport (
    VC_CPU_AVX512,
    VC_CPU_C,
    VC_OK,
    vc_cpu_active,
    vc_cpu_detect,
    vc_cpu_level,
    vc_cpu_name,
    vc_cpu_resolve,
)

import os

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import ConfigError


def cpu_level():
    """The CPU level that new objects use: 'c', 'neon', 'avx2' or 'avx512'.

    The environment variable VOICECORE_CPU can lower it; a name that is no level is an error.
    """
    wanted = os.environ.get("VOICECORE_CPU")
    if wanted is not None and wanted != "":
        level_of(wanted)
    return vc_cpu_name(vc_cpu_active()).decode()


def detected_cpu_level():
    """The highest CPU level of this machine, whatever the environment says."""
    return vc_cpu_name(vc_cpu_detect()).decode()


def cpu_levels():
    """All levels that can be used on this machine, slowest first."""
    cdef vc_cpu_level usable
    cdef int level
    names = []
    for level in range(VC_CPU_C, VC_CPU_AVX512 + 1):
        if vc_cpu_resolve(<vc_cpu_level>level, &usable) == VC_OK:
            names.append(vc_cpu_name(<vc_cpu_level>level).decode())
    return names
