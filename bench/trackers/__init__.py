"""Stored trials written to experiment trackers: TensorBoard, MLflow, Weights & Biases."""
