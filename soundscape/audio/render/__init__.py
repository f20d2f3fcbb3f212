"""Waveform peaks, spectrogram and pictures."""
