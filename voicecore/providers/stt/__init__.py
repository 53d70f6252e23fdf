"""Speech to text: one file a vendor."""
