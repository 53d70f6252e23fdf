"""End-of-turn detection: one file a vendor."""
