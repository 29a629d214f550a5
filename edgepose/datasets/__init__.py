"""Data sets of labeled people, and the batches made from them for training and calibration."""
