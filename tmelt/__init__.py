"""tmelt: which way of searching finds the best predictor of a property of proteins, such as melting temperature?"""

__version__ = "0.1.0"
__all__ = ["__version__", "read_studies", "read_study"]


def __getattr__(name: str):
    """`tmelt.read_study` and `read_studies`, imported when first asked for: most commands never need polars."""
    if name in ("read_study", "read_studies"):
        from tmelt.study import results

        return getattr(results, name)
    raise AttributeError(f"module 'tmelt' has no attribute {name!r}")
