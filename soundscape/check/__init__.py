"""Tests a deployed project as a user would, one capability at a time."""
