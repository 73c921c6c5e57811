"""RopaNet Bench: reproduce a vision paper's tables and take its claims apart."""

__version__ = "0.1.0"
