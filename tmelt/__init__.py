"""tmelt: which way of searching finds the best predictor of protein melting temperature?"""

__version__ = "0.1.0"
