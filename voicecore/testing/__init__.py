"""What users test with too: the simulated caller, network impairments, scripted providers.

Import what you need from its module: ``voicecore.testing.caller``, ``voicecore.testing.network``.
"""
