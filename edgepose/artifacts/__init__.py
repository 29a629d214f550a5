"""The files between stages: contract, calibration scales, manifest of an engine."""
