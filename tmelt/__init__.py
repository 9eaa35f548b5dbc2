"""tmelt: which way of searching finds the best predictor of a property of proteins, such as melting temperature?"""

__version__ = "0.1.0"
__all__ = ["__version__", "read_study"]


def __getattr__(name: str):
    """`tmelt.read_study`, imported when first asked for: most commands never need polars."""
    if name == "read_study":
        from tmelt.study import read_study

        return read_study
    raise AttributeError(f"module 'tmelt' has no attribute {name!r}")
