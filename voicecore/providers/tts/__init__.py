"""Text to speech: one file a vendor."""
