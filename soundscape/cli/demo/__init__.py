"""The whole way of a recording, shown: what a user and a stranger see of it through the public API."""
