"""Sound that is still under way: samples as they arrive, readings of the moment, the record at the end."""
