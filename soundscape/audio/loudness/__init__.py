"""Loudness by BS.1770-4 and EBU R 128, and true peak."""
