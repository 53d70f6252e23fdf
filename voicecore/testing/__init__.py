"""What users test with too: the simulated caller, networks, the jitter-buffer laboratory, providers.

Import what you need from its module: ``voicecore.testing.caller``, ``voicecore.testing.network``.
"""
