"""What users test with too: the simulated caller, bad networks, the two laboratories.

Import what you need from its module: ``voicecore.testing.caller``, ``voicecore.testing.network``.
"""
