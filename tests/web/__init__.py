"""The project of the frontend's journeys."""
