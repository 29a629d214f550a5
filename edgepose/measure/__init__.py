"""Measuring engines: accuracy on labeled people, latency, and the machine that both belong to."""
