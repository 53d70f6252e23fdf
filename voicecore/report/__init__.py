"""What remains of a call: call.wav, call.jsonl and call.html.

``model`` holds the facts of one call as plain data, ``recording`` the stereo file on the wire's
timeline, ``journal`` the events, ``page`` the self-contained picture. They call nobody: whoever
ran the call fills them.
"""
