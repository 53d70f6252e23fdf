"""Language models and dialogues: one file a vendor."""
